"""The live path in memory: what comes out, what is counted, and how it ends."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from edge.errors import InputError, SinkError
from edge.live.runtime import NO_SAMPLES_S, Runtime
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from firmware_bridge.errors import PeerError, StallError, TransportError, TransportLost
from firmware_bridge.source import Link, Source
from firmware_bridge.transports.memory import MemoryTransport
from firmware_bridge.wire.decoder import WireDecoder
from tests.edge.fakes import FakeReconstructor, ListSink, MemoryDevice


def finished(
    device: MemoryDevice, **options: object
) -> tuple[Runtime, FakeReconstructor, ListSink]:
    """Run to the end of what the device has said."""
    reconstructor, sink = FakeReconstructor(), ListSink()
    runtime = Runtime(device.source, reconstructor, {"list:": sink}, **options)  # type: ignore[arg-type]
    device.transport.end()
    runtime.run()
    return runtime, reconstructor, sink


def test_every_sample_that_arrives_comes_out_in_order() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(10, n_frames=30)
    runtime, _, sink = finished(device)
    np.testing.assert_allclose(sink.ecg_mv[0], np.arange(300) * 1e-3, rtol=1e-6)
    firsts = [block.first_sample for block in sink.blocks]
    assert firsts == list(np.cumsum([0] + [block.n_samples for block in sink.blocks[:-1]]))
    assert all(block.arrival_ns > 0 for block in sink.blocks)
    report = runtime.report()
    assert (report["samples_in"], report["samples_out"], report["samples_lost"]) == (300, 300, 0)
    assert (report["gaps"], report["outputs"]) == (0, ["list:"])
    assert sink.closed == 1


def test_latency_is_counted_once_per_block_and_by_stage() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8, n_frames=5)
    runtime, reconstructor, sink = finished(device)
    stages = runtime.latency.stages
    assert stages["decode"].n == stages["ingest"].n == 5
    assert stages["queue"].n == stages["reconstruct"].n == len(reconstructor.pushed)
    for stage in ("byte_to_block", "byte_to_sink", "sink", "acquisition_to_block"):
        assert stages[stage].n == len(sink.blocks)
    assert stages["byte_to_sink"].max_ns >= stages["byte_to_block"].max_ns


@pytest.mark.parametrize(("deadline_s", "missed"), [(3600.0, False), (-1.0, True)])
def test_a_block_after_its_deadline_is_a_miss(deadline_s: float, missed: bool) -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8, n_frames=5)
    runtime, _, sink = finished(device, deadline_s=deadline_s)
    assert runtime.deadline_misses == (len(sink.blocks) if missed else 0)


def test_a_short_gap_is_interpolated_and_flagged() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(10, n_frames=4)
    device.frame(12)  # lost
    device.say(10, n_frames=3)
    runtime, reconstructor, sink = finished(device)
    np.testing.assert_allclose(sink.ecg_mv[0], np.arange(80) * 1e-3, atol=1e-5)
    flags = np.hstack([block.quality[0] for block in sink.blocks])
    assert np.flatnonzero(flags & Quality.GAP).tolist() == list(range(40, 52))
    assert reconstructor.skipped == []
    assert (runtime.samples_lost, runtime.gaps) == (12, 1)


def test_a_long_gap_is_skipped_and_the_index_jumps() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(10, n_frames=4)
    device.frame(80)
    device.say(10, n_frames=2)
    runtime, reconstructor, sink = finished(device)
    assert reconstructor.skipped == [80]
    assert sink.blocks[-1].first_sample + sink.blocks[-1].n_samples == 140
    assert (runtime.samples_lost, runtime.gaps, runtime.samples_out) == (80, 1, 60)


@pytest.mark.parametrize("device_hz", [500.0, 128.0, 1000.0])
def test_another_rate_is_converted_and_a_gap_keeps_its_place_in_time(device_hz: float) -> None:
    device = MemoryDevice(sampling_hz=device_hz)
    device.say_info()
    device.say(32, n_frames=8)
    for _ in range(5):
        device.frame(64)
    device.say(32, n_frames=8)
    runtime, reconstructor, sink = finished(device)
    jumps = [
        (before.first_sample + before.n_samples, after.first_sample)
        for before, after in pairwise(sink.blocks)
        if before.first_sample + before.n_samples != after.first_sample
    ]
    ((end, begin),) = jumps
    per_sample = 250.0 / device_hz
    assert 0 <= 256 * per_sample - end < 0.02 * 250 + reconstructor.hop + 1
    assert begin == np.ceil((256 + 320) * per_sample)
    assert runtime.samples_lost == 320
    # Input lead 0 counts up by one microvolt a sample: time can be read off the output.
    after_gap = sink.blocks[-1]
    middle = after_gap.n_samples // 2
    expected_mv = (after_gap.first_sample + middle) / per_sample * 1e-3
    assert after_gap.ecg_mv[0, middle] == pytest.approx(expected_mv, abs=1.5e-3)


@pytest.mark.parametrize("device_hz", [10.0, 20_000.0])
def test_a_rate_that_no_ecg_has_is_refused(device_hz: float) -> None:
    device = MemoryDevice(sampling_hz=device_hz)
    device.say_info()
    device.say(8)
    with pytest.raises(InputError, match="is not accepted"):
        finished(device)


def test_inference_that_falls_behind_loses_no_count() -> None:
    device = MemoryDevice()
    device.say_info()
    reconstructor = FakeReconstructor()
    runtime = Runtime(device.source, reconstructor)
    blocks = runtime.blocks()
    device.say(10)
    first = next(blocks)
    assert first.n_samples == 8
    total = 10
    while runtime.ingest.counters.samples_in < total + 5000:  # 8 s of ring at 250 Hz, and more
        device.say(50)
        _wait_for(runtime, device.next_sample)
    device.transport.end()
    rest = list(blocks)
    report = runtime.report()
    overrun = report["samples_overrun"]
    assert overrun == device.next_sample - 10 - 2000
    assert report["samples_lost"] == overrun
    assert report["gaps"] == 1
    assert reconstructor.skipped == [overrun]
    assert rest[0].first_sample == 10 + overrun
    np.testing.assert_allclose(rest[0].ecg_mv[0, 0], rest[0].first_sample * 1e-3, rtol=1e-5)


def _wait_for(runtime: Runtime, samples_in: int) -> None:
    """Until the acquisition thread has taken what was fed."""
    done = threading.Event()
    for _ in range(1000):
        if runtime.ingest.counters.samples_in >= samples_in:
            return
        done.wait(0.01)
    raise AssertionError("the acquisition thread does not take samples")


def test_a_recording_waits_for_inference_and_has_no_device_time() -> None:
    device = MemoryDevice()
    device.source.link = Link(device.transport, WireDecoder(), "wire", live=False)
    device.say_info()
    device.say(50, n_frames=120)
    device.transport.end()
    runtime = Runtime(device.source, FakeReconstructor())
    blocks = runtime.blocks()
    seen = next(blocks).n_samples
    threading.Event().wait(0.05)  # time enough to overrun, if it did not wait
    seen += sum(block.n_samples for block in blocks)
    assert seen == 6000
    assert runtime.samples_lost == 0
    assert runtime.latency.stages["acquisition_to_block"].n == 0
    assert runtime.latency.stages["byte_to_block"].n > 0


def test_a_lost_link_ends_the_run_with_its_error_after_what_arrived() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(10, n_frames=4)
    lost = "the device was unplugged"
    device.transport.lose(lost)
    sink = ListSink()
    with pytest.raises(TransportLost, match=lost):
        Runtime(device.source, FakeReconstructor(), {"list:": sink}).run()
    assert sink.ecg_mv.shape == (12, 40)
    assert sink.closed == 1


class ClosedDoor(MemoryTransport):
    """A port that cannot be opened."""

    async def open(self) -> None:
        """Refuse."""
        raise TransportError("no serial port /dev/nowhere")


def test_a_source_that_does_not_open_closes_the_sinks() -> None:
    source = Source(Link(ClosedDoor(), WireDecoder(), "wire"), name="memory:")
    sink = ListSink()
    with pytest.raises(TransportError, match="no serial port"):
        Runtime(source, FakeReconstructor(), {"list:": sink}).run()
    assert sink.closed == 1


def test_the_last_sink_to_fail_ends_the_run_with_its_error() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8, n_frames=5)
    error = SinkError("cannot write out.edf: disk full")
    bad, worse = ListSink(fail_at=0, error=KeyError(1)), ListSink(fail_at=0, error=error)
    runtime = Runtime(device.source, FakeReconstructor(), {"bad": bad, "worse": worse})
    with pytest.raises(SinkError) as raised:
        runtime.run()
    assert raised.value is error
    assert (bad.closed, worse.closed) == (1, 1)
    assert list(runtime.sink_failures) == ["bad", "worse"]
    assert "acquisition" not in [thread.name for thread in threading.enumerate()]


def test_a_sink_that_fails_is_in_the_report_and_the_others_go_on() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8)
    device.transport.end()
    good, bad, unfinished = ListSink(), ListSink(0, BrokenPipeError(32, "Broken pipe")), ListSink()
    unfinished._error = SinkError("cannot finish")
    said: list[str] = []
    sinks = {"bad": bad, "unfinished": unfinished, "good": good}
    runtime = Runtime(device.source, FakeReconstructor(), sinks, say=said.append)
    runtime.run()
    assert good.ecg_mv.shape == (12, 8)
    assert (good.closed, bad.closed, unfinished.closed) == (1, 1, 1)
    report = runtime.report()
    assert list(report["sink_failures"]) == ["bad", "unfinished"]
    assert report["outputs"] == list(sinks)
    assert report["warnings"] == list(runtime.status().warnings)
    assert len(said) == 2


def test_the_only_sink_that_cannot_be_finished_fails_the_run() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8)
    device.transport.end()
    runtime = Runtime(
        device.source, FakeReconstructor(), {"b": ListSink(error=SinkError("cannot finish"))}
    )
    with pytest.raises(SinkError, match="cannot finish"):
        runtime.run()


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"leads": ("I", "II", "V5")}, InputError, "no lead V1: it gives I, II, V5"),
        ({"sampling_hz": 500.0}, PeerError, "changed from II, V1, V5 at 250 Hz"),
    ],
)
def test_a_stream_that_cannot_be_used_ends_the_run_as_ingest_says(
    changes: dict[str, object], error: type[Exception], says: str
) -> None:
    device = MemoryDevice()
    if "sampling_hz" in changes:
        device.say_info()
        device.say(10)
    device.say_info(config_id=2, **changes)
    with pytest.raises(error, match=says):
        finished(device)


def test_a_device_that_sends_no_samples_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.live.runtime.NO_SAMPLES_S", 0.0)
    device = MemoryDevice()
    device.say_info()
    device.say_info()
    with pytest.raises(StallError, match="no samples for 0 s"):
        finished(device)


def test_a_device_that_was_away_for_long_has_its_time_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = MemoryDevice()
    in_outage = []
    away_ns = 0
    monkeypatch.setattr("edge.live.runtime.monotonic_ns", lambda: time.monotonic_ns() + away_ns)

    class Away(MemoryTransport):
        opened = 0

        async def open(self) -> None:
            nonlocal away_ns
            await super().open()
            self.opened += 1
            in_outage.append(device.source.in_outage)
            if self.opened == 2:
                away_ns = round(2e9 * NO_SAMPLES_S)  # twice as long as one may go without samples
                self._lost = None
                device.say_info()  # no samples first, as a device greets
                device.say(8)

    device.transport = Away()
    link = Link(device.transport, WireDecoder(), "wire")
    device.source = Source(link, name="memory:", reconnect_s=5.0)
    device.say_info()
    device.say(8)
    device.transport.lose("out of reach")
    runtime, _, _ = finished(device)
    assert runtime.report()["samples_in"] == 16
    assert runtime.report()["reconnects"] == runtime.status().reconnects == 1
    assert (in_outage, runtime.status().in_outage) == ([False, True], False)


def test_stop_from_another_thread_is_a_clean_end() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8, n_frames=5)
    sink = ListSink()
    runtime = Runtime(device.source, FakeReconstructor(), {"list:": sink})

    class StopAtFirstBlock(ListSink):
        def write(self, block: TwelveLeadBlock) -> None:
            threading.Thread(target=runtime.stop).start()

    runtime.sinks["stop"] = StopAtFirstBlock()
    runtime.run()
    assert sink.closed == 1
    assert runtime.samples_out >= 8


def test_stop_before_the_start_takes_nothing() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8)
    runtime = Runtime(device.source, FakeReconstructor())
    runtime.stop()
    runtime.run()
    assert runtime.report()["samples_in"] == 0
    assert runtime.report()["seconds"] == 0.0


def test_seconds_end_a_stream_that_goes_on() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8, n_frames=5)
    runtime = Runtime(device.source, FakeReconstructor())
    runtime.run(seconds=1e-9)
    assert runtime.samples_out == runtime.ingest.counters.samples_in == 40


def test_closing_the_iterator_stops_the_acquisition() -> None:
    device = MemoryDevice()
    device.say_info()
    device.say(8)
    runtime = Runtime(device.source, FakeReconstructor())
    blocks = runtime.blocks()
    next(blocks)
    blocks.close()
    assert "acquisition" not in [thread.name for thread in threading.enumerate()]


def test_status_is_there_before_the_first_block() -> None:
    device = MemoryDevice()
    runtime = Runtime(device.source, FakeReconstructor())
    assert np.isnan(runtime.status().latency_p50_ms)
    device.say_info()
    device.say(8)
    device.transport.end()
    runtime.run()
    status = runtime.status()
    assert status.latency_p99_ms >= status.latency_p50_ms > 0
    assert (status.samples_lost, status.gaps) == (0, 0)
