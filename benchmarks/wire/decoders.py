"""How fast each decoder is, and how much it holds while no frame ever comes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.timing import collection_off
from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.devices.cyton import CHANNELS as CYTON_CHANNELS
from firmware_bridge.devices.cyton import CytonDecoder
from firmware_bridge.devices.ganglion import CHANNELS as GANGLION_CHANNELS
from firmware_bridge.devices.ganglion import GanglionDecoder
from firmware_bridge.devices.lead_map import lead_map
from firmware_bridge.devices.openview import CHANNELS as OPENVIEW_CHANNELS
from firmware_bridge.devices.openview import OpenViewDecoder
from firmware_bridge.events import Decoder, Samples
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.ganglion import VirtualGanglion
from firmware_bridge.simulators.openview import VirtualOpenView
from firmware_bridge.simulators.twins import Twin
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.wire.decoder import WireDecoder

LEAD_HZ = 500.0
REPEATS = 5
READ_BYTES = 4096  # what a serial port hands over at once when it is behind
GARBAGE_READS = 256  # 1 MB: what held on to bytes would show long before
WIRED = "1:II,2:V1,3:V5"
CYTON = lead_map(WIRED, CYTON_CHANNELS)
GANGLION = lead_map(WIRED, GANGLION_CHANNELS)
OPENVIEW = lead_map(WIRED, OPENVIEW_CHANNELS)

DECODERS: dict[str, Callable[[], Decoder]] = {
    "wire": WireDecoder,
    "cyton": lambda: CytonDecoder(CYTON),
    "ganglion": lambda: GanglionDecoder(GANGLION),
    "openview": lambda: OpenViewDecoder(OPENVIEW),
    "csv": CsvDecoder,
}


def _twins(seed: int) -> dict[str, Twin]:
    return {
        "wire": VirtualWearable(EcgSimulator(LEAD_HZ, seed=seed)),
        "cyton": VirtualCyton(EcgSimulator(250.0, seed=seed), CYTON),
        "ganglion": VirtualGanglion(EcgSimulator(200.0, seed=seed), GANGLION),
        "openview": VirtualOpenView(EcgSimulator(100.0, seed=seed), OPENVIEW),
        "csv": VirtualWearable(EcgSimulator(250.0, seed=seed), format="csv"),
    }


def decoder_speed(seconds: float, seed: int) -> dict[str, dict[str, float]]:
    """Of each decoder: samples per lead in a second of processor time, in pieces as they arrive."""
    found = {}
    for name, twin in _twins(seed).items():
        pieces = _pieces(twin, seconds)
        data = b"".join(pieces)
        blocks = [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]
        if name == "ganglion":  # which has no other pieces than its notifications
            pieces = [data[at : at + 20] for at in range(0, len(data), 20)]
            blocks = pieces
        live, behind = _rate(DECODERS[name], pieces), _rate(DECODERS[name], blocks)
        found[name] = {
            "samples_per_s": live,
            "times_real_time": live / LEAD_HZ,
            "times_real_time_4096": behind / LEAD_HZ,
        }
    return found


def _pieces(twin: Twin, seconds: float) -> list[bytes]:
    twin.receive(b"b")  # what starts the boards that wait
    pieces = []
    while (frame := twin.next_frame()) is not None and frame.due_s <= seconds:
        pieces.append(frame.data)
    return pieces


def _rate(make: Callable[[], Decoder], pieces: Sequence[bytes]) -> float:
    def once() -> float:
        decoder, n = make(), 0
        begun = process_time()
        for piece in pieces:
            for event in decoder.receive_data(piece):
                if isinstance(event, Samples):
                    n += event.counts.shape[1]
        return n / (process_time() - begun)

    with collection_off():
        once()
        return median(once() for _ in range(REPEATS))


def garbage(seed: int, reads: int = GARBAGE_READS) -> dict[str, Any]:
    """The most memory that any decoder takes, of bytes at random and of starts that never end."""
    rng = np.random.default_rng(seed)
    noise = rng.bytes(READ_BYTES)
    endless = {
        "wire": noise.replace(b"\0", b"\1"),
        "cyton": b"\xa0" * READ_BYTES,
        "openview": b"\x0a\xfa\x40\x00" * (READ_BYTES // 4),
        "csv": noise.replace(b"\n", b" "),
        "ganglion": b"\xce" * READ_BYTES,
    }
    found = {}
    for name, make in DECODERS.items():
        decoder = make()
        held = 0
        tracemalloc.start()
        try:
            for read in range(reads):
                decoder.receive_data(noise if read % 2 else endless[name])
                held = max(held, getattr(decoder, "held_bytes", 0))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        fed = reads * READ_BYTES / 1e6
        found[name] = {"fed_mb": fed, "peak_kb": peak / 1e3, "held_bytes": held}
    return {"devices": found, "peak_kb": max(row["peak_kb"] for row in found.values())}
