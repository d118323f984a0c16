"""Every sample is accounted for: decoder and ingest under losses, resets, wraps, copies and silence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.quality import Quality
from firmware_bridge.errors import PeerError
from firmware_bridge.events import Duplicate, Late, Restarted, Samples
from firmware_bridge.wire.encoder import WireEncoder
from firmware_bridge.wire.framing import wrap
from tests.edge.device_streams import EPOCH_NS, INFO, RATE_HZ, Device, Host, contiguous

ACTIONS = ["deliver"] * 6 + ["lose"] * 2 + ["twice", "swap", "info", "lose info", "reset"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(1, 40)), max_size=80)
# Where sequence and sample index begin: at zero, just before both wrap, and just before one does.
STARTS = st.sampled_from([(0, 0), (2**16 - 5, 2**32 - 60), (2**16 - 1, 7), (3, 2**32 - 1)])


@dataclass
class Truth:
    """What must come out, told by the schedule alone, session by session."""

    first_sequence: int | None = None
    """Of the first frame that the host ever heard."""
    taken: list[int] = field(default_factory=list)
    """Indices of the samples that must arrive as they are."""
    before_info: int = 0
    lost: int = 0
    _end: int | None = None
    _introduced: bool = False

    def restart(self) -> None:
        """The device boots; a host that has heard it knows, and counts from sample 0."""
        self._introduced = False
        if self.first_sequence is not None:
            self._end = 0
            self.first_sequence = -1

    def info(self, sequence: int) -> None:
        """A stream info arrives."""
        self._hear(sequence)
        self._introduced = True

    def samples(self, sequence: int, first: int, n_samples: int) -> None:
        """A frame arrives: in its place, or after its place was given up."""
        before_the_first = self.first_sequence is not None and sequence < self.first_sequence
        self._hear(sequence)
        if before_the_first or (self._end is not None and first < self._end):
            return
        self.lost += 0 if self._end is None else first - self._end
        self._end = first + n_samples
        if self._introduced:
            self.taken += range(first, first + n_samples)
        else:
            self.before_info += n_samples

    def _hear(self, sequence: int) -> None:
        if self.first_sequence is None:
            self.first_sequence = sequence


@settings(max_examples=400)
@given(STEPS, STARTS, st.booleans())
@example([("swap", 1), ("info", 1), ("lose", 1)], (0, 0), True)  # the first samples, overtaken
def test_what_came_and_what_is_lost_always_add_up(
    steps: list[tuple[str, int]], start: tuple[int, int], introduced: bool
) -> None:
    host, truth = Host(), Truth()
    device = Device(sequence=start[0], first_sample=start[1])
    arrival_ns = EPOCH_NS
    overtaken: tuple[bytes, int, int, int] | None = None
    for action, n_samples in [("info", 1)] * introduced + steps:
        arrival_ns += 40_000_000
        sequence = device.encoder.sequence
        if action == "reset":
            device = Device(session=device.info.session + 1)
            truth.restart()
            overtaken = None
        elif action == "info":
            truth.info(sequence)
            host.hear(device.say_info(), arrival_ns)
        elif action == "lose info":
            device.say_info()
        else:
            sent = (sequence, device.encoder.first_sample, n_samples)
            data = device.frame(n_samples)
            if action == "swap" and overtaken is None:
                overtaken = (data, *sent)
                continue
            if action != "lose":
                truth.samples(*sent)
                host.hear(data * 2 if action == "twice" else data, arrival_ns)
            if overtaken is not None:
                truth.samples(*overtaken[1:])
                host.hear(overtaken[0], arrival_ns)
                overtaken = None
    counters = host.ingest.counters
    assert counters.samples_in == len(truth.taken)
    assert counters.samples_before_info == truth.before_info
    assert counters.samples_lost == truth.lost == host.told_lost
    assert counters.corrupt == 0
    assert contiguous(host.blocks)
    if host.blocks:
        ecg_mv = np.concatenate([block.ecg_mv for block in host.blocks], axis=1)
        measured = ~np.concatenate([block.quality for block in host.blocks], axis=1)[0] & int(
            Quality.GAP
        )
        counts = np.rint(ecg_mv[0, measured != 0] * 1e3)
        np.testing.assert_array_equal(counts, np.array(truth.taken) % 4096)
        assert ecg_mv.shape[1] == counters.samples_in + counters.samples_interpolated


def started(**begin: int) -> tuple[Host, Device]:
    """A host that has heard the stream info and one frame of ten samples."""
    host, device = Host(), Device(**begin)
    host.hear(device.say_info() + device.frame())
    return host, device


def test_losses_at_the_start_of_a_new_session_are_lost_and_not_forgotten() -> None:
    host, _ = started()
    again = Device(session=2)
    info = again.say_info()
    again.frame(30)
    host.hear(info + again.frame(), EPOCH_NS + 200e6)
    assert host.ingest.counters.samples_lost == 30
    assert host.blocks[-1].first_sample == 10 + 40  # 200 ms less the packet, and no less than 30


def test_what_a_host_that_returns_late_missed_of_a_new_session_is_in_the_index_too() -> None:
    host, _ = started()
    again = Device(session=2)
    again.skip(5000)
    host.hear(again.say_info() + again.frame(), EPOCH_NS + 1e9)  # a clock that was set wrong
    assert host.ingest.counters.samples_lost == 5000
    assert host.blocks[-1].first_sample >= 5010


def test_samples_dropped_for_want_of_their_info_are_not_lost_too() -> None:
    host, device = started()
    device.encoder = WireEncoder(
        replace(device.info, nanovolts_per_lsb=500.0, config_id=2),
        sequence=device.encoder.sequence,
        first_sample=device.encoder.first_sample,
    )
    host.hear(device.frame(20))  # another gain, and the info that tells it was lost
    device.skip(5, 1)
    host.hear(device.say_info() + device.frame())
    counters = host.ingest.counters
    assert (counters.samples_before_info, counters.samples_lost) == (20, 5)
    assert counters.samples_in == 20
    assert counters.gaps == 1
    assert host.blocks[-1].first_sample + host.blocks[-1].n_samples == 45


@pytest.mark.parametrize("lost_frames", [0, 1, 3, 100])
def test_both_counters_and_the_tick_wrap_within_a_gap(lost_frames: int) -> None:
    host = Host()
    before_wrap = 2**32 - 15
    device = Device(sequence=2**16 - 2, first_sample=before_wrap)
    device.boot_us = 2**32 - 50_000 - before_wrap * 4000.0  # 50 ms before the tick wraps
    host.hear(device.say_info() + device.frame())
    for _ in range(lost_frames):
        device.frame()
    arrival_ns = EPOCH_NS + (lost_frames + 1) * 40e6
    host.hear(device.frame(), arrival_ns)
    host.hear(device.frame(), arrival_ns + 40e6)
    counters = host.ingest.counters
    assert (counters.samples_in, counters.samples_lost) == (30, 10 * lost_frames)
    ticks = [event.tick_us for event in host.events if isinstance(event, Samples)]
    assert ticks == [2**32 - 50_000 + 40_000 * n for n in (0, lost_frames + 1, lost_frames + 2)]
    assert host.ingest.clock.jumps == 0
    assert host.blocks[-1].acquired_ns == pytest.approx(arrival_ns + 40e6, abs=2)


@pytest.mark.parametrize("hours", [0.6, 1.1, 2.5, 9.0])
@pytest.mark.parametrize("ppm", [0, 200])
def test_after_hours_of_silence_time_and_account_are_exact(hours: float, ppm: int) -> None:
    """Out of reach: the device samples on, so index and tick both tell how long it was."""
    host, device = started()
    n_lost = round(hours * 3600 * RATE_HZ)
    device.skip(n_lost, n_lost // 10)
    host_s = (n_lost + 10) / RATE_HZ * (1 + ppm * 1e-6)
    host.hear(device.frame(), EPOCH_NS + host_s * 1e9)
    for n in range(1, 200):
        host.hear(device.frame(), EPOCH_NS + (host_s + 0.04 * n) * 1e9)
    counters = host.ingest.counters
    assert (counters.samples_in, counters.samples_lost, counters.gaps) == (2010, n_lost, 1)
    assert host.blocks[-1].acquired_ns == pytest.approx(
        EPOCH_NS + (host_s + 0.04 * 199) * 1e9, abs=2e6
    )


@pytest.mark.parametrize("hours", [0.3, 0.6, 1.19, 2.0, 26.0])
def test_a_device_that_slept_is_timed_by_the_hosts_clock(hours: float) -> None:
    """It took no samples meanwhile and says no new session: its tick wrapped unseen."""
    host, device = started()
    device.sleep(hours * 3600)
    woke_ns = EPOCH_NS + hours * 3600e9
    for n in range(1, 50):
        host.hear(device.frame(), woke_ns + n * 40e6)
    assert host.ingest.counters.samples_lost == 0
    assert host.ingest.clock.jumps == 0
    assert host.blocks[-1].acquired_ns == pytest.approx(woke_ns + 49 * 40e6, abs=2e6)


def test_a_device_whose_tick_slept_too_is_timed_anew_within_seconds() -> None:
    host, device = started()
    for n in range(1, 400):
        host.hear(
            device.frame(), EPOCH_NS + 600e9 + n * 40e6
        )  # ten minutes that it knows nothing of
    assert host.ingest.clock.jumps == 1
    assert host.blocks[-1].acquired_ns == pytest.approx(EPOCH_NS + 600e9 + 399 * 40e6, abs=2e6)


def test_a_backlog_is_no_sleep() -> None:
    """Frames of an outage that the device had kept come at once: late, and the clock knows it."""
    host, device = started()
    for n in range(1, 300):
        host.hear(device.frame(), EPOCH_NS + n * 40e6)
    for n in range(300, 550):
        host.hear(device.frame(), EPOCH_NS + 550 * 40e6 + n * 1e3)
    for n in range(550, 600):
        host.hear(device.frame(), EPOCH_NS + n * 40e6 + 41e6)
    assert host.ingest.clock.jumps == 0
    assert host.ingest.counters.samples_lost == 0


def test_copies_and_overtaken_frames_cost_nothing_but_their_own_place() -> None:
    host, device = started()
    frames = [device.frame() for _ in range(6)]
    for data in (frames[0], frames[0], frames[2], frames[1], frames[3], frames[5], frames[4]):
        host.hear(data)
    kinds = [type(event) for event in host.events]
    assert (kinds.count(Duplicate), kinds.count(Late)) == (1, 2)
    counters = host.ingest.counters
    assert (counters.samples_in, counters.samples_lost) == (50, 20)
    assert (counters.duplicates, counters.late) == (1, 2)


def test_a_reset_mid_stream_begins_ticks_and_samples_anew() -> None:
    host, device = started(first_sample=100_000)
    for n in range(1, 20):
        host.hear(device.frame(), EPOCH_NS + n * 40e6)
    again = Device(session=2, boot_us=7.0)
    boot_ns = EPOCH_NS + 19 * 40e6 + 500e6
    host.hear(again.say_info(), boot_ns)
    for n in range(1, 20):
        host.hear(again.frame(), boot_ns + n * 40e6)
    assert [type(event) for event in host.events].count(Restarted) == 1
    counters = host.ingest.counters
    assert (counters.restarts, counters.samples_in, counters.samples_lost) == (1, 390, 0)
    assert host.blocks[20].first_sample == 200 + 125  # half a second was spent booting
    assert host.blocks[-1].acquired_ns == pytest.approx(boot_ns + 19 * 40e6, abs=2e6)
    assert host.ingest.clock.jumps == 0  # told, not guessed


def test_a_new_rate_is_refused_in_one_line() -> None:
    host, _ = started()
    fast = Device(session=2)
    fast.encoder = WireEncoder(replace(INFO, session=2, sampling_hz=500.0))
    with pytest.raises(PeerError, match=r"changed from II, V1, V5 at 250 Hz to .* at 500 Hz"):
        host.hear(fast.say_info())


def test_another_lead_count_mid_stream_is_refused_in_one_line() -> None:
    host, device = started()
    two = replace(device.info, leads=("II", "V1"))
    wrong = WireEncoder(two, sequence=device.encoder.sequence, first_sample=10)
    with pytest.raises(PeerError, match=r"2 channels, and stream info 1 names 3 leads; check its"):
        host.hear(wrong.samples(np.zeros((2, 5), np.int32), 40_000))


def test_another_version_of_the_format_is_refused_in_one_line() -> None:
    with pytest.raises(PeerError, match=r"format version 2, and this side speaks 1; .*update"):
        Host().hear(wrap(b"\x02\x10\x00\x00\x00later"))
