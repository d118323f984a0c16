// The page of all patients: a small picture and words of each, in an order that puts first who needs attention.
import { SmallPicture } from "./ward_picture.js";
import { followTheme } from "./theme.js";
import { STATES, addressOf, followChoice, showLeads } from "./ward_choice.js";
import { Trace, connect, unpack } from "./ward_stream.js";

const byId = (id) => document.getElementById(id), grid = byId("patients"), root = document.documentElement;
const HELD_MS = 10000; // whoever needed attention stays first for so long: an order that flickers cannot be read
const LEFT_MS = 60000;
const DRAW_MS = 60; // 15 times a second, two columns of each picture: more is not seen in a small one, and costs
const STILL_MS = 1500; // no picture moves under a pointer or a key that is about to open it
const patients = new Map();
const look = { hz: 32, rows: 2, colours: {} };
let run = null, missed = 0, names = [], touched = -STILL_MS, sorted = "", last = 0, frames = 0;

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.picture.seen = isIntersecting;
});
const sized = new ResizeObserver((entries) => { for (const { target } of entries) target.picture.layOut(); });

function patient(number) {
  const found = patients.get(number);
  if (found) return found;
  const card = byId("one").content.firstElementChild.cloneNode(true), canvas = card.querySelector("canvas");
  const one = { number, card, picture: new SmallPicture(canvas), labels: [...card.querySelectorAll("i")], trace: new Trace(names.length), state: null, was: {} };
  for (const name of ["name", "bpm", "marks", "sources", "facts"]) one[name] = card.querySelector(`.${name}`);
  canvas.picture = one.picture;
  seen.observe(canvas); sized.observe(canvas);
  patients.set(number, one);
  return one;
}

function forget(one) {
  const canvas = one.picture.canvas;
  seen.unobserve(canvas); sized.unobserve(canvas);
  one.card.remove(); patients.delete(one.number);
}

/** Somebody who has left is told for a while: a picture that is missing is not seen. */
function leave(one, now) {
  if (one.left !== undefined) return;
  one.left = now;
  show(one, { ...one.state, attention: ["LEFT"], words: [], bpm: null, link: "the run of this patient has ended" });
  one.card.classList.add("left"); one.card.removeAttribute("href"); one.card.tabIndex = 0;
}

const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };

function show(one, state) {
  const renewed = JSON.stringify(one.state?.sources) !== JSON.stringify(state.sources);
  one.state = state;
  for (const name in STATES) if (says(one, name)) one.was[name] = performance.now();
  set(one.name, state.name); one.name.title = state.name;
  set(one.bpm, state.bpm === null ? "--" : String(state.bpm));
  const marks = [...state.attention.map((text) => [text, "alarm"]), ...(state.simulated ? [["simulated", "simulated"]] : []), ...state.words.map((text) => [text, ""])];
  while (one.marks.children.length > marks.length) one.marks.lastChild.remove();
  marks.forEach(([text, kind], i) => {
    const mark = one.marks.children[i] ?? one.marks.appendChild(document.createElement("span"));
    set(mark, text); mark.className = kind;
  });
  set(one.facts, [state.link, state.device, state.calibration ? `fitted: ${state.calibration}` : "not fitted"].filter(Boolean).join(" \u00b7 "));
  one.facts.title = one.facts.textContent;
  one.card.classList.toggle("needs", state.attention.length > 0);
  one.card.setAttribute("aria-label", [state.name, ...state.attention, state.bpm === null ? "no heart rate" : `${state.bpm} bpm`, ...(state.simulated ? ["simulated"] : []), ...state.words].join(", "));
  one.card.href = addressOf(state.name);
  if (!renewed) return;
  one.inks = one.picture.drawn = null;
  one.labels.forEach((label, k) => set(label, state.sources.length ? names[k] ?? "" : ""));
  set(one.sources, names.map((name, k) => [name, state.sources[k] ?? "measured"]).filter(([, source]) => source !== "measured").map((pair) => pair.join(" ")).join(", "));
}

const says = ({ state }, name) => state.attention.some((text) => STATES[name].test(text));
/** Whether a state is so, or was a moment ago. */
const lately = (one, name, now) => says(one, name) || now - (one.was[name] ?? -HELD_MS) < HELD_MS;

const inks = ({ state }) => names.map((_, k) => {
  const source = state?.sources[k] ?? "";
  return look.colours[["measured", "derived", "reconstructed"].includes(source) ? source : source ? "rests" : "measured"];
});

// Order and choice.

const compare = new Intl.Collator(undefined, { numeric: true }).compare;
function arrange(now) {
  const wanted = byId("find").value.trim().toLocaleLowerCase(), order = byId("order").value, kind = byId("show").value;
  const ready = [...patients.values()].filter(({ state }) => state);
  const needs = (one) => lately(one, "needs", now);
  const rank = (a, b) => order === "came" ? a.number - b.number : (order === "attention" && needs(b) - needs(a)) || compare(a.state.name, b.state.name) || a.number - b.number;
  const shown = ready.filter((one) => one.state.name.toLocaleLowerCase().includes(wanted) && (kind === "all" || lately(one, kind, now))).sort(rank);
  const needing = ready.filter(({ state }) => state.attention.length).length;
  set(byId("count"), ready.length === 0 ? "no patients yet" : `${ready.length} ${ready.length === 1 ? "patient" : "patients"}${shown.length < ready.length ? `, ${shown.length} shown` : ""}`);
  set(byId("needing"), needing ? `! ${needing} ${needing === 1 ? "needs" : "need"} attention` : "");
  const key = shown.map(({ number }) => number).join(" ");
  if (key === sorted || now - touched < STILL_MS) return;
  sorted = key;
  const focused = document.activeElement;
  grid.replaceChildren(...shown.map(({ card }) => card));
  if (grid.contains(focused)) focused.focus({ preventScroll: true });
}

function arrangeNow() { touched = -STILL_MS; for (const { card, state } of patients.values()) if (card.hasAttribute("href")) card.href = addressOf(state.name); arrange(performance.now()); }

// Drawing.

function draw(now) {
  requestAnimationFrame(draw);
  if (now - last < DRAW_MS) return;
  const seconds = Math.min(1, (now - last) / 1000);
  last = now;
  let drew = false;
  for (const one of patients.values()) drew = one.picture.advance(one.trace, seconds, { ...look, inks: one.inks ??= inks(one) }) || drew;
  frames += drew;
}

function again() { for (const one of patients.values()) { one.inks = null; one.picture.layOut(); } }

function readColours() {
  const style = getComputedStyle(root);
  for (const name of ["measured", "derived", "reconstructed", "rests", "gap", "settling"]) look.colours[name] = style.getPropertyValue(`--${name}`).trim();
  again();
}

/** Other leads come: what was kept of each trace was of those before. */
function renew(leads) {
  names = leads; look.rows = names.length;
  grid.classList.toggle("single", look.rows === 1);
  for (const one of patients.values()) { one.trace = new Trace(names.length); one.picture.head = null; if (one.state) one.state.sources = []; }
  showLeads(names);
  again();
}

// Keys.

function step(event) {
  const cards = [...grid.children], from = cards.indexOf(document.activeElement.closest(".patient"));
  if (!cards.length) return;
  const across = cards.filter(({ offsetTop }) => offsetTop === cards[0].offsetTop).length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -cards.length, End: cards.length }[event.key];
  const to = from < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, from + by));
  cards[to].focus();
  event.preventDefault();
}

addEventListener("keydown", (event) => {
  touched = performance.now();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select");
  if (event.key === "Escape" && event.target === byId("find")) { byId("find").value = ""; byId("find").dispatchEvent(new Event("input")); }
  if (typing) return;
  if (event.key === "/") { byId("find").focus(); event.preventDefault(); }
  else if (event.key === "t") theme();
  else if (choose(event.key)) return;
  else if (/^(Arrow.*|Home|End)$/.test(event.key)) step(event);
});
for (const kind of ["pointermove", "pointerdown", "touchstart"]) addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
const theme = followTheme(readColours), choose = followChoice(arrangeNow, () => ask());
byId("theme").addEventListener("click", theme);

const ask = connect({
  onState(found) {
    if (run !== found.run) { [...patients.values()].forEach(forget); sorted = ""; run = found.run; look.hz = found.columns_hz; }
    if (String(names) !== String(found.leads)) renew(found.leads);
    missed = found.dropped;
    for (const state of found.patients) show(patient(state.number), state);
    const here = new Set(found.here);
    const now = performance.now(), back = new Set([...patients.values()].filter(({ number }) => here.has(number)).map(({ state }) => state?.name));
    for (const one of [...patients.values()]) {
      if (here.has(one.number)) continue;
      if (!one.state || back.has(one.state.name) || now - (one.left ?? now) > LEFT_MS) forget(one); else leave(one, now);
    }
    arrange(performance.now());
  },
  onColumns(buffer) { unpack(buffer, (number, _, first, n, at) => patient(number).trace.put(first, n, at)); },
  onLink(text) { set(byId("link"), text); document.body.classList.toggle("lost", text !== ""); },
});
requestAnimationFrame(draw);
globalThis.leadlift = { stats: () => ({ frames, missed, patients: patients.size, leads: names, order: [...grid.children].map((card) => card.querySelector(".name").textContent), ends: [...patients.values()].map(({ trace }) => trace.end) }) };
