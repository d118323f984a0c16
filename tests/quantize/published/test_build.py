"""Training files from published ones: what `quantize.data.load` reads, record by record."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.quantize.published.physionet import served, tree, twelve_uv, write_record, write_sums

pytest.importorskip("requests", reason="fetching needs requests: install '.[test]'")
pytest.importorskip("scipy", reason="another rate needs scipy: install '.[test]'")

from edge.leads import INDEPENDENT_LEADS, lead_indices
from quantize.__main__ import main
from quantize.augment import NOISE_KINDS
from quantize.data import load
from quantize.errors import QuantizeError
from quantize.published.build import HZ, build, microvolts, wanted_sets
from quantize.published.sets import PTB_XL

ROWS = lead_indices(INDEPENDENT_LEADS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `data --fetch` makes of the small tree."""
    root = tmp_path_factory.mktemp("physionet")
    tree(root / "server")
    with served(root / "server") as state:
        arguments = ["data", "--fetch", "--folder", str(root / "data"), "--mirror", state.address]
        assert main(arguments) == 0
    return root / "data"


def table(folder: Path, stem: str) -> list[dict[str, str]]:
    with (folder / f"{stem}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_ptb_xl_lies_at_250_hz_in_its_folds(built: Path) -> None:
    found = {name: load(name, built) for name in ("train", "validation", "test")}
    assert {name: len(records) for name, records in found.items()} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    train = found["train"]
    assert train.record_id == ["ptbxl_00001", "ptbxl_00002"]
    assert train.patient_id == ["1001", "1002"]
    assert train.sampling_hz == HZ
    for records, i in ((train, 1), (found["validation"], 3)):
        expected = twelve_uv(i, HZ, 10)[ROWS]  # the same heart, sampled at 250 Hz
        inside = slice(50, -50)
        error = records.ecg_uv[0][:, inside] - expected[:, inside]
        assert np.abs(error).max() < 15  # of R waves of a millivolt: on time, and to scale


def test_classes_are_those_of_all_diagnostic_codes(built: Path) -> None:
    rows = table(built, "ptbxl")
    assert [row["superclass"] for row in rows] == ["HYP|MI", "NORM", "HYP|MI", "NORM"]
    assert [row["split"] for row in rows] == ["train", "train", "val", "test"]


def test_the_challenge_gives_whole_pieces_of_the_external_sets(built: Path) -> None:
    rows = table(built, "challenge2021_cpsc_ptb")
    assert [row["record_id"] for row in rows] == ["A0001_0", "S0001_0", "S0001_1", "S0001_2"]
    assert {row["subset"] for row in rows} == {"cpsc2018", "ptb"}
    assert rows[0]["age"] == "74"
    records = load("cpsc_ptb", built)
    expected = twelve_uv(7, HZ, 30)[ROWS]
    second = records.ecg_uv[2].astype(int) - expected[:, 2500:5000]
    assert np.abs(second[:, 50:-50]).max() < 15


def test_mobile_records_that_are_no_ecg_are_not_usable(built: Path) -> None:
    rows = table(built, "challenge2011_mobile")
    assert [(row["quality"], row["usable"], row["const_leads"]) for row in rows] == [
        ("acceptable", "True", "0"),
        ("acceptable", "False", "1"),
        ("unacceptable", "False", "1"),
    ]
    assert len(load("mobile", built)) == 1


def test_noise_has_its_kinds_at_250_hz(built: Path) -> None:
    with np.load(built / "nstdb_noise.npz", allow_pickle=False) as arrays:
        assert {arrays[kind].shape for kind in NOISE_KINDS} == {(2, 60 * HZ)}
        assert {arrays[kind].dtype for kind in NOISE_KINDS} == {np.dtype(np.int16)}


def test_records_that_cannot_be_read_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree(tmp_path / "server")
    root = tmp_path / "server" / PTB_XL.path
    record = root / "records500/00000/00001_hr"
    record.with_suffix(".dat").write_bytes(b"short")
    swapped = twelve_uv(2, 500, 10)
    swapped[2] = swapped[1]
    write_record(root / "records500/00000/00002_hr.hea", swapped, 500)
    write_sums(tmp_path / "server")
    with served(tmp_path / "server") as state:
        where = ["--folder", str(tmp_path / "data"), "--mirror", state.address]
        assert main(["data", "--fetch", "ptb-xl", *where]) == 0
    said = capsys.readouterr().err
    assert "left out" in said
    assert "00001_hr" in said
    assert "00002_hr.hea: III is not II - I" in said
    assert [row["record_id"] for row in table(tmp_path / "data", "ptbxl")] == [
        "ptbxl_00003",
        "ptbxl_00004",
    ]


def test_a_set_without_a_record_is_an_error(tmp_path: Path) -> None:
    tree(tmp_path, n_ptb_xl=0)
    with pytest.raises(QuantizeError, match="none of its records can be read"):
        build(PTB_XL, tmp_path / PTB_XL.path, tmp_path / "data")
    (tmp_path / PTB_XL.path / "scp_statements.csv").unlink()
    with pytest.raises(QuantizeError, match=r"scp_statements\.csv is missing: fetch ptb-xl again"):
        build(PTB_XL, tmp_path / PTB_XL.path, tmp_path / "data")


def test_only_the_sets_that_are_named_are_fetched(tmp_path: Path) -> None:
    tree(tmp_path / "server")
    with served(tmp_path / "server") as state:
        where = ["--folder", str(tmp_path / "data"), "--mirror", state.address]
        assert main(["data", "--fetch", "nstdb", *where]) == 0
        assert all(path.startswith("nstdb/") for path in state.paths())
    assert [file.name for file in (tmp_path / "data").glob("*.npz")] == ["nstdb_noise.npz"]


def test_wrong_names_and_lone_options_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "--fetch", "ptbxl", "--folder", str(tmp_path)]) == 1
    assert "unknown data set 'ptbxl': use one of ptb-xl, " in capsys.readouterr().err
    assert main(["data", "--mirror", "http://127.0.0.1:9"]) == 1
    assert "give both" in capsys.readouterr().err
    assert [one.name for one in wanted_sets([])] == [
        "ptb-xl",
        "challenge-2021",
        "challenge-2011",
        "nstdb",
    ]


@pytest.mark.parametrize("hz", [250, 360, 500, 1000])
def test_any_whole_rate_keeps_time_and_height(hz: int) -> None:
    t = np.arange(hz * 4) / hz
    sine = np.sin(2 * np.pi * 7 * t)[None].astype(np.float32)
    expected = 1000 * np.sin(2 * np.pi * 7 * np.arange(HZ * 4) / HZ)
    made = microvolts(sine, float(hz))[0]
    assert made.shape == expected.shape
    assert np.abs(made - expected)[30:-30].max() < 6
