// Legends in HTML: buttons that hide a value in every figure of the page.
function legendEntries(figure) {
  const entries = new Map();
  figure.layers.forEach((layer) => {
    if (layer.colour) {
      const look = looks(layer);
      const present = presentValues(layer, look.column);
      for (const [value, style] of look.of) {
        if (present.has(value)) entries.set(entryKey(look.column, value), { column: look.column, value, label: value, style, many: look.many });
      }
    } else if (layer.name !== '' && canDraw(layer)) {
      const style = { colour: toneOf(layer), symbol: layer.mark };
      entries.set(entryKey('layer', layer.name), { column: 'layer', value: layer.name, label: layer.name, style, reversed: layer.hidden });
    }
  });
  return [...entries.values()].sort((one, other) => Boolean(one.reversed) - Boolean(other.reversed));
}

// Whether any row of a layer can be drawn under the present choices; hidden entries do not count.
function canDraw(layer) {
  const table = report.tables[layer.table];
  const conditions = Object.entries(layer.where).map(([column, value]) => [column, resolved(value)]);
  const bounds = layer.mark === 'band' || layer.mark === 'span' ? [layer.low, layer.high] : [];
  const needed = [layer.x, layer.y, ...bounds].filter(Boolean).map(resolved);
  for (let row = 0; row < rowCount(table); row += 1) {
    const matches = conditions.every(([column, value]) => String(cellOf(table, column, row)) === value);
    if (matches && needed.every((column) => (cellOf(table, column, row) ?? null) !== null)) return true;
  }
  return false;
}

function presentValues(layer, column) {
  const table = report.tables[layer.table];
  const found = new Set();
  for (let row = 0; row < rowCount(table); row += 1) found.add(String(cellOf(table, column, row)));
  return found;
}

function drawLegend(holder, figure, page, onChange) {
  const entries = legendEntries(figure);
  const many = entries.filter((entry) => entry.many);
  holder.replaceChildren();
  if (many.length > 0) holder.append(rampLegend(many));
  for (const entry of entries.filter((e) => !e.many)) holder.append(legendButton(entry, page, onChange));
}

function rampLegend(entries) {
  const holder = document.createElement('span');
  holder.className = 'ramp';
  const bar = document.createElement('span');
  bar.className = 'ramp-bar';
  holder.append(entries[0].label, bar, entries.at(-1).label);
  return holder;
}

function legendButton(entry, page, onChange) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = entry.reversed ? 'legend-entry on-request' : 'legend-entry';
  const toggled = isHidden(page, entry.column, entry.value);
  button.setAttribute('aria-pressed', String(toggled === Boolean(entry.reversed)));
  button.dataset.entry = entryKey(entry.column, entry.value);
  const swatch = document.createElement('span');
  swatch.className = `swatch swatch-${entry.style.symbol}`;
  swatch.style.setProperty('--swatch', entry.style.colour);
  button.append(swatch, entry.label);
  button.addEventListener('click', () => {
    const hidden = hiddenEntries.get(page) ?? new Set();
    const key = entryKey(entry.column, entry.value);
    if (!hidden.delete(key)) hidden.add(key);
    hiddenEntries.set(page, hidden);
    const place = button.closest('[data-figure]').dataset.figure;
    onChange();
    const again = document.querySelector(`[data-figure="${place}"] [data-entry="${CSS.escape(key)}"]`);
    again?.focus(); // The legend was drawn anew; the keyboard stays where it was.
  });
  return button;
}
