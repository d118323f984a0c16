"""`python -m benchmarks view --patients N`: what a page of many patients costs the server and the browser."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.chromium import browser
from benchmarks.report import Result, Table, Target
from benchmarks.view import (
    FILL_S,
    SCREEN,
    WATCH,
    browsers_cpu,
    cpu_seconds,
    live_view,
    summary,
)

HZ, BLOCK, REPEAT_S = 250.0, 25, 8
"""Blocks of 100 ms, the frame of a wearable, of a signal that comes again."""
TARGETS = (
    Target("the ward's share of a core, page open", "server/open", 0.3),
    Target("frames a second", "page/frames_hz", 55, "", True),
    Target("messages dropped", "dropped", 0),
)


def measure_ward(arguments: argparse.Namespace) -> Result:
    """Simulated patients written to one ward, without a decoder; its page in a headless Chromium."""
    program = ("benchmarks.view_ward", str(arguments.patients))
    results: dict[str, Any] = {"patients": arguments.patients, "server": {}}
    with live_view(program) as (child, address), browser() as chromium:
        results["chromium"] = chromium.version
        time.sleep(FILL_S)
        results["server"]["nobody"] = share(child, arguments.seconds)
        page = chromium.new_page(viewport=SCREEN)
        page.add_init_script(WATCH)
        page.goto(address)
        page.wait_for_timeout(1000 * FILL_S)
        page.evaluate("watched()")
        of_browser, began_s = browsers_cpu(child.pid), time.monotonic()
        results["server"]["open"] = share(child, arguments.seconds, page)
        results["page"] = summary(page.evaluate("watched()"))
        took_s = time.monotonic() - began_s
        results["browser_share_of_a_core"] = (browsers_cpu(child.pid) - of_browser) / took_s
        results["dropped"] = page.evaluate("leadlift.stats().missed")
    table = Table(
        f"{arguments.patients} patients in Chromium {results['chromium']}, without a GPU",
        ("", "share of a core"),
    )
    table.add("server, nobody looks on", results["server"]["nobody"])
    table.add("server, page open", results["server"]["open"])
    table.add("browser", results["browser_share_of_a_core"])
    return Result(results, [table], TARGETS)


def share(child: subprocess.Popen[str], seconds: float, page: Any = None) -> float:
    """Of a core, by the child over some seconds; `page` goes on meanwhile."""
    began_s, used = time.monotonic(), cpu_seconds(child.pid)
    if page is None:
        time.sleep(seconds)
    else:
        page.wait_for_timeout(1000 * seconds)
    return (cpu_seconds(child.pid) - used) / (time.monotonic() - began_s)


def serve(patients: int) -> None:
    """A ward of simulated patients, in real time, until killed. What is sent is made before."""
    from edge.files.recording import Metadata
    from edge.leads import INPUT_LEADS, provenance
    from edge.samples import TwelveLeadBlock
    from edge.sinks.viewer.ward import Ward
    from firmware_bridge.simulators.ecg import EcgSimulator

    ecg = EcgSimulator(HZ, 70).read(round(REPEAT_S * HZ)).astype(np.float32)
    first = TwelveLeadBlock(
        ecg_mv=ecg[:, :BLOCK],
        sigma_mv=np.full((12, BLOCK), 0.05, np.float32),
        quality=np.zeros((12, BLOCK), np.uint8),
        first_sample=0,
        sampling_hz=HZ,
        provenance=provenance(INPUT_LEADS),
    )
    cut = [ecg[:, at : at + BLOCK].copy() for at in range(0, ecg.shape[1], BLOCK)]
    ward = Ward(port=0)
    known = Metadata(simulated=True)
    sinks = [ward.sink(f"bed {number}", known, HZ) for number in range(1, patients + 1)]
    print(ward.address, flush=True)
    began_s, count = time.monotonic(), 0
    while True:
        for shift, sink in enumerate(sinks):
            mv = cut[(count + 7 * shift) % len(cut)]
            sink.write(replace(first, ecg_mv=mv, first_sample=count * BLOCK))
        count += 1
        time.sleep(max(0.0, began_s + count * BLOCK / HZ - time.monotonic()))


if __name__ == "__main__":
    serve(int(sys.argv[1]))
