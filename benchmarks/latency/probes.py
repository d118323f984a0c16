"""What runs in a fresh child process, and how it is started: one thread, nothing else imported.

`python -m benchmarks.latency.probes reconstruct FILE.npy` prints one line of JSON. The module imports NumPy
and the standard library alone, so that the memory of `edge` is seen apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, cast

from benchmarks.errors import BenchmarkError
from edge.live.memory import Memory, read_memory, reset_peak

REPEATS = 3
CHILD_S = 600.0  # a child that takes longer hangs
POLL_S = 0.05  # how often a child's high-water mark is read; it only rises
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
_IMPORT = """
import sys, time, json
begun = time.perf_counter()
import edge
for name in edge.__all__:  # imported when used
    getattr(edge, name)
seconds = time.perf_counter() - begun
tops = {name.partition(".")[0] for name in sys.modules}
foreign = sorted(tops - set(sys.stdlib_module_names) - {"__main__", "sitecustomize"})
print(json.dumps({"seconds": seconds, "modules": len(sys.modules), "foreign": foreign,
                  "edge": sorted(n for n in sys.modules if n.partition(".")[0] == "edge")}))
"""


def measure_import(repeats: int = 7) -> dict[str, Any]:
    """Wall time of `import edge` in fresh interpreters, and the modules that it pulls in."""
    runs = [_child(["-c", _IMPORT]) for _ in range(repeats)]
    seconds = [run["seconds"] for run in runs]
    last = runs[-1]
    return {
        "median_s": median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "n": repeats,
        "modules": last["modules"],
        "packages_outside_the_standard_library": last["foreign"],
        "edge_modules": last["edge"],
    }


def measure_reconstruct(seconds: float = 600.0, model: Path | None = None) -> dict[str, Any]:
    """`edge.reconstruct` of a simulated record on one thread, speed and memory, in a fresh process."""
    import numpy as np

    from firmware_bridge.simulators.ecg import EcgSimulator

    signal = EcgSimulator(250.0, baseline_mv=0.03, muscle_mv=0.005)
    rows = [signal.leads.index(lead) for lead in ("II", "V1", "V5")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "record.npy"
        np.save(file, signal.read(round(seconds * 250))[rows])
        arguments = ["-m", "benchmarks.latency.probes", "reconstruct", str(file)]
        return _child([*arguments, *([] if model is None else [str(model)])])


def measure_demo(seconds: float = 10.0) -> dict[str, Any]:
    """Peak memory of `leadlift demo` and of the wearable that it starts, and the demo's own report."""
    with tempfile.TemporaryDirectory() as folder:
        report, output = Path(folder) / "demo.json", Path(folder) / "demo.edf"
        command = [sys.executable, "-m", "edge.cli", "demo", "--headless"]
        command += ["--seconds", f"{seconds:g}", "--report", str(report), "--output", str(output)]
        demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        peaks = watch(demo, seconds + CHILD_S)
        _, errors = demo.communicate()
        if demo.returncode != 0:
            raise BenchmarkError(f"leadlift demo failed: {_last_line(errors)}")
        said = json.loads(report.read_text(encoding="utf-8"))
    kept = ("seconds", "samples_in", "samples_out", "samples_lost", "deadline_misses")
    return {
        "peak_mb": peaks.pop(demo.pid, None),
        "peak_of_children_mb": max(peaks.values(), default=None),
        "report": {name: said[name] for name in kept if name in said},
    }


def watch(process: subprocess.Popen[bytes], timeout_s: float) -> dict[int, float]:
    """Wait for a process; the peak in MB of it and its children, by process id.

    Raises BenchmarkError, and ends the process, when it runs for longer.
    """
    peaks: dict[int, float] = {}
    deadline_s = time.monotonic() + timeout_s
    while process.poll() is None:
        for pid in [process.pid, *_children(process.pid)]:
            try:
                peaks[pid] = read_memory(pid).peak_mb
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline_s:
            process.kill()
            process.wait()
            raise BenchmarkError(f"a child process still ran after {timeout_s:.0f} s")
        time.sleep(POLL_S)
    return peaks


def reconstruct(file: str, model: str | None = None) -> dict[str, Any]:
    """In the child: time and memory of `edge.reconstruct` on the (3, n) array in `file`."""
    import numpy as np

    import edge

    ecg_mv = np.load(file, allow_pickle=False)
    reset_peak()
    before = read_memory()
    times = []
    after: Memory | None = None
    for _ in range(REPEATS):
        begun = time.perf_counter()
        out = edge.reconstruct(ecg_mv, model=model)
        times.append(time.perf_counter() - begun)
        after = after or read_memory()  # the first call: it loads the engine too
    assert after is not None
    seconds = ecg_mv.shape[1] / 250.0
    return {
        "record_s": seconds,
        "times_s": times,
        "times_real_time": seconds / median(times),
        "baseline_mb": before.now_mb,
        "peak_mb": after.peak_mb,
        "input_mb": ecg_mv.nbytes / 1e6,
        "output_mb": out.nbytes / 1e6,
        "extra_mb": after.peak_mb - before.now_mb - out.nbytes / 1e6,
    }


def _child(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the interpreter with `arguments`, on one thread; the JSON of its last line."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=CHILD_S,
            env={**os.environ, **ONE_THREAD},
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"a child process still ran after {CHILD_S:.0f} s") from error
    if done.returncode != 0:
        raise BenchmarkError(f"a child process failed: {_last_line(done.stderr.encode())}")
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


if __name__ == "__main__":
    if sys.argv[1:2] == ["reconstruct"]:
        print(json.dumps(reconstruct(*sys.argv[2:])))
    else:
        sys.exit("usage: python -m benchmarks.latency.probes reconstruct FILE.npy [MODEL]")
