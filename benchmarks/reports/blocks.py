"""Tables and sentences of README.md and docs/, made from the kept reports and put between two comments.

<!-- report: NAME -->
...
<!-- /report -->

On lines of their own for a table; within a line for a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import against, footprint, multi, peers, scale, view
from benchmarks.errors import BenchmarkError
from benchmarks.latency import tables
from benchmarks.report import Table, cell, markdown, target_table
from benchmarks.reports import card_blocks, fidelity_blocks
from benchmarks.reports.kept import ROOT, TIMED
from benchmarks.reports.musts import Reports, fraction, musts_table
from benchmarks.soak import faults

PAGES = (
    *("README.md", "docs/latency.md", "docs/many.md", "docs/c.md", "docs/scale.md", "docs/soak.md"),
    *("docs/fidelity.md", "docs/morphology.md", "docs/diagnosis.md", "docs/MODEL_CARD.md"),
)
BUSY, BUSY_BETWEEN = 0.5, 1.5
"""Load before the first run, and before a later one, that others must have made: ours is about 1."""
_BLOCK = re.compile(r"(<!-- report: ([\w-]+) -->)(\n?)(.*?)(<!-- /report -->)", re.DOTALL)
ABSENT = "Not measured yet."
Results = Mapping[str, Any]


def where(report: Mapping[str, Any]) -> str:
    """Machine, versions and state of one report, in a sentence or two."""
    about = report["environment"]
    packages = about["packages"]
    versions = ", ".join(
        f"{name} {packages[name]}"
        for name in ("numpy", "onnxruntime", "torch")
        if packages.get(name)
    )
    versions += f" ({about['blas']})" if about.get("blas") else ""
    instructions = ", ".join(about["int8_instructions"]) or "no INT8 instructions"
    return (
        f"{about['cpu']}, {about['cores']} cores ({instructions}), {about['kernel']}, governor"
        f" {about['governor'] or 'unknown'}, one thread; Python {about['python']}, {versions};"
        f" {about['date'][:10]}, commit {str(about['git_commit'])[:8]}, bundle"
        f" {str(about['bundle_sha256'])[:8]}, engine {about['engine'] or 'none'}."
    )


def is_busy(reports: Reports) -> bool:
    """Whether others used the machine as one of TIMED began."""
    about = [report["environment"] for name, report in reports.items() if name in TIMED]
    loads = [one["load_before"][0] for one in sorted(about, key=_date) if one["load_before"]]
    return bool(loads) and (loads[0] > BUSY or max(loads) > BUSY_BETWEEN)


def _date(about: Mapping[str, Any]) -> str:
    return str(about["date"])


BUSY_NOTE = (
    "Others used the machine meanwhile: ratios are of one run and hold; absolute times and their tails are"
    " longer than this machine's own."
)


def _machine(reports: Reports) -> list[str]:
    said = [where(reports["latency"])]
    return [*said, "", BUSY_NOTE] if is_busy(reports) else said


def _of(report: str, make: Callable[[Results], Table]) -> Callable[[Reports], list[str]]:
    return lambda reports: markdown(make(reports[report]["results"]))


def _speed(reports: Reports) -> list[str]:
    """The README's sentence; without absolute times where others used the machine."""
    results = reports["latency"]["results"]
    live, push = results["live"]["processing"], results["push"]
    about = reports["latency"]["environment"]
    fastest = results["engines"]["fastest"]
    said = (
        f"The fastest engine on an {about['cpu']}, `{fastest['engine']}`, takes"
        f" {fraction(fastest['ratio'])} of ONNX Runtime's time for a hop"
    )
    if is_busy(reports):
        return [f"{said}."]
    return [
        f"{said}; `push` takes {push['p50']:.3g} us (p50), and from the last byte of a packet to the block at"
        f" the sink it takes {live['p50'] / 1e3:.2g} ms."
    ]


def _soak(reports: Reports) -> list[str]:
    """What a long run came to, and what of it was aimed at."""
    report = reports["soak"]
    made = [*faults.tables(report["results"]["faults"]), target_table(report["targets"])]
    return [where(report), *(line for table in made for line in ("", *markdown(table)))]


BLOCKS: Mapping[str, Callable[[Reports], list[str]]] = {
    "machine": _machine,
    "musts": lambda reports: markdown(musts_table(reports)),
    "engines": _of("latency", tables.engines_table),
    "int8": _of("latency", tables.int8_table),
    "durations": _of("latency", tables.durations),
    "stages": _of("latency", tables.stages_table),
    "stream": _of("latency", tables.stream_table),
    "windows": _of("latency", tables.windows_table),
    "offline": _of("latency", tables.offline_table),
    "against": _of("against", against.table_of),
    "peers": _of("peers", lambda results: peers.tables(results)[0]),
    "footprint": _of("footprint", footprint.table_of),
    "patients": _of("multi", lambda results: multi.tables(results)[0]),
    "ward": _of("multi", lambda results: multi.tables(results)[1]),
    "one-patient": _of("scale", lambda results: scale.one_table(results["one"])),
    "many-patients": _of("scale", lambda results: scale.many_table(results["one"])),
    "failures": _of("scale", lambda results: scale.failures_table(results["failures"])),
    "speed": _speed,
    "soak": _soak,
    **fidelity_blocks.BLOCKS,
    **card_blocks.BLOCKS,
}
"""What stands in a page, by name."""


def block(name: str, reports: Reports, standing: str = "") -> list[str]:
    """Its lines; where its report is missing, those `standing`. Raises BenchmarkError for another name."""
    if name not in BLOCKS:
        raise BenchmarkError(f"no block {name} in a page: take one of {', '.join(BLOCKS)}")
    try:
        return BLOCKS[name](reports)
    except KeyError:  # its report, or an engine, is not there
        return standing.splitlines() or [ABSENT]


def updated(text: str, reports: Reports) -> str:
    """A page with every block as the reports have it."""

    def replace(found: re.Match[str]) -> str:
        opening, name, end, standing, closing = found.groups()
        return f"{opening}{end}{end.join(block(name, reports, standing))}{end}{closing}"

    return _BLOCK.sub(replace, text)


def update_pages(reports: Reports, to: Path = ROOT) -> list[str]:
    """Write the pages of the checkout whose blocks changed, to another folder if asked; their names."""
    changed = []
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        new = updated(text, reports)
        if new != text:
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_text(new, encoding="utf-8")
            changed.append(name)
    return changed


def all_tables(reports: Reports) -> dict[str, list[Table]]:
    """Every table that the reports give, by benchmark."""
    makers: Mapping[str, Callable[[Results], list[Table]]] = {
        "latency": tables.tables,
        "multi": multi.tables,
        "scale": scale.tables,
        "against": lambda results: [against.table_of(results)],
        "peers": peers.tables,
        "footprint": lambda results: [footprint.table_of(results)],
        "view": lambda results: view.tables(dict(results)),
        "fidelity": lambda results: [fidelity_table(results)],
        "larger": lambda results: [fidelity_table(results)],
    }
    return {
        name: makers[name](report["results"]) for name, report in reports.items() if name in makers
    }


def fidelity_table(results: Results) -> Table:
    """Headline scores of each method, on each data set that was measured."""
    columns = ("data", "method", "r", "95 % interval", "RMSE, uV", "95 % interval", "records")
    table = Table("Fidelity, mean over I, V2, V3, V4, V6", columns)
    for domain, found in results.items():
        for method, one in found.items():
            if not isinstance(one, Mapping) or "headline" not in one:
                continue  # a difference of two
            r, rmse = one["headline"]["r"], one["headline"]["rmse_uv"]
            row = (cell(r["mean"]), _ends(r), cell(rmse["mean"]), _ends(rmse), one["n_records"])
            table.add(domain, method, *row)
    return table


def _ends(score: Mapping[str, Any]) -> str:
    return "-" if not score.get("mean_95") else " to ".join(cell(end) for end in score["mean_95"])
