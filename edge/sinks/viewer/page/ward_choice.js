// What somebody wants to see of the ward, kept in the address: a link, a reload and the way back keep it.
const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"], UPPER = "II", LOWER = "V1", NONE = "none";
const byId = (id) => document.getElementById(id), asked = () => new URLSearchParams(location.search);
const PLAIN = { find: "", show: "all", order: "attention" }; // what an address need not say
/** By the name of a state: whether a text of `attention` says it. */
export const STATES = {
  needs: /./, off: /^LEAD OFF/, gap: /^GAP$/, misplaced: /^MISPLACED$/, anew: /^BEGAN ANEW$/, silent: /^(LINK LOST|STALE|NO SAMPLES)$/, left: /^LEFT$/,
};
/** Keys, and the choice that each steps through. */
const STEPS = { s: "show", o: "order", l: "upper", L: "lower" };

const written = (query) => query.toString().replaceAll("%2C", ","); // as people write leads

function keep(name, value, plain) {
  const query = asked();
  if (value === plain) query.delete(name); else query.set(name, value);
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${written(query)}` : ""}`);
}

/** The address of a patient's twelve leads, from which the way back leads here. */
export function addressOf(patient) { const query = asked(); query.set("patient", patient); return `patient?${written(query)}`; }

/** Sets the controls as the address says, and calls `arrange()` or `leads()` after another choice. Returns what takes keys: whether it knew one. */
export function followChoice(arrange, leads) {
  const query = asked(), upper = byId("upper"), lower = byId("lower");
  for (const lead of LEADS) for (const select of [upper, lower]) select.add(new Option(lead));
  for (const [name, plain] of Object.entries(PLAIN)) {
    byId(name).value = query.get(name) ?? plain;
    if (byId(name).value === "" && plain) byId(name).value = plain; // an address that says nonsense
    byId(name).addEventListener(name === "find" ? "input" : "change", () => { keep(name, byId(name).value, plain); arrange(); });
  }
  for (const select of [upper, lower]) select.addEventListener("change", () => {
    const both = [upper.value, lower.value].filter((lead, i, all) => lead !== NONE && all.indexOf(lead) === i);
    keep("leads", both.join(","), `${UPPER},${LOWER}`);
    leads();
  });
  showLeads([UPPER, LOWER]);
  return (key) => {
    const select = byId(STEPS[key]);
    if (!select) return false;
    select.selectedIndex = (select.selectedIndex + 1) % select.length;
    select.dispatchEvent(new Event("change"));
    return true;
  };
}

/** The leads that come, in the controls. */
export function showLeads([upper, lower]) { byId("upper").value = upper; byId("lower").value = lower ?? NONE; }
