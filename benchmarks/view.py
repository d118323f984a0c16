"""`python -m benchmarks view`: frames a second in the page of `view:`, and what one costs."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.chromium import browser
from benchmarks.errors import BenchmarkError
from benchmarks.report import Result, Table, Target, percentiles
from edge.progress import progress

SHEETS = {
    f"{layout}, {motion}": (layout, motion)
    for motion in ("sweep", "scroll")
    for layout in ("3x4", "12x1")
}
SCREEN = {"width": 1920, "height": 1080}
FILL_S = 5.0  # a row of the paper is full of trace, and the browser is warm
TARGETS = (
    *(Target(f"{name}: frames a second", f"{name}/frames_hz", 59, "", True) for name in SHEETS),
    *(Target(f"{name}: drawing one, p50", f"{name}/draw_ms/p50", 4, "ms") for name in SHEETS),
    Target("the run's share of a core", "server/share_of_a_core", 0.15),
)

# Times every frame's callback; which of them drew is told by the page's own count.
WATCH = """(() => {
  const ask = requestAnimationFrame, seen = { at: [], draw: [] };
  globalThis.requestAnimationFrame = (callback) => ask((now) => {
    const frames = globalThis.leadlift?.stats().frames, begun = performance.now();
    callback(now);
    const took = performance.now() - begun;
    seen.at.push(now);
    if (globalThis.leadlift?.stats().frames !== frames) seen.draw.push(took);
  });
  globalThis.watched = () => ({ at: seen.at.splice(0), draw: seen.draw.splice(0) });
})()"""


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "view", help="frames a second in the browser, and what they cost"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each layout and motion")
    parser.add_argument(
        "--patients", type=int, default=1, help="more than one: the page of a ward (default 1)"
    )
    parser.set_defaults(measure=measure, model=None, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """A live run of the simulator, its page in a headless Chromium of 1920 by 1080, without a GPU."""
    if arguments.patients > 1:
        from benchmarks.view_ward import measure_ward

        return measure_ward(arguments)
    results: dict[str, Any] = {}
    with live_view() as (child, address), browser() as chromium, progress("", len(SHEETS)) as work:
        results["chromium"] = chromium.version
        page = chromium.new_page(viewport=SCREEN)
        page.add_init_script(WATCH)
        page.goto(address)
        shares = []
        for name, (layout, motion) in SHEETS.items():
            work.what = name
            page.select_option("#layout", layout)
            page.select_option("#motion", motion)
            time.sleep(FILL_S)
            page.evaluate("watched()")
            began_s, of_run, of_browser = (
                time.monotonic(),
                cpu_seconds(child.pid),
                browsers_cpu(child.pid),
            )
            page.wait_for_timeout(1000 * arguments.seconds)
            found = results[name] = summary(page.evaluate("watched()"))
            found["browser_cpu_ms"] = (
                1e3 * (browsers_cpu(child.pid) - of_browser) / found["frames_drawn"]
            )
            shares.append((cpu_seconds(child.pid) - of_run) / (time.monotonic() - began_s))
            work.advance()
        results["server"] = {"share_of_a_core": max(shares)}
    return Result(results, tables(results), TARGETS)


def summary(watched: dict[str, list[float]]) -> dict[str, Any]:
    """Of the times in ms at which frames began, and of how long those took that drew.

    Raises BenchmarkError where the page drew nothing.
    """
    at, draw = watched["at"], watched["draw"]
    if len(at) < 2 or not draw:
        raise BenchmarkError(
            "the page draws nothing: give more --seconds, or look at `leadlift demo`"
        )
    intervals = [later - earlier for earlier, later in pairwise(at)]
    return {
        "frames_hz": 1000 * len(intervals) / (at[-1] - at[0]),
        "frames_drawn": len(draw),
        "interval_ms": percentiles(intervals),
        "draw_ms": percentiles(draw),
        "draw_share_of_a_core": sum(draw) / (at[-1] - at[0]),
    }


def tables(results: dict[str, Any]) -> list[Table]:
    """A row a layout and motion."""
    table = Table(
        f"In Chromium {results['chromium']}, without a GPU",
        (
            "layout, motion",
            "frames a second",
            "between two, p50 ms",
            "p99",
            "drawing, p50 ms",
            "p99",
            "browser's CPU a frame, ms",
        ),
    )
    for name in SHEETS:
        one = results[name]
        between, draw = one["interval_ms"], one["draw_ms"]
        figures = (between["p50"], between["p99"], draw["p50"], draw["p99"], one["browser_cpu_ms"])
        table.add(name, one["frames_hz"], *figures)
    return [table]


@contextmanager
def live_view(
    program: Sequence[str] = ("edge.cli", "run", "--source", "sim:", "--sink", "view:0"),
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`leadlift run` of the simulator into `view:`, or another program, in a process; and its address."""
    command = [sys.executable, "-m", *program]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stderr is not None
    try:
        for line in child.stdout:
            if found := re.search(r"http://\S+", line):
                yield child, found[0]
                return
        raise BenchmarkError(f"leadlift run serves no view: {child.stderr.read().strip()[-200:]}")
    finally:
        child.kill()
        child.communicate()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, its own threads alone; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def browsers_cpu(but: int) -> float:
    """Processor time of the processes that this one started, and of theirs, `but` one: the browser's."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    family, found = {os.getpid()}, 0.0
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
        found += sum(cpu_seconds(pid) for pid in grown if pid != but)
    return found
