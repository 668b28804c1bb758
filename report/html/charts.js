// Charts: the specifications come from reporting/html/charts.py, the data from the keys of the tables.

const BEST = "best", PLAIN = "ranked", OFF = "not ranked";
const DECADES = 20; // as in charts.py
const NOTES = { s: ", wrong", c: ", close" };

// Vega draws with its expression interpreter, because the page's content policy forbids making code from text.
const OPTIONS = { actions: false, renderer: "svg", ast: true, tooltip: showPointTip, defaultStyle: false };

async function draw(place, name, values, height, label, change = () => {}) {
  const spec = structuredClone(data.specifications[name]);
  change(spec);
  Object.assign(spec, { data: { values }, height });
  place.style.minHeight = `${height + 40}px`; // so that nothing moves when the chart comes
  try {
    await (vega ??= unpack());
    await vegaEmbed(place, spec, OPTIONS);
  } catch (error) {
    place.textContent = `This browser cannot draw the chart: ${error.message}`;
    return;
  }
  // The label says in words what the chart shows: its parts are no images of their own.
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
  place.querySelector("svg").setAttribute("aria-hidden", "true");
}

// Vega comes packed, and is unpacked when the first chart is drawn. Its hash is in the page's content policy.
let vega;
async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("vega").textContent), (each) => each.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = make("script", { type: "module" }, await new Response(unpacked).text());
  const loaded = new Promise((resolve) => addEventListener("vega", resolve, { once: true }));
  document.head.append(script);
  await loaded;
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
      framework: data.names.framework[framework[i]] + (state.lane === EVERY ? ` ${data.names.lane[lane[i]]}` : ""),
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
    const titled = (spec) => (spec.layer[0].encoding.x.title = unit);
    const label = `${quantity.title}: ${words}`;
    drawings.push(() => draw(figure.lastChild, log ? "log" : "linear", rows, 28 * rows.length, label, titled));
  }
  if (!drawings.length) place.innerHTML = "<p>No times to draw.</p>";
  for (const drawing of drawings) drawing(); // now that all have their places, and so their widths
}

// The charts of a cell's panel: samples in the order of time, and the gate's figures against their tolerances.
function showEvidence(body, name) {
  const { samples, ends, limits } = data.evidence[name];
  for (const place of body.querySelectorAll("[data-trace]")) {
    const task = place.dataset.trace;
    const rows = traced(samples[task], ends[task]);
    // Without an interval no layer for it: a scale would wait for its ends.
    const layers = ({ layer }) => ends[task] ?? layer.shift();
    draw(place, "trace", rows, 120, `Samples of ${task} in ${samples[task].length} processes`, layers);
  }
  const past = body.querySelector("[data-past]");
  if (past) showPast(past, data.evidence[name].past);
  const place = body.querySelector("[data-limits]");
  if (!place) return;
  if (!limits.length) return place.remove();
  const least = Math.min(...limits.map(([, at]) => at || 1), 1) / 3;
  const rows = limits.map(([figure, at, label, close], order) => ({ figure, at: at || least, label, close, order }));
  const words = limits.map(([figure, at]) => `${figure} ${at.toPrecision(2)}`).join(", ");
  draw(place, "limits", rows, 22 * rows.length, `Multiples of what passes: ${words}`);
}

function traced(processes, ends) {
  const gap = Math.ceil(Math.max(...processes.map(({ length }) => length)) / 20);
  const rows = [];
  let at = 0;
  for (const [number, samples] of processes.entries()) {
    const end = at + samples.length - 1;
    rows.push({ kind: "median", at, end, ms: median(samples), label: `process ${number + 1}` });
    rows.push(...samples.map((ms, i) => ({ kind: "sample", at: at + i, ms })));
    at = end + 1 + gap;
  }
  if (ends) rows.push({ kind: "interval", at: 0, end: at - gap - 1, low: ends[0], high: ends[1] });
  return rows;
}

function median(values) {
  const ordered = [...values].sort((a, b) => a - b);
  return (ordered[(ordered.length - 1) >> 1] + ordered[ordered.length >> 1]) / 2;
}
