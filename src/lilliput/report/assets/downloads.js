// The data behind a figure as CSV, made from what is embedded in this file.
function csvCell(value) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const harmless = /^[=+@\t\r-]/.test(value) ? `'${value}` : value; // A spreadsheet would take it for a formula.
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function figureRows(figure) {
  const columns = ['layer'];
  const rows = [];
  figure.layers.forEach((layer, index) => {
    const table = report.tables[layer.table];
    const facts = table.run && layer.table !== 'runs' ? Object.keys(report.tables.runs ?? {}) : [];
    const own = [...new Set([...Object.keys(table), ...facts])];
    for (const column of own) if (!columns.includes(column)) columns.push(column);
    const fixed = Object.entries(layer.where).filter(([, value]) => !value.startsWith('$'));
    for (let row = 0; row < rowCount(table); row += 1) {
      if (!fixed.every(([column, value]) => String(cellOf(table, column, row)) === value)) continue;
      const cells = { layer: layer.name || `${layer.mark} ${index + 1}` };
      for (const column of own) cells[column] = cellOf(table, column, row);
      rows.push(cells);
    }
  });
  return { columns, rows };
}

function toCsv({ columns, rows }) {
  const lines = [columns.map(csvCell), ...rows.map((row) => columns.map((column) => csvCell(row[column])))];
  return `${lines.map((cells) => cells.join(',')).join('\n')}\n`;
}

function download(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function startDownloads() {
  for (const button of document.querySelectorAll('button[data-csv-figure]')) {
    const figure = figuresById.get(button.dataset.csvFigure);
    button.addEventListener('click', () => download(`${figure.id}.csv`, toCsv(figureRows(figure))));
  }
  for (const button of document.querySelectorAll('button[data-csv-table]')) {
    button.addEventListener('click', () => {
      const table = document.getElementById(button.dataset.csvTable);
      const cells = (row) => [...row.cells].map((cell) => csvCell(cell.dataset.text ?? cell.dataset.value ?? cell.textContent.trim().replace(/\s+/g, ' ')));
      download(`${table.id}.csv`, `${[...table.rows].map((row) => cells(row).join(',')).join('\n')}\n`);
    });
  }
}
