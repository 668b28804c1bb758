// Charts: the specifications come from reporting/html/charts.py, the data from the keys of the tables.

const BEST = "best", PLAIN = "ranked", OFF = "not ranked";
const DECADES = 20; // as in charts.py
const NOTES = { s: ", wrong", c: ", close" };

// Vega draws with its expression interpreter, because the page's content policy forbids making code from text.
const OPTIONS = { actions: false, renderer: "svg", ast: true, tooltip: false, defaultStyle: false };

function draw(place, name, values, lines, label, unit = "ms") {
  const spec = structuredClone(data.specifications[name]);
  spec.layer[0].encoding.x.title = unit;
  Object.assign(spec, { data: { values }, height: 28 * lines });
  return vegaEmbed(place, spec, OPTIONS).then(({ view }) => {
    const svg = place.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    return view;
  });
}

// As reporting/markdown.py prints them.
const printed = (value, unit) => {
  if (unit !== "ms") return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return value >= 9.95 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toPrecision(2);
};

function bars(table, { column, unit, more }, lines) {
  const marks = table.marks(column);
  const { value, ends, noisy, framework, lane } = table.keys;
  const rows = lines
    .filter((i) => "bpcs".includes(marks[i]) && value[column][i] > 0)
    .map((i) => ({
      framework: data.names.framework[framework[i]] + (state.lane === EVERY_LANE ? ` ${data.names.lane[lane[i]]}` : ""),
      value: value[column][i],
      low: ends[column][i]?.[0] ?? value[column][i],
      high: ends[column][i]?.[1] ?? value[column][i],
      state: { b: BEST, p: PLAIN }[marks[i]] ?? OFF,
      label: `${printed(value[column][i], unit)} ${unit}${noisy[column][i] ? " ~" : ""}${NOTES[marks[i]] ?? ""}`,
    }))
    .sort((a, b) => (a.state === OFF) - (b.state === OFF) || (more ? b.value - a.value : a.value - b.value));
  const values = rows.map((row) => row.value);
  const log = Math.max(...values) / Math.min(...values) >= DECADES;
  const base = log ? 10 ** Math.floor(Math.log10(Math.min(...values))) : 0;
  return { log, rows: rows.map((row, order) => ({ ...row, order, base })) };
}

// Charts of one machine: the chosen one, else the first of the table, which is this run's.
function showCharts(place, table) {
  const platform = numberOf("platform", state.machine) ?? table.keys.platform[0];
  const lines = table.keys.platform.flatMap((each, i) => (each === platform && laneIsShown(table.keys.lane[i]) ? [i] : []));
  const name = place.closest("section").querySelector(".machine-name");
  name.textContent = `on ${data.names.platform[platform]}`;
  name.hidden = false;
  const asked = `${platform} ${state.lane} ${state.view}`;
  if (place.dataset.drawn === asked) return;
  place.dataset.drawn = asked;
  place.replaceChildren();
  const drawings = [];
  for (const quantity of data.quantities.filter(({ column }) => column !== "compile_s" && table.keys.value[column])) {
    const { log, rows } = bars(table, quantity, lines);
    if (!rows.length) continue;
    const figure = document.createElement("div");
    figure.innerHTML = "<h4></h4><div></div>";
    figure.firstChild.textContent = quantity.title;
    place.append(figure);
    const words = rows.map((row) => `${row.framework} ${row.label}`).join(", ");
    const unit = log ? `${quantity.unit}, logarithmic` : quantity.unit;
    drawings.push(() => draw(figure.lastChild, log ? "log" : "linear", rows, rows.length, `${quantity.title}: ${words}`, unit));
  }
  if (!drawings.length) place.innerHTML = "<p>No times to draw.</p>";
  for (const drawing of drawings) drawing(); // now that all have their places, and so their widths
}

function showStrips(body, name) {
  for (const place of body.querySelectorAll("[data-strip]")) {
    const rounds = data.samples[name][place.dataset.strip];
    const rows = rounds.flatMap((samples, n) => [
      ...samples.map((ms) => ({ process: n + 1, ms, median: false })),
      { process: n + 1, ms: median(samples), median: true },
    ]);
    draw(place, "strip", rows, rounds.length, `Samples of ${place.dataset.strip} in ${rounds.length} processes`);
  }
}

function median(values) {
  const ordered = [...values].sort((a, b) => a - b);
  return (ordered[(ordered.length - 1) >> 1] + ordered[ordered.length >> 1]) / 2;
}
