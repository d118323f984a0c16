"""Samples that come in BLE connection events, several frames in one: decoder, ingest and clock together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.quality import Quality
from tests.edge.device_streams import EPOCH_NS, US_PER_SAMPLE, Device, Host

FRAME = 10  # samples: 40 ms
AIR_NS = 3e6


def stream(
    ppm: float, interval_ms: float, seconds: float, missed: float = 0.1
) -> tuple[Host, NDArray[np.float64]]:
    """The host after it, and what its clock said of each frame, in ms past device time and least delay.

    The device's clock runs fast by `ppm`. What is complete at a connection event goes with it, unless it is
    missed; the bytes of one event are read at once, 3 ms and some tenths of jitter later.
    """
    rng = np.random.default_rng(5)
    host, device = Host(), Device(sequence=2**16 - 99, boot_us=2**32 - 3e6)
    waiting: list[tuple[bytes, float]] = []
    ends_ns: list[float] = []
    event_ns, last_ns = 0.0, 0.0
    begin_us = device.at_us
    while device.at_us < begin_us + seconds * 1e6:
        end_us = device.at_us + (FRAME - 1) * US_PER_SAMPLE - begin_us
        end_ns = EPOCH_NS + end_us * 1e3 / (1 + ppm * 1e-6)
        while end_ns > EPOCH_NS + event_ns:
            if waiting and rng.random() >= missed:
                jitter_ns = rng.exponential(3e5)
                last_ns = max(last_ns, EPOCH_NS + event_ns + AIR_NS + jitter_ns)
                host.hear(b"".join(data for data, _ in waiting), last_ns)
                ends_ns += [end for _, end in waiting]
                waiting.clear()
            event_ns += interval_ms * 1e6
        info = device.say_info() if len(ends_ns) % 25 == 0 else b""
        waiting.append((info + device.frame(FRAME), end_ns))
    said_ns = np.array([block.acquired_ns for block in host.blocks], np.float64)
    return host, (said_ns - np.array(ends_ns) - AIR_NS) * 1e-6


@pytest.mark.parametrize(
    ("ppm", "interval_ms"), [(20, 48.75), (200, 48.75), (200, 11.25), (-200, 7.5)]
)
def test_device_time_is_known_to_two_milliseconds_after_a_minute(
    ppm: float, interval_ms: float
) -> None:
    host, error_ms = stream(ppm, interval_ms, 80)
    settled = np.abs(error_ms[len(error_ms) * 3 // 4 :])
    assert np.percentile(settled, 99) < 2.0
    counters = host.ingest.counters
    assert counters.samples_in == FRAME * len(error_ms)
    assert counters.samples_lost == counters.gaps == host.ingest.clock.jumps == 0
    assert host.ingest.clock.drift_ppm == pytest.approx(ppm, abs=15)
    assert not any((block.quality & int(Quality.GAP)).any() for block in host.blocks)


def test_where_events_and_frames_keep_step_the_error_is_their_beat_until_they_have_slipped() -> (
    None
):
    """40 ms and 30 ms meet every 10 ms: all delays are alike for 50 s at 200 ppm, and then are not."""
    host, error_ms = stream(200, 30.0, 220)
    second = len(error_ms) // 220  # frames in one; the first seconds know too little
    assert np.abs(error_ms[2 * second :]).max() < 10.0 + 1.5
    assert np.percentile(np.abs(error_ms[-20 * second :]), 99) < 2.0
    assert host.ingest.clock.drift_ppm == pytest.approx(200, abs=10)
