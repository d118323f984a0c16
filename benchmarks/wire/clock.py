"""Device time to host time on simulated links, in no real time: bursts and BLE connection events at 100 ppm.

The truth is the host time at which a packet's last sample was taken plus the least delay that any packet of
the run had; the error is what `edge.live.clock` says right after each packet, from 60 s into the stream on.

*What connection events hide.* They come at multiples of the interval, so a packet's arrival tells its time
to within the beat of packet period and interval: 40 ms packets at 30 ms events have delays 10 ms apart, and
at 100 ppm the least of them moves by 10 ms in 100 s. No clock can see through that. Packets of many lengths,
as our sketches and the virtual wearable send them, beat with the sampling period instead, 4 ms at most here
(at 20 and 40 ms): the sweep shows both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import percentiles
from edge.live.clock import DeviceClock
from firmware_bridge.wire.encoder import frame_samples

PPM = 100.0
SAMPLING_HZ = 250.0
PACKET_SAMPLES = 10
FEWEST, MOST = 7, 13  # 10 on average
VARYING_SAMPLES = tuple(frame_samples(sequence, FEWEST, MOST) for sequence in range(5000))
FIXED, VARIED = f"{PACKET_SAMPLES} samples each", f"{FEWEST} to {MOST} samples"
SETTLED_S = 60.0
SECONDS = 180.0
RUNS = 5
BURST_PACKETS = 10
BURST_JITTER_S = 0.005
INTERVAL_MS = 48.75  # what Android's and many Linux hosts' defaults settle on
INTERVALS_MS = (7.5, 11.25, 15.0, 20.0, 22.5, 30.0, 40.0, 45.0, 48.75, 50.0)
AIR_S = 0.002
MISSED = 0.05  # of connection events, for interference: what was due goes with the next
HOST_JITTER_S = 0.0003  # of the radio's interrupt and the D-Bus hop
_EPOCH_NS = 7e12


def bursts(seed: int) -> dict[str, Any]:
    """BURST_PACKETS arrive at once, when the last is complete, late by an exponential."""
    errors = []
    for run in range(RUNS):
        rng = np.random.default_rng((seed, run))
        tick_us, taken_ns = _packets((PACKET_SAMPLES,), rng)
        n = len(tick_us)
        sent_with = np.minimum((np.arange(n) // BURST_PACKETS + 1) * BURST_PACKETS, n) - 1
        late_ns = rng.exponential(BURST_JITTER_S * 1e9, n) + AIR_S * 1e9
        errors.append(_errors(tick_us, taken_ns, (taken_ns + late_ns)[sent_with]))
    return _summary(errors)


def connection_events(
    interval_ms: float, seed: int, lengths: Sequence[int] = VARYING_SAMPLES
) -> dict[str, Any]:
    """Packets wait for the next event, each of which is missed now and then."""
    errors = []
    interval_ns = interval_ms * 1e6
    for run in range(RUNS):
        rng = np.random.default_rng((seed, run))
        tick_us, taken_ns = _packets(lengths, rng)
        begin_ns = taken_ns[0] - rng.uniform(0, interval_ns)
        wanted = np.ceil((taken_ns - begin_ns) / interval_ns).astype(np.int64)
        held = np.flatnonzero(rng.random(int(wanted[-1]) + 1000) >= MISSED)
        event = held[np.searchsorted(held, wanted)]
        jitter_ns = rng.exponential(HOST_JITTER_S * 1e9, len(event))
        errors.append(
            _errors(tick_us, taken_ns, begin_ns + event * interval_ns + AIR_S * 1e9 + jitter_ns)
        )
    return _summary(errors)


def interval_sweep(seed: int) -> dict[str, Any]:
    """The error at every interval, for packets of one length and of many."""
    kinds = {FIXED: (PACKET_SAMPLES,), VARIED: VARYING_SAMPLES}
    return {
        f"events every {interval:g} ms, {name}": connection_events(interval, seed, lengths)["error"]
        for interval in INTERVALS_MS
        for name, lengths in kinds.items()
    }


def _packets(
    lengths: Sequence[int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tick (us) and host time (ns) of the last sample of each packet."""
    n = int(SECONDS * SAMPLING_HZ / np.mean(lengths))
    last = np.cumsum(np.resize(lengths, n)) - 1
    tick_us = last * 1e6 / SAMPLING_HZ
    return tick_us, _EPOCH_NS + rng.uniform(0, 1e9) + tick_us * 1e3 * (1 + PPM * 1e-6)


def _errors(
    tick_us: NDArray[np.float64], taken_ns: NDArray[np.float64], arrival_ns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of each settled packet, in ms."""
    arrival_ns = np.maximum.accumulate(arrival_ns)
    least_ns = float((arrival_ns - taken_ns).min())
    clock = DeviceClock()
    errors = []
    for tick, taken, arrival in zip(tick_us.tolist(), taken_ns, arrival_ns, strict=True):
        clock.observe(tick, int(arrival))
        if tick >= SETTLED_S * 1e6:
            errors.append(abs(clock.host_ns(tick) - taken - least_ns) * 1e-6)
    return np.array(errors)


def _summary(errors: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    return {"ppm": PPM, "runs": RUNS, "unit": "ms", "error": percentiles(np.concatenate(errors))}
