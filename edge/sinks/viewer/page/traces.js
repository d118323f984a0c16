// The ink: traces, bands of one sigma, and what is wrong with the signal, shaded and named.
import { MISSING, MISSING_SIGMA, Q } from "./stream.js";

const NAMES = [[Q.GAP, "gap", "GAP"], [Q.OFF, "off", "LEAD OFF"], [Q.SETTLING, "settling", "settling"],
  [Q.CLIPPED, "clipped", "clipped"], [Q.NOISY, "noisy", "noise"], [Q.FILLED, "filled", "filled in"]];
const ERASE_S = 0.25, UV = 1000, UPRIGHT_PX = 14;

/** The stretches that a cell shows, as [first, after, x of the first]; `head` is the newest sample. */
export function stretches(history, cell, perSample, head, motion) {
  const across = Math.max(2, Math.floor(cell.width / perSample)), oldest = history.oldest;
  const clip = ([from, to, x]) => { const skip = Math.max(0, oldest - from); return [from + skip, to, x + skip * perSample]; };
  if (motion === "scroll") return [clip([head - across, head, cell.x])].filter(([a, b]) => b > a);
  const page = Math.floor(head / across) * across, resume = head - across + Math.round(ERASE_S * history.hz);
  return [clip([page, head, cell.x]), clip([resume, page, cell.x + (resume - page + across) * perSample])].filter(([a, b]) => b > a);
}

/** Draw one cell. `look` has mm, gain, colours, colour (of the lead), estimate, perSample. */
export function drawCell(g, history, cell, parts, look) {
  g.save(); g.beginPath(); g.rect(cell.x, 0, cell.width, g.canvas.height); g.clip();
  for (const [from, to, x] of parts) {
    shade(g, history, cell, from, to, x, look);
    if (look.estimate) band(g, history, cell, from, to, x, look);
    trace(g, history, cell, from, to, x, look);
  }
  g.restore();
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

/** What is wrong at a sample: index into NAMES, or -1. A lead without its value is off; with one it is made without a lead. */
function trouble(history, lead, i) {
  const bits = history.quality[lead][i % history.size];
  return bits ? NAMES.findIndex(([bit]) => bits & bit) : -1;
}

function shade(g, history, cell, from, to, x, { colours, perSample, mm }) {
  for (let a = from; a < to;) {
    const what = trouble(history, cell.lead, a);
    let b = a + 1;
    while (b < to && trouble(history, cell.lead, b) === what) b++;
    if (what >= 0) {
      const [bit, colour, name] = NAMES[what], left = x + (a - from) * perSample, width = (b - a) * perSample;
      const without = bit === Q.OFF && history.ecg[cell.lead][a % history.size] !== MISSING;
      const top = Math.max(cell.top, cell.zero - 9 * mm), bottom = Math.min(cell.top + cell.height, cell.zero + 9 * mm);
      g.globalAlpha = without ? 0.35 : 1;
      g.fillStyle = colours[colour]; g.fillRect(left, top, width, bottom - top);
      g.globalAlpha = 1;
      const text = without ? "a lead is off" : name;
      g.font = `${without ? "" : "bold "}11px system-ui, sans-serif`; g.textBaseline = "bottom";
      if (g.measureText(text).width + 4 < width) { g.fillStyle = colours.text; g.fillText(text, left + 2, bottom - 2); }
      else if (width > UPRIGHT_PX) { // too narrow to lie
        g.save(); g.translate(left + width / 2 + 6, bottom - 2); g.rotate(-Math.PI / 2);
        g.fillStyle = colours.text; g.fillText(text, 0, 0); g.restore();
      }
    }
    a = b;
  }
}
