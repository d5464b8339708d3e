// Tables: sorted by their headers, narrowed by a search field and by the choices beside it.
const collator = new Intl.Collator('en', { numeric: true });

function sortValue(row, column) {
  const cell = row.cells[column];
  const given = cell.dataset.value;
  return given === undefined ? cell.textContent.trim() : given === '' ? null : Number(given);
}

function compareCells(one, other) {
  if (one === null || other === null) return (one === null) - (other === null);
  return typeof one === 'number' && typeof other === 'number' ? one - other : collator.compare(one, other);
}

function sortBy(table, header) {
  const ascending = header.getAttribute('aria-sort') !== 'ascending';
  for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  const column = header.cellIndex;
  const rows = [...table.tBodies[0].rows].map((row) => [row, sortValue(row, column)]);
  rows.sort(([, one], [, other]) => {
    const order = compareCells(one, other);
    return one === null || other === null || ascending ? order : -order; // Gaps stay last.
  });
  table.tBodies[0].append(...rows.map(([row]) => row));
}

function startSorting() {
  for (const table of document.querySelectorAll('table[data-sortable]')) {
    for (const button of table.tHead.querySelectorAll('button')) {
      button.addEventListener('click', () => sortBy(table, button.closest('th')));
    }
  }
}

function startFiltering() {
  for (const form of document.querySelectorAll('form[data-filters]')) {
    const table = document.getElementById(form.dataset.filters);
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', () => filterRows(form, table));
    form.addEventListener('reset', () => setTimeout(() => filterRows(form, table)));
  }
}

function filterRows(form, table) {
  const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const facets = [...form.querySelectorAll('select[data-facet]')].filter((select) => select.value !== '');
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !(words.every((word) => text.includes(word)) && facets.every((select) => row.dataset[select.dataset.facet] === select.value));
    shown += row.hidden ? 0 : 1;
  }
  form.querySelector('output').textContent = `${shown} of ${table.tBodies[0].rows.length} shown`;
}

function startWholeTables() {
  for (const button of document.querySelectorAll('button[data-whole]')) {
    button.addEventListener('click', () => {
      const whole = document.getElementById(button.dataset.whole).classList.toggle('whole');
      button.setAttribute('aria-pressed', String(whole));
    });
  }
}
