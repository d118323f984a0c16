"""The reports that are kept with the code: how each is made, and what of it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.latency.probes import ONE_THREAD
from benchmarks.report import read_json, write_json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reports"
LONGEST_S = 3600.0
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "latency": (),
    "multi": ("--seconds", "110"),  # what p99.9 takes
    "scale": (),
    "against": (),
    "peers": (),
    "footprint": (),
    "fidelity": ("--domains", "test", "--whole"),
}
"""Benchmarks whose reports are kept, and their options."""
_SCORES = ("r", "rmse_uv")


def make(name: str, folder: Path, quick: bool = False) -> None:
    """Run one benchmark in a process of its own, on one thread, and keep its report in `folder`.

    Raises BenchmarkError when it fails; an earlier report then stays.
    """
    with tempfile.TemporaryDirectory() as there:
        file = Path(there) / f"{name}.json"
        options = ("--quick",) if quick else COMMANDS[name]
        command = [sys.executable, "-m", "benchmarks", name, *options, "--json", str(file)]
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
        write_json(folder / f"{name}.json", slim(read_json(file)))


def environment() -> dict[str, str]:
    """Of a benchmark's process: one thread for every library, and this checkout first."""
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}


def slim(report: dict[str, Any]) -> dict[str, Any]:
    """Without what no table and no plot reads, and without paths of this machine.

    Of fidelity, the headline scores of each method alone.
    """
    kept = {key: without_paths(value) for key, value in report.items() if key != "arguments"}
    kept["arguments"] = {k: v for k, v in report["arguments"].items() if k != "json"}
    if report["benchmark"] == "fidelity":
        kept["targets"] = []
        kept["results"] = {
            domain: {
                method: {
                    "n_records": one["n_records"],
                    "headline": {score: one["headline"][score] for score in _SCORES},
                }
                for method, one in found.items()
                if isinstance(one, dict) and "headline" in one
            }
            for domain, found in report["results"].items()
        }
    return kept


def without_paths(value: Any) -> Any:
    """The same, a file that an engine is kept in by its name alone."""
    if isinstance(value, dict):
        return {
            key: Path(one).name if key == "cache" and isinstance(one, str) else without_paths(one)
            for key, one in value.items()
        }
    return [without_paths(one) for one in value] if isinstance(value, list) else value


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """The reports that are there, by name. Raises BenchmarkError for one that is damaged."""
    files = {name: folder / f"{name}.json" for name in COMMANDS}
    return {name: read_json(file) for name, file in files.items() if file.exists()}
