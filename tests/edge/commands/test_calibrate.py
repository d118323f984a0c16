"""`leadlift calibrate` and what applies its file: `reconstruct --patient`, `run --patient`, their records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from edge.cli import main
from edge.leads import INPUT_LEADS, LEADS, lead_indices
from edge.patient.patient import load_patient
from edge.stream import open_stream
from tests.edge.references import twelve_leads


def write(path: Path, ecg_mv: np.ndarray, leads: tuple[str, ...]) -> str:
    np.savez(path, ecg_mv=ecg_mv, leads=np.array(leads), sampling_hz=250.0)
    return str(path)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("references") / "twelve.npz"
    return write(path, twelve_leads(), LEADS)


@pytest.fixture(scope="module")
def patient(reference: str) -> str:
    file = str(Path(reference).with_name("patient.json"))
    assert main(["calibrate", reference, "-o", file, "--trust-order"]) == 0
    return file


@pytest.fixture
def three(tmp_path: Path) -> str:
    return write(tmp_path / "three.npz", twelve_leads(4.0)[lead_indices(INPUT_LEADS)], INPUT_LEADS)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_the_file_says_where_it_comes_from(patient: str) -> None:
    found = load_patient(patient)
    assert found.reference.name == "twelve.npz"
    assert found.reference.seconds == 2.0
    assert found.reference.leads == LEADS


def test_csv_and_edf_references_are_taken(reference: str, tmp_path: Path, patient: str) -> None:
    x = twelve_leads()
    csv = tmp_path / "twelve.csv"
    rows = [f"{i / 250}," + ",".join(f"{v:.6f}" for v in column) for i, column in enumerate(x.T)]
    csv.write_text("\n".join(["time_s," + ",".join(LEADS), *rows]) + "\n")
    out = tmp_path / "patient.json"
    assert main(["calibrate", str(csv), "-o", str(out), "--trust-order"]) == 0
    ours, theirs = load_patient(out), load_patient(patient)
    assert ours.maps["111"].weights == pytest.approx(theirs.maps["111"].weights, abs=1e-2)


def test_a_reference_with_labels_and_a_unit_of_its_own(
    reference: str, tmp_path: Path, patient: str, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tuple(f"CH{i}" for i in range(12))
    odd = write(tmp_path / "odd.npz", twelve_leads() * 1e3, labels)
    mapping = ",".join(f"{lead}='CH{i}'" for i, lead in enumerate(LEADS))
    out = tmp_path / "patient.json"
    arguments = ["calibrate", odd, "-o", str(out), "--trust-order", "--leads", mapping]
    assert main([*arguments, "--unit", "uV"]) == 0
    assert "read in uV as you say" in error_line(capsys)
    ours, theirs = load_patient(out), load_patient(patient)
    assert ours.maps["111"].weights == pytest.approx(theirs.maps["111"].weights, abs=1e-4)


def test_reconstruct_applies_it_and_every_format_says_so(
    patient: str, three: str, tmp_path: Path
) -> None:
    words = load_patient(patient).in_words()
    assert words.startswith("patient calibration ")
    names = [tmp_path / name for name in ("own.npz", "own.edf", "own.csv", "plain.npz")]
    for name in names:
        options = [] if name.stem == "plain" else ["--patient", patient]
        assert main(["reconstruct", three, str(name), *options]) == 0
    with np.load(names[0]) as own, np.load(names[3]) as plain:
        assert str(own["calibration"]) == words and str(plain["calibration"]) == ""
        measured = lead_indices(INPUT_LEADS)
        assert (own["ecg_mv"][measured] == plain["ecg_mv"][measured]).all()
        assert np.abs(own["ecg_mv"] - plain["ecg_mv"]).max() > 0.01
    with pyedflib.EdfReader(str(names[1])) as edf:
        assert words in list(edf.readAnnotations()[2])
    assert f"# {words}\n" in names[2].read_text()


def test_run_applies_it_and_reports_it(
    patient: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "live.npz"
    command = ["run", "--source", "sim:", "--sink", f"file:{out}", "--seconds", "1"]
    assert main([*command, "--report", str(report), "--patient", patient]) == 0
    about = json.loads(report.read_text())["patient"]
    assert about["reference"]["name"] == "twelve.npz"
    assert about["sha256"] == load_patient(patient).sha256
    assert "patient    twelve.npz, 2 s" in capsys.readouterr().out
    with np.load(out) as made:
        assert about["sha256"][:12] in str(made["calibration"])


def test_a_run_without_it_says_so(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = ["run", "--source", "sim:", "--sink", f"file:{tmp_path / 'o.npz'}", "--seconds", "1"]
    assert main([*command, "--report", str(report)]) == 0
    assert json.loads(report.read_text())["patient"] is None


def test_a_stream_takes_it(patient: str) -> None:
    with open_stream("sim:", engine="onnxruntime", patient=patient) as stream:
        assert stream.reconstructor.patient is not None
        assert next(stream).ecg_mv.shape[0] == 12


def test_a_bad_reference_is_refused_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "patient.json"
    short = write(tmp_path / "short.npz", twelve_leads(1.0), LEADS)
    assert main(["calibrate", short, "-o", str(out)]) == 1
    assert "reference refused: 1.00 s are too short" in error_line(capsys)
    x = twelve_leads()
    reverse = x.copy()
    reverse[6:] = x[:5:-1]
    wrong = write(tmp_path / "reverse.npz", reverse, LEADS)
    assert main(["calibrate", wrong, "-o", str(out)]) == 1
    assert "--trust-order" in error_line(capsys)
    three = write(tmp_path / "three.npz", x[lead_indices(INPUT_LEADS)], INPUT_LEADS)
    assert main(["calibrate", three, "-o", str(out)]) == 1
    assert "lead I, V2, V3, V4, V6 is missing" in error_line(capsys)
    assert not out.exists()


def test_what_the_decoder_itself_made_is_no_reference(
    three: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, out = tmp_path / "made.npz", tmp_path / "patient.json"
    assert main(["reconstruct", three, str(made)]) == 0
    capsys.readouterr()
    assert main(["calibrate", str(made), "-o", str(out)]) == 1
    assert "V6 in it: reconstructed by leadlift, not measured" in error_line(capsys)
    assert not out.exists()


def test_a_calibration_is_told_from_a_recording(
    patient: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", patient]) == 1
    assert "is a patient's calibration" in error_line(capsys)
    report = tmp_path / "report.json"
    report.write_text('{"benchmark": "fidelity", "environment": {"bundle_sha256": "b9be596a"}}')
    assert main(["info", str(report)]) == 1
    assert "seems to be JSON" in error_line(capsys)


def test_the_reference_is_never_written_over(
    reference: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(reference).read_bytes()
    assert main(["calibrate", reference, "-o", reference]) == 2
    assert "is the reference" in error_line(capsys)
    assert Path(reference).read_bytes() == before


def test_a_place_that_cannot_be_written(
    reference: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "patient.json"
    assert main(["calibrate", reference, "-o", str(out), "--trust-order"]) == 1
    assert "cannot write" in error_line(capsys)


def test_a_file_that_is_no_calibration(
    three: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.npz"
    assert main(["reconstruct", three, str(out), "--patient", three]) == 1
    assert "leadlift calibrate" in error_line(capsys)
    assert not out.exists()
