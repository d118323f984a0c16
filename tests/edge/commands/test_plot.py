"""`leadlift plot`: what is written, from which part of a recording, and every way it can go wrong."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="a sheet is drawn by matplotlib: install '.[test]'")

from edge.cli import main
from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
MAGIC = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """25 s of a simulated live recording, in the working directory."""
    monkeypatch.chdir(tmp_path)
    known = Metadata(
        device="Band 3", started_at=START, simulated=True, model="any 0123", prefilter="HP:0.05Hz"
    )
    with open_sink("file:out.hea", 250.0, metadata=known) as sink:
        sink.write(block(0.2 * ecg(6250)))
    return Path("out.hea")


@pytest.mark.parametrize("form", MAGIC)
def test_a_sheet_of_each_form(
    recording: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(recording), "-o", f"sheet.{form}", "--from", "3"]) == 0
    assert Path(f"sheet.{form}").read_bytes().startswith(MAGIC[form])
    assert capsys.readouterr().out == f"sheet.{form}: 10.0 s from 3 s on, 1 page\n"


def test_more_than_ten_seconds_are_pages_of_a_pdf_named_as_the_file(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(recording), "--seconds", "60"]) == 0
    assert capsys.readouterr().out == "out.pdf: 25.0 s from 0 s on, 3 pages\n"
    assert Path("out.pdf").read_bytes().count(b"/MediaBox") == 3


def test_the_head_of_a_sheet_says_what_the_recording_is(recording: Path) -> None:
    from edge.commands.plot import _heading
    from edge.files.records import open_record
    from edge.sheet.excerpt import excerpt

    with open_record(recording) as record:
        heading = _heading(record, None, excerpt(record, 3.0, 10.0))
    assert heading.title == "12-lead ECG from II, V1, V5"
    assert list(heading.lines) == [
        "out.hea, device Band 3",
        "2026-03-01 12:30:18+02:00, 3.00 s after the start",
        "model any 0123; no patient calibration; filters HP:0.05Hz",
    ]
    assert list(heading.notices) == [
        "Research use only. Not a medical device.",
        "SIMULATED SIGNAL, of no person",
        "Reconstructed leads are estimates.",
    ]


def test_true_leads_of_another_rate_and_length(recording: Path) -> None:
    np.savez("true.npz", ecg_mv=ecg(4000), leads=LEADS, sampling_hz=500.0)  # 8 s of 25
    arguments = ["plot", str(recording), "--truth", "true.npz", "--seconds", "20"]
    assert main(arguments) == 0


def test_a_few_leads_of_another_device(tmp_path: Path) -> None:
    path = tmp_path / "few.npz"
    np.savez(path, ecg_mv=ecg(1000)[:2], leads=["V1", "I"], sampling_hz=250.0)
    assert main(["plot", str(path)]) == 0
    assert (tmp_path / "few.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.hea"], 1, "does not exist"),
        (["out.hea", "-o", "sheet.jpg"], 2, "end its name in .pdf, .png or .svg"),
        (
            ["out.hea", "-o", "sheet.png", "--seconds", "11"],
            2,
            "PNG shows 10 s at most; write .pdf",
        ),
        (["out.hea", "--seconds", "1e6"], 2, "PDF shows 3600 s at most"),
        (["out.hea", "--from", "-1"], 2, "--from -1"),
        (["out.hea", "--from", "nan"], 2, "--from nan"),
        (["out.hea", "--from", "26"], 1, "lasts 25.0 s: --from 26 lies beyond it"),
        (["out.hea", "--truth", "nowhere.edf"], 1, "nowhere.edf does not exist"),
        (["out.hea", "-o", "nowhere/sheet.pdf"], 1, "make the folder"),
        (["out.hea", "-o", "there.pdf"], 1, "it exists"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    recording: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    Path("there.pdf").write_bytes(b"precious")
    before = {one: one.read_bytes() for one in Path().iterdir()}
    assert main(["plot", *arguments]) == code
    lines = capsys.readouterr().err.splitlines()  # and no warning: the sheet says what is made
    assert len(lines) == 1
    assert says in lines[0]
    assert {one: one.read_bytes() for one in Path().iterdir()} == before


def test_without_matplotlib_it_says_how_to_get_it(
    recording: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", str(recording)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "needs matplotlib: pip install '.[plot]'" in line
    assert not Path("out.pdf").exists()
