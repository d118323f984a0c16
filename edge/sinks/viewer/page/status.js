// What stands beside the traces: alarms, facts, what is expected of the reconstructed leads.
const byId = (id) => document.getElementById(id);
const number = (value, digits) => (value === null ? "--" : value.toFixed(digits));

/** Show `state`, the server's last; `link` is why there is no connection, empty while there is one; `notice` is {text, wrong}. */
export function show(state, link, frozen, notice = null) {
  const alarms = [];
  if (link) alarms.push([link, "alarm"]);
  if (state?.in_outage) alarms.push(["LINK LOST, waiting for the device", "alarm"]);
  if (state?.off.length) alarms.push([`LEAD OFF ${state.off.join(", ")}`, "alarm"]);
  if (notice) alarms.push([notice.text, notice.wrong ? "alarm" : "good"]);
  if (frozen) alarms.push(["FROZEN", ""]);
  if (state?.simulated) alarms.push(["SIMULATED SIGNAL", ""]);
  for (const text of state?.warnings ?? []) alarms.push([text, ""]);
  if (state && !state.provenance.length) alarms.push(["waiting for samples", ""]);
  list(byId("alarms"), alarms);
  byId("patient").textContent = state?.patient ?? "";
  byId("bpm").textContent = state && !link && state.bpm !== null ? state.bpm.toFixed(0) : "--";
  list(byId("facts"), state ? facts(state) : []);
  byId("expected").textContent = state?.expected ? `${state.leads.filter((_, k) => state.provenance[k] === "measured").join(", ")}: ${state.expected}` : "";
}

function facts(s) {
  const found = [`lost ${s.samples_lost}, gaps ${s.gaps}`];
  if (s.latency_p50_ms !== null) found.push(`latency ${number(s.latency_p50_ms, 1)} / ${number(s.latency_p99_ms, 1)} ms p50/p99`);
  found.push(s.in_outage ? "link lost" : s.reconnects ? `link up, reconnects ${s.reconnects}` : "link up");
  if (s.battery_percent !== null) found.push(`battery ${s.battery_percent} %`);
  if (s.recording.length) found.push(`recording ${s.recording.join(", ")}`);
  found.push(`${s.seconds.toFixed(0)} s`);
  if (s.deadline_misses) found.push(`${s.deadline_misses} ${s.deadline_misses === 1 ? "block" : "blocks"} late`);
  if (s.dropped) found.push(`this browser is slow: ${s.dropped} ${s.dropped === 1 ? "message" : "messages"} dropped`);
  found.push(s.calibration ? `fitted to the patient: ${s.calibration}` : "no patient calibration");
  if (s.device) found.push(s.device_hz ? `${s.device}, ${s.device_hz} Hz` : s.device);
  if (s.engine) found.push(`engine ${s.engine}`);
  return found.map((text) => [text, ""]);
}

/** Changed only where it differs: a screen reader says what is new. */
function list(parent, entries) {
  while (parent.children.length > entries.length) parent.lastChild.remove();
  entries.forEach(([text, kind], i) => {
    const item = parent.children[i] ?? parent.appendChild(document.createElement("li"));
    if (item.textContent !== text) item.textContent = text;
    if (item.className !== kind) item.className = kind;
  });
}
