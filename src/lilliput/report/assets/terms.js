// Words of the glossary: the first use on each page is underlined, and its meaning shows on hover and focus.
const EXPLAINED = 'p, li, dt, caption, h3, h4';
const NOT_EXPLAINED = 'a, button, summary, pre, code, blockquote, select, label, .legend, .plot, .masthead, [data-page=glossary]';
const tip = document.createElement('div');
tip.id = 'tip';
tip.setAttribute('role', 'tooltip');
tip.hidden = true;
document.body.append(tip);

const termOf = new Map(report.glossary.flatMap(({ id, forms }) => forms.map((form) => [form.toLowerCase(), id])));
const escaped = [...termOf.keys()].sort((one, other) => other.length - one.length).map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
const anyTerm = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join('|')})(?![\\p{L}\\p{N}])`, 'iu');

function termLink(word, id) {
  const link = document.createElement('a');
  link.className = 'term';
  link.href = `#${id}`;
  link.setAttribute('aria-describedby', id);
  link.textContent = word;
  link.addEventListener('mouseenter', () => showTip(link, id));
  link.addEventListener('focus', () => showTip(link, id));
  link.addEventListener('mouseleave', hideTip);
  link.addEventListener('blur', hideTip);
  return link;
}

function showTip(link, id) {
  tip.textContent = document.getElementById(id).textContent;
  tip.hidden = false;
  const [word, box] = [link.getBoundingClientRect(), tip.getBoundingClientRect()];
  const below = word.bottom + 6 + box.height < innerHeight;
  tip.style.left = `${Math.max(8, Math.min(word.left, document.documentElement.clientWidth - box.width - 8))}px`;
  tip.style.top = `${below ? word.bottom + 6 : word.top - box.height - 6}px`;
}

function hideTip() {
  tip.hidden = true;
}

function explainPage(page) {
  if (page.dataset.explained || page.dataset.page === 'glossary') return;
  page.dataset.explained = 'true';
  const seen = new Set();
  for (const element of page.querySelectorAll(EXPLAINED)) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    for (const text of texts) if (!text.parentElement.closest(NOT_EXPLAINED)) explainText(text, seen);
  }
}

function explainText(text, seen) {
  let rest = text;
  for (let match = rest.data.match(anyTerm), from = 0; match; match = rest.data.slice(from).match(anyTerm)) {
    const [word, at] = [match[0], from + match.index];
    const id = termOf.get(word.toLowerCase());
    if (seen.has(id)) {
      from = at + word.length;
      continue;
    }
    seen.add(id);
    const found = rest.splitText(at);
    rest = found.splitText(word.length);
    found.replaceWith(termLink(word, id));
    from = 0;
  }
}

function startTerms() {
  addEventListener('keydown', (event) => { if (event.key === 'Escape') hideTip(); });
  addEventListener('scroll', hideTip, { passive: true });
}
