"""`python -m benchmarks footprint`: how soon it is ready, how much memory, disk and packages it takes."""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.latency.probes import measure_demo, measure_import
from benchmarks.report import Result, Table, Target
from edge.bundle import Bundle, load_bundle
from edge.live.memory import read_memory
from edge.notices import say
from edge.progress import followed

ROOT = Path(__file__).parent.parent
SOURCES = (
    *("edge", "firmware_bridge", "leadlift.py", "setup.cfg", "pyproject.toml"),
    *("README.md", "LICENSE"),
)
READY_S = 60.0  # a program that is not ready by then hangs
WHEEL_S = 300.0

TARGETS = (
    Target("import edge, median", "import/median_s", 0.3, "s"),
    Target("demo process, peak memory", "demo/peak_mb", 200, "MB"),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("footprint", help="start, memory, wheel, bundle, packages")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--starts", type=int, default=7, help="fresh processes of each kind")
    add_argument("--seconds", type=float, default=10.0, help="of the demo")
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Each in fresh processes."""
    bundle = load_bundle(arguments.model)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "import": lambda: measure_import(arguments.starts),
        "run": lambda: measure_ready(arguments.starts),
        "demo": lambda: measure_demo(arguments.seconds),
        "disk": lambda: measure_disk(bundle),
    }
    results = {name: part() for name, part in followed(parts.items(), "parts", calm=True)}
    return Result(results, [table_of(results)], TARGETS)


def table_of(results: Mapping[str, Any]) -> Table:
    """In a reader's units."""
    started, run, disk = results["import"], results["run"], results["disk"]
    table = Table("Footprint", ("what", "value", "unit"))
    table.add("import edge, everything in it, median", 1e3 * started["median_s"], "ms")
    table.add(
        "leadlift run, from its start to its source's door, median", 1e3 * run["median_s"], "ms"
    )
    table.add("leadlift run, resident memory when ready", run["ready_mb"], "MB")
    table.add("leadlift demo, peak memory", results["demo"]["peak_mb"], "MB")
    table.add("wheel", disk["wheel_mb"], "MB")
    table.add("bundle in it", disk["bundle_mb"], "MB")
    table.add("packages that it needs, with theirs", len(disk["packages"]), "")
    table.add("all of them installed", disk["installed_mb"], "MB")
    return table


def measure_ready(starts: int = 7) -> dict[str, Any]:
    """Seconds from the start of `leadlift run` until it connects to its source, and its memory then.

    The source is a TCP port of this process: when it is called, decoder, engine and outputs are open.
    """
    seconds, resident = [], []
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(READY_S)
        host, port = door.getsockname()
        for number in range(starts):
            command = [sys.executable, "-m", "edge.cli", "run", "--source", f"tcp:{host}:{port}"]
            command += ["--sink", f"file:{folder}/{number}.npz", "--quiet"]
            begun = time.perf_counter()
            program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                visitor, _ = door.accept()
                seconds.append(time.perf_counter() - begun)
                resident.append(read_memory(program.pid).now_mb)
                visitor.close()
            except (TimeoutError, ProcessLookupError) as error:
                raise BenchmarkError(f"leadlift run was not ready in {READY_S:g} s") from error
            finally:
                program.kill()
                program.communicate()
    return {
        "median_s": median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "ready_mb": median(resident),
        "n": starts,
    }


def measure_disk(bundle: Bundle) -> dict[str, Any]:
    """Sizes in MB (10^6 bytes) of the wheel, the bundle and what is installed with it."""
    packages = needed_packages()
    sizes = {name: installed_bytes(name) / 1e6 for name in packages}
    return {
        "bundle_mb": len(bundle.data) / 1e6,
        "wheel_mb": wheel_mb(),
        "packages": {name: round(size, 2) for name, size in sizes.items()},
        "installed_mb": sum(sizes.values()),
    }


def wheel_mb() -> float | None:
    """Size of the wheel, built from a copy of this checkout; None, and a warning, where it cannot be."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        copy.mkdir()
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        command += ["--quiet", "--wheel-dir", folder, str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WHEEL_S)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            say(f"warning: no wheel is built here: {said}; install setuptools")
            return None
        return wheels[0].stat().st_size / 1e6


def needed_packages(distribution: str = "leadlift") -> list[str]:
    """Distributions that it needs, with what those need, as they are installed here; no extras.

    Raises BenchmarkError where it is not installed.
    """
    from packaging.requirements import Requirement  # of onnxruntime

    try:
        waiting = list(metadata.requires(distribution) or ())
    except metadata.PackageNotFoundError as error:
        raise BenchmarkError(
            f"{distribution} is not installed: pip install -e . in this checkout"
        ) from error
    found: set[str] = set()
    while waiting:
        asked = Requirement(waiting.pop())
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        if name in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        try:
            waiting += metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
    return sorted(found)


def installed_bytes(distribution: str) -> int:
    """Size of its files, compiled ones too."""
    files = metadata.files(distribution) or ()
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())
