"""Energy of a hop, from the sensors that anyone may read; where a machine has none, that is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.device.nvidia import System
from benchmarks.device.runner import powers
from benchmarks.latency.pacing import paced
from benchmarks.timing import Step

SECONDS = 6.0  # of each load
ROOT = Path("/")


@dataclass(frozen=True)
class Rapl:
    """A counter of Intel's and AMD's processors, in microjoules, that begins anew when it is full."""

    name: str
    file: Path
    full_uj: int

    def read_uj(self) -> int:
        """Now."""
        return int(self.file.read_text(encoding="ascii"))

    def joules(self, load: Callable[[], object]) -> float:
        """What runs down while `load` runs."""
        before = self.read_uj()
        load()
        return ((self.read_uj() - before) % (self.full_uj + 1)) * 1e-6


def counters(root: Path = ROOT) -> tuple[list[Rapl], str]:
    """The packages' counters that are readable, and why not where none is."""
    found, hidden = [], False
    for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:?")):
        try:
            name = (folder / "name").read_text(encoding="ascii").strip()
            full = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
            counter = Rapl(name, folder / "energy_uj", full)
            counter.read_uj()
        except PermissionError:
            hidden = True
            continue
        except (OSError, ValueError):
            continue
        found.append(counter)
    why = "RAPL's counters are root's to read here" if hidden else "no RAPL in /sys/class/powercap"
    return found, "" if found else why


def measure_energy(
    step: Step, hop_s: float, seconds: float = SECONDS, root: Path = ROOT
) -> dict[str, Any]:
    """Watts while idle, at the pace of the stream and back to back; `absent` says why where nothing measures.

    `hop_mj` is what a hop takes beyond idling, of the whole package: the load back to back, over its hops.
    """
    rapl, why = counters(root)
    if not rapl:
        found = powers(step, lambda: System(root).power_w(None), hop_s, seconds)
        if found is None:
            return {"absent": f"{why}; no INA3221, tegrastats or nvidia-smi says watts"}
        return {"source": "the board's rails", **found}
    hops = 0

    def steady() -> None:
        nonlocal hops
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            step()
            hops += 1

    loads: dict[str, Callable[[], object]] = {
        "idle": lambda: time.sleep(seconds),
        "paced": lambda: paced(step, max(1, round(seconds / hop_s)), hop_s, 0.0),
        "back_to_back": steady,
    }
    watts: dict[str, float] = {}
    for name, load in loads.items():
        begun = time.perf_counter()
        joules = rapl[0].joules(load)
        watts[name] = joules / (time.perf_counter() - begun)
    beyond_w = watts["back_to_back"] - watts["idle"]
    return {
        "source": f"RAPL, {rapl[0].name}",
        "unit": "W",
        "seconds_each": seconds,
        **watts,
        "hop_mj": 1e3 * beyond_w * seconds / hops,
    }
