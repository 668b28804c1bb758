// Lines in a model's tab: what frameworks achieve as the work grows, and their times run by run. The numbers come from
// reporting/html/curves.py and timeline.py.

// Each at least three times as bright as the dark paper, and a third of the light one.
const COLOURS = ["#0f8f6f", "#3b7dd8", "#c9731a", "#9460c9", "#d1495b", "#7d8820", "#c2569b", "#1d8aa5", "#9a6b4a", "#78807c"];
const NAME = 13; // px from one name to the next

// By what a model's work grows: where a point lies, and what must stay the same meanwhile.
const ALONG = {
  work: { title: "Operations", axis: "GFLOP a forward pass, logarithmic", at: ([, giga]) => giga, say: ([, giga]) => `${giga} GFLOP`, same: () => "" },
  batch: { title: "Batch", axis: "inputs at a time, logarithmic", at: ([, , batch]) => batch, say: ([, , batch]) => `batch ${batch}`, same: ([, , , length]) => length && `${length} tokens` },
  sequence: { title: "Sequence", axis: "tokens of each input, logarithmic", at: ([, , , length]) => length, say: ([, , , length]) => `${length} tokens`, same: ([, , batch]) => batch && `batch ${batch}` },
};
// What may be drawn of a curve at the i-th work; null where it is not known.
const MEASURES = {
  rate: { title: "TFLOP/s", words: "achieved TFLOP/s", unit: "TFLOP/s", of: (rates, i) => rates[i] },
  share: { title: "Share of the peak", words: "share of the peak", unit: "% of the peak", of: (rates, i, [, , , , peak]) => rates[i] && peak && 100 * rates[i] / peak },
  joules: { title: "Energy an inference", words: "energy", unit: "J an inference", of: (_, i, curve) => curve[5]?.[i] },
  each: { title: "Energy a token", words: "energy", unit: "J a token", of: (_, i, curve, [, , batch, length]) => curve[5]?.[i] && batch && curve[5][i] / (batch * (length ?? 1)) },
};

// A model's variants on one machine, a chart for each task.
function showCurves(panel, platform) {
  const place = panel.querySelector("[data-curves]");
  if (!place) return;
  const { work, along, curves } = data.curves[place.dataset.curves];
  const mine = curves.filter(([machine, lane, framework]) => machine === platform && isAsked(lane, framework));
  place.hidden = !mine.length;
  const known = Object.keys(MEASURES).filter((name) => mine.some((curve) => work.some((each, i) => Object.values(curve[3]).some((rates) => MEASURES[name].of(rates, i, curve, each)))));
  const axis = chosen(place, "along", along.map((name) => [name, ALONG[name].title]));
  const tokens = work.some(([, , , length]) => length);
  const titles = known.map((name) => [name, name === "each" && !tokens ? "Energy an input" : MEASURES[name].title]);
  const measure = chosen(place, "measure", titles);
  const { at, same, say, axis: x } = ALONG[axis];
  const { of, words, unit } = MEASURES[measure] ?? MEASURES.rate;
  const shownUnit = measure === "each" && !tokens ? "J an input" : unit;
  const tasks = ["joules", "each"].includes(measure) ? ["inference"] : ["inference", "training"];
  const fixed = [...new Set(work.map(same))];
  const charts = tasks.map((task) => {
    const lines = mine.filter((curve) => curve[3][task]).flatMap((curve) => fixed.map((stays) => {
      const name = nameOf(curve[2], curve[1]) + (stays && fixed.length > 1 ? `, ${stays}` : "");
      const points = work.flatMap((each, i) => {
        const value = of(curve[3][task], i, curve, each);
        if (!value || !at(each) || same(each) !== stays) return [];
        return [{ at: at(each), value, label: `${nameOf(curve[2], curve[1])}, ${each[0]}: ${Number(value.toPrecision(3))} ${shownUnit} at ${say(each)}`, note: null }];
      });
      return { name, points: points.sort((a, b) => a.at - b.at) };
    })).filter(({ points }) => points.length > 1);
    return { title: task[0].toUpperCase() + task.slice(1), lines, words: `${task}, ${words} as the work grows`, x, y: `${shownUnit}, logarithmic` };
  });
  drawLines(place.querySelector(".charts"), `${platform} ${state.lane} ${state.framework} ${axis} ${measure}`, charts);
}

// Radio buttons for a key of the state, where there is a choice; which one counts: what the state says, else the first.
function chosen(place, name, choices) {
  const fieldset = place.querySelector(`fieldset[data-of=${name}]`);
  const now = choices.some(([value]) => value === state[name]) ? state[name] : choices[0]?.[0];
  const asked = choices.map(([value]) => value).join();
  if (fieldset.dataset.drawn !== asked) {
    fieldset.replaceChildren(fieldset.firstElementChild);
    segments(fieldset, name, choices);
    fieldset.dataset.drawn = asked;
  }
  fieldset.hidden = choices.length < 2;
  for (const field of fieldset.querySelectorAll("input")) field.checked = field.value === now;
  return now;
}

// Times of a model on one machine, run by run: a line a framework, a diamond where its version is another.
function showHistory(panel, platform) {
  const place = panel.querySelector("[data-history]");
  if (!place) return;
  const { days, curves } = data.history[place.dataset.history][platform] ?? { days: [], curves: [] };
  const mine = curves.filter(([lane, framework]) => isAsked(lane, framework));
  place.hidden = !mine.length;
  drawLines(place.querySelector(".charts"), `${platform} ${state.lane} ${state.framework}`, pastOf(days, mine));
}

// The same of one cell alone, in its panel.
function showPast(place, [model, platform, number]) {
  const { days, curves } = data.history[model][platform];
  drawLines(place, "cell", pastOf(days, [curves[number]]));
}

function pastOf(days, curves) {
  return ["inference", "training"].map((task) => {
    const lines = curves.filter((curve) => curve[2][task]).map(([lane, framework, tasks]) => {
      const name = nameOf(framework, lane);
      let version = "";
      const points = tasks[task].map(([at, value, changed], i) => {
        version = changed ?? version;
        const label = `${name}${version && ` ${version}`}: ${printed(value, "ms")} ms, ${days[at]}`;
        const release = i > 0 && changed !== undefined;
        return { at, value, label, release, note: release ? version : null };
      });
      return { name, points };
    });
    return { title: task[0].toUpperCase() + task.slice(1), lines, words: `${task}, ms run by run`, x: "", y: "ms, logarithmic", days };
  });
}

// Labels of at most five runs, the first and the last among them.
function dated(days) {
  const steps = Math.min(4, days.length - 1);
  const values = Array.from({ length: steps + 1 }, (_, i) => Math.round((i * (days.length - 1)) / steps));
  return { values, labelExpr: `${JSON.stringify(days)}[datum.value]`, labelOverlap: "greedy", labelSeparation: 10, grid: false };
}

function isAsked(lane, framework) {
  return laneIsShown(lane) && (numberOf("framework", state.framework) ?? framework) === framework;
}

function nameOf(framework, lane) {
  const precision = data.names.lane[lane];
  return data.names.framework[framework] + (state.lane === EVERY && precision ? ` ${precision}` : "");
}

// Charts of lines of {name, points}; `asked` says what they show, so that none is drawn twice.
// With `days`, points lie at their numbers; without, on a logarithmic axis.
function drawLines(place, asked, charts) {
  if (place.dataset.drawn === asked) return;
  place.dataset.drawn = asked;
  place.replaceChildren();
  const drawings = charts.filter(({ lines }) => lines.length).map((chart) => {
    const figure = make("div", {}, make("h4", {}, chart.title), make("div"));
    place.append(figure);
    return () => drawChart(figure, chart);
  });
  for (const drawing of drawings) drawing(); // now that all have their places, and so their widths
}

function drawChart(figure, { lines, words, x, y, days }) {
  const height = Math.max(HEIGHT, NAME * lines.length + 20);
  const width = Math.max(120, figure.clientWidth - 62);
  const longest = Math.max(...lines.map(({ name }) => name.length));
  const room = Math.min(0.5, (6.2 * longest + 26) / width); // for the names
  const points = lines.flatMap((line) => line.points);
  const across = axisOf(points.map(({ at }) => at), days ? [(value) => value, (value) => value] : [Math.log10, (value) => 10 ** value], 0.04, room);
  const up = axisOf(points.map(({ value }) => value), [Math.log10, (value) => 10 ** value], 0.08, 0);
  const ends = lines.map(({ points }) => points.at(-1));
  const heights = spread(ends.map(({ value }) => up.share(value) * height), height);
  const nameAt = across.back(1 - room + 10 / width);
  const values = lines.flatMap(({ name, points }, i) => {
    const same = { framework: name, colour: COLOURS[i % COLOURS.length] };
    const end = { kind: "end", ...same, at: ends[i].at, value: ends[i].value, name_at: nameAt, name_by: up.back(heights[i] / height) };
    return [...points.map((point) => ({ kind: "point", ...same, ...point })), end];
  });
  const taken = [];
  for (const point of values.filter(({ note }) => note)) { // a version stands where no other does, or not at all
    const half = 3 * point.note.length;
    const [left, top] = [across.share(point.at) * width - half, up.share(point.value) * height];
    if (taken.some(([x, y, w]) => left < x + w && x < left + 2 * half && Math.abs(top - y) < 11)) point.note = null;
    else taken.push([left, top, 2 * half]);
  }
  const told = lines.map(({ points }) => points.at(-1).label).join("; ");
  draw(figure.lastChild, "curves", values, height, `${words}. At the end: ${told}`, ({ layer }) => {
    const { x: flat, y: tall } = layer[0].encoding;
    Object.assign(flat, { title: x });
    Object.assign(tall, { title: y });
    Object.assign(flat.scale, { ...(days ? { type: "linear", zero: false } : { type: "log" }), domain: across.domain });
    Object.assign(tall.scale, { domain: up.domain });
    tall.axis.values = ticks(up.domain);
    layer.at(-1).mark.limit = room * width - 14;
    const most = Math.max(...points.map(({ at }) => at));
    Object.assign(flat.axis, days ? dated(days) : { values: ticks(across.domain).filter((value) => value <= most), format: "~r" });
  });
}

// A domain with a margin around its values, and room behind them.
function axisOf(values, [to, from], margin, room) {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(to);
  const span = Math.max(most - least, 0.05);
  const low = least - margin * span;
  const high = low + (most - low + margin * span) / (1 - room);
  const share = (value) => (to(value) - low) / (high - low);
  return { domain: [from(low), from(high)], share, back: (part) => from(low + part * (high - low)) };
}

// Heights of names near those of their lines' ends, none over another.
function spread(wanted, height) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const found = [...wanted];
  let least = NAME / 2;
  for (const i of order) least = (found[i] = Math.max(found[i], least)) + NAME;
  let most = height - NAME / 2;
  for (const i of order.reverse()) most = (found[i] = Math.min(found[i], most)) - NAME;
  return found;
}
