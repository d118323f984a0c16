// Light or dark: as somebody chose on any page of this server, else as the system has it.
const KEY = "leadlift theme", root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
const system = () => dark.matches ? "dark" : "light";
let chosen = null; // also where a browser keeps nothing

function kept() { try { return localStorage.getItem(KEY); } catch { return chosen; } }

function apply(changed) {
  const now = kept();
  chosen = ["light", "dark"].includes(now) ? now : null;
  root.dataset.theme = chosen ?? system();
  changed();
}

/** Calls `changed` now and whenever it changes: here, on another page, or with the system. Returns what turns it over. */
export function followTheme(changed) {
  const again = () => apply(changed);
  dark.addEventListener("change", again);
  for (const kind of ["storage", "pageshow"]) addEventListener(kind, again);
  again();
  return () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { if (chosen === system()) localStorage.removeItem(KEY); else localStorage.setItem(KEY, chosen); } catch { /* for this page alone */ }
    again();
  };
}
