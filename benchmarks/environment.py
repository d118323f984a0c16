"""Where a number was measured: machine, load, versions, commit and bundle, in every report."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import Bundle

PACKAGES = (
    *("numpy", "onnxruntime", "onnx", "scipy", "torch", "ai-edge-litert", "tensorrt"),
    *("mne-lsl", "brainflow"),
)
SEED = 0  # of simulated signals, random weights and resampled rounds, where no --seed is given
INT8_INSTRUCTIONS = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_OPENBLAS_CORE = (
    "scipy_openblas_get_corename64_",
    "openblas_get_corename64_",
    "openblas_get_corename",
)
_GIT_S = 10.0  # a repository on a slow disk answers within seconds


def environment(
    bundle: Bundle | None = None, engine: str | None = None, threads: int = 1, seed: int = SEED
) -> dict[str, object]:
    """Provenance of a report, plain values for JSON; what the system does not say is None.

    `threads` is what each engine may use. The load before and after are the caller's to add.
    """
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "int8_instructions": int8_instructions(),
        "cores": available_cores(),
        "governor": _text(_GOVERNOR),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "blas": blas(),
        "leadlift": package_version("leadlift"),
        "git_commit": git_commit(),
        "bundle": None if bundle is None else bundle.manifest.name,
        "bundle_sha256": None if bundle is None else bundle.sha256,
        "engine": engine,
        "threads": threads,
        "seed": seed,
    }


def load_average() -> list[float] | None:
    """Runnable processes on average over 1, 5 and 15 minutes; None where the system does not say."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor, or the board, as the system names it."""
    for line in _cpuinfo():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "Hardware"):
            return value.strip()
    return (
        _text(Path("/proc/device-tree/model")) or platform.processor() or platform.machine()
    ).strip("\0")


def int8_instructions() -> list[str]:
    """Those of INT8_INSTRUCTIONS that the processor has; INT8 speed depends on them."""
    for line in _cpuinfo():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return sorted(set(value.split()) & set(INT8_INSTRUCTIONS))
    return []


def blas() -> str:
    """NumPy's linear algebra, whose kernels OpenBLAS took here, and the variable that told it to."""
    config: Any = np.show_config(mode="dicts")
    about = config["Build Dependencies"]["blas"]
    said = [f"{about.get('name')} {about.get('version', '')}".rstrip(), *_openblas_kernels()]
    if "OPENBLAS_CORETYPE" in os.environ:
        said.append(f"OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']}")
    return ", ".join(said)


def _openblas_kernels() -> list[str]:
    """As the library in this process says; SciPy and torch may bring more of them, NumPy's comes first."""
    maps = (_text(Path("/proc/self/maps")) or "").splitlines()
    files = {line.split()[-1] for line in maps if "openblas" in line}
    for file in sorted(files, key=lambda file: "numpy" not in file):
        for name in _OPENBLAS_CORE:
            with suppress(AttributeError, OSError):
                core = getattr(ctypes.CDLL(file), name)
                core.restype = ctypes.c_char_p
                return [f"kernels {core().decode()}"]
    return []


def package_version(name: str) -> str | None:
    """Version of an installed distribution; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def git_commit(folder: Path | None = None) -> str | None:
    """Commit of the checkout that this file lies in, `+changes` if tracked files differ; None outside."""
    where = folder or Path(__file__).parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=where, capture_output=True, text=True, timeout=_GIT_S
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    if not commit:
        return None
    return commit + ("+changes" if git("status", "--porcelain", "-uno") else "")


def _cpuinfo() -> list[str]:
    return (_text(Path("/proc/cpuinfo")) or "").splitlines()


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
