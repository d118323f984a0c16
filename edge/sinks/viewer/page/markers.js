// Markers: what was noted, where it is drawn, and the dialogue in which somebody notes something.
import { cutOut } from "./traces.js";
const LETTERS = 40, LINE_PX = 14, MOST_BYTES = 240, ANSWER_MS = 5000;
const byId = (id) => document.getElementById(id);

/** What was noted, as [position, text], in the order of time; each once, however often the server says it. */
export class Markers {
  constructor() { this.all = []; this.known = new Set(); }

  /** Whether there was a new one. */
  add(found) {
    const fresh = found.filter(([at, text]) => !this.known.has(`${at} ${text}`));
    for (const [at, text] of fresh) { this.known.add(`${at} ${text}`); this.all.push([at, text]); }
    if (fresh.length) this.all.sort(([a], [b]) => a - b);
    return fresh.length > 0;
  }

  /** Forget what lies before `position`: nobody can scroll there. */
  forget(position) {
    while (this.all.length && this.all[0][0] < position) { const [at, text] = this.all.shift(); this.known.delete(`${at} ${text}`); }
  }

  /** A line across the cell at each marker that lies in its stretches, and where `named` its text. On a sheet that `moves`
      a text leaves after its line. */
  draw(g, cell, parts, { colours, perSample, moves }, named) {
    g.save(); cutOut(g, cell, cell.top, cell.height);
    g.strokeStyle = g.fillStyle = colours.marker; g.lineWidth = 1.4; g.setLineDash([7, 3, 2, 3]);
    g.font = "bold 12px system-ui, sans-serif"; g.textBaseline = "bottom";
    const bottom = cell.top + cell.height - 18, placed = named ? this.#inLines(g, perSample) : this.all.map(([at]) => ({ at }));
    for (const [from, to, x] of parts) for (const { at, short, wide, line } of placed) {
      const left = x + (at - from) * perSample;
      if (at >= to || (at < from && !(moves && left + wide + 8 > cell.x))) continue;
      g.beginPath(); g.moveTo(left, cell.top); g.lineTo(left, cell.top + cell.height); g.stroke();
      if (!named) continue;
      g.globalAlpha = 0.8; g.fillStyle = colours.paper; g.fillRect(left + 2, bottom - line * LINE_PX - 13, wide + 4, 13);
      g.globalAlpha = 1; g.fillStyle = colours.marker; g.fillText(short, left + 4, bottom - line * LINE_PX);
    }
    g.restore();
  }

  /** Each marker with its text cut to a length, the width of that, and a line of its own where the texts of others would lie over it. */
  #inLines(g, perSample) {
    const reach = [];
    return this.all.map(([at, text]) => {
      const short = text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}\u2026` : text, wide = g.measureText(short).width;
      const line = [0, 1, 2].find((i) => !(reach[i] > at * perSample)) ?? 0;
      reach[line] = at * perSample + wide + 8;
      return { at, short, wide, line };
    });
  }
}

/** Asks for a text, sends it, and says through `told` how that went: (text, whether something is wrong). */
export class Noting {
  constructor(send, told) {
    this.send = send; this.told = told; this.at = null; this.count = 0; this.waiting = new Map();
    byId("noting").addEventListener("close", () => {
      const text = byId("note").value.trim(), yes = byId("noting").returnValue === "record";
      if (yes && this.at !== null) this.record(text || "marker", this.at);
      this.at = null;
      byId("ink").focus();
    });
    byId("note").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); byId("noting").close("record"); }
    });
    byId("record").addEventListener("click", () => byId("noting").close("record"));
    byId("cancel").addEventListener("click", () => byId("noting").close(""));
  }

  /** Ask for the text of a marker at `at`, {position, run}. */
  ask(at) {
    if (byId("noting").open) return;
    this.at = at; byId("note").value = ""; byId("noting").returnValue = "";
    byId("noting").showModal(); byId("note").focus();
  }

  record(text, { position, run }) {
    const number = ++this.count, bytes = new TextEncoder().encode(text).length;
    if (bytes > MOST_BYTES) { this.told(`marker not recorded: it has ${bytes} bytes, at most ${MOST_BYTES}`, true); return; }
    if (!this.send(JSON.stringify({ mark: text, at: position, run, number }))) {
      this.told(`marker not recorded, no connection: ${text}`, true);
      return;
    }
    const late = setTimeout(() => this.answer(number, "leadlift does not answer"), ANSWER_MS);
    this.waiting.set(number, { text, late });
  }

  answer(number, refusal) {
    const one = this.waiting.get(number);
    if (!one) return;
    this.waiting.delete(number); clearTimeout(one.late);
    this.told(refusal ? `marker not recorded, ${refusal}: ${one.text}` : `marker recorded: ${one.text}`, refusal !== "");
  }
}
