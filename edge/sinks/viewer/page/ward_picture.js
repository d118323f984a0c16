// One patient's small picture: a sweep of two leads that draws what has come alone.
import { KEPT, MISSING } from "./ward_stream.js";
const SPAN_S = 6, GAP_S = 0.4, JUMP_S = 3, DELAY_S = 0.35, UV_HIGH = 2400; // uV of one trace's height, a little more than most QRS
const BAD = 2 | 32, ODD = 4 | 8 | 16 | 64; // bits that blot a trace, and that shade it

export class SmallPicture {
  constructor(canvas) { this.canvas = canvas; this.head = null; this.g = canvas.getContext("2d"); this.width = 0; this.seen = false; }

  /** Fit the screen and forget what is drawn. */
  layOut() {
    const sharp = devicePixelRatio, { clientWidth: w, clientHeight: h } = this.canvas;
    this.canvas.width = Math.round(w * sharp); this.canvas.height = Math.round(h * sharp);
    this.g.setTransform(sharp, 0, 0, sharp, 0, 0);
    this.width = w; this.height = h; this.drawn = null;
  }

  /** Go on by `seconds`; `look` is {hz, rows, inks, colours}. Whether anything was drawn. */
  advance(trace, seconds, look) {
    if (trace.end === null) return false;
    const target = Math.max(trace.start, trace.end - DELAY_S * look.hz);
    if (this.head === null || Math.abs(target - this.head) > JUMP_S * look.hz) { this.head = target; this.drawn = null; }
    else this.head = Math.min(trace.end, this.head + seconds * look.hz * (1 + Math.max(-0.5, (target - this.head) / look.hz)));
    if (!this.seen || !this.width) { this.drawn = null; return false; }
    const to = Math.floor(this.head), span = Math.round(SPAN_S * look.hz), gap = Math.round(GAP_S * look.hz);
    const oldest = Math.max(trace.start, trace.end - KEPT, to - span + gap);
    if (this.drawn === null) { this.g.clearRect(0, 0, this.width, this.height); this.drawn = oldest; }
    if (to <= this.drawn) return false;
    this.#strip(trace, Math.max(this.drawn, oldest), to, span, gap, look);
    this.drawn = to;
    return true;
  }

  #strip(trace, from, to, span, gap, { rows, inks, colours }) {
    const g = this.g, per = this.width / span, tall = this.height / rows, sharp = devicePixelRatio;
    const edge = (column) => Math.round(column * per * sharp) / sharp; // whole pixels: no seams between columns
    for (let i = to; i < to + gap; i++) g.clearRect(edge(i % span), 0, edge(i % span + 1) - edge(i % span), this.height);
    for (let i = from; i < to; i++) g.clearRect(edge(i % span), 0, edge(i % span + 1) - edge(i % span), this.height);
    for (let k = 0; k < rows; k++) {
      const zero = tall * (k + 0.6), y = (uv) => Math.min(tall * (k + 1) - 1, Math.max(tall * k + 1, zero - uv / UV_HIGH * tall));
      for (let i = from; i < to; i++) {
        const bits = trace.quality[k][i % KEPT];
        if (!(bits & (BAD | ODD)) && trace.low[k][i % KEPT] !== MISSING) continue;
        g.fillStyle = bits & ODD && !(bits & BAD) ? colours.settling : colours.gap;
        g.fillRect(edge(i % span), tall * k, edge(i % span + 1) - edge(i % span), tall);
      }
      g.strokeStyle = inks[k]; g.lineWidth = 1.3; g.lineJoin = "round"; g.beginPath();
      let joined = false, was = 0; // the nearer end of a column follows: an edge is drawn once
      for (let i = Math.max(from - 1, trace.start, trace.end - KEPT); i < to; i++) {
        const c = i % KEPT, low = trace.low[k][c], high = trace.high[k][c], x = (i % span + 0.5) * per;
        if (low === MISSING) { joined = false; continue; }
        const [a, b] = Math.abs(was - low) < Math.abs(was - high) ? [low, high] : [high, low];
        if (!joined || i % span === 0) g.moveTo(x, y(a)); else g.lineTo(x, y(a));
        if (a !== b) g.lineTo(x, y(b));
        joined = true; was = b;
      }
      g.stroke();
    }
  }
}
