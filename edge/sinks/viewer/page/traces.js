// The ink: traces, bands of one sigma, and what is wrong with the signal, shaded and named.
import { MISSING, MISSING_SIGMA, Q } from "./stream.js";

const NAMES = [[Q.GAP, "gap", "GAP"], [Q.OFF, "off", "LEAD OFF"], [Q.SETTLING, "settling", "settling"],
  [Q.CLIPPED, "clipped", "clipped"], [Q.NOISY, "noisy", "noise"], [Q.FILLED, "filled", "filled in"],
  [Q.MISPLACED, "misplaced", "leads exchanged?"]];
const ERASE_S = 0.25, UV = 1000, UPRIGHT_PX = 14, MARGIN_PX = 3; // lines are wider than their path
const NAMED_PX = 160; // what is wrong is named each half of a cell, at most so often, on a sheet that moves
const FIRST = Int8Array.from({ length: 256 }, (_, bits) => NAMES.findIndex(([bit]) => bits & bit)); // of the names, by bits

/** How far a sheet that scrolls has moved when `head` is its newest sample: a whole number of the screen's pixels, so that what is
    drawn need only be moved. `pixel` is one of them. */
export const scrolled = (head, perSample, pixel) => Math.round(head * perSample / pixel) * pixel;

/** The stretches that a cell shows, as [first, after, x of the first]; `head` is the newest sample. */
export function stretches(history, cell, perSample, head, motion, pixel = 1) {
  const across = Math.max(2, Math.floor(cell.width / perSample)), oldest = history.oldest;
  const clip = ([from, to, x]) => { const skip = Math.max(0, oldest - from); return [from + skip, to, x + skip * perSample]; };
  if (motion === "scroll") {
    const from = head - across - 2; // reaches over the left edge, wherever between two pixels the samples lie
    return [clip([from, head, cell.x + cell.width - (scrolled(head, perSample, pixel) - from * perSample)])].filter(([a, b]) => b > a);
  }
  const page = Math.floor(head / across) * across, resume = head - across + Math.round(ERASE_S * history.hz);
  return [clip([page, head, cell.x]), clip([resume, page, cell.x + (resume - page + across) * perSample])].filter(([a, b]) => b > a);
}

/** What a sweep changes in a cell while its newest sample goes from `was` to `head`, as [left, right] in x: new trace,
    and what is wiped ahead of it. */
export function swept(history, cell, perSample, was, head) {
  const across = Math.max(2, Math.floor(cell.width / perSample)), page = Math.floor(head / across) * across;
  const at = (sample) => cell.x + sample * perSample, end = cell.x + cell.width;
  const right = Math.min(end, at(head - page + Math.round(ERASE_S * history.hz)) + MARGIN_PX);
  if (was >= page) return [[Math.max(cell.x, at(was - page) - MARGIN_PX), right]];
  return [[Math.max(cell.x, at(was - page + across) - MARGIN_PX), end], [cell.x, right]];
}

/** What is new at the right of a cell, as [left, right], once a sheet that scrolls was moved from `was` to `head`. */
export function arrived(cell, perSample, was, head, pixel) {
  const right = cell.x + cell.width;
  return [right - (scrolled(head, perSample, pixel) - was * perSample) - MARGIN_PX, right];
}

/** The part of each stretch that can be seen from `left` to `right`. */
function within(parts, left, right, perSample) {
  const more = MARGIN_PX + perSample, clip = ([from, to, x]) => {
    const first = Math.max(from, from + Math.floor((left - more - x) / perSample));
    return [first, Math.min(to, from + Math.ceil((right + more - x) / perSample)), x + (first - from) * perSample];
  };
  return parts.map(clip).filter(([from, to]) => to > from);
}

/** Draw one cell from `left` to `right`, which the caller has cut out. `look` has mm, gain, colours, colour (of the lead),
    estimate, perSample, and `moves` of a sheet that scrolls. Whether something is wrong in any of it: names of that stand where it begins. */
export function drawCell(g, history, cell, parts, look, left = cell.x, right = cell.x + cell.width) {
  let wrong = false;
  g.save(); cutOut(g, cell);
  for (const [from, to, x] of parts) wrong = shade(g, history, cell, from, to, x, look) || wrong;
  for (const [from, to, x] of within(parts, left, right, look.perSample)) {
    if (look.estimate) band(g, history, cell, from, to, x, look);
    trace(g, history, cell, from, to, x, look);
  }
  g.restore();
  return wrong;
}

/** Cut out the columns of whole pixels that are this cell's, of all heights unless given: none is shared with its neighbour. */
export function cutOut(g, cell, top = 0, height = g.canvas.height) {
  const d = g.getTransform().a, left = Math.round(cell.x * d) / d, right = Math.round((cell.x + cell.width) * d) / d;
  g.beginPath(); g.rect(left, top, right - left, height); g.clip();
}

function trace(g, history, cell, from, to, x, { mm, gain, colour, perSample }) {
  const values = history.ecg[cell.lead], scale = mm * gain / UV;
  let down = false;
  g.strokeStyle = colour; g.lineWidth = 1.4; g.lineJoin = "round"; g.beginPath();
  for (let i = from; i < to; i++) {
    const uv = values[i % history.size];
    if (uv === MISSING) { down = false; continue; }
    const at = x + (i - from) * perSample, y = cell.zero - uv * scale;
    if (down) g.lineTo(at, y); else { g.moveTo(at, y); down = true; }
  }
  g.stroke();
}

function band(g, history, cell, from, to, x, { mm, gain, colour, perSample }) {
  const values = history.ecg[cell.lead], sigma = history.sigma[cell.lead], scale = mm * gain / UV;
  const known = (i) => values[i % history.size] !== MISSING && sigma[i % history.size] !== MISSING_SIGMA;
  g.fillStyle = colour; g.globalAlpha = 0.22;
  for (let a = from; a < to;) {
    if (!known(a)) { a++; continue; }
    let b = a;
    g.beginPath();
    for (; b < to && known(b); b++) g.lineTo(x + (b - from) * perSample, cell.zero - (values[b % history.size] + sigma[b % history.size]) * scale);
    for (let i = b - 1; i >= a; i--) g.lineTo(x + (i - from) * perSample, cell.zero - (values[i % history.size] - sigma[i % history.size]) * scale);
    g.fill();
    a = b;
  }
  g.globalAlpha = 1;
}

/** Shade what is wrong, and name it. A lead without its value is off; with one it is made without a lead. */
function shade(g, history, cell, first, to, xOfFirst, { colours, perSample, mm, moves }) {
  const bits = history.quality[cell.lead], size = history.size, every = moves ? Math.ceil(Math.max(NAMED_PX, cell.width / 2) / perSample) : 0;
  const from = every ? Math.max(history.oldest, first - 2 * every) : first, x = xOfFirst - (first - from) * perSample;
  const top = Math.max(cell.top, cell.zero - 9 * mm), bottom = Math.min(cell.top + cell.height, cell.zero + 9 * mm);
  let wrong = false;
  for (let a = from; a < to;) {
    const what = FIRST[bits[a % size]];
    let b = a + 1;
    while (b < to && FIRST[bits[b % size]] === what) b++;
    if (what >= 0) {
      wrong = wrong || b > first;
      const [bit, colour, name] = NAMES[what], at = (i) => x + (i - from) * perSample;
      const without = bit === Q.OFF && history.ecg[cell.lead][a % size] !== MISSING;
      g.globalAlpha = without ? 0.35 : 1;
      g.fillStyle = colours[colour]; g.fillRect(at(a), top, (b - a) * perSample, bottom - top);
      g.globalAlpha = 1;
      g.font = `${without ? "" : "bold "}11px system-ui, sans-serif`; g.textBaseline = "bottom"; g.fillStyle = colours.text;
      for (const i of named(a, b, every)) write(g, without ? "a lead is off" : name, at(i), (b - i) * perSample, bottom - 2, i === a);
    }
    a = b;
  }
  return wrong;
}

/** The samples at which a name of [a, b) begins: the first; on a sheet that moves others, too, that move with it. */
function named(a, b, every) {
  const found = [a];
  if (every) for (let i = Math.ceil(a / every + 1) * every; i < b; i += every) found.push(i);
  return found;
}

/** A name from `left` on where it fits in `room`, else upright if it may be. */
function write(g, text, left, room, bottom, upright) {
  if (g.measureText(text).width + 4 < room) g.fillText(text, left + 2, bottom);
  else if (upright && room > UPRIGHT_PX) {
    g.save(); g.translate(left + room / 2 + 6, bottom); g.rotate(-Math.PI / 2);
    g.fillText(text, 0, 0); g.restore();
  }
}
