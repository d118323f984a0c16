// ECG paper: where each lead stands on it, the grid, the calibration pulses. All lengths are CSS pixels.
const LAYOUTS = {
  "3x4": [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]],
  "6x2": [["I", "V1"], ["II", "V2"], ["III", "V3"], ["aVR", "V4"], ["aVL", "V5"], ["aVF", "V6"]],
  "12x1": ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"].map((lead) => [lead]),
};
export const LAYOUT_NAMES = Object.keys(LAYOUTS);
const PULSE_S = 0.2, BESIDE_PULSE_MM = 4, BETWEEN_PULSES_MM = 1, SHEET_MM = 260, LEAST_MM = 2.6, MOST_MM = 6;
const TIGHT_PX = 100, NAMES_PX = 76, NAME_PX = 20; // in rows that are lower, names stand in a column of their own

/** {mm, cells}: pixels a millimetre, those of the screen unless given, and of each lead its row in `leads` and its box. */
export function arrange(layout, leads, width, height, speed, given = null) {
  const mm = given ?? Math.min(MOST_MM, Math.max(LEAST_MM, width / SHEET_MM)), rows = LAYOUTS[layout], cells = [];
  const tall = height / rows.length, names = tall < TIGHT_PX && rows[0].length === 1 ? NAMES_PX : 0, left = names + (PULSE_S * speed + BESIDE_PULSE_MM) * mm;
  rows.forEach((across, row) => across.forEach((name, column) => {
    const lead = leads.indexOf(name), wide = (width - left) / across.length;
    if (lead < 0) return;
    cells.push({ name, lead, row, column, x: left + column * wide, width: wide, top: row * tall, height: tall,
      zero: Math.round((row + 0.55) * tall), left: column === 0, names });
  }));
  return { mm, cells };
}

/** Grid, pulses of 1 mV, names and where each lead comes from. */
export function drawPaper(g, width, height, { mm, cells }, { speed, gain, colours, kind, words }) {
  g.fillStyle = colours.paper; g.fillRect(0, 0, width, height);
  for (const [step, colour, thick] of [[mm, colours.grid, 0.6], [5 * mm, colours.grid5, 1]]) {
    g.strokeStyle = colour; g.lineWidth = thick; g.beginPath();
    for (let x = 0.5; x < width; x += step) { g.moveTo(x, 0); g.lineTo(x, height); }
    for (let y = 0.5; y < height; y += step) { g.moveTo(0, y); g.lineTo(width, y); }
    g.stroke();
  }
  const apart = cells.length ? Math.ceil((gain + BETWEEN_PULSES_MM) * mm / cells[0].height) : 1; // rows: pulses do not run into each other
  for (const cell of cells) {
    if (cell.left && (cell.row + 1) % apart === 0) {
      const from = cell.names + 0.5 * mm, a = cell.names + 2 * mm, b = a + PULSE_S * speed * mm, top = cell.zero - gain * mm;
      g.strokeStyle = colours.measured; g.lineWidth = 1.3; g.beginPath();
      g.moveTo(from, cell.zero); g.lineTo(a, cell.zero); g.lineTo(a, top); g.lineTo(b, top); g.lineTo(b, cell.zero); g.lineTo(b + 1.5 * mm, cell.zero);
      g.stroke();
    } else if (!cell.left) {
      g.strokeStyle = colours.soft; g.lineWidth = 1; g.beginPath();
      g.moveTo(cell.x, cell.zero - 3 * mm); g.lineTo(cell.x, cell.zero + 3 * mm); g.stroke();
    }
    g.fillStyle = colours[kind(cell.lead)]; g.textBaseline = "top";
    const clear = cell.names || cell.zero - gain * mm > cell.top + NAME_PX; // of the pulse
    const x = cell.left && clear ? 6 : cell.x + 4, y = cell.names ? cell.zero - 20 : cell.top + 3;
    g.font = "bold 14px system-ui, sans-serif"; g.fillText(cell.name, x, y);
    if (cell.names) {
      g.font = "10px system-ui, sans-serif"; g.fillText(words(cell.lead).at(-1), x, y + 17);
      continue;
    }
    const after = x + g.measureText(cell.name).width + 6, room = cell.x + cell.width - after - 6;
    g.font = "11px system-ui, sans-serif"; g.fillText(fitting(g, words(cell.lead), room), after, y + 2);
  }
}

/** The first of the texts that fits, else nothing. */
function fitting(g, texts, room) { return texts.find((text) => g.measureText(text).width <= room) ?? ""; }
