"""`python -m benchmarks soak --faults SEED`: recording after recording through faults, invariants checked."""

from __future__ import annotations

import argparse
import gc
import math
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Result, Table, Target
from benchmarks.soak.collector import Collector
from benchmarks.soak.comparison import SAME_MV
from benchmarks.soak.device import DEVICE_HZ
from benchmarks.soak.episode import RECOVERY_S, Episode, Equipment, run_episode
from benchmarks.soak.schedule import Kind, seconds_of_each
from benchmarks.soak.transport import Gates
from edge.bundle import load_bundle
from edge.live.memory import read_memory
from edge.notices import say
from edge.progress import progress
from edge.reconstructor import Reconstructor
from edge.sinks.viewer.sink import can_view

SETTLED_AFTER = 0.25  # of the episodes: what is allocated before is start, not growth
LEAST_EPISODES = 8  # after it, for a slope
DISK_BYTES_PER_S = (
    3000  # half of what EDF writes: the small disk is full in the middle of an episode
)
DISK_BYTES = 100_000
SPREAD = 1.96  # standard errors either way hold 95 %

TARGETS = (
    Target("invariants broken", "faults/broken", 0),
    Target("kinds of fault drawn, not felt", "faults/not_felt", 0),
    Target("recovery from a fault, at most", "faults/longest_recovery_s", RECOVERY_S, "s"),
    Target("undisturbed samples off", "faults/undisturbed_error_mv", SAME_MV, "mV"),
    Target("unflagged samples off, of what may be", "faults/error_of_tolerance", 1.0),
    Target("memory growth, lower end", "faults/memory/low_mb_per_hour", 0.1, "MB/h"),
)
SUMS: tuple[str, ...] = ("taken", "arrived", "lost", "overrun", "interpolated", "corrupt")
SUMS += ("duplicates", "late", "restarts", "reconnects", "gaps", "unplaced", "full_disks")
SUMS += ("values_compared",)
HIGHEST: tuple[str, ...] = ("undisturbed_error_mv", "measured_error_mv", "error_of_tolerance")


def add_arguments(add_argument: Any) -> None:
    """The options of a soak with faults."""
    add_argument(
        "--faults",
        type=int,
        metavar="SEED",
        help="with faults drawn from SEED, in simulated time: --seconds of signal, as fast as it goes",
    )
    add_argument(
        "--episode", type=float, default=300.0, help="seconds of one recording (%(default)s)"
    )
    add_argument("--every-kind", action="store_true", help="one recording, each kind of fault once")
    add_argument("--first", type=int, default=0, help="number of the first recording: to repeat it")


def measure_faults(arguments: argparse.Namespace) -> Result:
    """Episode after episode until `seconds` of signal have passed."""
    bundle, each_s = load_bundle(arguments.model), min(arguments.episode, arguments.seconds)
    n = max(1, round(arguments.seconds / each_s))
    if arguments.every_kind:
        n, each_s = 1, seconds_of_each()
    gates, episodes, memory = Gates(), list[Episode](), list[tuple[float, float]]()
    with (
        Reconstructor.open(bundle, arguments.engine) as live,
        Reconstructor.open(bundle, arguments.engine) as reference,
        tempfile.TemporaryDirectory() as name,
        small_disk(Path(name) / "small", each_s) as small,
        progress("recordings", n, calm=True) as work,
    ):
        collector = Collector(round((each_s + 5) * DEVICE_HZ), gates)
        tools = Equipment(live, reference, collector, gates, Path(name), small, can_view())
        for k in range(arguments.first, arguments.first + n):
            episode = run_episode(tools, (arguments.faults, k), each_s, arguments.every_kind)
            episodes.append(episode)
            for line in episode.broken:
                say(f"warning: broken: {line}; repeat: {_repeat(arguments, k, each_s)}")
            gc.collect()
            memory.append(((k - arguments.first) * each_s / 3600, read_memory().now_mb))
            work.advance()
    results = {"faults": summary(episodes, memory, small is not None, tools.view)}
    return Result(results, tables(results["faults"]), TARGETS)


def _repeat(arguments: argparse.Namespace, k: int, each_s: float) -> str:
    length = (
        "--every-kind" if arguments.every_kind else f"--seconds {each_s:g} --episode {each_s:g}"
    )
    return f"python -m benchmarks soak --faults {arguments.faults} --first {k} {length}"


def summary(
    episodes: Sequence[Episode], memory: Sequence[tuple[float, float]], disk: bool, view: bool
) -> dict[str, Any]:
    """Figures over all episodes."""
    drawn = dict(Counter(f.kind.label for e in episodes for f in e.faults))
    felt = {kind.label: sum(e.felt.get(kind.label, 0) for e in episodes) for kind in Kind}
    enough = len(episodes) >= LEAST_EPISODES
    recovery: dict[str, float] = {}
    for episode in episodes:
        for kind, seconds in episode.recovery_s.items():
            recovery[kind] = max(seconds, recovery.get(kind, 0.0))
    return {
        "simulated_hours": sum(e.seconds for e in episodes) / 3600,
        "recordings": len(episodes),
        "faults": drawn,
        "felt": felt,
        "not_felt": sum(not felt.get(kind) for kind in drawn) if enough else None,
        "broken": sum(len(e.broken) for e in episodes),
        "broken_lines": [f"{e.seed}: {line}" for e in episodes for line in e.broken],
        "full_disk_tried": disk,
        "viewer_tried": view,
        **{name: sum(e.figures.get(name, 0) for e in episodes) for name in SUMS},
        **{name: max(e.figures.get(name, math.inf) for e in episodes) for name in HIGHEST},
        "recovery_s": recovery,
        "longest_recovery_s": max(recovery.values(), default=None),
        "memory": slope(memory),
    }


def slope(memory: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """MB an hour of simulated time, with its 95 % interval, by least squares after the start.

    `memory`: (hours, MB) after each recording. None where there are too few.
    """
    hours, mb = np.array(memory[int(SETTLED_AFTER * len(memory)) :]).T
    found: dict[str, float | None] = {"first_mb": float(mb[0]), "last_mb": float(mb[-1])}
    growth = low = high = None
    if len(hours) >= LEAST_EPISODES:
        fitted, level = (float(value) for value in np.polyfit(hours, mb, 1))
        errors = mb - (fitted * hours + level)
        spread = np.sum((hours - hours.mean()) ** 2)
        half = SPREAD * float(np.sqrt(np.sum(errors**2) / (len(hours) - 2) / spread))
        growth, low, high = fitted, fitted - half, fitted + half
    return {**found, "mb_per_hour": growth, "low_mb_per_hour": low, "high_mb_per_hour": high}


def tables(found: dict[str, Any]) -> list[Table]:
    """What happened, and how long each kind of fault was felt."""
    figures = Table("Soak with faults", ("figure", "value"))
    for name in ("simulated_hours", "recordings", "broken", *SUMS, *HIGHEST):
        figures.add(name, found[name])
    for name, value in found["memory"].items():
        figures.add(f"memory, {name}", value)
    kinds = Table("Faults", ("kind", "times", "felt, frames or moments", "longest recovery, s"))
    for kind, felt in sorted(found["felt"].items()):
        kinds.add(kind, found["faults"].get(kind, 0), felt, found["recovery_s"].get(kind))
    full = found["full_disks"] if found["full_disk_tried"] else None
    kinds.add("full disk", full, full, None)
    return [figures, kinds]


@contextmanager
def small_disk(folder: Path, seconds: float) -> Iterator[Path | None]:
    """A file system that is full before `seconds` of recording; None where this user may not mount one."""
    folder.mkdir()
    size = f"size={round(DISK_BYTES + DISK_BYTES_PER_S * seconds)}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
