"""Times in CSV: seconds, counts, clocks and dates; the rate that they say, and the gaps in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge.errors import InputError
from edge.files.records import open_record
from tests.edge.files.csv_tables import EPOCH, HEAD, MV, START, TEN, N, put, rows

TIMES: dict[str, tuple[str, Callable[[int], str], datetime | None]] = {
    "ms by name": ("t_ms", lambda i: str(4 * i), None),
    "ms in brackets": ("Time [ms]", lambda i: str(4 * i), None),
    "us that wrap": ("micros", lambda i: str((4_294_900_000 + 4000 * i) % 2**32), None),
    "epoch": ("timestamp", lambda i: f"{1.7e9 + i / 250:.3f}", EPOCH),
    "epoch ms": ("timestamp", lambda i: str(1_700_000_000_000 + 4 * i), EPOCH),
    "isoformat over midnight": (
        "datetime", lambda i: (START + timedelta(seconds=i / 250)).isoformat(), START),
    "ISO in UTC": ("time", lambda i: f"2024-03-01 10:00:{i / 250:06.3f}Z", TEN),
    "European date": ("Zeit", lambda i: f"13.04.2024 10:00:{i / 250:06.3f}", datetime(2024, 4, 13, 10)),
    "clock over midnight": (
        "time", lambda i: (START + timedelta(seconds=i / 250)).strftime("%H:%M:%S.%f"), None),
    "tenths of a second": ("time", lambda i: f"00:{i // 25 / 10:04.1f}", None),
    "whole seconds": ("time", lambda i: f"10:00:{i // 250:02d}", None),
    "packets of ten": ("time_s", lambda i: f"{i // 10 * 0.04:.3f}", None),
}  # fmt: skip


@pytest.mark.parametrize("kind", TIMES)
def test_columns_of_times(tmp_path: Path, kind: str) -> None:
    name, time, started_at = TIMES[kind]
    with open_record(put(tmp_path, f"{name},II,V1,V5\n" + rows(time=time))) as record:
        assert record.sampling_hz == pytest.approx(250.0, rel=1e-9)
        assert record.started_at == started_at
        assert (record.n_samples, record.warnings) == (N, ())
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["epoch ms", "isoformat over midnight", "clock over midnight"])
@pytest.mark.parametrize("word", ["", "#N/A", "nan"])
def test_a_row_whose_time_is_missing_stays_in_its_place(
    tmp_path: Path, kind: str, word: str
) -> None:
    name, time, _ = TIMES[kind]
    text = rows(time=lambda i: word if i in (0, 500) else time(i))
    with open_record(put(tmp_path, f"{name},II,V1,V5\n{text}")) as record:
        assert (record.n_samples, record.warnings) == (N, ())
        np.testing.assert_allclose(record.read(0, N), MV, rtol=1e-6, atol=1e-7)


def test_a_unit_that_is_assumed_is_said(tmp_path: Path) -> None:
    path = put(tmp_path, "time,II,V1,V5\n" + rows(time=lambda i: str(4 * i)))
    with open_record(path) as record:
        assert record.sampling_hz == 250.0
        assert "no unit" in record.warnings[0]
    with open_record(path, sampling_hz=250) as record:
        assert record.warnings == ()
    counted = put(tmp_path, "time,II,V1,V5\n" + rows(time=str))
    with pytest.raises(InputError, match="--rate"):
        open_record(counted)
    with open_record(counted, sampling_hz=250) as record:
        assert record.sampling_hz == 250.0


@pytest.mark.parametrize("hz", [32768 / 131, 256.2, 500.4, 249.8, 257.3, 360.0, 250.137])
@pytest.mark.parametrize("digits", [3, 6])
def test_the_rate_is_what_the_column_says(tmp_path: Path, hz: float, digits: int) -> None:
    path = tmp_path / "in.csv"
    times = np.arange(60_000) / hz
    np.savetxt(path, np.column_stack([times, times * 0]), f"%.{digits}f", ",", header="time_s,II")
    with open_record(path) as record:
        assert record.sampling_hz == pytest.approx(hz, rel=10.0**-digits / times[-1] * 1.1)
        assert (record.n_samples, record.warnings) == (60_000, ())
        assert hz != 360.0 or record.sampling_hz == 360.0


def test_jitter_is_no_gap_and_leaves_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    n = 50_000
    times = np.arange(n) / 250 + np.random.default_rng(0).normal(0, 0.003, n)
    times[30_000:] += 2.0
    np.savetxt(path, np.column_stack([times, np.arange(n)]), "%.6f", ",", header="time,II")
    with open_record(path) as record:
        assert record.sampling_hz == pytest.approx(250.0, rel=1e-4)
        assert record.n_samples == pytest.approx(n + 500, abs=4)
        assert "after 119.9" in record.warnings[0]


def test_gaps_are_missing_samples_in_place_whatever_the_cut(tmp_path: Path) -> None:
    lost = [*range(251, 750), 800]
    lines = [line for i, line in enumerate(rows().splitlines()) if i not in lost]
    want = MV.copy()
    want[:, lost] = np.nan
    with open_record(put(tmp_path, HEAD + "\n".join(lines))) as record:
        assert (record.sampling_hz, record.n_samples) == (250.0, N)
        for start, stop in ((0, N), (250, 252), (300, 400), (740, 760), (799, 802)):
            np.testing.assert_allclose(
                record.read(start, stop), want[:, start:stop], rtol=1e-6, atol=1e-7
            )
        assert "500 samples (2 s)" in record.warnings[0]
        assert "after 1 s" in record.warnings[0]


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    text = HEAD + rows().replace("\n0.400,", "\n0.396,9,9,9\n0.400,")
    with open_record(put(tmp_path, text)) as record:
        assert record.n_samples == N
        assert record.read(99, 101)[:, 0].tolist() == [9, 9, 9]
        assert "line 102" in record.warnings[0]


def test_openbci_counter_and_mapping(tmp_path: Path) -> None:
    lines = [
        f"{i % 256}, {MV[0, i]:.4f}, {MV[1, i]:.4f}, {1.7e9 + i // 10 * 0.04:.3f}\n"
        for i in range(N)
        if not 300 <= i < 310
    ]
    head = "%Sample Rate = 250 Hz\n%Board = Cyton\nSample Index, EXG Channel 0, EXG Channel 1, Timestamp\n"
    mapping = {"II": "EXG Channel 1", "V1": "EXG Channel 0"}
    want = MV[[1, 0]].copy()
    want[:, 300:310] = np.nan
    with open_record(put(tmp_path, head + "".join(lines)), mapping) as record:
        assert (record.sampling_hz, record.device) == (250.0, "Cyton")
        np.testing.assert_allclose(record.read(0, N), want, rtol=1e-6, atol=1e-7)
