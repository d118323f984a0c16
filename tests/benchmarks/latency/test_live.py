"""Frames matched with blocks, and a short run of the real path."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.latency.live import (
    TimingSink,
    algorithmic_ms,
    dropped_frames,
    match,
    read_frames,
    run_live,
    scheduled,
)
from edge.bundle import load_bundle
from edge.leads import provenance
from edge.samples import TwelveLeadBlock
from edge.signal.resampling import RateConverter

pytestmark = pytest.mark.realtime

MS = 1_000_000


def frames_every(n: int, samples: int, ms: float, first: int = 0) -> np.ndarray:
    i = np.arange(n)
    return np.stack([first + i * samples, (1000 + i * ms) * MS], 1).astype(np.int64)


def blocks_at(*blocks: tuple[int, float]) -> np.ndarray:
    """(stream index after it, time at the sink in ms); the bytes arrive just before."""
    return np.array([[end, ms * MS - 1, ms * MS] for end, ms in blocks]).astype(np.int64)


def test_a_frame_is_answered_by_the_block_that_holds_its_last_sample() -> None:
    frames = frames_every(4, 10, 40)  # ends 10, 20, 30 make 8, 20, 28 whole samples
    found = match(frames, blocks_at((8, 1003), (20, 1045), (28, 1081)), 250, 250, 0.0, 4)
    assert found.latencies_us.tolist() == [3000, 5000, 1000]
    assert (found.unanswered, found.noted_late) == (0, 0)


def test_a_block_that_comes_late_counts_with_every_frame_it_answers() -> None:
    found = match(frames_every(4, 10, 40), blocks_at((28, 1090)), 250, 250, 0.0, 4)
    assert found.latencies_us.tolist() == [90_000, 50_000, 10_000]
    assert found.unanswered == 0


def test_a_frame_that_completes_no_hop_has_no_block() -> None:
    frames = frames_every(5, 3, 12)  # ends 3, 6, 9, 12: whole 0, 4, 8, 12
    found = match(frames, blocks_at((4, 1013), (8, 1025), (12, 1037)), 250, 250, 0.0, 4)
    assert found.latencies_us.tolist() == [1000, 1000, 1000]
    assert found.unanswered == 0


def test_a_frame_without_an_answer_is_counted() -> None:
    found = match(frames_every(4, 10, 40), blocks_at((8, 1003)), 250, 250, 0.0, 4)
    assert (found.latencies_us.tolist(), found.unanswered) == ([3000], 2)


def test_the_stream_begins_with_the_first_frame() -> None:
    found = match(frames_every(2, 10, 40, first=7000), blocks_at((8, 1003)), 250, 250, 0.0, 4)
    assert found.latencies_us.tolist() == [3000]


def test_bytes_that_were_read_had_been_written_whatever_the_note_says() -> None:
    blocks = np.array([[8, 998 * MS, 1003 * MS]])
    found = match(frames_every(2, 10, 40), blocks, 250, 250, 0.0, 4)
    assert found.latencies_us.tolist() == [5000]
    assert found.noted_late == 1


@pytest.mark.parametrize("device_hz", [125.0, 360.0, 500.0, 1000.0])
def test_the_rule_is_what_the_rate_converter_does(device_hz: float) -> None:
    """A block noted as soon as the real converter allows it answers its frame with no delay."""
    converter, hop = RateConverter(device_hz, 250.0), 4
    frames = frames_every(60, 11, 11e3 / device_hz)
    out, blocks = 0, []
    for _, written in frames[:-1].tolist():
        out += converter.push(np.zeros((3, 11), np.float32))[0].shape[1]
        whole = out // hop * hop
        if whole > (blocks[-1][0] if blocks else 0):
            blocks.append((whole, written, written))
    found = match(frames, np.array(blocks), device_hz, 250.0, converter.delay_s, hop)
    assert found.unanswered == 0
    assert len(found.latencies_us) == len(blocks) > 10
    assert not found.latencies_us.any()


def test_the_schedule_is_even_and_never_later_than_the_note() -> None:
    frames = frames_every(5, 20, 40)
    late = frames.copy()
    late[[1, 3], 1] += [7 * MS, 2 * MS]
    assert (scheduled(late, 500.0) == frames).all()


def test_holes_in_the_devices_log_are_dropped_frames() -> None:
    frames = frames_every(6, 20, 40)
    assert dropped_frames(frames) == 0
    assert dropped_frames(np.delete(frames, [2, 3], axis=0)) == 2
    assert dropped_frames(frames[:1]) == 0


def test_a_half_written_line_of_the_log_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "frames.csv"
    log.write_text("0,100\n20,140\n40,1")
    assert read_frames(log).tolist() == [[0, 100], [20, 140]]
    log.write_text("")
    assert read_frames(log).shape == (0, 2)


def test_what_the_design_costs_adds_up() -> None:
    parts = algorithmic_ms(25.0, 0.02, 0.016)
    assert parts == pytest.approx(
        {"device_frame": 40, "rate_conversion": 20, "hop_and_lookahead": 16, "sum": 76}
    )


def block(first: int, n: int = 4) -> TwelveLeadBlock:
    ecg = np.zeros((12, n), np.float32)
    return TwelveLeadBlock(ecg, ecg, ecg.astype(np.uint8), first, 250.0, provenance())


def test_the_sink_notes_every_block_and_counts_what_is_missing() -> None:
    sink = TimingSink(1.0, 25.0)
    for first in (0, 4, 12):
        sink.write(block(first))
    assert sink.blocks[:, 0].tolist() == [4, 8, 16]
    assert (np.diff(sink.blocks[:, 2]) >= 0).all()
    assert sink.missing_samples == 4
    assert len(sink.memory) == 1


def test_the_sink_does_not_grow() -> None:
    sink = TimingSink(0.0, 0.1)
    for first in range(0, 16, 4):
        sink.write(block(first))
    with pytest.raises(BenchmarkError, match="more blocks"):
        sink.write(block(16))


@pytest.mark.skipif(os.name != "posix", reason="needs pseudo-terminals")
@pytest.mark.parametrize("device_hz", [250.0, 500.0])
def test_a_live_run_loses_nothing_and_answers_every_frame(device_hz: float) -> None:
    run = run_live(load_bundle(), seconds=1.5, device_hz=device_hz)
    results = run.results
    for name in ("samples_lost", "frames_unanswered", "output_samples_missing", "gaps", "corrupt"):
        assert results[name] == 0, name
    assert results["processing"]["n"] == len(run.latencies_us) > 10
    assert results["algorithmic_ms"]["rate_conversion"] == (0 if device_hz == 250 else 20)
    assert run.memory
