// The embedded data: tables by column, joined with the facts of each run, narrowed by the reader.
const report = JSON.parse(document.getElementById('report-data').textContent);
const runRow = new Map((report.tables.runs?.run ?? []).map((name, row) => [name, row]));

// What the reader chose; shared by all pages, so that a convention holds everywhere.
const choices = new Map();
for (const controls of Object.values(report.controls)) {
  for (const control of controls) {
    if (!choices.has(control.name)) choices.set(control.name, control.options[0].value);
  }
}
// Page to the hidden legend entries of that page, each "column\u001fvalue".
const hiddenEntries = new Map();
let highlightedRun = null;

const entryKey = (column, value) => `${column}\u001f${value}`;
const isHidden = (page, column, value) => hiddenEntries.get(page)?.has(entryKey(column, value)) ?? false;
// A choice may name another one: the progress axis may be FLOPs of the chosen convention.
// "$measure_low" is the column of the chosen measure with that ending.
function resolved(name) {
  if (!name.startsWith('$')) return name;
  const [, control, ending] = name.match(/^\$([a-z]+)(_\w+)?$/);
  return resolved((choices.get(control) ?? '') + (ending ?? ''));
}

function cellOf(table, column, row) {
  if (column in table) return table[column][row];
  const runs = report.tables.runs;
  if (table.run && runs && column in runs) {
    const at = runRow.get(table.run[row]);
    return at === undefined ? null : runs[column][at];
  }
  return null;
}

function rowCount(table) {
  const first = Object.values(table)[0];
  return first ? first.length : 0;
}

// Rows of a layer that its conditions and the page's legend leave.
function rowsOf(layer, page) {
  const table = report.tables[layer.table];
  const conditions = Object.entries(layer.where).map(([column, value]) => [column, resolved(value)]);
  const filters = [...(hiddenEntries.get(page) ?? [])].map((key) => key.split('\u001f'));
  const rows = [];
  for (let row = 0; row < rowCount(table); row += 1) {
    const matches = conditions.every(([column, value]) => String(cellOf(table, column, row)) === value);
    const filtered = filters.some(([column, value]) => String(cellOf(table, column, row)) === value);
    if (matches && !filtered) rows.push(row);
  }
  return rows;
}

function labelled(title) {
  return title.replace(/\{(\w+)\}/g, (whole, name) => {
    for (const controls of Object.values(report.controls)) {
      const option = controls.find((c) => c.name === name)?.options.find((o) => o.value === choices.get(name));
      if (option) return labelled(option.label);
    }
    return ''; // No such choice here: nothing is named that is not drawn.
  }).replace(' ()', '').trim();
}

function asText(value) {
  if (typeof value !== 'number') return value === null || value === undefined ? '' : String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return powerOfTen(value);
  return Number.isInteger(value) ? value.toLocaleString('en') : String(Number(value.toPrecision(4)));
}

function powerOfTen(value) {
  const exponent = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  const mantissa = Number((value / 10 ** exponent).toPrecision(3));
  const power = `10${[...String(exponent)].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[digit] ?? '⁻').join('')}`;
  return mantissa === 1 ? power : `${mantissa}×${power}`;
}

// Plotly reads a little HTML in its texts; names from data must stay names.
const plain = (value) => asText(value).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
