"""`python -m benchmarks wire`: the decoders' speed, memory, damage and clocks, the C encoder, the BLE path.

decoders: samples per lead and second of processor time, of pieces as they arrive (25 a second), set against
    a stream of three leads at 500 Hz; a device with more channels or bytes is set against the same stream.
garbage: memory while megabytes come in which no frame ever is.
damage: frames with bits flipped and bytes deleted, and what becomes of every one of them.
clock: what the device clock says of each sample's time, against the truth of a simulated link.
encoder: flash, state and stack of the C encoder on a Cortex-M3; it needs the cross compiler.
ble, ble_outages: see `benchmarks.wire.ble_path`; they need a D-Bus daemon.

Everything but the BLE parts is seeded and takes no real time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.report import Result, Table, Target
from benchmarks.wire import ble_path
from benchmarks.wire import encoder as wire_encoder
from benchmarks.wire.bluez import private_bus
from benchmarks.wire.clock import (
    BURST_PACKETS,
    INTERVAL_MS,
    VARIED,
    bursts,
    connection_events,
    interval_sweep,
)
from benchmarks.wire.damage import DAMAGE_PER, DELETIONS, FLIPS, cyton_damage, wire_damage
from benchmarks.wire.decoders import LEAD_HZ, decoder_speed, garbage
from edge.bundle import load_bundle
from edge.notices import say
from edge.progress import progress

PARTS = ("decoders", "garbage", "damage", "clock", "encoder", "ble", "ble_outages")
FRAMES = 1_000_000
SEED = 1

TARGETS = (
    Target("our decoder, times real time", "decoders/wire/times_real_time", 200, at_least=True),
    Target("Cyton decoder, times real time", "decoders/cyton/times_real_time", 200, at_least=True),
    Target("most memory under garbage", "garbage/peak_kb", 256, "kB"),
    Target("frames damaged or not", "damage/frames", FRAMES, at_least=True),
    Target("corrupt samples accepted", "damage/corrupt_accepted", 0),
    Target("good frames lost beyond neighbours", "damage/good_frames_lost", 0),
    Target("lost samples miscounted", "damage/samples_miscounted", 0),
    Target("time of a sample, bursts, p99", "clock/bursts/error/p99", 2, "ms"),
    Target("time of a sample, connection events, p99", "clock/events/error/p99", 2, "ms"),
    Target("the same, at the worst of the intervals, p99", "clock/worst_interval_p99", 2, "ms"),
    *wire_encoder.TARGETS,
    *ble_path.TARGETS,
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "wire", help="decoders, damage, clocks, the C encoder, the BLE path"
    )
    add_argument = parser.add_argument
    add_argument(
        "--model", type=Path, help="bundle for the BLE parts (default: the one that ships)"
    )
    add_argument("--engine", default="auto", help="inference engine of the BLE parts")
    add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    add_argument("--frames", type=int, default=FRAMES, help="to damage (default: %(default)s)")
    add_argument("--seconds", type=float, default=60.0, help="of each stream and of the BLE run")
    add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """The parts that were asked for; one that cannot be measured here is said and left out."""
    results: dict[str, Any] = {}
    tables: list[Table] = []
    for part in arguments.parts:
        if why := _missing(part):
            say(f"{part} is left out: {why}")
            tables.append(Table(f"{part}: not measured", ("why",), [(why,)]))
            continue
        say(f"measuring {part} ...")
        with progress(part, calm=True):
            results[part], table = _MEASURES[part](arguments)
        tables.append(table)
    return Result(results, tables, TARGETS)


def _missing(part: str) -> str | None:
    """What a part lacks here."""
    if part == "encoder":
        return wire_encoder.missing()
    return private_bus.missing() if part.startswith("ble") else None


def _decoders(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = decoder_speed(arguments.seconds, arguments.seed)
    table = Table(
        f"Decoders, pieces as they arrive, against three leads at {LEAD_HZ:g} Hz",
        ("device", "samples/s per lead", "times real time", "the same, 4 kB at a time"),
    )
    for name, figures in found.items():
        whole = figures["times_real_time_4096"]
        table.add(name, figures["samples_per_s"], figures["times_real_time"], whole)
    return found, table


def _garbage(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = garbage(arguments.seed)
    table = Table("Memory under garbage", ("device", "MB fed", "peak kB", "bytes held"))
    for name, figures in found["devices"].items():
        table.add(name, figures["fed_mb"], figures["peak_kb"], figures["held_bytes"])
    return found, table


def _damage(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = wire_damage(arguments.frames, arguments.seed)
    found["cyton"] = cyton_damage(min(arguments.frames, 5 * DAMAGE_PER), arguments.seed)
    title = f"{FLIPS} bit flips and {DELETIONS} deletions in {DAMAGE_PER:,} frames"
    table = Table(title, ("figure", "our wire format", "Cyton: no CRC"))
    for name, value in found.items():
        if name != "cyton":
            table.add(name.replace("_", " "), value, found["cyton"].get(name))
    return found, table


def _clock(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    seed = arguments.seed
    found: dict[str, Any] = {
        "bursts": bursts(seed),
        "events": connection_events(INTERVAL_MS, seed),
        "intervals": interval_sweep(seed),
    }
    worst = max(f["p99"] for name, f in found["intervals"].items() if name.endswith(VARIED))
    found["worst_interval_p99"] = worst
    table = Table("Error of timestamps in ms, p99, 100 ppm, after 60 s", ("link", "p99", "max"))
    error = found["bursts"]["error"]
    table.add(f"{BURST_PACKETS} packets at once", error["p99"], error["max"])
    for name, figures in found["intervals"].items():
        table.add(name, figures["p99"], figures["max"])
    return found, table


def _encoder(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = wire_encoder.encoder_sizes()
    table = Table(f"C encoder, {found['build']}", ("figure", "bytes"))
    for name, value in found.items():
        if name != "build":
            table.add(name.removesuffix("_bytes"), value)
    return found, table


def _ble(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    bundle = load_bundle(arguments.model)
    found = ble_path.run_ble(bundle, arguments.engine, seconds=arguments.seconds)
    table = Table("BLE: notification to block, us", ("figure", "value"))
    for name in ("n", "p50", "p99", "max"):
        table.add(name, found["processing"][name])
    acquired = found["latency_us"]["stages"]["acquisition_to_block"]
    for name in ("p50", "p99"):
        table.add(f"acquisition to block, {name}", acquired[name])
    return found, table


def _ble_outages(arguments: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = ble_path.run_outages(load_bundle(arguments.model), arguments.engine)
    table = Table("BLE: losses of the link", ("figure", "value"))
    for name in ("losses", "reconnects", "gaps", "samples_lost", "unaccounted"):
        table.add(name.replace("_", " "), found[name])
    table.add("longest time to resume, s", found["resumed_s"]["max"])
    return found, table


_MEASURES = {
    "decoders": _decoders,
    "garbage": _garbage,
    "damage": _damage,
    "clock": _clock,
    "encoder": _encoder,
    "ble": _ble,
    "ble_outages": _ble_outages,
}
