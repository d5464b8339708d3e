// Figures are drawn when they come into view, and again whenever a choice, a filter or the theme changes.
const drawnFigures = new Set();
const figuresById = new Map(report.figures.map((figure) => [figure.id, figure]));
const holders = [...document.querySelectorAll('[data-figure]')];

const pageOf = (element) => element.closest('[data-page]').dataset.page;

// Plotly is large: its text becomes a script when the first figure is drawn, or when nothing else is to do.
function startPlotly() {
  if (window.Plotly) return;
  const script = document.createElement('script');
  script.textContent = document.getElementById('plotly-source').textContent;
  document.head.append(script);
}

function drawFigure(holder) {
  startPlotly();
  const figure = figuresById.get(holder.dataset.figure);
  const plot = holder.querySelector('.plot');
  const page = pageOf(holder);
  sizePlot(plot, figure);
  const { traces, layout } = drawingOf(figure, page, plot.clientWidth, plot.clientHeight);
  const legend = holder.querySelector('.legend');
  if (legend) drawLegend(legend, figure, page, () => redrawPage(page));
  const isFirst = !drawnFigures.has(holder);
  drawnFigures.add(holder);
  Plotly.react(plot, traces, layout, { displayModeBar: false, responsive: true });
  if (isFirst) {
    plot.on('plotly_click', (event) => showRun(event.points[0].customdata));
    plot.on('plotly_relayout', (change) => refreshTicks(plot, figure, change));
    plot.dataset.drawn = 'true';
  }
  fillReading(holder);
  holder.querySelector('.no-data').hidden = traces.some((trace) => trace.x.length > 0);
}

// Where the vertical axis names things, each of them gets a row of its own.
function sizePlot(plot, figure) {
  const named = figure.layers.find((layer) => layer.horizontal);
  if (!named) return;
  const rows = new Set(report.tables[named.table][resolved(named.y)]);
  plot.classList.add('plot-rows');
  plot.style.setProperty('--rows', rows.size);
}

// After a zoom, round numbers of the new range; after a double click, those of the whole.
function refreshTicks(plot, figure, change) {
  const update = {};
  for (const name of ['x', 'y']) {
    const axis = `${name}axis`;
    const touched = Object.keys(change).some((key) => key.startsWith(`${axis}.range`) || key.startsWith(`${axis}.autorange`));
    if (!figure[name].log || !touched) continue;
    const [low, high] = plot.layout[axis].range.map((power) => 10 ** power);
    const ticks = logTicks(low, high, plot.clientWidth < NARROW ? 4 : 8);
    update[`${axis}.tickvals`] = ticks.tickvals;
    update[`${axis}.ticktext`] = ticks.ticktext;
  }
  if (Object.keys(update).length > 0) Plotly.relayout(plot, update);
}

function redrawPage(page) {
  for (const holder of drawnFigures) if (pageOf(holder) === page) drawFigure(holder);
}

// Only figures of the shown page: a hidden one has no width to draw in.
function redrawShown() {
  for (const holder of [...drawnFigures]) {
    if (holder.clientWidth > 0) drawFigure(holder);
    else drawnFigures.delete(holder);
  }
}

const inView = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting && !drawnFigures.has(entry.target)) drawFigure(entry.target);
  }
}, { rootMargin: '200px' });

function observeFigures() {
  for (const holder of holders) {
    inView.unobserve(holder);
    inView.observe(holder);
  }
}

// Controls: one select for each choice of a page; parts of the page may stand under a condition.
function startControls() {
  for (const select of document.querySelectorAll('select[data-control]')) {
    select.addEventListener('change', () => {
      choices.set(select.dataset.control, select.value);
      showConditional();
      redrawShown();
    });
  }
  showConditional();
}

function showConditional() {
  for (const select of document.querySelectorAll('select[data-control]')) select.value = choices.get(select.dataset.control);
  for (const element of document.querySelectorAll('[data-when]')) {
    const conditions = Object.entries(JSON.parse(element.dataset.when));
    element.hidden = !conditions.every(([name, value]) => choices.get(name) === value);
  }
}

// From a run's row to its curve, and from a point to its row.
function highlightRun(name) {
  highlightedRun = name;
  for (const note of document.querySelectorAll('.highlighted')) {
    note.hidden = name === null;
    note.querySelector('.highlighted-name').textContent = name ?? '';
  }
  redrawShown();
}

function startHighlights() {
  for (const button of document.querySelectorAll('button[data-highlight]')) {
    button.addEventListener('click', () => {
      highlightRun(button.dataset.highlight);
      const curves = report.figures.find((figure) => figure.layers.some((layer) => layer.series === 'run' && !layer.faint));
      location.hash = `#${document.getElementById(curves.id).closest('[data-page]').dataset.page}`;
    });
  }
  for (const button of document.querySelectorAll('.highlighted button')) {
    button.addEventListener('click', () => highlightRun(null));
  }
}
