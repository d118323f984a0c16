// Blocks from the server into a ring of the last five minutes, and a connection that comes back by itself.
export const Q = { FILLED: 1, OFF: 2, SETTLING: 4, CLIPPED: 8, NOISY: 16, GAP: 32, MISPLACED: 64 };
export const MISSING = -32768, MISSING_SIGMA = 65535;
const SECONDS = 300, VERSION = 1, HEADER_BYTES = 16, FIRST_WAIT_MS = 500, LONGEST_WAIT_MS = 10000;

/** The last five minutes of every lead; sample i lies at i modulo `size`. */
export class History {
  constructor(nLeads, hz) {
    this.hz = hz; this.nLeads = nLeads; this.size = Math.round(hz * SECONDS);
    const rows = (Kind) => Array.from({ length: nLeads }, () => new Kind(this.size));
    this.ecg = rows(Int16Array); this.sigma = rows(Uint16Array); this.quality = rows(Uint8Array);
    this.start = this.end = null; // positions of the first sample ever, and after the newest
    this.touched = Infinity; // the first that has changed since somebody set this
  }

  get oldest() { return this.end === null ? 0 : Math.max(this.start, this.end - this.size); }

  /** Store one message; what was dropped before it is a gap. False for what is no message of ours. */
  take(buffer) {
    if (buffer.byteLength < HEADER_BYTES) return false;
    const head = new DataView(buffer), leads = head.getUint8(1), n = head.getUint16(2, true), first = head.getFloat64(8, true);
    if (head.getUint8(0) !== VERSION || leads !== this.nLeads || buffer.byteLength !== HEADER_BYTES + leads * n * 5) return false;
    if (this.end === null) this.start = this.end = first;
    this.start = Math.min(this.start, first); this.touched = Math.min(this.touched, first);
    for (let i = Math.max(this.end, first - this.size); i < first; i++) this.#blank(i % this.size);
    const ecg = new Int16Array(buffer, HEADER_BYTES, leads * n), sigma = new Uint16Array(buffer, HEADER_BYTES + leads * n * 2, leads * n);
    const quality = new Uint8Array(buffer, HEADER_BYTES + leads * n * 4);
    for (let k = 0; k < leads; k++) for (let i = 0; i < n; i++) {
      const at = (first + i) % this.size;
      this.ecg[k][at] = ecg[k * n + i]; this.sigma[k][at] = sigma[k * n + i]; this.quality[k][at] = quality[k * n + i];
    }
    this.end = Math.max(this.end, first + n);
    return true;
  }

  #blank(at) {
    for (let k = 0; k < this.nLeads; k++) { this.ecg[k][at] = MISSING; this.sigma[k][at] = MISSING_SIGMA; this.quality[k][at] = Q.GAP; }
  }
}

/** Calls `onState(object)`, `onBlock(ArrayBuffer)`, `onMarkers(list)`, `onAnswer(number, refusal)` and `onLink(text, "" while it is up)`
    for ever. Returns what sends a text: false where there is no connection. */
export function connect({ onState, onBlock, onMarkers, onAnswer, onLink }) {
  let wait = FIRST_WAIT_MS, current = null;
  const open = () => {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live${location.search}`);
    socket.binaryType = "arraybuffer";
    current = socket;
    socket.onmessage = ({ data }) => {
      wait = FIRST_WAIT_MS;
      if (typeof data !== "string") { onBlock(data); return; }
      const said = JSON.parse(data);
      onLink("");
      if ("answer" in said) onAnswer(said.answer, said.refusal);
      else { if ("run" in said) onState(said); onMarkers(said.markers); }
    };
    socket.onclose = ({ reason }) => {
      onLink(reason || "no connection to leadlift, trying again");
      setTimeout(open, wait * (0.75 + Math.random() / 2)); // not all browsers at the same moment
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    };
  };
  open();
  return (text) => { if (current.readyState !== WebSocket.OPEN) return false; current.send(text); return true; };
}
