"""`python -m benchmarks scale`: what a patient takes, and by arithmetic what 10^3, 10^5 and 10^7 take."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.multi import measure_cost
from benchmarks.placement import measure_placement
from benchmarks.report import Result, Table
from edge.bundle import Bundle, load_bundle
from edge.engines.registry import open_engine
from edge.files.formats import all_files, writer_for
from edge.files.recording import Metadata
from edge.fleet.ray_shards import DEADLINE_S
from edge.leads import INPUT_LEADS
from edge.live.memory import read_memory
from edge.multi_reconstructor import MultiReconstructor
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from edge.sinks.viewer.messages import pack
from firmware_bridge.events import StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.wire.encoder import WireEncoder

TOGETHER = 256
"""Patients of a shard, for the cost of one."""
SIZES = (10**3, 10**5, 10**7)
BUSY = 0.5  # of a core that a shard's patients take: the rest is for failures and stalls
FRAME_S = 0.16
FORMATS = ("edf", "npz", "csv", "hea", "dcm")
DAY_S = 86_400
FILES_A_DAY = 24  # one an hour
DEAD = (1, 8)  # a shard; a node of eight cores


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("scale", help="one patient's needs; placement of 10^5 patients")
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--engine", default="auto", help="default: the best here")
    add_argument("--rounds", type=int, default=30, help="of the cost of a patient")
    add_argument("--patients", type=int, default=10**5, help="to place (default: %(default)s)")
    add_argument("--seconds", type=int, default=120, help="of signal in the files, even")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """One patient measured, many computed, placement simulated."""
    bundle = load_bundle(arguments.model)
    with open_engine(bundle, arguments.engine).engine as engine:
        name = engine.name
    cost = measure_cost(bundle, name, [TOGETHER], arguments.rounds)[str(TOGETHER)]
    hops_per_s = bundle.manifest.sampling_hz / bundle.manifest.hop
    core = cost["per_patient_us"] * hops_per_s / 1e6
    blocks = _twelve(bundle, name, arguments.seconds)
    one = {
        "engine": name,
        "together": TOGETHER,
        "core": core,
        "memory_kb": measure_memory(bundle, name),
        "in_bytes_s": measure_wire(arguments.seconds),
        "out_bytes_s": measure_messages(blocks),
        "file_bytes_s": measure_files(blocks),
    }
    carries = int(BUSY / core)
    n_shards = -(-arguments.patients // carries)
    slots = round(1.5 * carries)
    failures = [
        measure_placement(arguments.patients, n_shards, slots, dead, BUSY, DEADLINE_S)
        for dead in DEAD
        if 3 * dead <= n_shards  # the others have room
    ]
    results = {"one": one, "failures": failures}
    return Result(results, tables(results))


def measure_memory(bundle: Bundle, engine: str) -> float:
    """kB of resident memory that a patient adds to a shard."""
    with MultiReconstructor(open_engine(bundle, engine).engine, 2 * TOGETHER) as multi:
        samples = np.zeros((len(INPUT_LEADS), 10 * multi.hop), np.float32)

        def arrive(some: str) -> float:
            names = [f"{some}-{i}" for i in range(TOGETHER)]
            for name in names:
                multi.join(name)
            multi.push(dict.fromkeys(names, samples))
            return read_memory().now_mb

        before = arrive("first")  # with what all share
        return max(0.0, (arrive("more") - before) * 1e3 / TOGETHER)


def measure_wire(seconds: float) -> float:
    """Bytes a second of a device with three leads in 24 bits at 250 Hz, its description included."""
    info = StreamInfo(INPUT_LEADS, 250.0, 500.0, 24, 1, device="wearable", firmware="1.0")
    encoder, rate = WireEncoder(info), info.sampling_hz
    n = round(FRAME_S * rate)
    counts = np.zeros((3, n), np.int32)
    frames = sum(
        len(encoder.samples(counts, round(i * FRAME_S * 1e6)))
        for i in range(round(seconds / FRAME_S))
    )
    return frames / seconds + len(encoder.stream_info())


def measure_messages(blocks: list[TwelveLeadBlock]) -> float:
    """Bytes a second to one who listens to a patient: twelve leads, sigma and quality."""
    sent = sum(
        len(message)
        for block in blocks
        for message in pack(block.first_sample, block.ecg_mv, block.sigma_mv, block.quality)
    )
    return sent / sum(block.n_samples for block in blocks) * blocks[0].sampling_hz


def measure_files(blocks: list[TwelveLeadBlock]) -> dict[str, float]:
    """Bytes a second of signal in each format: what the second half of the blocks adds."""
    half = len(blocks) // 2
    seconds = sum(block.n_samples for block in blocks[half:]) / blocks[0].sampling_hz
    return {form: (_size(blocks, form) - _size(blocks[:half], form)) / seconds for form in FORMATS}


def _size(blocks: list[TwelveLeadBlock], form: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"one.{form}"
        sink = writer_for(path)(path, blocks[0].sampling_hz, Metadata(device="sim", simulated=True))
        for block in blocks:
            sink.write(block)
        sink.close()
        return sum(part.stat().st_size for part in all_files(path, written=True) if part.exists())


def _twelve(bundle: Bundle, engine: str, seconds: int) -> list[TwelveLeadBlock]:
    """What a shard makes of a simulated heart, in blocks of a frame."""
    with Reconstructor.open(bundle, engine) as r:
        heart = EcgSimulator(r.sampling_hz, 72, baseline_mv=0.05, muscle_mv=0.01)
        rows = [heart.leads.index(lead) for lead in r.leads]
        n = round(FRAME_S * r.sampling_hz)
        frames = round(seconds / FRAME_S)
        return [replace(r.push(heart.read(n)[rows]), arrival_ns=0) for _ in range(frames)]


def tables(results: Mapping[str, Any]) -> list[Table]:
    """One patient; many; the failures."""
    one = results["one"]
    return [one_table(one), many_table(one), failures_table(results["failures"])]


def one_table(one: Mapping[str, Any]) -> Table:
    """What is measured of one patient."""
    table = Table(f"One patient of {one['together']} on a shard", ("what", "takes", "unit"))
    table.add(f"CPU, engine {one['engine']}", one["core"] * 100, "% of a core")
    table.add("memory of a shard", one["memory_kb"], "kB")
    table.add("from the device, wire format", one["in_bytes_s"], "bytes/s")
    table.add("to one listener", one["out_bytes_s"], "bytes/s")
    for form, size in one["file_bytes_s"].items():
        table.add(f"file, {form}", size * DAY_S / 1e6, "MB/day")
    return table


def many_table(one: Mapping[str, Any]) -> Table:
    """The same, times the number of patients; what it comes to is arithmetic."""
    table = Table(
        f"Many patients, cores {BUSY:.0%} busy", ("what", *(f"{n:,}" for n in SIZES), "unit")
    )

    def row(what: str, of_one: float, unit: str) -> None:
        table.add(what, *(of_one * n for n in SIZES), unit)

    row("cores for decoding", one["core"] / BUSY, "cores")
    row("memory", one["memory_kb"] / 1e6, "GB")
    row("connections", 1, "")
    row("messages in", 1 / FRAME_S, "1/s")
    row("network in", one["in_bytes_s"] * 8 / 1e9, "Gbit/s")
    row("network out, one listener each", one["out_bytes_s"] * 8 / 1e9, "Gbit/s")
    row("files, one an hour", FILES_A_DAY, "a day")
    for form, size in one["file_bytes_s"].items():
        row(f"storage, {form}", size * DAY_S / 1e12, "TB/day")
    return table


def failures_table(failures: list[Mapping[str, Any]]) -> Table:
    """Simulated: what moves when shards end."""
    table = Table(
        "Placement and failure, simulated without inference",
        ("figure", *(f"{one['dead']} of {one['shards']} shards end" for one in failures)),
    )
    for what, key in (
        ("patients", "patients"),
        ("fewest on a shard", "fewest"),
        ("most on a shard", "most"),
        ("most, of the mean", "most_of_mean"),
        ("patients of the dead", "moved"),
        ("of them placed again", "placed_again"),
        ("most that one shard takes", "most_arrived"),
        ("silence until they are placed, s", "silent_s"),
        ("longest queue, s of all its patients' signal", "queue_s"),
        ("all queues empty after, s", "recovered_s"),
        ("shards with more than they carry", "over"),
        ("CPU to place one, for each shard, us", "cpu_us"),
    ):
        table.add(what, *(one[key] for one in failures))
    return table
