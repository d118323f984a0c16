"""What must be reached in speed, as ratios of one run: where each stands in the reports, and its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.against import EARLIER, EARLIER_OFFLINE
from benchmarks.latency.windows import WEARECG_FULL
from benchmarks.peers import OURS
from benchmarks.report import Table

Reports = Mapping[str, Mapping[str, Any]]
"""Reports by the name of their benchmark."""
Finding = Mapping[str, Any]
"""A `ratio`, and its `interval` where rounds tell one."""


@dataclass(frozen=True)
class Must:
    """A bound on a ratio: smaller is better."""

    what: str
    report: str
    find: Callable[[Mapping[str, Any]], Finding]
    """From the results of the report."""
    bound: float
    stretch: float | None = None

    def found(self, reports: Reports) -> Finding | None:
        """None where its report, or the figure, is not there."""
        try:
            found = self.find(reports[self.report]["results"])
            return None if found["ratio"] is None else found
        except KeyError:
            return None

    def verdict(self, found: Finding | None) -> str:
        """In a word."""
        if found is None:
            return "not measured"
        if self.stretch is not None and found["ratio"] <= self.stretch:
            return "met, stretch too"
        return "met" if found["ratio"] <= self.bound else "missed"


def _at(*keys: str) -> Callable[[Mapping[str, Any]], Finding]:
    def find(results: Mapping[str, Any]) -> Finding:
        at: Any = results
        for key in keys:
            at = at[key]
        return at if isinstance(at, Mapping) else {"ratio": at}

    return find


def _real_time(results: Mapping[str, Any]) -> Finding:
    at_pace = results["paced"]
    if at_pace["p99"] is None:
        raise KeyError("p99")
    note = f"{at_pace['samples_lost']:,} samples lost in {at_pace['seconds']:g} s"
    return {"ratio": at_pace["p99"] / (1e3 * at_pace["period_ms"]), "note": note}


def _peers(what: str) -> Callable[[Mapping[str, Any]], Finding]:
    """Ours over the nearest peer, of every rate."""

    def find(results: Mapping[str, Any]) -> Finding:
        others = [
            (one["ratio"], one["interval"], f"{name} at {hz} Hz")
            for hz, by_name in results[what].items()
            for name, one in by_name.items()
            if not name.startswith(OURS)
        ]
        if not others:
            raise KeyError(what)
        ratio, (low, high), name = min(others)
        return {"ratio": 1 / ratio, "interval": (1 / high, 1 / low), "note": f"nearest: {name}"}

    return find


MUSTS = (
    Must(
        "engine step of a hop, fastest CPU engine / ONNX Runtime",
        "latency",
        _at("engines", "fastest"),
        1 / 3.5,
        1 / 6,
    ),
    Must(
        f"push of a hop / {EARLIER}, ONNX Runtime", "against", _at("push", "onnxruntime"), 1 / 1.5
    ),
    Must(
        f"push of a hop / {EARLIER}, fastest engine",
        "against",
        _at("push", "fastest"),
        1 / 3,
        1 / 5,
    ),
    Must("a patient of 64 / one Reconstructor", "multi", _at("cost", "64"), 1 / 5, 1 / 8),
    Must(
        "64 patients in real time, a hop's last sample to its block, p99 / 16 ms",
        "multi",
        _real_time,
        1,
    ),
    Must(
        "edge.reconstruct, slowest / fastest real record",
        "latency",
        _at("reconstruct_real", "fastest_over_slowest"),
        1.3,
        1.1,
    ),
    Must(
        f"edge.reconstruct, tall R waves / {EARLIER_OFFLINE}",
        "against",
        _at("reconstruct", "tall"),
        1 / 4,
        1 / 6,
    ),
    Must(
        "one hop / a window of WearECG's network at full size, CPU time",
        "latency",
        _at("windows", "networks", WEARECG_FULL, "hop_over_window"),
        1 / 4000,
        1 / 10_000,
    ),
    Must("ring, push / nearest peer at any rate", "peers", _peers("push"), 1),
    Must("ring, read of 10 s / nearest peer at any rate", "peers", _peers("read"), 1),
)


def musts_table(reports: Reports) -> Table:
    """Every must, what was measured, and the verdict."""
    columns = ("ratio, in one run", "measured", "95 % interval", "must", "stretch", "verdict", "")
    table = Table("What must be reached", columns)
    for must in MUSTS:
        found = must.found(reports)
        measured = "-" if found is None else fraction(found["ratio"])
        found = found or {}
        table.add(
            must.what,
            measured,
            " to ".join(map(fraction, found.get("interval") or ())),
            fraction(must.bound),
            "" if must.stretch is None else fraction(must.stretch),
            must.verdict(found or None),
            found.get("note", ""),
        )
    return table


def in_a_sentence(reports: Reports) -> str:
    """How many are met, and which are not."""
    by_verdict: dict[str, list[str]] = {}
    for must in MUSTS:
        by_verdict.setdefault(must.verdict(must.found(reports)), []).append(must.what)
    others = [
        f"{verdict}: {'; '.join(by_verdict[verdict])}"
        for verdict in ("missed", "not measured")
        if verdict in by_verdict
    ]
    n_met = sum(len(of) for verdict, of in by_verdict.items() if verdict.startswith("met"))
    return ". ".join([f"{n_met} of {len(MUSTS)} are met", *others]) + "."


def fraction(ratio: float) -> str:
    """1/5.4 for what is well below one, as the targets are said; else 1.07."""
    if ratio <= 0.75:
        over = 1 / ratio
        return f"1/{over:,.0f}" if over >= 100 else f"1/{over:.3g}"
    return f"{ratio:.3g}"
