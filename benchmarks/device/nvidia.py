"""What an NVIDIA machine says of itself, without root: board, power mode, clocks, temperatures, power.

Everything comes from a file or a tool that may be missing: then it is None, never a guess. The root of the
file tree and the way that a tool is asked are given, so that a test can be a Jetson.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import jetpack

TOOL_S = 5.0  # nvidia-smi takes a second on a machine that just woke up
TEGRASTATS_S = 1.0  # it never ends by itself: two of its lines
SMI_FIELDS = (
    *("name", "driver_version", "pstate", "clocks.sm", "clocks.max.sm", "clocks.mem"),
    *("temperature.gpu", "power.draw", "power.limit", "utilization.gpu"),
)
GPU_CLOCK_NAMES = ("gpu", "ga10b", "gv11b", "gp10b", "gb10b")  # in /sys/class/devfreq, by release

Ask = Callable[[Sequence[str], float], "str | None"]


def ask_tool(command: Sequence[str], seconds: float = TOOL_S) -> str | None:
    """What a tool prints within `seconds`; None where it is missing, fails or stays silent."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace") or None
    except OSError:
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


@dataclass(frozen=True)
class System:
    """A machine with an NVIDIA GPU, as its files and tools describe it."""

    root: Path = Path("/")
    ask: Ask = field(default=ask_tool)

    def board(self) -> str | None:
        """The model in the device tree, `NVIDIA Jetson AGX Orin Developer Kit`; PCs have none."""
        return jetpack.board_model(self.root)

    def is_jetson(self) -> bool:
        """Whether the device tree says so; a GPU in a PC never counts, whatever is installed there."""
        compatible = self._text("proc/device-tree/compatible") or ""
        return "Jetson" in (self.board() or "") or "nvidia,tegra" in compatible

    def name_of(self, device: str | None) -> str:
        """How a report calls the machine; `device` is CUDA's name of the GPU."""
        if self.is_jetson():
            return f"{self.board() or 'a Jetson'} ({device or 'GPU unknown'})"
        return f"{device or 'no GPU'}, not a Jetson"

    def provenance(self, device: str | None) -> dict[str, Any]:
        """What stays the same during a run: board, releases, power mode, versions."""
        l4t = jetpack.l4t_release(self.root)
        row = jetpack.row_for(l4t)
        smi = self._smi(device)
        return {
            "machine": self.name_of(device),
            "is_jetson": self.is_jetson(),
            "board": self.board(),
            "l4t": l4t,
            "jetpack": None if row is None else row.jetpack,
            "nvpmodel": self.power_mode(),
            "clocks_pinned": self.clocks_pinned(),
            "driver": smi.get("driver_version") or jetpack.driver_release(self.root),
            "cuda_toolkit": self._cuda_toolkit(),
            "packages": {name: jetpack.package_version(name) for name in jetpack.PACKAGES},
        }

    def state(self, device: str | None) -> dict[str, Any]:
        """What changes under load: clocks in MHz, temperatures in deg C, power in W."""
        smi, stats = self._smi(device), self._tegrastats()
        gpu = self._devfreq(GPU_CLOCK_NAMES)
        emc_hz = self._number("sys/kernel/debug/bpmp/debug/clk/emc/rate")  # root's, mostly
        return {
            "gpu_mhz": _first(_scaled(gpu.get("cur_freq"), 1e-6), _number(smi.get("clocks.sm"))),
            "gpu_max_mhz": _first(
                _scaled(gpu.get("max_freq"), 1e-6), _number(smi.get("clocks.max.sm"))
            ),
            "memory_mhz": _first(
                _scaled(emc_hz, 1e-6),
                _found(r"EMC_FREQ \d+%@(\d+)", stats),
                _number(smi.get("clocks.mem")),
            ),
            "cpu_mhz": [_scaled(v, 1e-3) for v in self._cpu("scaling_cur_freq")] or None,
            "temperatures_c": self._temperatures(smi, stats) or None,
            "power_w": self.power_w(device) or None,
            "pstate": smi.get("pstate"),
            "gpu_busy_percent": _first(
                _number(smi.get("utilization.gpu")), _found(r"GR3D_FREQ (\d+)%", stats)
            ),
        }

    def power_mode(self) -> str | None:
        """nvpmodel's mode, `MAXN (0)`: from its status file, else from the tool."""
        status = self._text("var/lib/nvpmodel/status") or ""
        number = re.search(r"pmode:0*(\d+)", status)
        if number:
            models = self._text("etc/nvpmodel.conf") or ""
            pattern = rf"POWER_MODEL\s+ID=0*{number[1]}\s+NAME=(\S+)"
            named = re.search(pattern, models)
            return f"{named[1] if named else 'unnamed'} ({number[1]})"
        said = self.ask(["nvpmodel", "-q"], TOOL_S) or ""
        mode = re.search(r"NV Power Mode:\s*(\S+)(?:\s+(\d+))?", said)
        return None if mode is None else f"{mode[1]} ({mode[2] or '?'})"

    def clocks_pinned(self) -> dict[str, bool | None]:
        """Whether CPU and GPU may not lower their clocks, which is what jetson_clocks does.

        `jetson_clocks --show` asks for root; the bounds that it sets are anyone's to read.
        """
        low, high = self._cpu("scaling_min_freq"), self._cpu("scaling_max_freq")
        gpu = self._devfreq(GPU_CLOCK_NAMES)
        return {
            "cpu": low == high if low and high else None,
            "gpu": gpu["min_freq"] == gpu["max_freq"]
            if {"min_freq", "max_freq"} <= set(gpu)
            else None,
        }

    def power_w(self, device: str | None) -> dict[str, float]:
        """Watts by rail: of the INA sensors, else of tegrastats, else of nvidia-smi; empty if none says."""
        found = self._ina3221()
        if not found:
            rails = re.findall(r"(\w+) (\d+)mW/", self._tegrastats())
            found = {rail: int(milliwatts) / 1e3 for rail, milliwatts in rails}
        if not found:
            watts = _number(self._smi(device).get("power.draw"))
            found = {} if watts is None else {"gpu": watts}
        return found

    def _temperatures(self, smi: dict[str, str], stats: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for zone in sorted((self.root / "sys/class/thermal").glob("thermal_zone*")):
            name, value = _read(zone / "type"), _number(_read(zone / "temp"))
            if name and value is not None:  # a zone that is asleep does not read
                found[name] = value / 1e3
        if not found:
            found = {name: float(c) for name, c in re.findall(r"(\w+)@(-?[\d.]+)C", stats)}
        gpu = _number(smi.get("temperature.gpu"))
        return found if gpu is None else {**found, "nvidia-smi gpu": gpu}

    def _ina3221(self) -> dict[str, float]:
        """Rails of the board's own sensors: mV times mA."""
        found = {}
        for label in sorted(
            (self.root / "sys/bus/i2c/drivers/ina3221").glob("*/hwmon/*/in*_label")
        ):
            number = label.name[2 : -len("_label")]
            millivolts = _number(_read(label.with_name(f"in{number}_input")))
            milliamps = _number(_read(label.with_name(f"curr{number}_input")))
            rail = _read(label)
            if rail and millivolts is not None and milliamps is not None:
                found[rail] = millivolts * milliamps * 1e-6
        return found

    def _devfreq(self, names: Sequence[str]) -> dict[str, float]:
        """`cur_freq`, `min_freq`, `max_freq` in Hz of the first device whose name holds one of `names`."""
        for device in sorted((self.root / "sys/class/devfreq").glob("*")):
            if any(name in device.name for name in names):
                read = {f: _number(_read(device / f)) for f in ("cur_freq", "min_freq", "max_freq")}
                return {name: value for name, value in read.items() if value is not None}
        return {}

    def _cpu(self, name: str) -> list[float]:
        """A clock of every core that is on, in kHz."""
        files = sorted((self.root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/cpufreq/{name}"))
        return [value for value in (_number(_read(f)) for f in files) if value is not None]

    def _smi(self, device: str | None) -> dict[str, str]:
        """What nvidia-smi says of the one GPU of this name; empty if there are several, or none."""
        query = [
            "nvidia-smi",
            f"--query-gpu={','.join(SMI_FIELDS)}",
            "--format=csv,noheader,nounits",
        ]
        lines = (self.ask(query, TOOL_S) or "").strip().splitlines()
        rows = [[value.strip() for value in line.split(",")] for line in lines]
        ours = [row for row in rows if len(row) == len(SMI_FIELDS) and row[0] == device]
        if len(ours) != 1:
            return {}
        return {k: v for k, v in zip(SMI_FIELDS, ours[0], strict=True) if not v.startswith("[")}

    def _tegrastats(self) -> str:
        """Its last whole line; empty where there is no such tool."""
        if not self.is_jetson():
            return ""
        lines = (self.ask(["tegrastats", "--interval", "300"], TEGRASTATS_S) or "").split("\n")
        return next((line for line in reversed(lines[:-1]) if line.strip()), "")

    def _cuda_toolkit(self) -> str | None:
        try:
            said = json.loads(self._text("usr/local/cuda/version.json") or "{}")
            return str(said["cuda"]["version"])
        except (ValueError, KeyError, TypeError):
            return None

    def _text(self, path: str) -> str | None:
        return _read(self.root / path)

    def _number(self, path: str) -> float | None:
        return _number(self._text(path))


def _read(path: Path) -> str | None:
    try:
        text = path.read_bytes().decode(errors="replace").strip("\0 \t\r\n")
    except OSError:  # missing, or root's alone
        return None
    return text.replace("\0", " ") or None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _scaled(value: float | None, by: float) -> float | None:
    return None if value is None else value * by


def _found(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text)
    return None if match is None else float(match[1])


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
