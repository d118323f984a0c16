// Markers: what was noted, where it is drawn, and the dialogue in which somebody notes something.
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

  /** A line across the cell at each marker that lies in its stretches, and where `named` its text. */
  draw(g, cell, parts, { colours, perSample }, named) {
    g.save(); g.beginPath(); g.rect(cell.x, cell.top, cell.width, cell.height); g.clip();
    g.strokeStyle = g.fillStyle = colours.marker; g.lineWidth = 1.4; g.setLineDash([7, 3, 2, 3]);
    const bottom = cell.top + cell.height - 18, reach = [];
    for (const [from, to, x] of parts) for (const [at, text] of this.all) {
      if (at < from || at >= to) continue;
      const left = x + (at - from) * perSample;
      g.beginPath(); g.moveTo(left, cell.top); g.lineTo(left, cell.top + cell.height); g.stroke();
      if (!named) continue;
      g.font = "bold 12px system-ui, sans-serif"; g.textBaseline = "bottom";
      const short = text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}\u2026` : text, wide = g.measureText(short).width;
      const line = [0, 1, 2].find((i) => !(reach[i] > left)) ?? 0;
      reach[line] = left + wide + 8;
      g.globalAlpha = 0.8; g.fillStyle = colours.paper; g.fillRect(left + 2, bottom - line * LINE_PX - 13, wide + 4, 13);
      g.globalAlpha = 1; g.fillStyle = colours.marker; g.fillText(short, left + 4, bottom - line * LINE_PX);
    }
    g.restore();
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
