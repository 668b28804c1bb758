// The overview: the heat map, speed against its costs, and the findings of the chosen machine and precision.

const TOP = 10; // findings that are there at once
const HEIGHT = 190; // of a chart of speed against a cost
const glance = document.getElementById("glance");

function showOverview() {
  glance.hidden = false;
  const platform = numberOf("platform", state.machine) ?? 0;
  const quantity = data.quantities.find(({ column }) => column === state.task);
  for (const field of glance.querySelectorAll("input")) field.checked = state[field.name] === field.value;
  const asked = `${platform} ${state.lane} ${state.view} ${state.task}`;
  if (glance.dataset.shown !== asked) {
    glance.dataset.shown = asked;
    showHeat(document.getElementById("heat"), platform, quantity);
  }
  showFindings();
  requestAnimationFrame(() => showTradeOffs(document.getElementById("trade-offs"), platform, quantity));
}

function segments(fieldset, name, choices) {
  for (const [value, title] of choices) {
    const field = make("input", { type: "radio", name, value });
    fieldset.append(make("label", {}, field, make("span", {}, title)));
    field.addEventListener("change", () => {
      state[name] = value;
      update();
    });
  }
}

// A chart for each model: ranked frameworks, and the front of those that none beats in both.
function showTradeOffs(place, platform, quantity) {
  const asked = `${platform} ${state.lane} ${state.view} ${state.task} ${state.against}`;
  if (place.dataset.drawn === asked) return;
  place.dataset.drawn = asked;
  place.replaceChildren();
  const [title, unit] = data.costs[state.against];
  const drawings = [];
  for (const lane of lanesShown(platform)) {
    for (const { name, table } of models) {
      const points = tradeOff(table, platform, lane, quantity);
      if (points.length < 2) continue;
      const lane_ = data.names.lane[lane];
      const heading = make("h4", {}, name + (lane_ && lane_ !== "float32" ? `, ${lane_}` : ""));
      const figure = make("div", {}, heading, make("div"));
      place.append(figure);
      const words = points.map(({ label }) => label).join("; ");
      const label = `${name}, ${title.toLowerCase()} against speed: ${words}`;
      drawings.push(() => draw(figure.lastChild, "tradeOff", points, HEIGHT, label, arranged(figure, points, quantity, unit)));
    }
  }
  if (!drawings.length) place.append(make("p", {}, "Nothing to draw: this machine's figures do not tell it of two frameworks."));
  for (const drawing of drawings) drawing();
}

function tradeOff(table, platform, lane, quantity) {
  const [, unit] = data.costs[state.against];
  const known = table.keys.cost?.[state.against] ?? {};
  const points = cellsOf(table, platform, lane, quantity)
    .filter(({ mark, value, line }) => "bp".includes(mark) && value > 0 && known[line])
    .map(({ framework, value, line }) => ({ framework: data.names.framework[framework], time: value, cost: known[line] }));
  for (const point of points) {
    point.front = !points.some((other) => {
      const faster = quantity.more ? other.time - point.time : point.time - other.time;
      return faster >= 0 && other.cost <= point.cost && (faster > 0 || other.cost < point.cost);
    });
    point.label = `${point.framework}: ${printed(point.time, quantity.unit)} ${quantity.unit}, ${Number(point.cost.toPrecision(3))} ${unit}`;
  }
  return points;
}

// Both axes as wide as the points, with room for names; a name stands where no other does, or not at all.
function arranged(figure, points, { unit, more }, costUnit) {
  const width = Math.max(80, figure.clientWidth - 70);
  const axis = (values, [before, after], flip) => {
    const [least, most] = [Math.min(...values), Math.max(...values)].map(Math.log10);
    const room = Math.max(most - least, 0.3);
    const [low, high] = [least - room * before, most + room * after];
    const share = (value) => (flip ? high - Math.log10(value) : Math.log10(value) - low) / (high - low);
    const back = (part) => 10 ** (flip ? high - part * (high - low) : low + part * (high - low));
    return { domain: [10 ** low, 10 ** high], share, back };
  };
  const x = axis(points.map(({ time }) => time), more ? [0.35, 0.08] : [0.08, 0.35], more);
  const y = axis(points.map(({ cost }) => cost), [0.15, 0.2], false);
  const taken = points.map(({ time, cost }) => [x.share(time) * width - 5, y.share(cost) * HEIGHT - 5, 10, 10]);
  for (const point of [...points].sort((a, b) => b.front - a.front || a.time - b.time)) {
    const [left, bottom, length] = [x.share(point.time) * width, y.share(point.cost) * HEIGHT, 6.2 * point.framework.length];
    const tries = [[8, 0], [6, 11], [6, -11], [-8 - length, 0], [-length / 2, 14], [-length / 2, -14], [-length - 4, 11], [-length - 4, -11]];
    const fits = tries.map(([dx, dy]) => [left + dx, bottom + dy - 6, length, 12]).find((box) => isFree(box, taken, width));
    Object.assign(point, fits ? { name_at: x.back(fits[0] / width), name_by: y.back((fits[1] + 6) / HEIGHT) } : { name_at: null, name_by: null });
    if (fits) taken.push(fits);
  }
  return ({ layer }) => {
    for (const { encoding } of layer) Object.assign(encoding.x, { title: unit }) && Object.assign(encoding.y, { title: costUnit });
    const { x: across, y: up } = layer[0].encoding;
    Object.assign(across.scale, { domain: x.domain, reverse: more });
    Object.assign(up.scale, { domain: y.domain });
    across.axis.values = ticks(x.domain);
    Object.assign(up.axis, { values: ticks(y.domain), format: state.against === "error" ? "~e" : "~r" });
  };
}

function isFree([left, bottom, width, height], taken, right, top = HEIGHT) {
  if (left < 0 || left + width > right || bottom < 0 || bottom + height > top) return false;
  return taken.every(([x, y, w, h]) => left + width < x || x + w < left || bottom + height < y || y + h < bottom);
}

// Of several decades their beginnings, of one 1, 2 and 5, of less every digit, of next to nothing round steps.
function ticks([low, high]) {
  if (high / low < 2.5) {
    const step = 10 ** Math.floor(Math.log10((high - low) / 2));
    const wide = [5, 2, 1].map((factor) => factor * step).find((each) => (high - low) / each >= 2);
    const first = Math.ceil(low / wide);
    return Array.from({ length: Math.floor(high / wide) - first + 1 }, (_, i) => Number(((first + i) * wide).toPrecision(6)));
  }
  const factors = high / low > 100 ? [1] : high / low > 5 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const decades = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) decades.push(decade);
  const found = decades.flatMap((decade) => factors.map((factor) => Number(`${factor}e${decade}`)));
  return found.filter((value) => value >= low && value <= high);
}

let sentences;

// At most ten sentences; the others open on demand.
function showFindings() {
  const place = document.getElementById("findings-here");
  sentences ??= {
    lines: document.getElementById("findings").textContent.split("\n").filter((line) => line.startsWith("<li")),
    keys: JSON.parse(document.querySelector('[data-keys="findings"]').textContent),
  };
  const { lines, keys } = sentences;
  const platform = numberOf("platform", state.machine);
  const found = lines.filter((line, i) => (platform === null || keys.platform[i].includes(platform)) && laneIsShown(keys.lane[i]));
  const asked = `${platform} ${state.lane}`;
  if (place.dataset.shown === asked) return;
  place.dataset.shown = asked;
  const list = (some) => `<ul class="findings">${some.join("")}</ul>`;
  place.innerHTML = found.length ? list(found.slice(0, TOP)) : "<p>None of this machine in this precision.</p>";
  if (found.length <= TOP) return;
  const rest = make("details", {}, make("summary", {}, `${found.length - TOP} more`));
  rest.addEventListener("toggle", () => rest.children[1] ?? rest.insertAdjacentHTML("beforeend", list(found.slice(TOP))));
  place.append(rest);
}
