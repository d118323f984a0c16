"""`python -m benchmarks.fidelity.page REPORT.json ...`: the tables of docs/fidelity.md, from reports."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.rivals import L2G, WEARECG
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.report import read_json
from edge.notices import reported

OTHERS = ("cpsc_ptb", "mobile")
SETS_HEAD = (
    *("measured", "linear map", "L2G-ECG's method, narrow", "**leadlift, INT8**"),
    *("fitted to one person", "CPSC and PTB", "mobile"),
)
METHODS_HEAD = (
    *("data", "population linear map", "WearECG's method, narrow", "L2G-ECG's method, narrow"),
    *("teacher of II, V1, V5, offline", "**leadlift, INT8, live**", "fitted to one person"),
)
SIGMA_HEAD = ("data", "leads", "sets", "covered", *SEGMENTS)
NAMES = {
    "validation": "PTB-XL fold 9",
    "test": "PTB-XL fold 10",
    "validation_100": "all of fold 9, at 100 Hz",
    "test_100": "all of fold 10, at 100 Hz",
    "cpsc_ptb": "CPSC and PTB",
    "mobile": "mobile-phone ECG",
}


def main(files: Sequence[str]) -> int:
    """Print what each report has of the page."""
    return reported("page", lambda: _print_pages(files))


def _print_pages(files: Sequence[str]) -> int:
    try:
        for file in files:
            for line in page(read_json(file)["results"]):
                print(line)
    except (BenchmarkError, KeyError) as error:
        raise BenchmarkError(f"{error}: give reports of `python -m benchmarks fidelity`") from error
    return 0


def page(results: Mapping[str, Any]) -> Iterator[str]:
    """Markdown of a report, with --leads or without."""
    if any("sets" in found for found in results.values()):
        yield from sets_table(results)
        yield from sigma_table(results)
    else:
        yield from methods_table(results)


def sets_table(results: Mapping[str, Any]) -> Iterator[str]:
    """Fold 10 set by set, and the same decoder elsewhere."""
    yield from _head(SETS_HEAD)
    for label, of in results.get("test", {}).get("sets", {}).items():
        elsewhere = (results.get(name, {}).get("sets", {}).get(label) for name in OTHERS)
        yield _row(
            label.replace("+", ", "),
            _cell(of["shipped"]["linear"]),
            _cell(of.get(L2G)),
            f"**{_cell(of['shipped'], interval=True)}**",
            _cell(of.get("calibrated")),
            *(_cell(one and one["shipped"]) for one in elsewhere),
        )
    yield ""


def sigma_table(results: Mapping[str, Any]) -> Iterator[str]:
    """Coverage of the 90 % interval by number of leads, one k of fold 9 for all sets."""
    yield from _head(SIGMA_HEAD)
    for domain, found in results.items():
        for n, one in found["by_number"].items():
            if n == "k" or one["covered"] is None:
                continue
            parts = (one["by_segment"].get(segment) for segment in SEGMENTS)
            shown = ("" if part is None else f"{part:.3f}" for part in parts)
            yield _row(NAMES.get(domain, domain), n, one["n_sets"], f"{one['covered']:.3f}", *shown)
    yield ""


def methods_table(results: Mapping[str, Any]) -> Iterator[str]:
    """II, V1, V5: every method side by side."""
    yield from _head(METHODS_HEAD)
    for domain, found in results.items():
        plain = ("linear", WEARECG, L2G, "teacher")
        cells = [_cell(_headline(found, name)) for name in plain]
        yield _row(
            f"{NAMES.get(domain, domain)}, {found['shipped']['n_records']} records",
            *cells,
            f"**{_cell(_headline(found, 'shipped'), interval=True)}**",
            _cell(_headline(found, "calibrated")),
        )
    yield ""


def _headline(found: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return found[name]["headline"] if name in found else None


def _cell(of: Mapping[str, Any] | None, interval: bool = False) -> str:
    if of is None:
        return ""
    r, rmse = of["r"], of["rmse_uv"]
    if not interval:
        return f"{r['mean']:.3f}, {rmse['mean']:.0f}"
    (low, high), (least, most) = r["mean_95"], rmse["mean_95"]
    return f"{r['mean']:.3f} [{low:.3f}-{high:.3f}], {rmse['mean']:.0f} uV [{least:.0f}-{most:.0f}]"


def _head(names: Sequence[str]) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names))


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main([str(Path(name)) for name in sys.argv[1:]]))
