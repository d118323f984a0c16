"""`python -m benchmarks soak --faults SEED`: recording after recording through faults, invariants checked."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Result, Table, Target
from benchmarks.soak.collector import Collector
from benchmarks.soak.comparison import SAME_MV
from benchmarks.soak.device import DEVICE_HZ
from benchmarks.soak.episode import RECOVERY_S, Episode, Equipment, run_episode
from benchmarks.soak.memory import fill, fill_numpy, settled_mb, slope
from benchmarks.soak.schedule import Kind, seconds_of_each
from benchmarks.soak.transport import Gates
from edge.bundle import load_bundle
from edge.notices import say
from edge.progress import progress
from edge.reconstructor import Reconstructor
from edge.sinks.viewer.sink import can_view

LEAST_EPISODES = 8  # from which on every kind of fault that was drawn must be felt
GROWTH_MB_PER_HOUR = 0.1  # that a run must be able to tell from none
DISK_BYTES_PER_S = (
    3000  # half of what EDF writes: the small disk is full in the middle of an episode
)
DISK_BYTES = 100_000

TARGETS = (
    Target("invariants broken", "faults/broken", 0),
    Target("kinds of fault drawn, not felt", "faults/not_felt", 0),
    Target("recovery from a fault, at most", "faults/longest_recovery_s", RECOVERY_S, "s"),
    Target("undisturbed samples off", "faults/undisturbed_error_mv", SAME_MV, "mV"),
    Target("unflagged samples off, of what may be", "faults/error_of_tolerance", 1.0),
    Target("memory growth, lower end", "faults/memory/low_mb_per_hour", 0.0, "MB/h"),
    Target(
        "memory growth, upper end", "faults/memory/high_mb_per_hour", GROWTH_MB_PER_HOUR, "MB/h"
    ),
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
    gates, totals, memory = Gates(), Totals(), list[tuple[float, float]]()
    with (
        Reconstructor.open(bundle, arguments.engine) as live,
        Reconstructor.open(bundle, arguments.engine) as reference,
        tempfile.TemporaryDirectory() as name,
        small_disk(Path(name) / "small", each_s) as small,
        progress("recordings", n, calm=True) as work,
    ):
        collector = Collector(round((each_s + 5) * DEVICE_HZ), gates)
        tools = Equipment(live, reference, collector, gates, Path(name), small, can_view())
        for reconstructor in (live, reference):
            fill(reconstructor)
        fill_numpy()
        for k in range(arguments.first, arguments.first + n):
            episode = run_episode(tools, (arguments.faults, k), each_s, arguments.every_kind)
            totals.add(episode)
            for line in episode.broken:
                say(f"warning: broken: {line}; repeat: {_repeat(arguments, k, each_s)}")
            memory.append(((k - arguments.first) * each_s / 3600, settled_mb()))
            work.advance()
    results = {"faults": totals.summary(memory, small is not None, tools.view)}
    return Result(results, tables(results["faults"]), TARGETS)


def _repeat(arguments: argparse.Namespace, k: int, each_s: float) -> str:
    length = (
        "--every-kind" if arguments.every_kind else f"--seconds {each_s:g} --episode {each_s:g}"
    )
    return f"python -m benchmarks soak --faults {arguments.faults} --first {k} {length}"


@dataclass
class Totals:
    """Figures over all episodes; no episode is kept, so that memory tells of the live path."""

    seconds: float = 0.0
    recordings: int = 0
    broken: list[str] = field(default_factory=list)
    drawn: Counter[str] = field(default_factory=Counter)
    felt: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    highest: dict[str, float] = field(default_factory=dict)
    recovery_s: dict[str, float] = field(default_factory=dict)

    def add(self, episode: Episode) -> None:
        """One more."""
        self.seconds += episode.seconds
        self.recordings += 1
        self.broken += [f"{episode.seed}: {line}" for line in episode.broken]
        self.drawn.update(fault.kind.label for fault in episode.faults)
        self.felt.update(episode.felt)
        self.sums.update({name: episode.figures[name] for name in SUMS})
        for name in HIGHEST:
            self.highest[name] = max(episode.figures[name], self.highest.get(name, 0.0))
        for kind, seconds in episode.recovery_s.items():
            self.recovery_s[kind] = max(seconds, self.recovery_s.get(kind, 0.0))

    def summary(
        self, memory: Sequence[tuple[float, float]], disk: bool, view: bool
    ) -> dict[str, Any]:
        """As a report has them."""
        not_felt = sum(not self.felt[kind] for kind in self.drawn)
        return {
            "simulated_hours": self.seconds / 3600,
            "recordings": self.recordings,
            "faults": dict(self.drawn),
            "felt": {kind.label: self.felt[kind.label] for kind in Kind},
            "not_felt": not_felt if self.recordings >= LEAST_EPISODES else None,
            "broken": len(self.broken),
            "broken_lines": self.broken,
            "full_disk_tried": disk,
            "viewer_tried": view,
            **{name: self.sums[name] for name in SUMS},
            **self.highest,
            "recovery_s": self.recovery_s,
            "longest_recovery_s": max(self.recovery_s.values(), default=None),
            "memory": slope(memory),
        }


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
