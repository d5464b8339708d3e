// What a figure shows as a table, for those who read rather than look; made when it is opened.
const MOST_READ = 500;

function readingRows(figure, page) {
  const rows = [];
  for (const { layer } of drawnLayers(figure, page)) {
    const table = report.tables[layer.table];
    const [x, y] = [resolved(layer.x), resolved(layer.y)];
    for (const row of rowsOf(layer, page)) {
      const cell = (column) => (column ? cellOf(table, resolved(column), row) : null);
      const named = layer.colour ? cell(layer.colour) : layer.name || cellOf(table, 'name', row);
      const run = cellOf(table, 'label', row) ?? cellOf(table, 'run', row);
      rows.push([named, run, cell(x || null), cell(y || null), cell(layer.low), cell(layer.high)]);
    }
  }
  return rows;
}

function fillReading(holder) {
  const details = holder.querySelector('details.reading');
  if (!details?.open) return;
  const figure = figuresById.get(holder.dataset.figure);
  const rows = readingRows(figure, pageOf(holder));
  const heads = ['Series', 'Run', labelled(figure.x.title), labelled(figure.y.title), 'From', 'To'];
  const used = heads.map((head, place) => rows.some((row) => row[place] !== null && row[place] !== undefined && row[place] !== ''));
  const kept = (cells) => cells.filter((cell, place) => used[place]);
  const table = document.createElement('table');
  const caption = table.createCaption();
  const most = rows.length > MOST_READ ? `; the first ${MOST_READ} of ${asText(rows.length)} rows, all are in the CSV` : '';
  caption.textContent = `${figure.title}: the data as drawn${most}`;
  addCells(table.createTHead().insertRow(), kept(heads), 'col');
  const body = table.createTBody();
  for (const row of rows.slice(0, MOST_READ)) addCells(body.insertRow(), kept(row));
  details.querySelector('.scroll').replaceChildren(table);
}

function addCells(row, cells, scope) {
  for (const cell of cells) {
    const element = document.createElement(scope ? 'th' : 'td');
    if (scope) element.scope = scope;
    if (typeof cell === 'number') element.className = 'number';
    element.textContent = asText(cell);
    row.append(element);
  }
}

function startReading() {
  for (const details of document.querySelectorAll('details.reading')) {
    details.addEventListener('toggle', () => fillReading(details.closest('[data-figure]')));
  }
}
