// Light and dark: as the system says, or as the reader says.
const THEMES = ['auto', 'light', 'dark'];
const THEME_KEY = 'lilliput-report-theme';

function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // Some browsers keep no storage for files opened from disk.
  }
}

function rememberTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    return; // As above: the choice then lasts until the page is closed.
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.getElementById('theme-name').textContent = theme;
}

function startTheme(onChange) {
  const stored = storedTheme();
  applyTheme(THEMES.includes(stored) ? stored : 'auto');
  document.getElementById('theme').addEventListener('click', () => {
    const now = THEMES.indexOf(document.documentElement.dataset.theme);
    const next = THEMES[(now + 1) % THEMES.length];
    applyTheme(next);
    rememberTheme(next);
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
}

// Colours live in the style sheet; a probe element shows the value of a variable in this theme.
const probe = document.createElement('span');
probe.hidden = true;
document.body.append(probe);

function colourOf(variable) {
  probe.style.color = `var(--${variable})`;
  return getComputedStyle(probe).color;
}

function translucent(colour, opacity) {
  const [red, green, blue] = colour.match(/[\d.]+/g);
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}
