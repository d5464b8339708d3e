// Pages: one is shown at a time; without this script, and on paper, all follow one another.
const pages = [...document.querySelectorAll('main > [data-page]')];

function showPage(name, { focus = true } = {}) {
  const page = pages.find((candidate) => candidate.dataset.page === name) ?? pages[0];
  for (const other of pages) other.hidden = other !== page;
  document.documentElement.classList.add('ready');
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${page.dataset.page}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.querySelector('nav a[aria-current]').scrollIntoView({ block: 'nearest', inline: 'nearest' });
  if (focus) {
    scrollTo(0, 0);
    page.querySelector('h2').focus({ preventScroll: true });
  }
  explainPage(page);
  redrawShown();
  observeFigures();
}

function followHash(options) {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const page = target?.closest('[data-page]');
  showPage(page ? page.dataset.page : pages[0].dataset.page, options);
  if (target && target !== page) {
    target.scrollIntoView({ block: 'center' });
    target.focus({ preventScroll: true });
  }
}

function showRun(name) {
  if (!name || !runRow.has(name)) return;
  const target = `#run-${runRow.get(name)}`;
  if (location.hash === target) followHash();
  else location.hash = target;
}

function startPrinting() {
  let theme = null;
  let shown = null;
  addEventListener('beforeprint', () => {
    theme = document.documentElement.dataset.theme;
    shown = pages.find((page) => !page.hidden);
    document.documentElement.dataset.theme = 'light';
    for (const page of pages) page.hidden = false;
    for (const holder of holders) drawFigure(holder);
  });
  addEventListener('afterprint', () => {
    document.documentElement.dataset.theme = theme;
    showPage(shown.dataset.page, { focus: false });
  });
}

startTheme(redrawShown);
startControls();
startHighlights();
startSorting();
startFiltering();
startWholeTables();
startReading();
startDownloads();
startPrinting();
startTerms();
// A reader of the first page is left alone; who then turns to a figure need not wait for its script.
const SETTLED_MS = 2000;
addEventListener('load', () => setTimeout(() => (window.requestIdleCallback ?? setTimeout)(startPlotly), SETTLED_MS));
addEventListener('hashchange', () => followHash());
followHash({ focus: false });
