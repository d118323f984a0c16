// What comes of all patients: columns of small traces into rings, and a connection that comes back by itself.
export const MISSING = -32768, KEPT = 512; // columns kept of a trace: 16 s
const VERSION = 1, HEAD_BYTES = 8, ONE_BYTES = 16, FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 10000;

/** The last columns of one patient; column i lies at i modulo KEPT. */
export class Trace {
  constructor(nLeads) {
    const rows = (Kind) => Array.from({ length: nLeads }, () => new Kind(KEPT));
    this.low = rows(Int16Array); this.high = rows(Int16Array); this.quality = rows(Uint8Array);
    this.start = this.end = null; // the first column ever, and after the newest
  }

  /** Store columns; what was dropped before them is missing. */
  put(first, n, at) {
    if (this.end === null) this.start = this.end = first;
    for (let i = Math.max(this.end, first - KEPT); i < first; i++) this.low.forEach((_, k) => this.#set(k, i, MISSING, MISSING, 0));
    for (let i = Math.max(first, this.end); i < first + n; i++) this.low.forEach((_, k) => this.#set(k, i, ...at(k, i - first)));
    this.end = Math.max(this.end, first + n);
  }

  #set(k, i, low, high, bits) { const c = i % KEPT; this.low[k][c] = low; this.high[k][c] = high; this.quality[k][c] = bits; }
}

/** Hand each patient's columns of one message to `put(number, leads, first, n, at)`. False for what is no message of ours. */
export function unpack(buffer, put) {
  if (buffer.byteLength < HEAD_BYTES) return false;
  const view = new DataView(buffer), leads = view.getUint8(1);
  if (view.getUint8(0) !== VERSION) return false;
  let from = HEAD_BYTES;
  for (let left = view.getUint16(2, true); left > 0; left--) {
    if (from + ONE_BYTES > buffer.byteLength) return false;
    const n = view.getUint16(from + 4, true), low = from + ONE_BYTES, high = low + 2 * leads * n, bits = high + 2 * leads * n;
    if (bits + leads * n > buffer.byteLength) return false;
    put(view.getUint32(from, true), leads, view.getFloat64(from + 8, true), n, (k, i) => {
      const at = k * n + i;
      return [view.getInt16(low + 2 * at, true), view.getInt16(high + 2 * at, true), view.getUint8(bits + at)];
    });
    from = bits + leads * n;
  }
  return from === buffer.byteLength;
}

/** Calls `onState(object)`, `onColumns(ArrayBuffer)` and `onLink(text, "" while it is up)` for ever. Returns what asks
    anew, once the address says something else. */
export function connect({ onState, onColumns, onLink }) {
  let wait = FIRST_WAIT_MS, current = null, timer = 0;
  const open = () => {
    clearTimeout(timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ward${location.search}`);
    const before = current;
    current = socket;
    before?.close();
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (socket !== current) return;
      wait = FIRST_WAIT_MS;
      onLink("");
      if (typeof data === "string") onState(JSON.parse(data)); else onColumns(data);
    };
    socket.onclose = ({ reason }) => {
      if (socket !== current) return;
      onLink(reason || "no connection to leadlift, trying again: nothing here is live");
      timer = setTimeout(open, wait * (0.75 + Math.random() / 2)); // not all browsers at the same moment
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  };
  open();
  return open;
}
