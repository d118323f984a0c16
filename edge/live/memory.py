"""Resident memory of a process, now and at its highest, as the kernel counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Resident memory in MB (10^6 bytes)."""

    now_mb: float
    peak_mb: float


def read_memory(pid: int | None = None) -> Memory:
    """Of process `pid`, or of this one; NaN where there is no /proc.

    Not `getrusage`: its maximum outlives `exec`, so that a child reports the memory of the parent that
    started it. Raises ProcessLookupError when the process has ended.
    """
    path = Path("/proc") / ("self" if pid is None else str(pid)) / "status"
    if not Path("/proc/self/status").exists():
        return Memory(float("nan"), float("nan"))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"process {pid} has ended") from error
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if "VmRSS" not in fields:  # a zombie has no memory any more
        raise ProcessLookupError(f"process {pid} has ended")
    now, peak = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return Memory(now, peak)


def reset_peak() -> None:
    """Begin the peak of this process anew; where the kernel does not allow it, the peak stays."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
