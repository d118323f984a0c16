"""Any leads on the command line: reconstruct, calibrate and run, from what is named or what is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edge
from edge.cli import main
from edge.files.records import open_record
from edge.leads import INDEPENDENT_LEADS, LEADS, provenance
from tests.edge.references import twelve_leads

SETS = [("I",), ("II", "I"), ("aVF", "V1", "V5"), LEADS[6:], LEADS]


@pytest.fixture
def all_twelve(tmp_path: Path) -> Path:
    path = tmp_path / "in.npz"
    np.savez(path, ecg_mv=twelve_leads(6.0), leads=LEADS, sampling_hz=250.0)
    return path


@pytest.mark.parametrize("leads", SETS, ids="+".join)
@pytest.mark.parametrize("suffix", ["csv", "edf", "npz"])
def test_reconstruct_says_where_each_lead_comes_from(
    leads: tuple[str, ...], suffix: str, all_twelve: Path, tmp_path: Path
) -> None:
    out = tmp_path / f"out.{suffix}"
    assert main(["reconstruct", str(all_twelve), str(out), "--leads", ",".join(leads)]) == 0
    with open_record(all_twelve, leads) as measured, open_record(out) as made:
        expected = edge.reconstruct(measured.read(0, measured.n_samples), leads=leads)
        shown = made.read(0, made.n_samples)
        np.testing.assert_allclose(shown[:, : expected.shape[1]], expected, atol=2e-3)
    sources = [str(source) for source in provenance(leads)]
    if suffix == "npz":
        with np.load(out) as stored:
            assert list(stored["provenance"]) == sources
    else:
        head = out.read_bytes()[:20_000].decode("latin-1")
        assert all(source in head for source in set(sources))


def test_a_reconstruction_is_read_again_as_any_recording(all_twelve: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.edf", tmp_path / "second.npz"
    assert main(["reconstruct", str(all_twelve), str(first), "--leads", "I,II"]) == 0
    assert main(["reconstruct", str(first), str(second), "--leads", "I,II"]) == 0
    with open_record(first) as a, open_record(second) as b:
        assert a.leads == b.leads == LEADS


@pytest.mark.parametrize("leads", ["I", "II,V2", "aVF,V1,V5"])
def test_calibrate_for_any_leads(
    leads: str, all_twelve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, plain, own = (tmp_path / name for name in ("p.json", "plain.npz", "own.npz"))
    given = ["calibrate", str(all_twelve), "-o", str(patient), "--trust-order", "--leads", leads]
    assert main(given) == 0
    assert f"for leads {leads.replace(',', ', ')} and the model" in capsys.readouterr().out
    assert json.loads(patient.read_text())["input_leads"] == leads.split(",")
    assert main(["reconstruct", str(all_twelve), str(plain), "--leads", leads]) == 0
    # Without --leads those of the calibration are taken.
    assert main(["reconstruct", str(all_twelve), str(own), "--patient", str(patient)]) == 0
    truth = twelve_leads(6.0)[:, 500:1480]
    errors = []
    for file in (plain, own):
        with open_record(file) as made:
            error = made.read(500, 1480) - truth
        errors.append(float((error - error.mean(1, keepdims=True)).std()))
    assert errors[1] < 0.7 * errors[0]


def test_a_calibration_of_other_leads_is_one_line(
    all_twelve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, out = tmp_path / "p.json", tmp_path / "out.npz"
    given = ["calibrate", str(all_twelve), "-o", str(patient), "--trust-order", "--leads", "I"]
    assert main(given) == 0
    capsys.readouterr()
    wrong = ["reconstruct", str(all_twelve), str(out), "--patient", str(patient), "--leads", "II"]
    assert main(wrong) == 2
    assert capsys.readouterr().err == (
        "leadlift: error: --leads II: this calibration or model takes I: name these, or go without it\n"
    )
    assert not out.exists()
    live = ["run", "--source", "sim:", "--sink", f"file:{out}", "--patient", str(patient)]
    assert main([*live, "--leads", "II"]) == 1
    assert "the patient calibration is for leads I, not II" in capsys.readouterr().err
    assert main([*live, "--seconds", "1"]) == 0  # the simulator measures those of the calibration


def test_a_recording_that_lacks_leads_of_a_calibration_is_one_line(
    all_twelve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, two = tmp_path / "p.json", tmp_path / "two.npz"
    assert main(["calibrate", str(all_twelve), "-o", str(patient), "--trust-order"]) == 0
    np.savez(two, ecg_mv=np.zeros((2, 500), np.float32), leads=["I", "II"], sampling_hz=250.0)
    capsys.readouterr()
    given = ["reconstruct", str(two), str(tmp_path / "out.npz"), "--patient", str(patient)]
    assert main(given) == 1
    assert capsys.readouterr().err == (
        f"leadlift: error: {two} lacks V1, V5: it has I, II; a calibration or model takes II, V1, V5: give a "
        "recording that has them, or go without it\n"
    )


@pytest.mark.parametrize("leads", ["I", "I,II", "V1,V2,V3,V4,V5,V6"])
def test_what_is_wrong_with_a_recording_of_other_leads_is_said(
    leads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = leads.split(",")
    no_rate, none, turned = (tmp_path / name for name in ("a.csv", "b.npz", "c.csv"))
    row = ",".join("0.1" for _ in names)
    no_rate.write_text("\n".join([leads, *[row] * 9]))
    np.savez(none, ecg_mv=np.zeros((len(names), 0), np.float32), leads=names, sampling_hz=250.0)
    times = (0.0, 0.004, 0.008, 0.004, 0.0)
    turned.write_text("\n".join([f"time_s,{leads}", *(f"{t},{row}" for t in times)]))
    for file, says in ((no_rate, "--rate"), (none, "no samples"), (turned, "time")):
        assert main(["reconstruct", str(file), str(tmp_path / "out.npz")]) == 1
        said = capsys.readouterr().err
        assert says in said
        assert "lacks" not in said
        assert "does without" not in said


@pytest.mark.parametrize("leads", [*SETS[:-1], INDEPENDENT_LEADS], ids="+".join)
def test_run_measures_the_leads_that_are_named(leads: tuple[str, ...], tmp_path: Path) -> None:
    out, report = tmp_path / "out.npz", tmp_path / "report.json"
    given = ["run", "--source", f"sim:?leads={','.join(leads)}", "--sink", f"file:{out}"]
    more = ["--leads", ",".join(leads), "--seconds", "1", "--report", str(report)]
    assert main([*given, *more]) == 0
    with np.load(out) as stored:
        assert list(stored["provenance"]) == [str(source) for source in provenance(leads)]
    assert json.loads(report.read_text())["leads"] == list(leads)


def test_run_takes_what_the_device_has_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.edf"
    given = ["run", "--source", "sim:?leads=I,II", "--sink", f"file:{out}", "--seconds", "1"]
    assert main(given) == 0
    said = capsys.readouterr().err
    assert "measured leads: I, II (the device has no V1, V5)" in said
    assert b"derived" in out.read_bytes()[:8000]


@pytest.mark.parametrize(
    ("leads", "code", "says"),
    [
        ("", 2, "--leads: no lead is named: write II,V1,V5"),
        ("I,", 2, "a lead is missing in 'I,'"),
        ("I,V9", 2, "unknown lead 'V9'"),
        ("I,I", 2, "I is given twice"),
        ("II='CH1'", 2, "which channel is which is said in --source"),
        (
            "V2",
            1,
            "no lead V2: it gives I, II, needed are V2; ask for what it has with --leads I,II",
        ),
    ],
)
def test_leads_that_cannot_be_are_one_line(
    leads: str, code: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.npz"
    given = ["run", "--source", "sim:?leads=I,II", "--sink", f"file:{out}", "--leads", leads]
    assert main([*given, "--seconds", "1"]) == code
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_the_simulator_measures_what_is_named_up_to_eight(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.npz"
    given = ["run", "--source", "sim:", "--sink", f"file:{out}", "--seconds", "1", "--leads"]
    assert main([*given, "aVL,V2"]) == 0
    assert main([*given, ",".join(LEADS), "--overwrite"]) == 2
    assert "the simulated wearable has 8 channels" in capsys.readouterr().err


@pytest.mark.parametrize("leads", ["I", "aVF,V1,V5"])
def test_no_estimate_of_ours_is_taken_for_a_measurement(
    leads: str, all_twelve: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.npz"
    assert main(["reconstruct", str(all_twelve), str(first), "--leads", leads]) == 0
    capsys.readouterr()
    assert main(["reconstruct", str(first), str(second)]) == 0
    assert (
        f"measured leads: {leads.replace(',', ', ')} ({first} has only" in capsys.readouterr().err
    )
    with np.load(second) as stored:
        assert list(stored["provenance"]) == [str(p) for p in provenance(leads.split(","))]


def test_calibrate_for_leads_of_a_reference_with_labels_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, patient = tmp_path / "odd.npz", tmp_path / "p.json"
    labels = [f"CH{i}" for i in range(12)]
    np.savez(reference, ecg_mv=twelve_leads(6.0), leads=labels, sampling_hz=250.0)
    names = ",".join(f"{lead}='{label}'" for lead, label in zip(LEADS, labels, strict=True))
    given = ["calibrate", str(reference), "-o", str(patient), "--trust-order"]
    assert main([*given, "--leads", names, "--reference-leads", names]) == 2
    assert "labels belong to --reference-leads" in capsys.readouterr().err
    assert main([*given, "--leads", "I,V2", "--reference-leads", "I,I"]) == 2
    assert "--reference-leads: I is given twice" in capsys.readouterr().err
    assert main([*given, "--leads", "I,V2", "--reference-leads", names]) == 0
    assert json.loads(patient.read_text())["input_leads"] == ["I", "V2"]


def test_a_demo_of_more_leads_than_a_wearable_has_channels_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.edf"
    given = ["demo", "--headless", "--seconds", "1", "--output", str(out)]
    assert main([*given, "--leads", ",".join(LEADS)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("leadlift: error: --leads: 12 leads for a wearable of 8 channels")
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_demo_of_a_watch_with_two_leads(tmp_path: Path) -> None:
    out, report = tmp_path / "out.npz", tmp_path / "report.json"
    given = ["demo", "--headless", "--seconds", "1", "--output", str(out), "--leads", "I,II"]
    assert main([*given, "--report", str(report)]) == 0
    assert json.loads(report.read_text())["leads"] == ["I", "II"]
    with np.load(out) as stored:
        assert list(stored["provenance"]) == [str(source) for source in provenance(("I", "II"))]


@pytest.mark.parametrize("rows", [1, 3], ids=["too few", "too many"])
def test_rows_that_are_not_the_leads_are_one_line(rows: int) -> None:
    with pytest.raises(edge.InputError, match=rf"expected \(2, n\).*got shape \({rows}, 500\)"):
        edge.reconstruct(np.zeros((rows, 500)), leads=("I", "II"))
    with pytest.raises(edge.InputError, match="the rows have 500, 499 samples: give all the same"):
        edge.reconstruct([[0.0] * 500, [0.0] * 499], leads=("I", "II"))  # type: ignore[arg-type]
