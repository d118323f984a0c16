// The page: what somebody wants to see, the keys and buttons for it, and the loop that draws.
import { Calipers } from "./calipers.js";
import { Markers, Noting } from "./markers.js";
import { LAYOUT_NAMES, arrange, drawPaper } from "./paper.js";
import { sheet as printedSheet, words as said, writeWords } from "./sheet.js";
import { show } from "./status.js";
import { followTheme } from "./theme.js";
import { History, connect } from "./stream.js";
import { arrived, drawCell, scrolled, stretches, swept } from "./traces.js";

const byId = (id) => document.getElementById(id);
const paper = byId("paper"), ink = byId("ink"), sheet = byId("sheet");
const KINDS = { measured: "measured", derived: "derived", reconstructed: "reconstructed" };
const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
const calipers = new Calipers();
const NOTICE_MS = 8000, BESIDE_PX = 4;
const DELAY_S = 0.06; // what is drawn stays so far behind what has come, so that it moves evenly
let history = null, state = null, link = "connecting", head = null, frozen = null, last = 0, stale = true, frames = 0;
const NAMES_MS = 250; // how soon the names of what is wrong follow where it begins
let painted = { head: null, at: 0, wrong: false, whole: true }, swipes = 0;
let markers = new Markers(), notice = null;
let colours = {}, width = 0, height = 0, sharp = 1, page = { mm: 1, cells: [] };
const view = { layout: matchMedia("(max-width: 640px)").matches ? "12x1" : "3x4", speed: 25, gain: 10, motion: "sweep" };

const kind = (lead) => KINDS[state?.provenance[lead]] ?? (state?.provenance.length ? "rests" : "measured");
const words = (lead) => {
  const source = state?.provenance[lead] ?? "", expected = state?.by_lead[LEADS[lead]];
  const figures = expected?.slice(expected.indexOf(" ") + 1);
  return [figures ? `${source}, expects ${figures}` : source, source, source.split(" ")[0]];
};

// Drawing.

function layOut() {
  width = sheet.clientWidth; height = sheet.clientHeight; sharp = devicePixelRatio;
  for (const canvas of [paper, ink]) { canvas.width = width * sharp; canvas.height = height * sharp; }
  page = arrange(view.layout, state?.leads ?? LEADS, width, height, view.speed);
  const g = paper.getContext("2d");
  g.setTransform(sharp, 0, 0, sharp, 0, 0);
  drawPaper(g, width, height, page, { ...view, colours, kind, words });
  paint(); // at once: a canvas that changes its size is empty
}

function coloursNow() {
  const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["paper", "grid", "text", "soft", "measured", "derived", "reconstructed", "rests", "marker", "off", "gap", "settling", "clipped", "noisy", "filled", "misplaced"];
  return { ...Object.fromEntries(names.map((name) => [name, of(name)])), grid5: of("grid-5") };
}

function readColours() { colours = coloursNow(); layOut(); }

/** Follow what has come, evenly; jump where that is far ahead. */
function advance(now) {
  const target = history.end - DELAY_S * history.hz, by = (now - last) / 1000 * history.hz;
  if (head === null || Math.abs(target - head) > 0.5 * history.hz) head = target;
  else head = Math.min(history.end, head + by * (1 + (target - head) / history.hz));
}

function draw(now) {
  requestAnimationFrame(draw);
  if (devicePixelRatio !== sharp) layOut(); // on another screen
  const had = head;
  if (history?.end != null) advance(now);
  last = now;
  const still = frozen !== null || Math.floor(had) === Math.floor(head), named = !painted.wrong || painted.whole || now - painted.at < NAMES_MS;
  if (!stale && still && named) return;
  frames++;
  if (stale || !follows(now)) paint(now); else goOn();
}

/** Whether the sheet is as it was but for what moves: nothing late has come, nothing has jumped. */
const follows = (now) => frozen === null && painted.head !== null && head >= painted.head &&
  head - painted.head < 0.5 * history.hz && history.touched >= painted.head && !(painted.wrong && now - painted.at > NAMES_MS);

/** Draw what has changed alone: it costs a tenth of the whole sheet. */
function goOn() {
  const g = ink.getContext("2d"), perSample = page.mm * view.speed / history.hz, now = Math.floor(head), { head: was, wrong } = painted;
  const columns = new Map(page.cells.map((cell) => [`${cell.x} ${cell.width}`, cell])); // cells of a column change alike
  const changed = view.motion === "sweep" ? (cell) => swept(history, cell, perSample, was, now) : (cell) => [arrived(cell, perSample, was, now, 1 / sharp)];
  if (view.motion === "scroll") move(g, scrolled(now, perSample, 1 / sharp) - scrolled(was, perSample, 1 / sharp));
  painted.wrong = false;
  for (const cell of columns.values()) for (const [left, right] of changed(cell)) paintFrom(g, left, right);
  painted.head = now; painted.whole = false; history.touched = Infinity; swipes++;
  stale = wrong && !painted.wrong; // names go with what they name
}

/** Move the ink to the left by whole pixels, and none over the pulses. */
function move(g, by) {
  g.save(); g.setTransform(1, 0, 0, 1, 0, 0); g.globalCompositeOperation = "copy"; g.imageSmoothingEnabled = false;
  g.drawImage(ink, -Math.round(by * sharp), 0);
  g.restore();
  g.clearRect(0, 0, Math.round((page.cells[0]?.x ?? 0) * sharp) / sharp, height);
}

const partsOf = (cell, perSample) =>
  stretches(history, cell, perSample, Math.floor(frozen ?? head), frozen === null ? view.motion : "scroll", 1 / sharp);
const inkOf = (of) => (lead) => ({ colour: of[kind(lead)], estimate: ["reconstructed", "rests"].includes(kind(lead)) });

/** The ink from `left` to `right`, at whole pixels: where two strips meet there is no seam. */
function paintFrom(g, left, right) {
  const from = Math.floor(left * sharp) / sharp, to = Math.ceil(right * sharp) / sharp, perSample = page.mm * view.speed / history.hz;
  const last = Math.max(...page.cells.map((cell) => cell.row)), inks = inkOf(colours), moves = frozen === null && view.motion === "scroll";
  g.save(); g.beginPath(); g.rect(from, 0, to - from, height); g.clip();
  g.clearRect(from, 0, to - from, height);
  for (const cell of page.cells) {
    if (cell.x > to || cell.x + cell.width < from) continue;
    const parts = partsOf(cell, perSample), look = { ...view, mm: page.mm, colours, perSample, moves, ...inks(cell.lead) };
    painted.wrong = drawCell(g, history, cell, parts, look, from, to) || painted.wrong;
    markers.draw(g, cell, parts, look, cell.row === last);
  }
  g.restore();
}

function paint(now = performance.now()) {
  stale = false;
  const g = ink.getContext("2d");
  g.setTransform(sharp, 0, 0, sharp, 0, 0);
  g.clearRect(0, 0, width, height);
  painted = { head: head === null ? null : Math.floor(head), at: now, wrong: false, whole: true };
  if (history) history.touched = Infinity;
  if (head !== null) paintFrom(g, 0, width);
  if (calipers.box) calipers.draw(g, colours.text);
  byId("reading").hidden = !calipers.box;
  if (calipers.box) read();
}

/** What the calipers say, above them where there is room. */
function read() {
  const { x, y, w, h } = calipers.box, reading = byId("reading"), left = Math.min(x, x + w), top = Math.min(y, y + h);
  reading.textContent = calipers.reading({ ...view, mm: page.mm });
  const wide = reading.offsetWidth, tall = reading.offsetHeight, above = top - tall - BESIDE_PX;
  reading.style.left = `${Math.max(0, Math.min(left, width - wide))}px`;
  reading.style.top = `${Math.max(0, Math.min(above >= 0 ? above : top + Math.abs(h) + BESIDE_PX, height - tall))}px`;
}

// What somebody wants.

function set(name, value) {
  view[name] = value;
  byId(name).value = String(value);
  layOut();
}

function step(name, by) {
  const options = [...byId(name).options].map((option) => option.value);
  const at = Math.min(Math.max(options.indexOf(String(view[name])) + by, 0), options.length - 1);
  set(name, Number(options[at]));
}

function freeze(on) {
  if (head === null) return;
  frozen = on ? head : null;
  if (!on) calipers.box = null;
  byId("freeze").setAttribute("aria-pressed", String(on));
  byId("freeze").textContent = on ? "Go on" : "Freeze";
  scrollTo(head);
  byId("calipers").setAttribute("aria-pressed", "false");
  refresh();
}

function scrollTo(position) {
  const slider = byId("when"), least = Math.min(history.oldest + screenful(), history.end);
  const at = Math.min(Math.max(position, least), history.end), ago = (history.end - at) / history.hz;
  if (frozen !== null) frozen = at;
  slider.min = least / history.hz; slider.max = history.end / history.hz;
  slider.value = frozen === null ? slider.max : at / history.hz;
  byId("ago").textContent = frozen === null || ago < 0.05 ? "now" : `${ago.toFixed(1)} s ago`;
  slider.setAttribute("aria-valuetext", byId("ago").textContent);
  stale = true;
}

const screenful = () => Math.max(...page.cells.map((cell) => cell.width)) / (page.mm * view.speed) * history.hz;

function toggleCalipers() {
  if (frozen === null) freeze(true);
  calipers.toggle(width, height, { ...view, mm: page.mm });
  byId("calipers").setAttribute("aria-pressed", String(calipers.box !== null));
  stale = true;
}

/** Where a marker belongs: now; frozen, the left edge of the calipers, or the newest sample that is shown. */
function moment() {
  let position = Math.max(history.oldest, Math.floor(frozen ?? head) - 1);
  if (calipers.box) {
    const { x, y, w, h } = calipers.box, left = Math.min(x, x + w), middle = y + h / 2, perSample = page.mm * view.speed / history.hz;
    const cell = page.cells.find((c) => left >= c.x && left < c.x + c.width && middle >= c.top && middle < c.top + c.height);
    const part = cell && partsOf(cell, perSample)[0];
    if (part) position = Math.min(Math.max(part[0], Math.round(part[0] + (left - part[2]) / perSample)), part[1] - 1);
  }
  return { position, run: state.run };
}

function note(text = null) {
  if (head === null || !state) return;
  if (text === null) noting.ask(moment()); else noting.record(text, moment());
}

function tell(text, wrong) {
  const mine = notice = { text, wrong };
  refresh();
  setTimeout(() => { if (notice === mine) { notice = null; refresh(); } }, NOTICE_MS);
}

const refresh = () => show(state, link, frozen !== null, notice);

/** When the newest sample that is shown was taken, by the clock of this machine. */
function shownAt() {
  const ago = history === null || head === null ? 0 : (history.end - (frozen ?? head)) / history.hz;
  return new Date(Date.now() - 1000 * ago);
}

const wordsNow = () => said(state, view, byId("bpm").textContent, shownAt(), calipers.box && calipers.reading({ ...view, mm: page.mm }));

/** The sheet for the printer, made anew each time; in light inks. */
function prepare() {
  byId("printed").replaceChildren();
  if (head === null) return;
  const root = document.documentElement, theme = root.dataset.theme;
  root.dataset.theme = "light";
  const light = coloursNow();
  root.dataset.theme = theme;
  const how = { state, view, colours: light, kind, ink: inkOf(light), words, markers, said: wordsNow() };
  byId("printed").append(printedSheet(history, Math.floor(frozen ?? head), how));
}

function snapshot() {
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d"), top = 60, now = new Date();
  canvas.width = ink.width; canvas.height = ink.height + top * sharp;
  g.scale(sharp, sharp);
  g.fillStyle = colours.paper; g.fillRect(0, 0, width, height + top);
  writeWords(g, wordsNow(), width, colours);
  g.drawImage(paper, 0, top, width, height); g.drawImage(ink, 0, top, width, height);
  canvas.toBlob((blob) => {
    const link = document.createElement("a"), url = URL.createObjectURL(blob);
    link.href = url; link.download = `leadlift-${now.toISOString().replace(/[:.]/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }, "image/png");
}

const next = (names, now) => names[(names.indexOf(now) + 1) % names.length];
const KEYS = {
  " ": () => freeze(frozen === null), f: () => freeze(frozen === null), c: toggleCalipers, p: snapshot, t: () => theme(),
  m: () => note(), d: () => print(),
  l: () => set("layout", next(LAYOUT_NAMES, view.layout)), s: () => set("motion", next(["sweep", "scroll"], view.motion)),
  "[": () => step("speed", -1), "]": () => step("speed", 1), "+": () => step("gain", 1), "=": () => step("gain", 1), "-": () => step("gain", -1),
  "?": () => byId("keys").showModal(),
  Escape: () => { if (calipers.box) toggleCalipers(); else if (frozen !== null) freeze(false); },
};

function scrollKey(key, far) {
  if (frozen === null) return false;
  const by = (far ? screenful() : 0.25 * history.hz) * (key === "ArrowLeft" ? -1 : 1);
  const to = { ArrowLeft: frozen + by, ArrowRight: frozen + by, Home: history.oldest, End: history.end }[key];
  if (to !== undefined) scrollTo(to);
  return to !== undefined;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || event.target.matches("select, input")) return;
  if (event.key === " " && event.target.matches("button")) return; // presses the button
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (calipers.nudge(event.key, event.shiftKey) || scrollKey(event.key, event.shiftKey)) stale = true;
  else if (KEYS[key]) KEYS[key]();
  else if (/^[1-9]$/.test(key)) note(key);
  else return;
  event.preventDefault();
});
ink.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || head === null) return;
  if (frozen === null) freeze(true);
  const { offsetX: x, offsetY: y } = event;
  const drag = (moved) => { calipers.span(x, y, moved.offsetX, moved.offsetY); stale = true; };
  ink.setPointerCapture(event.pointerId);
  ink.addEventListener("pointermove", drag);
  ink.addEventListener("lostpointercapture", () => {
    ink.removeEventListener("pointermove", drag);
    byId("calipers").setAttribute("aria-pressed", String(calipers.box !== null));
  }, { once: true });
});
ink.addEventListener("wheel", (event) => {
  if (frozen === null) return;
  scrollTo(frozen + (event.deltaX + event.deltaY) / (page.mm * view.speed) * history.hz);
  event.preventDefault();
}, { passive: false });
byId("when").addEventListener("input", (event) => {
  const position = Number(event.target.value) * history.hz;
  if (frozen === null) freeze(true);
  if (frozen !== null) scrollTo(position);
});
for (const name of ["layout", "motion"]) byId(name).addEventListener("change", (event) => set(name, event.target.value));
for (const name of ["speed", "gain"]) byId(name).addEventListener("change", (event) => set(name, Number(event.target.value)));
for (const [id, key] of [["freeze", " "], ["calipers", "c"], ["mark", "m"], ["snapshot", "p"], ["print", "d"], ["theme", "t"], ["help", "?"]]) byId(id).addEventListener("click", KEYS[key]);

// What comes.

const send = connect({
  onState(found) {
    const changed = JSON.stringify([found.provenance, found.by_lead]) !== JSON.stringify([state?.provenance, state?.by_lead]);
    if (state?.run !== found.run) {
      if (frozen !== null) freeze(false);
      history = new History(found.leads.length, found.sampling_hz); head = null; markers = new Markers();
    }
    state = found;
    byId("mark").hidden = !found.marks;
    markers.forget(history.oldest);
    if (changed) layOut();
    refresh();
  },
  onBlock(buffer) { history?.take(buffer); },
  onMarkers(found) { if (markers.add(found)) stale = true; },
  onAnswer(number, refusal) { noting.answer(number, refusal); },
  onLink(text) { if (text !== link) { link = text; refresh(); } },
});
const noting = new Noting(send, tell);
addEventListener("beforeprint", prepare);
new ResizeObserver(layOut).observe(sheet);
byId("layout").value = view.layout;
const theme = followTheme(readColours);
requestAnimationFrame(draw);

/** For tests and for whoever looks for a fault: how things stand. */
globalThis.leadlift = { stats: () => ({ frames, swipes, head, frozen, end: history?.end ?? null, oldest: history?.oldest ?? null, markers: markers.all, sources: state?.provenance ?? [], mm: page.mm, cells: page.cells, view: { ...view } }) };
