"""The live path over BLE: bleak's own BlueZ backend, a private D-Bus, a fake BlueZ, the real runtime.

What is measured. `processing` is from the moment at which a frame's first notification is handed to the
radio to the block at the sink that answers the frame (the matching rule of `benchmarks.latency.live`). Radio,
wearable and host run in one process, so all their work is in the number, and no air: a real link adds its
connection interval. `acquisition_to_block` is from when the last sample of the block was taken, as the
host's clock model tells it.

What a loss costs: the peripheral goes out of reach and comes back; `resumed_s` is from its return to the
first block after it, and `unaccounted` the samples that the wearable took between the first frame that it
notified and the last one, and that were neither received nor told lost.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.latency.live import TAIL_S, TimingSink, match
from benchmarks.report import Target, percentiles
from benchmarks.wire.bluez import private_bus
from edge.bundle import Bundle
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from firmware_bridge.source import open_source

FRAMES_HZ = 25.0
MAX_AWAY_S = 4.0
SETTLE_S = 1.0  # of streaming before the first loss, and after the last return
RESUME_BOUND_S = 10.0  # a stream that is not back by then is not coming

TARGETS = (
    Target("BLE: notification -> twelve-lead block, p99", "ble/processing/p99", 20_000, "us"),
    Target("BLE: samples lost without a loss of the link", "ble/samples_lost", 0),
    Target("BLE: longest time to resume", "ble_outages/resumed_s/max", 3, "s"),
    Target("BLE: samples unaccounted for", "ble_outages/unaccounted", 0),
)


def run_ble(
    bundle: Bundle, engine: str = "auto", *, seconds: float = 60.0, notify: str = "start"
) -> dict[str, Any]:
    """Stream 250 Hz in 25 frames a second, and match notifications with blocks.

    Raises BenchmarkError where there can be no private bus or nothing came, BridgeError, LeadliftError.
    """
    from benchmarks.wire.bluez.fake_radio import ADDRESS, Peripheral, Radio

    _check()
    sink = TimingSink(seconds, FRAMES_HZ)
    with Radio() as radio, Peripheral(radio) as device, Reconstructor.open(bundle, engine) as r:
        source = open_source(f"ble:{ADDRESS}?notify={notify}")
        runtime = Runtime(source, r, {"timing": sink}, leads=r.leads)
        runtime.run(seconds)
        frames = np.array(sorted(device.notified.items()), np.int64)
        device_hz, output_hz, hop = device.wearable.info.sampling_hz, r.sampling_hz, r.hop
    blocks = sink.blocks
    if len(frames) < 2 or not len(blocks):
        raise BenchmarkError("the BLE run brought no block: make it longer")
    # The stream begins with the frame that the first block came from.
    first = max(0, int(np.searchsorted(frames[:, 1], blocks[0, 1], "right")) - 1)
    ends_ns = blocks[-1, 2] - round(TAIL_S * 1e9)
    sent = frames[first:][frames[first:, 1] <= ends_ns]
    found = match(sent, blocks, device_hz, output_hz, 0.0, hop)
    report = runtime.report()
    return {
        "processing": {"unit": "us", **percentiles(found.latencies_us)},
        "latency_us": report["latency_us"],
        "frames_sent": len(sent),
        "frames_unanswered": found.unanswered,
        "seconds": report["seconds"],
        "samples_in": report["samples_in"],
        "samples_lost": report["samples_lost"],
        "gaps": report["gaps"],
        "corrupt": report["corrupt"],
    }


def run_outages(
    bundle: Bundle, engine: str = "auto", *, losses: int = 10, over_s: float = 120.0
) -> dict[str, Any]:
    """Lose the link `losses` times within `over_s`, and account for every sample.

    Raises BenchmarkError where there can be no private bus or the stream does not come back.
    """
    from benchmarks.wire.bluez.fake_radio import ADDRESS, Peripheral, Radio

    _check()
    every_s = over_s / losses
    away_s = min(MAX_AWAY_S, every_s / 3)
    sink = _Journal()
    resumed_s: list[float] = []
    with Radio() as radio, Peripheral(radio) as device, Reconstructor.open(bundle, engine) as r:
        source = open_source(f"ble:{ADDRESS}")
        runtime = Runtime(source, r, {"journal": sink}, leads=r.leads)

        def disturb() -> None:
            sink.wait(0)
            for _ in range(losses):
                time.sleep(max(SETTLE_S, every_s - away_s) if resumed_s else SETTLE_S)
                device.drop(away_s)
                returned_ns = time.monotonic_ns()
                resumed_s.append(sink.wait(returned_ns))
                if resumed_s[-1] >= RESUME_BOUND_S:
                    break
            time.sleep(SETTLE_S)
            device.silent = True  # so that nothing is on its way when the run ends
            time.sleep(TAIL_S)
            runtime.stop()

        thread = threading.Thread(target=disturb, name="out of reach and back")
        thread.start()
        try:
            runtime.run(over_s + losses * RESUME_BOUND_S)
        finally:
            thread.join()
        report = runtime.report()
        taken = device.notified_end - min(device.notified)
    if len(resumed_s) < losses:
        raise BenchmarkError(f"the stream was back after {len(resumed_s) - 1} losses, of {losses}")
    told = ("samples_in", "samples_lost", "samples_before_info")
    accounted = sum(int(str(report[name])) for name in told)
    return {
        "losses": losses,
        "away_s": away_s,
        "resumed_s": {"max": max(resumed_s), "mean": float(np.mean(resumed_s))},
        "reconnects": source.reconnects,
        "gaps": report["gaps"],
        **{name: report[name] for name in told},
        "output_samples_missing": sink.missing,
        "unaccounted": abs(taken - accounted),
    }


@dataclass
class _Journal:
    """A sink that says when the next block comes, and what its index jumped over."""

    missing: int = 0
    _end: int = 0
    _latest: threading.Condition = field(default_factory=threading.Condition)
    _latest_ns: int = 0

    def write(self, block: TwelveLeadBlock) -> None:
        """Note the block."""
        with self._latest:
            self.missing += block.first_sample - self._end
            self._end = block.first_sample + block.n_samples
            self._latest_ns = time.monotonic_ns()
            self._latest.notify_all()

    def wait(self, after_ns: int) -> float:
        """Wait for a block later than `after_ns`, at most RESUME_BOUND_S; how long after, in seconds."""
        with self._latest:
            self._latest.wait_for(lambda: self._latest_ns > after_ns, RESUME_BOUND_S)
            late = self._latest_ns > after_ns
            return (self._latest_ns - after_ns) * 1e-9 if late else RESUME_BOUND_S

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> _Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _check() -> None:
    if why := private_bus.missing():
        raise BenchmarkError(why)
