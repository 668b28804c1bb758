// Speed against quality in a model's tab: rows of every precision. The numbers come from reporting/html/losses.py.

const TALL = 300; // of the chart
const ROOT = [(value) => Math.sign(value) * Math.sqrt(Math.abs(value)), (value) => Math.sign(value) * value ** 2];
const DECIMAL = [Math.log10, (value) => 10 ** value];

function showLosses(panel, platform) {
  const place = panel.querySelector("[data-losses]");
  if (!place) return;
  const mine = data.losses[place.dataset.losses].filter(([machine]) => machine === platform);
  place.hidden = mine.length < 2;
  if (place.hidden) return;
  const measure = chosen(place, "loses", Object.entries(data.measures).map(([name, [title]]) => [name, title]));
  const charts = place.querySelector(".charts");
  const asked = `${platform} ${measure}`;
  if (charts.dataset.drawn === asked) return;
  charts.dataset.drawn = asked;
  const [title, unit] = data.measures[measure];
  const points = lossPoints(mine, Object.keys(data.measures).indexOf(measure), unit);
  const figure = make("div", {}, make("h4", {}, title), make("div"));
  charts.replaceChildren(figure);
  const label = `${title} against speed: ${points.map((point) => point.label).join("; ")}`;
  draw(figure.lastChild, "losses", points, TALL, label, placed(figure, points, unit));
}

function lossPoints(mine, which, unit) {
  const points = mine.map(([, lane, framework, time, ranked, lost]) => {
    const [name, precision] = [data.names.framework[framework], data.names.lane[lane]];
    const told = `${name}${precision && precision !== "float32" ? `, ${precision}` : ""}${ranked ? "" : ", not ranked"}`;
    const label = `${told}: ${printed(time, "ms")} ms, ${Number(lost[which].toPrecision(2))} ${unit}`;
    return { framework: name, time, cost: lost[which], ranked: ranked === 1, label };
  });
  for (const point of points) {
    point.front = !points.some((other) => other.time <= point.time && other.cost <= point.cost && (other.time < point.time || other.cost < point.cost));
  }
  return points;
}

// Domains as wide as the points, with room for names; a name stands where no other does, or not at all.
function placed(figure, points, unit) {
  const width = Math.max(80, figure.clientWidth - 70);
  const x = axisOf(points.map(({ time }) => time), DECIMAL, 0.06, 0.22);
  const y = axisOf(points.map(({ cost }) => cost), ROOT, 0.08, 0.1);
  const taken = points.map(({ time, cost }) => [x.share(time) * width - 5, y.share(cost) * TALL - 5, 10, 10]);
  for (const point of [...points].sort((a, b) => b.front - a.front || a.time - b.time)) {
    const [left, bottom, length] = [x.share(point.time) * width, y.share(point.cost) * TALL, 6.2 * point.framework.length];
    const tries = [[8, 0], [6, 11], [6, -11], [-8 - length, 0], [-length / 2, 14], [-length / 2, -14], [-length - 4, 11], [-length - 4, -11]];
    const fits = tries.map(([dx, dy]) => [left + dx, bottom + dy - 6, length, 12]).find((box) => isFree(box, taken, width, TALL));
    Object.assign(point, fits ? { name_at: x.back(fits[0] / width), name_by: y.back((fits[1] + 6) / TALL) } : { name_at: null, name_by: null });
    if (fits) taken.push(fits);
  }
  return ({ layer }) => {
    const { x: across, y: up } = layer[0].encoding;
    Object.assign(across, { title: "ms of inference, logarithmic" });
    Object.assign(up, { title: unit });
    Object.assign(across.scale, { domain: x.domain });
    Object.assign(up.scale, { domain: y.domain });
    across.axis.values = ticks(x.domain);
  };
}
