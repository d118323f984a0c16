"""Reading recordings, and the zero-phase view of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from quantize.data import Records, load, second_moments, zero_phase_highpass
from quantize.errors import QuantizeError


def write(folder: Path, *, ids: tuple[str, ...] = ("a", "b", "c")) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        folder / "ptbxl.npz",
        ecg_uv=rng.integers(-500, 500, (3, 8, 2500)).astype(np.int16),
        leads=np.array(["V1", "V2", "V3", "V4", "V5", "V6", "I", "II"]),
        sampling_hz=250,
        record_id=np.array(["a", "b", "c"]),
    )
    rows = zip(ids, ("train", "train", "test"), strict=True)
    table = "record_id,patient_id,split\n" + "".join(f"{i},p{i},{split}\n" for i, split in rows)
    (folder / "ptbxl.csv").write_text(table)


def test_rows_of_a_split_in_the_order_of_the_independent_leads(tmp_path: Path) -> None:
    write(tmp_path)
    records = load("train", tmp_path)
    with np.load(tmp_path / "ptbxl.npz") as stored:
        assert (records.ecg_uv[1, 0] == stored["ecg_uv"][1, 6]).all()  # lead I
        assert (records.millivolts(["V1"])[0, 0] == stored["ecg_uv"][0, 0] / np.float32(1000)).all()
    assert (records.record_id, records.patient_id) == (["a", "b"], ["pa", "pb"])
    assert records.take(1).record_id == ["a"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match=r"ptbxl\.npz is missing"):
        load("train", tmp_path)
    with pytest.raises(QuantizeError, match="unknown data set 'fold10': use one of train"):
        load("fold10", tmp_path)
    write(tmp_path, ids=("a", "b", "d"))
    with pytest.raises(QuantizeError, match="do not list the same records"):
        load("train", tmp_path)


def test_no_data_folder_says_which_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADLIFT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(QuantizeError, match="set LEADLIFT_DATA"):
        load("train")


def test_second_moments_are_those_of_the_filtered_leads() -> None:
    rng = np.random.default_rng(1)
    ecg_uv = rng.integers(-900, 900, (5, 8, 1000)).astype(np.int16)
    records = Records("any", ecg_uv, 250.0, list("abcde"), list("abcde"))
    x = zero_phase_highpass(ecg_uv / 1000.0, 250.0).transpose(1, 0, 2).reshape(8, -1)
    np.testing.assert_allclose(second_moments(records, batch=2), x @ x.T / x.shape[1], rtol=1e-12)
