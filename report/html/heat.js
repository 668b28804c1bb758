// The picture of one machine: frameworks by models, each time relative to the fastest of its model.

const STEPS = [1.1, 1.25, 1.5, 2, 3, 5, 10]; // ratios at which the colour changes; the first place has its own
const WORDS = {
  b: "first, or tied with it", p: "ranked", c: "close, not ranked", s: "wrong, not ranked", f: "failed",
  a: "unsupported or not measured",
};
const models = tables
  .filter(({ name }) => name.startsWith("cells-"))
  .map((table) => ({ name: table.place.closest("[data-panel]").dataset.panel, table }));

// The cells of one model on one machine in one precision: [{line, framework, mark, value, ratio}].
function cellsOf(table, platform, lane, { column, more }) {
  const { keys } = table;
  const marks = table.marks(column);
  const found = [];
  for (let line = 0; line < keys.platform.length; line++) {
    if (keys.platform[line] !== platform || keys.lane[line] !== lane) continue;
    const mark = marks?.[line] ?? "a";
    const value = "fa".includes(mark) ? null : keys.value[column]?.[line] ?? null;
    found.push({ line, framework: keys.framework[line], mark, value });
  }
  const ranked = found.filter(({ mark, value }) => "bp".includes(mark) && value > 0).map(({ value }) => value);
  const best = more ? Math.max(...ranked) : Math.min(...ranked);
  for (const cell of found) cell.ratio = ranked.length && cell.value > 0 ? (more ? best / cell.value : cell.value / best) : null;
  return found;
}

const shortRatio = (ratio) => (ratio === 1 ? "1" : ratio < 1.995 ? ratio.toFixed(2) : ratio < 9.95 ? ratio.toFixed(1) : ratio.toFixed(0));

const sumRatio = (ratio) => ratio.toFixed(ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0);

function tone({ mark, ratio }) {
  // A tie of what is far apart is a tie for want of knowledge: it keeps the colour of its ratio.
  if (mark === "b" && ratio <= STEPS[0]) return "first";
  if ("bp".includes(mark) && ratio !== null) return `step-${STEPS.filter((step) => ratio > step).length}${mark === "b" ? " tied" : ""}`;
  return { s: "struck", c: "close", f: "failed" }[mark] ?? "absent";
}

const lanesShown = (platform) =>
  data.names.lane
    .map((name, number) => number)
    .filter((lane) => laneIsShown(lane) && models.some(({ table: { keys } }) => keys.platform.some((each, i) => each === platform && keys.lane[i] === lane)));

function ofView(kind, column, key) {
  const found = data.overview[kind];
  return (found[state.view][column] ?? found.compatible[column])[key];
}

function showHeat(place, platform, quantity) {
  const lanes = lanesShown(platform);
  // Of several precisions only those in which someone has done this at all.
  const isTried = (lane) => models.some(({ table }) => cellsOf(table, platform, lane, quantity).some(({ mark }) => mark !== "a"));
  const shown = lanes.length > 1 ? lanes.filter(isTried) : lanes;
  place.replaceChildren(...shown.map((lane) => heatMap(platform, lane, quantity)));
  if (!place.firstChild) place.append(make("p", {}, "This machine has no cells in this precision."));
  else place.append(legend(place.querySelector("td.carried")));
  const cells = [...place.querySelectorAll(".heat button")];
  for (const cell of cells) cell.tabIndex = -1;
  if (cells.length) cells[0].tabIndex = 0;
}

function heatMap(platform, lane, quantity) {
  const byModel = models.map(({ table }) => cellsOf(table, platform, lane, quantity));
  const shown = models.map((model, number) => number).filter((number) => byModel[number].length);
  const [entered, means] = ofView("summaries", quantity.column, `${platform},${lane}`) ?? [0, {}];
  const carried = ofView("portability", quantity.column, `${data.overview.protocols[platform]},${lane}`) ?? {};
  const isCarried = Object.keys(carried).length > 0;
  const frameworks = [...new Set(shown.flatMap((number) => byModel[number].map(({ framework }) => framework)))];
  const rank = (framework) => means[framework] ?? [Infinity, null, null, 0];
  frameworks.sort((a, b) => rank(b)[3] - rank(a)[3] || rank(a)[0] - rank(b)[0] || 0);
  const heads = [
    make("th", { scope: "col" }, "Framework"),
    ...shown.map((number) => make("th", { scope: "col" }, modelLink(models[number].name))),
    make("th", { scope: "col", class: "sum" }, "All models"),
    isCarried ? make("th", { scope: "col", class: "carried" }, "All machines") : null,
  ];
  const body = frameworks.map((framework) => {
    const row = make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, data.names.framework[framework])));
    for (const number of shown) {
      const cell = byModel[number].find((each) => each.framework === framework);
      row.append(heatCell(models[number], cell, quantity));
    }
    row.append(sumCell(means[framework], entered));
    if (isCarried) row.append(carriedCell(carried[framework]));
    return row;
  });
  const name = data.names.lane[lane];
  const title = `${quantity.title}${name && name !== "float32" ? `, ${name}` : ""}`;
  const words = quantity.more ? "the highest rate over each" : "each time over the fastest";
  const caption = make("caption", {}, make("b", {}, title), ` on ${data.names.platform[platform]}: ${words} of its model`);
  const table = make("table", { class: "heat", role: "grid" }, caption, make("thead", {}, make("tr", {}, ...heads.filter(Boolean))), make("tbody", {}, ...body));
  return make("div", { class: "scroll" }, table);
}

function modelLink(name) {
  return make("a", { href: `#${new URLSearchParams({ tab: name })}`, "data-model": name }, name);
}

function heatCell(model, cell, quantity) {
  if (!cell) return make("td", { class: "none" }, make("span", { class: "sr" }, "not in the table"));
  const { mark, value, ratio, line } = cell;
  const figure = { f: "✗", a: "—" }[mark] ?? (ratio === null ? printed(value, quantity.unit) : shortRatio(ratio));
  const tag = { b: "b", s: "s" }[mark] ?? "span";
  const time = ratio === null ? "" : `${printed(value, quantity.unit)} ${quantity.unit === "tokens/s" ? "/s" : quantity.unit}`;
  const button = make(
    "button",
    { type: "button", "data-model": model.name, "data-line": line },
    make(tag, {}, (mark === "c" ? "≈" : "") + figure),
    make("small", {}, time),
    mark === "p" ? null : make("span", { class: "sr" }, `, ${WORDS[mark]}`),
  );
  return make("td", { class: tone(cell) }, button);
}

function sumCell(sum, entered) {
  if (!sum) return make("td", { class: "sum" }, make("small", {}, `0 of ${entered}`));
  const [mean, low, high, count] = sum;
  const cell = make("td", { class: `sum${count < entered ? " part" : ""}` }, make("b", {}, sumRatio(mean)));
  if (low !== null) cell.append(" ", make("small", { class: "ends" }, `${sumRatio(low)}–${sumRatio(high)}`));
  cell.append(" ", make("small", { class: "count" }, `${count} of ${entered}`));
  return cell;
}

function carriedCell(found) {
  if (!found) return make("td", { class: "carried" }, make("small", {}, "—"));
  const [efficiency, count, of] = found;
  return make("td", { class: "carried" }, `${efficiency < 0.095 ? Number((100 * efficiency).toPrecision(2)) : (100 * efficiency).toFixed(0)} %`, " ", make("small", { class: "count" }, `${count} of ${of}`));
}

function legend(isCarried) {
  const key = (tone, words) => make("span", {}, make("i", { class: `key ${tone}` }), words);
  const steps = STEPS.map((step, number) => key(`step-${number}`, `≤ ${step}`));
  const line = make("p", { class: "legend" }, key("first", "first or tied"), key("tied", "tied, as far as can be told"), ...steps, key(`step-${STEPS.length}`, `> ${STEPS.at(-1)}`));
  line.append(key("struck", "wrong (struck) or close (≈)"), make("span", {}, "✗ failed"), make("span", {}, "— unsupported"));
  const text =
    "All models: geometric mean of a framework's ratios to the best, with its 95 % interval, and in how many models it is ranked.";
  const carried =
    " All machines: Pennycook's portability, the harmonic mean of the efficiencies (1 over that mean) on the machines where it is ranked in every model; " +
    "of all machines of this protocol it is 0 unless it runs on all.";
  return make("div", {}, line, make("p", { class: "note" }, text + (isCarried ? carried : "")));
}

// The words behind a cell: what it is, its time, how far from the best, and why it does not count.
function tipOf({ dataset: { model, line } }) {
  const { table } = models.find(({ name }) => name === model);
  const { keys } = table;
  const quantity = data.quantities.find(({ column }) => column === state.task);
  const { column, unit } = quantity;
  const cell = cellsOf(table, keys.platform[line], keys.lane[line], quantity).find((each) => each.line === Number(line));
  const said = [make("b", {}, `${data.names.framework[cell.framework]}, ${model}`)];
  if (cell.value !== null) {
    const ends = keys.ends[column]?.[line];
    const interval = ends ? ` (${printed(ends[0], unit)}–${printed(ends[1], unit)})` : "";
    said.push(`${printed(cell.value, unit)} ${unit}${interval}${keys.noisy[column]?.[line] ? ", noisy" : ""}`);
  }
  if (cell.ratio > 1 && "bp".includes(cell.mark)) said.push(`${shortRatio(cell.ratio)} times the best`);
  if (cell.mark === "b") said.push("First, or tied with it");
  if (!"bp".includes(cell.mark)) said.push(table.why(line, column).replace(/^./, (letter) => letter.toUpperCase()));
  return said.map((words) => make("div", {}, words));
}

const tip = document.getElementById("tip");

function showTip(content, box) {
  tip.replaceChildren(...content);
  tip.hidden = false;
  placeTip(box);
}

function placeTip({ left, top, bottom, width }) {
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(room, left + width / 2 - tip.offsetWidth / 2))}px`;
  const above = top - tip.offsetHeight - 6;
  tip.style.top = `${above > 0 ? above : bottom + 6}px`;
}

function hideTip() {
  tip.hidden = true;
  document.querySelector('[aria-describedby="tip"]')?.removeAttribute("aria-describedby");
}

// Vega calls this when the mouse comes to a point, or leaves it.
function showPointTip(handler, event, item, value) {
  if (value === null || value === undefined) return hideTip();
  const { clientX: left, clientY: top } = event;
  showTip([String(value.label ?? value)], { left, top: top - 4, bottom: top + 12, width: 0 });
}

function setUpHeat(place) {
  const buttonOf = (event) => event.target.closest?.(".heat button");
  for (const name of ["pointerover", "focusin"]) {
    place.addEventListener(name, (event) => {
      const button = buttonOf(event);
      if (!button) return;
      showTip(tipOf(button), button.getBoundingClientRect());
      button.setAttribute("aria-describedby", "tip");
    });
  }
  for (const name of ["pointerout", "focusout"]) place.addEventListener(name, (event) => buttonOf(event) && hideTip());
  // A cell that the keyboard has come to may scroll into view, and takes its words along.
  const follow = () => {
    const button = document.activeElement.closest('.heat button[aria-describedby="tip"]');
    if (button && !tip.hidden) placeTip(button.getBoundingClientRect());
    else hideTip();
  };
  addEventListener("scroll", follow, { passive: true, capture: true });
  place.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hideTip();
    const button = buttonOf(event);
    const to = button && neighbour(button.closest("td"), event.key);
    if (!to) return;
    event.preventDefault();
    button.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
  place.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-model]");
    if (link) {
      event.preventDefault();
      Object.assign(state, { tab: link.dataset.model, cell: "" });
      return update(true);
    }
    const button = buttonOf(event);
    if (!button) return;
    hideTip();
    const { name, table } = models.find((model) => model.name === button.dataset.model);
    const evidence = table.evidence(Number(button.dataset.line));
    const framework = data.names.framework[table.keys.framework[button.dataset.line]];
    Object.assign(state, evidence ? { cell: evidence } : { tab: name, framework });
    update(true);
  });
}

// The next cell with a button in the direction of an arrow.
function neighbour(cell, key) {
  const rows = [...cell.closest("table").tBodies[0].rows];
  const ways = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  if (!ways[key]) return null;
  let [row, column] = [rows.indexOf(cell.parentNode), cell.cellIndex];
  for (;;) {
    row += ways[key][0];
    column += ways[key][1];
    const next = rows[row]?.cells[column];
    if (!next) return null;
    if (next.querySelector("button")) return next.querySelector("button");
  }
}
