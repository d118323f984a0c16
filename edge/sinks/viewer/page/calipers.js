// Calipers: a box on the paper, in pixels, read in ms, mV and beats a minute.
const STEP_PX = 2;

export class Calipers {
  constructor() { this.box = null; } // {x, y, w, h}, w and h of any sign

  /** From one corner to the other, as somebody drags. */
  span(x, y, x2, y2) { this.box = { x, y, w: x2 - x, h: y2 - y }; }

  /** Show a box of 800 ms and 1 mV in the middle, or take it away. */
  toggle(width, height, { mm, speed, gain }) {
    const w = 0.8 * speed * mm, h = gain * mm;
    this.box = this.box ? null : { x: (width - w) / 2, y: (height - h) / 2, w, h };
  }

  /** An arrow key moves the box, or its far corner. */
  nudge(key, sizes) {
    const by = { ArrowLeft: [-STEP_PX, 0], ArrowRight: [STEP_PX, 0], ArrowUp: [0, -STEP_PX], ArrowDown: [0, STEP_PX] }[key];
    if (!this.box || !by) return false;
    const [across, down] = sizes ? ["w", "h"] : ["x", "y"];
    this.box[across] += by[0]; this.box[down] += by[1];
    return true;
  }

  /** `640 ms  1.20 mV  94 bpm`. */
  reading({ mm, speed, gain }) {
    const ms = Math.abs(this.box.w) / (mm * speed) * 1000, mv = Math.abs(this.box.h) / (mm * gain);
    const bpm = ms >= 100 ? `  ${Math.round(60000 / ms)} bpm` : "";
    return `${Math.round(ms)} ms  ${mv.toFixed(2)} mV${bpm}`;
  }

  draw(g, colour) {
    const { x, y, w, h } = this.box;
    g.strokeStyle = g.fillStyle = colour; g.lineWidth = 1.5;
    g.globalAlpha = 0.12; g.fillRect(x, y, w, h); g.globalAlpha = 1; g.strokeRect(x, y, w, h);
  }
}
