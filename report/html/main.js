// Tabs, filters, the dialog of a cell and the theme; `update` shows the state.

const filters = document.getElementById("filters");
const dialog = document.getElementById("cell");
const tabs = [...document.querySelectorAll("#tabs a")];
const shown = { tab: null };

function update(isNewPlace = false) {
  writeAddress(isNewPlace);
  document.documentElement.dataset.view = state.view;
  for (const each of document.querySelectorAll("[data-panel]")) each.hidden = each.dataset.panel !== state.tab;
  for (const tab of tabs) {
    const chosen = tab.dataset.tab === state.tab;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && shown.tab !== state.tab) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const current = panel(state.tab);
  const here = tables.filter((table) => current.contains(table.place));
  if (shown.tab !== state.tab) for (const table of here) table.limit = table.first;
  shown.tab = state.tab;
  filters.hidden = state.tab === "about";
  // The arena's own protocol has number 0, and one view.
  const machine = numberOf("platform", state.machine);
  const parts = { table: here.length > 0, published: here.length > 0 || (machine !== null && data.overview.protocols[machine] > 0) };
  for (const label of filters.querySelectorAll("[data-of]")) label.hidden = !parts[label.dataset.of];
  for (const field of filters.elements) if (field.name && field.value !== state[field.name]) field.value = state[field.name];
  const counts = here.map((table) => table.show());
  if (here.length) document.getElementById("status").textContent = `${counts.at(-1)} lines`;
  if (state.tab === "overview") showOverview();
  const place = current.querySelector("[data-charts]");
  if (place) requestAnimationFrame(() => {
    showCharts(place, here.at(-1));
    showCurves(current, machine ?? here.at(-1).keys.platform[0]);
    showHistory(current, machine ?? here.at(-1).keys.platform[0]);
    showLosses(current, machine ?? here.at(-1).keys.platform[0]);
  });
  showCell();
}

function showCell() {
  const source = state.cell && document.getElementById(state.cell);
  if (!source || source.tagName !== "NOSCRIPT") {
    if (dialog.open) dialog.close();
    return;
  }
  if (dialog.open && dialog.dataset.cell === state.cell) return;
  const body = document.getElementById("cell-body");
  body.innerHTML = source.textContent;
  body.firstElementChild.open = true;
  document.getElementById("cell-title").textContent = body.querySelector("summary").textContent;
  dialog.dataset.cell = state.cell;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  showEvidence(body, state.cell);
}

function setUpTabs() {
  const list = document.getElementById("tabs");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Parts of the report");
  for (const tab of tabs) {
    const target = panel(tab.dataset.tab);
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", target.id);
    tab.id = `tab-${target.id}`;
    target.setAttribute("role", "tabpanel");
    target.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      Object.assign(state, { tab: tab.dataset.tab, cell: "" });
      update(true);
    });
  }
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.focus();
    tab.click();
  });
}

function setUpFilters() {
  const { machine, framework, lane } = filters.elements;
  const fill = (select, first, names) => {
    for (const [value, text] of [first, ...names]) select.add(new Option(text, value));
  };
  const pairs = (names) => names.map((name) => [name, name]);
  for (const name of data.names.platform) machine.add(new Option(name, name));
  machine.add(new Option("all machines", EVERY));
  fill(framework, ["", "all"], pairs([...data.names.framework].sort((a, b) => a.localeCompare(b))));
  const others = data.names.lane.filter((name) => name && name !== "float32");
  fill(lane, ["", "float32"], [...pairs(others), [EVERY, "all"]]);
  filters.addEventListener("input", ({ target }) => {
    state[target.name] = target.value;
    for (const table of tables) table.limit = table.first;
    update();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const key of ["machine", "framework", "lane", "view", "q", "sort", "down"]) state[key] = DEFAULTS[key];
    update();
  });
}

function setUpTheme() {
  const button = document.getElementById("theme");
  const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("[data-cell]");
  if (!button || button === dialog) return;
  state.cell = button.dataset.cell;
  update(true);
});
dialog.addEventListener("close", () => {
  if (!state.cell) return;
  state.cell = "";
  update();
});
addEventListener("popstate", () => {
  readAddress();
  update();
});

document.documentElement.dataset.js = "";
setUpTabs();
setUpFilters();
segments(document.getElementById("tasks"), "task", [...data.quantities.slice(1), data.quantities[0]].map(({ column, title }) => [column, title]));
segments(document.getElementById("against"), "against", Object.entries(data.costs).map(([name, [title]]) => [name, title]));
setUpHeat(document.getElementById("heat"));
setUpTheme();
readAddress();
update();
performance.mark("ready");
