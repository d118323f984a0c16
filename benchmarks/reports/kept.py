"""The reports that are kept with the code: how each is made, and what of it is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.latency.probes import ONE_THREAD
from benchmarks.report import read_json, write_json
from benchmarks.reports.slim import slim

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reports"
LONGEST_S = 2 * 3600.0
DRAWN_OF = "test"
"""The data set whose plots are kept."""


@dataclass(frozen=True)
class Kept:
    """How a report is made."""

    benchmark: str
    options: tuple[str, ...] = ()
    of_records: bool = False
    """Of recordings, not of times: it takes `--limit`, and does not mind what else the machine does."""
    cached: bool = False
    """It takes `--cache`."""
    draws: bool = False
    """It takes `--plots`."""
    float_bundle: bool = False
    """It takes `--float-bundle`."""
    on_request: bool = False
    """It is made where `--only` names it."""


def _fidelity(*options: str, **more: bool) -> Kept:
    return Kept("fidelity", options, of_records=True, cached=True, **more)


_NATIVE = ("--domains", "test", "cpsc_ptb", "mobile")
_DIAGNOSED = ("--domains", "validation", "test", "--larger")
COMMANDS: Mapping[str, Kept] = {
    "latency": Kept("latency"),
    "multi": Kept("multi", ("--seconds", "110")),  # what p99.9 takes
    "scale": Kept("scale"),
    "against": Kept("against"),
    "peers": Kept("peers"),
    "footprint": Kept("footprint"),
    "every": _fidelity("--leads", "every", "--limit", "100"),
    "sets": _fidelity(*("--leads", "named", "--rivals", "--calibration", "2"), float_bundle=True),
    "diagnosis": _fidelity("--part", "diagnosis", *_DIAGNOSED),
    "robustness": _fidelity("--part", "robustness"),
    "realism": _fidelity("--part", "realism", *_DIAGNOSED),
    "fidelity": _fidelity("--whole"),
    "larger": _fidelity("--whole", "--larger", "--domains", "test"),
    "morphology": _fidelity(*("--part", "morphology", *_NATIVE), draws=True),
    "subgroups": _fidelity("--part", "subgroups", "--larger", draws=True),
    "small": _fidelity("--model", "small", "--leads", "named", *_NATIVE),
    "misplacement": Kept("misplacement", of_records=True),
    "view": Kept("view", ("--seconds", "12"), on_request=True),
    "soak": Kept("soak", ("--faults", "15", "--seconds", "86400"), on_request=True),
}
"""Reports that are kept, in the order in which they are made."""
FIDELITY = tuple(name for name, one in COMMANDS.items() if one.of_records)
"""Those of recordings."""
TIMED = tuple(name for name, one in COMMANDS.items() if not (one.of_records or one.on_request))
PLOTS = "plots"


def make(name: str, folder: Path, quick: bool = False, more: Sequence[str] = ()) -> None:
    """Run one benchmark in a process of its own, on one thread, and keep its report in `folder`.

    `more` are options besides its own. Raises BenchmarkError when it fails; an earlier report then stays.
    """
    how = COMMANDS[name]
    options = [] if quick and not how.of_records else list(how.options)
    with tempfile.TemporaryDirectory() as there:
        file, plots = Path(there) / f"{name}.json", Path(there) / "plots"
        options += [*more, *(("--quick",) if quick else ())]
        options += ["--plots", str(plots)] if how.draws else []
        command = [sys.executable, "-m", "benchmarks", how.benchmark, *options]
        command += ["--json", str(file)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONGEST_S,
            env=environment(),
        )
        if done.returncode or not file.exists():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BenchmarkError(f"python -m benchmarks {name} failed: {said}")
        partial = Path(there) / "slim.json"
        write_json(partial, slim(read_json(file), name if how.of_records else None))
        shutil.move(partial, folder / f"{name}.json")
        for one in sorted(plots.glob(f"*-{DRAWN_OF}.png")):
            (folder / PLOTS).mkdir(exist_ok=True)
            shutil.move(one, folder / PLOTS / one.name)


def environment() -> dict[str, str]:
    """Of a benchmark's process: one thread for every library, and this checkout first."""
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The reports that are there, by name. Raises BenchmarkError for one that is damaged."""
    files = {name: folder / f"{name}.json" for name in COMMANDS}
    return {name: read_json(file) for name, file in files.items() if file.exists()}
