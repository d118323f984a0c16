"""What the user says about a file, and what the commands say about it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.files.edf_writer import EdfSink
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.leads import INPUT_LEADS, lead_indices
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.files.edf_files import CODES, EdfFile, Signal, plus, three
from tests.edge.sinks.blocks import block, ecg


def beats(path: Path, names: tuple[str, ...], scale: float = 1.0) -> Path:
    """Ten seconds of II, V1 and V5 under the `names` given, as NPZ."""
    ecg_mv = EcgSimulator(250.0).read(2500)[lead_indices(INPUT_LEADS)] * scale
    np.savez(path, ecg_mv=ecg_mv, leads=names, sampling_hz=250.0)
    return path


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("leadlift: warning: ") for line in lines)
    return lines


def same(one: Path, other: Path) -> None:
    with open_record(one) as a, open_record(other) as b:
        np.testing.assert_allclose(
            a.read(0, a.n_samples), b.read(0, b.n_samples), atol=1e-5, equal_nan=True
        )


@pytest.mark.parametrize(
    "leads", ["II=CH1,V1=CH2,V5='CH, 3'", "V5='CH, 3',II=#1,V1=' ch2 '"], ids=["labels", "places"]
)
def test_leads_are_mapped_to_labels(
    tmp_path: Path, leads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = beats(tmp_path / "named.npz", INPUT_LEADS)
    odd = beats(tmp_path / "odd.npz", ("CH1", "CH2", "CH, 3"))
    assert main(["reconstruct", str(named), str(tmp_path / "a.npz")]) == 0
    assert main(["reconstruct", str(odd), str(tmp_path / "b.npz"), "--leads", leads]) == 0
    assert warnings(capsys) == []
    same(tmp_path / "a.npz", tmp_path / "b.npz")
    assert main(["reconstruct", str(odd), str(tmp_path / "c.npz")]) == 1
    error = capsys.readouterr().err
    assert error.endswith("as in --leads \"II='CH1',V1='CH2',V5='CH, 3'\"\n")
    advised = error.split('"')[1]
    assert main(["reconstruct", str(odd), str(tmp_path / "d.npz"), "--leads", advised]) == 0
    same(tmp_path / "a.npz", tmp_path / "d.npz")
    assert not (tmp_path / "c.npz").exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--leads", "II=CH1,XX=CH2"], "unknown lead 'XX'"),
        (["--unit", "bananas"], "no voltage"),
        (["--rate", "-250"], "samples a second"),
        (["--rate", "nan"], "samples a second"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    tmp_path: Path, option: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = beats(tmp_path / "in.npz", ("CH1", "CH2", "CH3"))
    assert main(["reconstruct", str(given), str(tmp_path / "out.npz"), *option]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("scale", "unit"), [(1000.0, "uV"), (0.001, "V")])
def test_values_that_cannot_be_millivolts_are_said_with_a_remedy_that_works(
    tmp_path: Path, scale: float, unit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right = beats(tmp_path / "right.npz", INPUT_LEADS)
    wrong = beats(tmp_path / "wrong.npz", INPUT_LEADS, scale)
    assert main(["reconstruct", str(right), str(tmp_path / "a.npz")]) == 0
    assert warnings(capsys) == []
    assert main(["reconstruct", str(wrong), str(tmp_path / "b.npz")]) == 0
    (line,) = warnings(capsys)
    assert str(wrong) in line
    assert f"--unit {unit}" in line
    assert main(["reconstruct", str(wrong), str(tmp_path / "c.npz"), "--unit", unit]) == 0
    (line,) = warnings(capsys)
    assert f"read in {unit} as you say" in line
    same(tmp_path / "a.npz", tmp_path / "c.npz")


def test_what_was_assumed_about_a_file_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = [*three(CODES), Signal("MLII", CODES[1])]
    given = EdfFile(signals, fields={"n_records": "-1"}).write(tmp_path / "in.edf")
    assert main(["reconstruct", str(given), str(tmp_path / "out.npz")]) == 0
    assert [
        ("-1 data records" in line, "II is there 2 times" in line) for line in warnings(capsys)
    ] == [
        (True, False),
        (False, True),
    ]


def test_a_gap_is_a_gap_in_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = plus(0, 1, 5, 6).write(tmp_path / "in.edf")
    assert main(["reconstruct", str(given), str(tmp_path / "out.npz")]) == 0
    assert "1 gaps" in warnings(capsys)[0]
    with open_record(tmp_path / "out.npz") as record:
        got = record.read(0, record.n_samples)
    assert got.shape == (12, 1750)
    assert np.isnan(got[:, 550:1250]).all()
    assert np.isfinite(got[:, 1260:]).all()


@pytest.mark.parametrize("kind", ["edf", "npz"])
def test_a_simulated_recording_stays_simulated(tmp_path: Path, kind: str) -> None:
    start = datetime(2026, 3, 1, 12, 30, 15)
    metadata = Metadata(device="Band 3", simulated=True, started_at=start)
    with EdfSink(tmp_path / "in.edf", 250.0, metadata) as sink:
        sink.write(block(ecg(700)))
    out = tmp_path / f"out.{kind}"
    assert main(["reconstruct", str(tmp_path / "in.edf"), str(out)]) == 0
    with open_record(out) as record:
        assert (record.simulated, record.device, record.started_at) == (True, "Band 3", start)
        assert record.n_samples == 700


def test_a_unit_that_the_file_states_wrongly_gets_a_remedy_that_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = beats(tmp_path / "right.npz", INPUT_LEADS), tmp_path / "wrong.npz"
    with np.load(right) as arrays:
        content = dict(arrays)
    np.savez(wrong, ecg_uv=content.pop("ecg_mv"), **content)  # type: ignore[arg-type]
    assert main(["reconstruct", str(right), str(tmp_path / "a.npz")]) == 0
    assert main(["reconstruct", str(wrong), str(tmp_path / "b.npz")]) == 0
    (line,) = warnings(capsys)
    assert "its unit is wrong" in line
    assert line.endswith("--unit mV")
    assert main(["reconstruct", str(wrong), str(tmp_path / "c.npz"), "--unit", "mV"]) == 0
    same(tmp_path / "a.npz", tmp_path / "c.npz")


def test_rows_without_names_are_taken_in_order_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(beats(tmp_path / "named.npz", INPUT_LEADS)) as arrays:
        np.savez(tmp_path / "in.npz", ecg_mv=arrays["ecg_mv"], sampling_hz=250.0)
    assert main(["reconstruct", str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]) == 0
    (line,) = warnings(capsys)
    assert "it names no leads: its rows are taken for II, V1, V5, in order" in line


@pytest.mark.parametrize("kind", ["edf", "npz", "csv"])
def test_a_reference_that_was_reconstructed_is_said(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / f"made.{kind}"
    given = beats(tmp_path / "in.npz", INPUT_LEADS)
    assert main(["reconstruct", str(given), str(made)]) == 0
    assert warnings(capsys) == []
    main(["calibrate", str(made), "-o", str(tmp_path / "patient.json")])
    assert "V6 in it were reconstructed by leadlift, not measured" in capsys.readouterr().err
