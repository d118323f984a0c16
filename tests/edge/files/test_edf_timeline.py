"""Time in EDF files: gaps in their place, the start, and the end of our own recordings."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edge.files.edf_timeline import annotation_texts, place_records
from edge.files.edf_writer import EdfSink
from edge.files.recording import MAX_GAP_FILL_S, Metadata
from edge.files.records import open_record
from edge.leads import INPUT_LEADS
from edge.quality import Quality
from tests.edge.files.edf_files import (
    MV,
    TOLERANCE,
    plus,
    read,
)
from tests.edge.sinks.blocks import block, ecg


def test_edf_plus_d_without_gaps_is_whole(tmp_path: Path) -> None:
    got, warnings = read(plus(0, 1, 2.0004, 3).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert warnings == ()


def test_a_gap_is_missing_in_its_place_whatever_the_piece(tmp_path: Path) -> None:
    path = plus(5, 6, 9.5, 10.5).write(tmp_path / "a.edf")
    expected = np.full((3, 1625), np.nan)
    expected[:, :500], expected[:, 1125:] = MV[:, :500], MV[:, 500:]
    with open_record(path, INPUT_LEADS) as record:
        assert record.n_samples == 1625
        assert "1 gaps" in record.warnings[0]
        assert record.started_at == datetime(2020, 2, 1, 10, 0, 5)
        for start, stop in (
            (0, 1625),
            (499, 501),
            (500, 1125),
            (600, 700),
            (1100, 1126),
            (3, 1620),
        ):
            np.testing.assert_allclose(
                record.read(start, stop), expected[:, start:stop], atol=TOLERANCE
            )


def test_edf_plus_c_is_read_as_it_says_whatever_the_onsets(tmp_path: Path) -> None:
    got, warnings = read(plus(0, 5, "x", 3, kind="EDF+C").write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert warnings == ()


def test_a_time_that_goes_back_or_is_not_stated_follows_on(tmp_path: Path) -> None:
    got, warnings = read(plus(10, 2, 3, "").write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert "before the record" in warnings[0]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"+0\x14\x14\0\0\0", [(0.0, "")]),
        (b"+1.5\x14\x14\0+2\x150.5\x14note\x14\0", [(1.5, ""), (2.0, "note")]),
        (b"-0,5\x14\x14two\x14texts\x14\0", [(-0.5, ""), (-0.5, "two"), (-0.5, "texts")]),
        (b"+3.456e+06\x14\x14\0", [(3456000.0, "")]),
        (b"+1\x14\xc3\xa4\xff\x14\0", [(1.0, "\u00e4\ufffd")]),
        (b"1\x14x\x14\0+\x14x\x14\0+9", []),
        (b"", []),
    ],
)
def test_the_texts_of_a_record(data: bytes, texts: list[tuple[float, str]]) -> None:
    assert annotation_texts(data) == texts


def test_times_that_were_rounded_make_no_gap_and_a_clock_set_back_hides_none() -> None:
    rounded = place_records([0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0], 250, 250.0)
    assert (rounded.n_samples, len(rounded.runs)) == (7 * 250, 1)
    reset = place_records([100.0, 101.0, 3.0, 4.0, 9.0], 250, 250.0)
    assert [run.first_sample for run in reset.runs] == [0, (4 + 4) * 250]


def test_long_gaps_are_bounded_and_said() -> None:
    day = MAX_GAP_FILL_S
    within = place_records([0.0, 3600.0, 3601.0], 250, 250.0)
    assert within.n_samples == 3602 * 250
    beyond = place_records([0.0, 10 * day, 10 * day + 1, 10 * day + 5], 250, 250.0)
    assert [run.first_sample for run in beyond.runs] == [0, 500, 2000 - 750 + 500]
    assert "cut to 1 s" in beyond.warnings[1]
    strips = place_records([i * day / 3 for i in range(1000)], 250, 250.0)
    assert strips.n_samples < (day + 2 * 1000 + 2) * 250


def test_start_and_device_are_read(tmp_path: Path) -> None:
    recording = "Startdate 02-MAR-1999 X X Holter_7 more"
    path = plus(0.25, kind="EDF+C", date="02.03.99", recording=recording).write(tmp_path / "a.edf")
    with open_record(path) as record:
        assert record.started_at == datetime(1999, 3, 2, 10, 0, 0, 250_000)
        assert (record.device, record.simulated) == ("Holter 7", False)


# Our own files


@pytest.mark.parametrize(
    "start",
    [
        None,
        datetime(2026, 3, 1, 12, 30, 15),
        datetime(2026, 3, 1, 12, 30, 15, 123456, timezone(timedelta(hours=-3))),
    ],
)
def test_our_own_file_ends_where_the_recording_ended(
    tmp_path: Path, start: datetime | None
) -> None:
    path = tmp_path / "own.edf"
    sent = ecg(1000)
    sent[6, 300:350] = np.nan
    flags = np.zeros(sent.shape, np.uint8)
    flags[6, 300:350] = Quality.LEAD_OFF
    metadata = Metadata(device="Band 3", simulated=True, started_at=start)
    with EdfSink(path, 250.0, metadata) as sink:
        sink.write(block(sent[:, :600], 0, flags[:, :600]))
        sink.write(block(sent[:, 600:], 1000))
    with open_record(path) as record:
        got = record.read(0, record.n_samples)
        assert (record.n_samples, record.simulated, record.device) == (1400, True, "Band 3")
        assert record.started_at == start
        (warning,) = record.warnings
        assert warning.endswith("V6 in it: reconstructed by leadlift, not measured")
    assert np.isnan(got[:, 600:1000]).all()  # the gap
    assert np.isnan(got[6, 300:350]).all()
    expected = np.delete(sent, np.s_[300:350], axis=1)
    np.testing.assert_allclose(
        np.delete(got, np.r_[300:350, 600:1000], axis=1), expected, atol=3e-4
    )


def test_gaps_that_a_continuous_file_states_count_and_a_slow_clock_makes_none(
    tmp_path: Path,
) -> None:
    path = plus(0, 1, 5, 6, kind="EDF+C").write(tmp_path / "a.edf")
    got, warnings = read(path)
    assert got.shape == (3, 1750)
    assert np.isnan(got[:, 500:1250]).all()
    assert "EDF+C" in warnings[0]
    got, warnings = read(plus(0, 1.2, 2.4, 3.6, kind="EDF+C").write(tmp_path / "b.edf"))
    assert (got.shape, warnings) == ((3, 1000), ())
