// What is shown is a function of this state, and the state is in the address, so that a view can be shared.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const DEFAULTS = {
  tab: "overview", machine: "", framework: "", lane: "", view: "compatible", q: "",
  sort: "", down: "", cell: "",
};
const state = { ...DEFAULTS };

// Precision: rows that state none are shown with float32, which is the default.
const EVERY_LANE = "*";

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(DEFAULTS)) state[key] = given.get(key) ?? DEFAULTS[key];
  const anchor = document.getElementById(location.hash.slice(1));
  if (anchor?.dataset.panel) state.tab = anchor.dataset.panel;
  if (!panel(state.tab)) state.tab = DEFAULTS.tab;
  if (!["compatible", "rigorous"].includes(state.view)) state.view = DEFAULTS.view;
}

function writeAddress(isNewPlace) {
  const given = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  const address = "#" + new URLSearchParams(given);
  if (address === location.hash || (address === "#" && !location.hash)) return;
  history[isNewPlace ? "pushState" : "replaceState"](null, "", address);
}

function panel(name) {
  return [...document.querySelectorAll("[data-panel]")].find((each) => each.dataset.panel === name);
}

function laneIsShown(number) {
  const lane = data.names.lane[number];
  if (state.lane === EVERY_LANE) return true;
  return state.lane ? lane === state.lane : lane === "" || lane === "float32";
}

function numberOf(kind, name) {
  return name ? data.names[kind].indexOf(name) : null;
}
