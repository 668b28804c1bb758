// Tables: finished lines are taken out of a <noscript>, filtered and sorted by their keys, and put into the page.

const STEP = 500; // lines that "Show more" adds
const SCREEN = 20; // lines that are there at once; the rest follow in the next frame

class TableView {
  constructor(place) {
    this.place = place;
    this.name = place.dataset.table;
    this.first = Number(place.dataset.first);
    this.limit = this.first;
  }

  // Parsed when it is first needed: a page of a thousand machines opens as fast as one of eight.
  get keys() {
    this.parsed ??= JSON.parse(document.querySelector(`[data-keys="${this.name}"]`).textContent);
    return this.parsed;
  }

  get lines() {
    if (this.split) return this.split;
    const html = document.getElementById(this.name).textContent;
    const start = html.indexOf("<tbody>") + 7;
    const end = html.lastIndexOf("</tbody>");
    this.outline = html.slice(0, start) + html.slice(end);
    return (this.split = html.slice(start, end).trim().split("\n"));
  }

  // The name of what is behind a line, if its records are here.
  evidence(line) {
    return this.lines[line].match(/ data-cell="([^"]*)"/)?.[1];
  }

  // Why a figure is missing or does not count.
  why(line, column) {
    const { why, columnWhy } = this.keys;
    return data.names.text[columnWhy[column]?.[line] ?? why[line]];
  }

  open() {
    if (this.table || !this.lines) return;
    this.place.innerHTML = this.outline;
    this.body = this.place.querySelector("tbody");
    this.table = this.place.querySelector("table");
    const scroll = this.place.querySelector(".scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", this.table.caption.textContent);
    this.place.insertAdjacentHTML("afterbegin", '<p class="count"></p>');
    this.place.insertAdjacentHTML("beforeend", '<button type="button" class="more">Show more</button>');
    this.count = this.place.querySelector(".count");
    this.more = this.place.querySelector(".more");
    this.more.addEventListener("click", () => this.showMore());
    for (const head of this.table.querySelectorAll("th[data-sort]")) {
      head.innerHTML = `<button type="button">${head.innerHTML}</button>`;
      head.firstChild.addEventListener("click", () => sortBy(head.dataset.sort));
    }
  }

  // The text of a line is what a reader sees of it, in small letters.
  text(number) {
    this.texts ??= this.lines.map((line) => plain(line).toLowerCase());
    return this.texts[number];
  }

  // Of which machine its lines are. Who is first is told of every one; where the chosen one has nothing, all are.
  machine() {
    const { machines } = this.place.dataset;
    const number = machines === "every" ? null : numberOf("platform", state.machine);
    return machines === "some" && !this.keys.platform.includes(number) ? null : number;
  }

  chosen() {
    const { platform, framework, lane, view } = this.keys;
    const machine = this.machine();
    const wanted = framework && numberOf("framework", state.framework);
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (let i = 0; i < this.lines.length; i++) {
      if (machine !== null && platform[i] !== machine) continue;
      if (framework && wanted !== null && framework[i] !== wanted) continue;
      if (!laneIsShown(lane[i])) continue;
      if (view && view[i] && view[i] !== state.view) continue;
      if (words.length && !words.every((word) => this.text(i).includes(word))) continue;
      found.push(i);
    }
    return this.sorted(found);
  }

  // Wrong, failed and missing figures have no place in an order: they come last, as they stood.
  sorted(found) {
    const values = state.sort === "loss" ? this.keys.loss : this.keys.value?.[state.sort];
    if (!values) return found;
    const marks = this.marks(state.sort);
    const isRanked = (i) => values[i] !== null && (!marks || "bp".includes(marks[i]));
    const sign = state.down ? -1 : 1;
    const ranked = found.filter(isRanked).sort((a, b) => sign * (values[a] - values[b]) || a - b);
    return ranked.concat(found.filter((i) => !isRanked(i)));
  }

  marks(column) {
    const { mark, strict } = this.keys;
    return state.view === "rigorous" && strict ? strict[column] : mark?.[column];
  }

  show() {
    this.open();
    const found = this.chosen();
    const shown = found.slice(0, this.limit);
    this.fill(shown);
    this.table.setAttribute("aria-rowcount", String(found.length + 1));
    const part = shown.length < found.length ? `${shown.length} of ${found.length}` : `${found.length}`;
    this.count.textContent = `${part} line${found.length === 1 ? "" : "s"}`;
    this.more.hidden = shown.length === found.length;
    for (const head of this.table.querySelectorAll("th[data-sort]")) {
      const order = head.dataset.sort !== state.sort ? "none" : state.down ? "descending" : "ascending";
      head.setAttribute("aria-sort", order);
    }
    return found.length;
  }

  fill(shown) {
    const asked = `${state.view} ${state.machine} ${shown}`;
    if (asked === this.asked) return;
    this.asked = asked;
    cancelAnimationFrame(this.frame);
    this.body.replaceChildren();
    this.append(shown, 0, SCREEN);
    this.frame = requestAnimationFrame(() => this.append(shown, SCREEN, shown.length));
  }

  append(shown, from, to) {
    this.body.insertAdjacentHTML("beforeend", shown.slice(from, to).map((i) => this.lines[i]).join(""));
    for (const [at, row] of [...this.body.rows].slice(from, to).entries()) {
      const same = this.keys.platform[shown[from + at]] === this.keys.platform[shown[from + at - 1]];
      if (this.table.classList.contains("cells")) row.classList.add(same ? "again" : "first");
      else row.classList.toggle("own", this.keys.platform[shown[from + at]] === numberOf("platform", state.machine));
      if (this.keys.why) this.explain(row, shown[from + at]);
      if (state.view === "rigorous") row.querySelectorAll("td[data-strict]").forEach(remark);
    }
  }

  // The reasons of lines whose page has no panel for them, where the pointer rests.
  explain(row, line) {
    const columns = Object.keys(this.keys.mark);
    for (const [at, column] of columns.entries()) {
      const cell = row.cells[at + 2];
      if (!"bp".includes(this.marks(column)[line])) cell.title ||= this.why(line, column);
    }
  }

  showMore() {
    this.limit += STEP;
    this.show();
    this.place.querySelector(".scroll").focus();
  }
}

// The same figure under the stricter rules: other tag, other words.
function remark(cell) {
  const strict = cell.dataset.strict;
  const old = cell.querySelector("b, s, span:not(.sr)");
  const fresh = document.createElement({ best: "b", struck: "s" }[strict] ?? "span");
  fresh.textContent = old.textContent;
  old.replaceWith(fresh);
  cell.className = `n ${strict}`;
  cell.querySelector(".sr")?.remove();
  const say = { best: ", fastest", struck: ", wrong, not ranked", close: ", in doubt, not ranked" }[strict];
  if (say) fresh.insertAdjacentHTML("afterend", `${strict === "close" ? "<i>≈</i>" : ""}<span class="sr">${say}</span>`);
}

function plain(html) {
  const text = html.replace(/<[^>]*>/g, " ");
  return text.includes("&") ? new DOMParser().parseFromString(text, "text/html").body.textContent : text;
}

function sortBy(column) {
  if (state.sort !== column) Object.assign(state, { sort: column, down: "" });
  else if (!state.down) state.down = "1";
  else Object.assign(state, { sort: "", down: "" });
  update();
}

const tables = [...document.querySelectorAll("[data-table]")].map((place) => new TableView(place));
