// From a figure's description to Plotly's traces, shapes and layout.
const CATEGORICAL = 8;
const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'triangle-down', 'pentagon', 'star'];
const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot', 'solid', 'dash'];
const NARROW = 480;

// How each value of a column looks: one colour for one thing on every figure, a ramp where values have an order.
function looks(layer) {
  const column = resolved(layer.colour);
  const entries = Object.entries(report.looks[column] ?? {});
  const many = entries.length > CATEGORICAL;
  const style = ([tone, share, symbol]) => ({ colour: share === null ? colourOf(`c${tone}`) : ramp(share), symbol: SYMBOLS[symbol] });
  return { column, many, of: new Map(entries.map(([value, look]) => [value, style(look)])) };
}

const toneOf = (layer) => colourOf(layer.faint ? 'faint' : layer.tone === 0 ? 'ink' : `c${layer.tone}`);

function ramp(share) {
  const stops = ['ramp1', 'ramp2', 'ramp3', 'ramp4'].map((name) => colourOf(name).match(/[\d.]+/g).map(Number));
  const place = share * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mixed = [0, 1, 2].map((i) => Math.round(stops[low][i] + (place - low) * (stops[low + 1][i] - stops[low][i])));
  return `rgb(${mixed.join(', ')})`;
}

function grouped(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const name = key(row);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return groups;
}

function hoverText(table, layer, row) {
  const parts = [];
  const run = cellOf(table, 'label', row) ?? cellOf(table, 'run', row);
  if (run !== null) parts.push(`<b>${plain(run)}</b>`);
  for (const column of layer.hover) {
    const value = cellOf(table, column, row);
    if (value !== null && value !== undefined) parts.push(`${plain(column.replaceAll('_', ' '))}: ${plain(value)}`);
  }
  return parts.join('<br>');
}

function tracesOf(layer, index, page, xTitle) {
  const table = report.tables[layer.table];
  const [x, y] = [resolved(layer.x), resolved(layer.y)];
  const rows = rowsOf(layer, page).filter((row) => {
    const known = [cellOf(table, x, row), layer.mark === 'band' ? cellOf(table, resolved(layer.low), row) : cellOf(table, y, row)];
    return known.every((value) => value !== null && value !== undefined);
  });
  const look = layer.colour ? looks(layer) : null;
  const styleOf = (row) => look?.of.get(String(cellOf(table, look.column, row)))
    ?? { colour: toneOf(layer), symbol: layer.faint ? 'circle' : SYMBOLS[Math.max(0, layer.tone - 1)] };
  const seriesOf = (row) => [
    layer.series ? cellOf(table, layer.series, row) : '',
    look ? cellOf(table, look.column, row) : '',
  ].join('\u001f');
  const draw = { lines: lineTrace, points: pointTrace, band: bandTraces }[layer.mark];
  const series = [...grouped(rows, seriesOf).values()];
  const aside = asideOf(layer, rows.map((row) => cellOf(table, x, row)), series.length);
  return series.flatMap((members, place) => draw({ table, layer, x, y, index, aside: aside(place), xTitle }, members, styleOf(members[0])));
}

// Points of different colours with intervals stand a little apart, so that each interval can be seen.
const ASIDE = 0.007;

function asideOf(layer, places, count) {
  const numbers = places.filter((place) => typeof place === 'number' && place > 0);
  const isApart = layer.apart && numbers.length === places.length;
  if (!isApart || count < 2) return () => 1;
  const [low, high] = extent(numbers);
  const span = Math.max(high / low, 1.5);
  return (place) => span ** (ASIDE * (place - (count - 1) / 2));
}

// Words beside the last point of each series, in its colour; those that would overlap are moved apart.
function labelsOf(layer, page) {
  if (!layer.label) return [];
  const table = report.tables[layer.table];
  const [x, y] = [resolved(layer.x), resolved(layer.y)];
  const look = layer.colour ? looks(layer) : null;
  const known = (row) => typeof cellOf(table, x, row) === 'number' && typeof cellOf(table, y, row) === 'number';
  const ends = new Map();
  for (const row of rowsOf(layer, page).filter(known)) {
    const series = String(layer.series ? cellOf(table, layer.series, row) : row);
    const last = ends.get(series);
    if (last === undefined || cellOf(table, x, row) >= cellOf(table, x, last)) ends.set(series, row);
  }
  return [...ends.values()].map((row) => ({
    x: cellOf(table, x, row),
    y: cellOf(table, y, row),
    text: plain(cellOf(table, layer.label, row)),
    colour: look?.of.get(String(cellOf(table, look.column, row)))?.colour ?? toneOf(layer),
  }));
}

const LINE_PX = 15;

// Heights of labels, the highest first: none overlaps another, and none sinks below the axis.
function apart(labels) {
  const meets = (one, other) => Math.abs(labels[one].across - labels[other].across) < 7 * LINE_PX;
  const heights = [];
  labels.forEach((label, order) => {
    const met = heights.filter((_, other) => meets(order, other)).map((height) => height - LINE_PX);
    heights.push(Math.min(label.at + LINE_PX / 2, ...met));
  });
  for (let order = heights.length - 1; order >= 0; order -= 1) {
    const met = heights.filter((_, other) => other > order && meets(order, other)).map((height) => height + LINE_PX);
    heights[order] = Math.max(heights[order], LINE_PX / 2, ...met);
  }
  return heights;
}

function annotationsOf(labels, figure, layout, width, height) {
  const place = (axis, value) => (axis.log ? Math.log10(value) : value);
  const [low, high] = layout.yaxis.range ?? extent(labels.map((label) => place(figure.y, label.y)));
  const inside = Math.max(60, height - layout.margin.t - layout.margin.b - 20);
  const [left, right] = layout.xaxis.range ?? extent(labels.map((label) => place(figure.x, label.x)));
  const across = (label) => ((place(figure.x, label.x) - left) / ((right - left) || 1)) * width;
  const sorted = labels.map((label) => ({ ...label, across: across(label), at: ((place(figure.y, label.y) - low) / ((high - low) || 1)) * inside })).sort((one, other) => other.at - one.at);
  const places = apart(sorted);
  return sorted.map((label, order) => {
    const at = places[order];
    return {
      x: place(figure.x, label.x), y: place(figure.y, label.y), yshift: at - label.at, xshift: -4,
      text: label.text, showarrow: false, xanchor: 'right', yanchor: 'middle', align: 'right',
      font: { size: width < NARROW ? 11 : 12, color: label.colour }, bgcolor: translucent(colourOf('paper'), 0.75), borderpad: 1,
    };
  });
}

function isDimmed(table, row) {
  return highlightedRun !== null && cellOf(table, 'run', row) !== highlightedRun;
}

function lineTrace({ table, layer, x, y, index }, rows, style) {
  const dimmed = isDimmed(table, rows[0]);
  const strong = highlightedRun !== null && !dimmed && table.run;
  return [{
    type: 'scatter',
    mode: rows.length === 1 ? 'markers' : 'lines',
    x: rows.map((row) => cellOf(table, x, row)),
    y: rows.map((row) => cellOf(table, y, row)),
    text: hoverText(table, layer, rows[0]) || plain(layer.name),
    customdata: rows.map((row) => cellOf(table, 'run', row)),
    hovertemplate: '%{text}<br>%{xaxis.title.text}: %{x:.4~g}<br>%{yaxis.title.text}: %{y:.4~g}<extra></extra>',
    opacity: dimmed ? 0.15 : layer.faint ? 0.55 : 1,
    line: { color: style.colour, width: strong ? 4 : layer.faint ? 1 : 1.8, dash: layer.dashed ? DASHES[1 + (index % 3)] : 'solid' },
    marker: { color: style.colour, symbol: style.symbol, size: 8 },
  }];
}

function pointTrace({ table, layer, x, y, aside, xTitle }, rows, style) {
  const bounds = layer.low ? intervalOf(table, layer, layer.horizontal ? x : y, rows, style.colour) : null;
  return [{
    type: 'scatter',
    mode: 'markers',
    x: rows.map((row) => (aside === 1 ? cellOf(table, x, row) : cellOf(table, x, row) * aside)),
    y: rows.map((row) => cellOf(table, y, row)),
    [layer.horizontal ? 'error_x' : 'error_y']: bounds ?? undefined,
    text: rows.map((row) => [hoverText(table, layer, row), `${plain(xTitle)}: ${plain(cellOf(table, x, row))}`].filter(Boolean).join('<br>')),
    customdata: rows.map((row) => cellOf(table, 'run', row)),
    hovertemplate: '%{text}<br>%{yaxis.title.text}: %{y:.4~g}<extra></extra>',
    marker: {
      color: style.colour,
      symbol: layer.symbol || style.symbol,
      size: layer.faint ? 4 : layer.symbol === 'star' ? 15 : 9,
      opacity: rows.map((row) => (isDimmed(table, row) ? 0.15 : layer.faint ? 0.5 : 0.95)),
      line: { color: colourOf('paper'), width: layer.faint ? 0 : 1 },
    },
  }];
}

function intervalOf(table, layer, column, rows, colour) {
  const away = (bound) => rows.map((row) => {
    const [value, edge] = [cellOf(table, column, row), cellOf(table, resolved(bound), row)];
    return edge === null || edge === undefined ? 0 : Math.abs(edge - value);
  });
  return { type: 'data', symmetric: false, array: away(layer.high), arrayminus: away(layer.low), color: translucent(colour, 0.6), thickness: 1.5, width: 3 };
}

function bandTraces({ table, layer, x }, rows, style) {
  const edge = (column, fill) => ({
    type: 'scatter',
    mode: 'lines',
    x: rows.map((row) => cellOf(table, x, row)),
    y: rows.map((row) => cellOf(table, column, row)),
    line: { width: 0, color: style.colour },
    fill: fill ? 'tonexty' : 'none',
    fillcolor: translucent(style.colour, 0.16),
    hoverinfo: 'skip',
  });
  return [edge(layer.low, false), edge(layer.high, true)];
}

// References: a dotted line or a stripe each, named where it stands. Lines that lie together share one name.
function shapesOf(layer, page) {
  const table = report.tables[layer.table];
  const place = layer.mark === 'rule' ? resolved(layer.y) : layer.low;
  const known = (row) => typeof cellOf(table, place, row) === 'number';
  const falling = (one, other) => cellOf(table, place, other) - cellOf(table, place, one);
  const rows = rowsOf(layer, page).filter(known).sort(falling);
  const colour = colourOf('quiet');
  if (layer.mark === 'rule') {
    const lines = rows.map((row) => [cellOf(table, place, row), String(cellOf(table, 'name', row) ?? '')]);
    return lines.map(([at], order) => ({
      type: 'line', layer: 'below', xref: 'paper', x0: 0, x1: 1, y0: at, y1: at, line: { color: colour, width: 1, dash: 'dot' },
      label: { text: plain(sharedName(lines, order)), textposition: order % 2 ? 'end' : 'start', yanchor: 'bottom', font: { size: 11, color: colour } },
    }));
  }
  return rows.map((row, order) => {
    const [low, high] = [cellOf(table, layer.low, row), cellOf(table, layer.high, row)];
    const label = { text: plain(cellOf(table, 'name', row)), textposition: order % 2 ? 'bottom left' : 'top left', textangle: 0, font: { size: 11, color: colour } };
    return { type: 'rect', layer: 'below', yref: 'paper', y0: 0, y1: 1, x0: low, x1: high, line: { width: 0 }, fillcolor: translucent(toneOf(layer), 0.16), label };
  });
}

const TOGETHER = 0.03;

// "unigram entropy, basic" and "unigram entropy, free" on nearly the same line: "unigram entropy, basic; free" on the first.
function sharedName(lines, order) {
  const near = (other) => Math.abs(lines[other][0] - lines[order][0]) <= TOGETHER * Math.abs(lines[order][0]);
  if (order > 0 && near(order - 1)) return '';
  const names = [lines[order][1]];
  for (let next = order + 1; next < lines.length && near(next); next += 1) names.push(lines[next][1].split(', ').at(-1));
  return names.join('; ');
}

function axisLayout(axis, values, width) {
  const layout = {
    title: { text: labelled(axis.title), standoff: 8, font: { size: 12, color: colourOf('quiet') } },
    gridcolor: colourOf('line'),
    linecolor: colourOf('line'),
    tickfont: { size: 11, color: colourOf('quiet') },
    zeroline: false,
    automargin: true,
    fixedrange: matchMedia('(pointer: coarse)').matches,
  };
  const numbers = values.filter((value) => typeof value === 'number' && value > 0);
  if (!axis.log || numbers.length === 0) return { ...layout, nticks: width < NARROW ? 5 : 8 };
  const [low, high] = extent(numbers);
  const spare = Math.max(0.004, 0.06 * Math.log10(high / low));
  const [first, last] = [Math.log10(low) - spare, Math.log10(high) + spare];
  return { ...layout, type: 'log', range: [first, last], ...logTicks(10 ** first, 10 ** last, width < NARROW ? 4 : 8) };
}

// Where the vertical axis names things, every one of them is named; in two lines where there is little room.
function namedAxis(axis, values, width) {
  const { nticks, ...layout } = axisLayout(axis, [], width);
  const names = [...new Set(values)];
  const shown = names.map((name) => (width < NARROW ? plain(name).replaceAll(/, | \(/g, '$&<br>') : plain(name)));
  return { ...layout, type: 'category', tickmode: 'array', tickvals: names, ticktext: shown };
}

function extent(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of numbers) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// Ticks at round numbers, as many as fit: Plotly's own would mix powers with bare digits.
function logTicks(low, high, most) {
  const decades = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power += 1) decades.push(power);
  if (high < 5 * low) return linearTicks(low, high, most);
  const within = (values) => values.filter((value) => value >= low && value <= high);
  const sets = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
  for (const digits of sets) {
    const ticks = within(decades.flatMap((power) => digits.map((digit) => digit * 10 ** power)));
    if (ticks.length <= most) return { tickvals: ticks, ticktext: ticks.map(asText) };
  }
  const powers = within(decades.map((power) => 10 ** power));
  const step = Math.ceil(powers.length / most);
  const ticks = powers.filter((value, place) => place % step === 0);
  return { tickvals: ticks, ticktext: ticks.map(asText) };
}

// Over a short range, equal steps read better than powers.
function linearTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step); place * step <= high; place += 1) ticks.push(Number((place * step).toPrecision(12)));
  return { tickvals: ticks, ticktext: ticks.map(asText) };
}

// The layers of a figure that the legend leaves, each with its place.
function drawnLayers(figure, page) {
  return figure.layers.map((layer, index) => ({ layer, index }))
    .filter(({ layer }) => layer.name === '' || isHidden(page, 'layer', layer.name) === layer.hidden);
}

// All that a trace shows along an axis: its points and the ends of their intervals.
function reachOf(trace, axis) {
  const [places, bounds] = [trace[axis], trace[`error_${axis}`]];
  if (!bounds) return places;
  const ends = (offsets, sign) => places.map((place, index) => (typeof place === 'number' ? place + sign * offsets[index] : null));
  return [...places, ...ends(bounds.array, 1), ...ends(bounds.arrayminus, -1)];
}

function drawingOf(figure, page, width, height) {
  const drawn = drawnLayers(figure, page);
  const isShape = ({ layer }) => layer.mark === 'rule' || layer.mark === 'span';
  const tracesBy = drawn.filter((d) => !isShape(d)).map(({ layer, index }) => ({ layer, traces: tracesOf(layer, index, page, labelled(figure.x.title)) }));
  const traces = tracesBy.flatMap((drawing) => drawing.traces);
  // What stands in grey behind the others does not widen the axes, unless there is nothing else.
  const strong = tracesBy.filter(({ layer }) => !layer.faint || layer.hidden).flatMap((drawing) => drawing.traces);
  const ranged = strong.length > 0 ? strong : traces;
  const shapes = drawn.filter(isShape).flatMap(({ layer }) => shapesOf(layer, page));
  const family = getComputedStyle(document.body).fontFamily;
  const layout = {
    xaxis: axisLayout(figure.x, ranged.flatMap((trace) => reachOf(trace, 'x')), width),
    yaxis: axisLayout(figure.y, [...ranged.flatMap((trace) => reachOf(trace, 'y')), ...shapes.filter((s) => s.type === 'line').map((s) => s.y0)], width),
    ...(figure.layers.some((layer) => layer.horizontal) ? { yaxis: namedAxis(figure.y, traces.flatMap((trace) => trace.y), width) } : {}),
    shapes,
    showlegend: false,
    hovermode: 'closest',
    dragmode: matchMedia('(pointer: coarse)').matches ? false : 'zoom',
    margin: { l: 48, r: 12, t: 12, b: 44 },
    paper_bgcolor: 'rgba(0,0,0,0)',
    plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family, color: colourOf('ink') },
    hoverlabel: { align: 'left', bgcolor: colourOf('paper'), bordercolor: colourOf('line'), font: { family, color: colourOf('ink'), size: 12 } },
  };
  const labels = drawn.flatMap(({ layer }) => labelsOf(layer, page));
  return { traces, layout: { ...layout, annotations: annotationsOf(labels, figure, layout, width, height) } };
}
