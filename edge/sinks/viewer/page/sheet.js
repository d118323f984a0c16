// A page for the printer, true to scale: A4 or Letter across, whatever the screen is like. And words for pictures.
import { arrange, drawPaper } from "./paper.js";
import { drawCell, stretches } from "./traces.js";

const MM = 96 / 25.4; // CSS pixels a millimetre, as printers have them
const WIDTH_MM = 259, HEIGHT_MM = 184, HEAD_MM = 19, FOOT_MM = 9; // 10 s at 25 mm/s beside the pulses; fits both papers
const SHARP = 4; // canvas pixels a CSS pixel. Chromium prints a canvas at a scale that it cuts to 1/64: a quarter, or a little above

/** What a picture must say: title, then lines. `when` is the time of its newest sample. */
export function words(state, view, bpm, when, reading) {
  const lead = (kind) => (state?.leads ?? []).filter((_, k) => state.provenance[k] === kind).join(", ");
  const measured = lead("measured"), patient = state?.calibration ? `fitted to the patient: ${state.calibration}` : "no patient calibration";
  const title = `${state?.simulated ? "SIMULATED SIGNAL. " : ""}Research use only, not a medical device.`;
  const first = [when.toISOString(), `${view.speed} mm/s, ${view.gain} mm/mV`, `${bpm} bpm`, state?.device, reading && `calipers ${reading}`];
  const second = [measured && `measured: ${measured}`, state?.expected && `decoder ${state.expected}`, patient, state?.engine && `engine ${state.engine}`];
  return { title: `leadlift  ${title}`, lines: [first.filter(Boolean).join("   "), second.filter(Boolean).join("   ")] };
}

export function writeWords(g, { title, lines }, width, colours) {
  g.fillStyle = colours.text; g.textBaseline = "alphabetic";
  g.font = "bold 14px system-ui, sans-serif"; g.fillText(title, 8, 18, width - 16);
  g.font = "11px system-ui, sans-serif";
  lines.forEach((line, i) => g.fillText(line, 8, 36 + 15 * i, width - 16));
}

/** A canvas of WIDTH_MM by HEIGHT_MM for the style sheet of print. */
export function sheet(history, end, { state, view, colours, kind, ink, words: of, markers, said }) {
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d");
  const width = WIDTH_MM * MM, height = HEIGHT_MM * MM, head = HEAD_MM * MM, tall = height - head - FOOT_MM * MM;
  canvas.width = Math.floor(width * SHARP); canvas.height = Math.floor(height * SHARP);
  g.scale(SHARP, SHARP);
  g.fillStyle = colours.paper; g.fillRect(0, 0, width, height);
  writeWords(g, said, width, colours);
  const page = arrange(view.layout, state?.leads ?? [], width, tall, view.speed, MM), perSample = MM * view.speed / history.hz;
  g.save(); g.translate(0, head); g.beginPath(); g.rect(0, 0, width, tall); g.clip();
  drawPaper(g, width, tall, page, { ...view, colours, kind, words: of });
  const last = Math.max(...page.cells.map((cell) => cell.row));
  for (const cell of page.cells) {
    const parts = stretches(history, cell, perSample, end, "scroll");
    drawCell(g, history, cell, parts, { ...view, mm: MM, colours, perSample, ...ink(cell.lead) });
    markers.draw(g, cell, parts, { colours, perSample }, cell.row === last);
  }
  g.restore();
  legend(g, height - FOOT_MM * MM + 18, colours);
  return canvas;
}

function legend(g, y, colours) {
  const inks = [["measured", "measured"], ["derived", "derived from measured leads"], ["reconstructed", "reconstructed, band: one sigma"],
    ["rests", "derived from reconstructed leads"], ["marker", "marker"]];
  let x = 8;
  g.font = "11px system-ui, sans-serif"; g.textBaseline = "middle"; g.lineWidth = 2;
  for (const [name, text] of inks) {
    g.strokeStyle = g.fillStyle = colours[name];
    g.setLineDash(name === "marker" ? [7, 3, 2, 3] : []);
    g.beginPath(); g.moveTo(x, y); g.lineTo(x + 22, y); g.stroke();
    g.fillText(text, x + 28, y); x += 46 + g.measureText(text).width;
  }
  g.setLineDash([]);
}
