"""The 100 Hz records: on the grid of the 250 Hz ones, cut to what is right, nobody of folds 9 and 10."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.leads import INDEPENDENT_LEADS
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.hundred_hz import (
    EARLY_S,
    TABLES,
    at_250_hz,
    held_out_patients,
    load_hundred_hz,
    without_withdrawn,
)

N = 400  # samples at 100 Hz


def sine(hz: float, at_s: np.ndarray) -> np.ndarray:
    return 1000 * np.sin(2 * np.pi * hz * at_s)


@pytest.mark.parametrize("hz", [1.0, 11.0, 25.0, 39.0])
def test_a_sine_keeps_its_height_and_gets_its_time_back(hz: float) -> None:
    given = np.rint(sine(hz, np.arange(N) / 100)).astype(np.int16)
    made = at_250_hz(given[None, None])[0, 0]
    assert made.dtype == np.int16
    expected = sine(hz, np.arange(N * 5 // 2) / 250 - EARLY_S)
    inside = slice(100, -100)  # there nothing lies beyond the ends of the record
    np.testing.assert_allclose(made[inside], expected[inside], atol=4)


def test_an_offset_stays_and_does_not_ring_at_the_ends() -> None:
    made = at_250_hz(np.full((300, 2, N), 12_345, np.int16))
    assert made.shape == (300, 2, N * 5 // 2)
    assert np.abs(made.astype(int) - 12_345).max() <= 1


def test_what_overshoots_is_clipped_and_does_not_wrap() -> None:
    step = np.repeat(np.array([-32768, 32767], np.int16), N // 2)
    assert np.diff(at_250_hz(step[None, None])[0, 0].astype(int)).max() < 65_535 * 0.6


Row = dict[str, object]


def write(folder: Path, stem: str, rows: list[Row], leads: tuple[str, ...], hz: int = 100) -> None:
    ecg = np.arange(len(rows) * 8 * N, dtype=np.int16).reshape(len(rows), 8, N)
    ids = np.array([row["record_id"] for row in rows])
    np.savez(folder / f"{stem}.npz", ecg_uv=ecg, leads=leads, sampling_hz=hz, record_id=ids)
    with (folder / f"{stem}.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def row(record: str, patient: str, fold: str) -> Row:
    return {"record_id": record, "patient_id": patient, "strat_fold": fold, "n_valid": 1800}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four tables, with one patient on both sides of the split and one record without a patient."""
    train = [row("a", "1", "3"), row("b", "2", "1-8"), row("c", "", "1-8")]
    for stem, rows in zip(
        TABLES,
        (
            [row("n", "4", "9"), row("m", "5", "2")],
            train,
            [row("v", "2", "9")],
            [row("t", "", "10")],
        ),
        strict=True,
    ):
        write(tmp_path, stem, rows, INDEPENDENT_LEADS[::-1])
    return tmp_path


def test_who_is_held_out_never_trains(folder: Path) -> None:
    assert held_out_patients(folder) == {"4", "2"}
    records = load_hundred_hz("train_100", folder)
    assert records.record_id == ["a", "c"]
    assert records.patient_id == ["1", "c"]  # who has no name counts for one record
    assert load_hundred_hz("validation_100", folder).record_id == ["v"]


def test_records_are_250_hz_cut_to_what_is_valid_leads_in_order(folder: Path) -> None:
    records = load_hundred_hz("test_100", folder)
    assert records.sampling_hz == 250
    assert records.ecg_uv.shape == (1, 8, 900)  # 1,800 at 500 Hz
    # The file has the leads the other way round.
    assert records.ecg_uv[0, 0, 100] > records.ecg_uv[0, 7, 100]


def test_as_stored_they_are_100_hz_of_the_same_length_in_time(folder: Path) -> None:
    records = load_hundred_hz("test_100", folder, as_stored=True)
    assert records.sampling_hz == 100
    assert records.ecg_uv.shape == (1, 8, 360)
    assert records.ecg_uv[0, 7].tolist() == list(range(360))


def test_what_was_made_is_mapped_the_next_time(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = load_hundred_hz("test_100", folder, cache)
    (file,) = cache.iterdir()
    stamp = file.stat().st_mtime_ns
    again = load_hundred_hz("test_100", folder, cache)
    assert file.stat().st_mtime_ns == stamp
    assert isinstance(again.ecg_uv, np.memmap)
    np.testing.assert_array_equal(first.ecg_uv, again.ecg_uv)


@pytest.mark.parametrize(
    ("name", "said"),
    [("train", "unknown data set 'train'"), ("train_100", "is missing: see the data page")],
)
def test_what_is_not_there_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(QuantizeError, match=said):
        load_hundred_hz(name, tmp_path)


def test_files_that_do_not_fit_each_other_are_refused(folder: Path) -> None:
    write(folder, "ptbxl100_test", [row("t", "", "10")], INDEPENDENT_LEADS, hz=500)
    with pytest.raises(QuantizeError, match="sampled at 500 Hz, not 100"):
        load_hundred_hz("test_100", folder)
    write(folder, "ptbxl100_test", [row("t", "", "10")], INDEPENDENT_LEADS)
    table = folder / "ptbxl100_test.csv"
    table.write_text(table.read_text().replace("t,", "u,"))
    with pytest.raises(QuantizeError, match="do not list the same records"):
        load_hundred_hz("test_100", folder)


def test_withdrawn_records_go_and_nothing_is_copied_where_none_is() -> None:
    ids = ["ptbxl_00136", "ptbxl_00137", "ptbxl_00462"]
    records = Records("any", np.zeros((3, 8, 10), np.int16), 250.0, ids, ids)
    left = without_withdrawn(records)
    assert left.record_id == ["ptbxl_00136"]
    assert len(left.ecg_uv) == 1
    assert without_withdrawn(left).ecg_uv is left.ecg_uv
