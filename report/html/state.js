// What is shown is a function of this state, and the state is in the address, so that a view can be shared.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const EVERY = "*"; // machine, lane: all of them
const DEFAULTS = {
  tab: "overview", machine: data.names.platform[0], framework: "", lane: "", view: "compatible", q: "",
  sort: "", down: "", cell: "", task: "inference_ms", against: "error", along: "work", measure: "rate", loses: "kl",
};
const state = { ...DEFAULTS };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(DEFAULTS)) state[key] = given.get(key) ?? DEFAULTS[key];
  const anchor = document.getElementById(location.hash.slice(1));
  if (anchor?.dataset.panel) state.tab = anchor.dataset.panel;
  const allowed = {
    view: ["compatible", "rigorous"],
    machine: [EVERY, ...data.names.platform],
    lane: ["", EVERY, ...data.names.lane],
    task: data.quantities.map(({ column }) => column),
    against: Object.keys(data.costs),
  };
  for (const [key, values] of Object.entries(allowed)) if (!values.includes(state[key])) state[key] = DEFAULTS[key];
  if (!panel(state.tab)) state.tab = DEFAULTS.tab;
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

// Precision: rows that state none are shown with float32, which is the default.
function laneIsShown(number) {
  const lane = data.names.lane[number];
  if (state.lane === EVERY) return true;
  return state.lane ? lane === state.lane : lane === "" || lane === "float32";
}

// The number of the chosen machine or framework; null where all are shown.
function numberOf(kind, name) {
  return name && name !== EVERY ? data.names[kind].indexOf(name) : null;
}

// An element with attributes and children; text stays text, whoever wrote it.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}
