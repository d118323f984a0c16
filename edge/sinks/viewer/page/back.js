// One patient of several: the name, and the way back to all of them.
const asked = new URLSearchParams(location.search), patient = asked.get("patient");
if (patient !== null) {
  const back = document.getElementById("ward"), name = document.getElementById("patient");
  asked.delete("patient");
  back.href = `./${asked.size ? `?${asked}`.replaceAll("%2C", ",") : ""}`;
  back.hidden = name.hidden = false;
  document.title = `${patient} - leadlift`;
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, dialog");
    if (event.key === "w" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) back.click();
  });
}
