"""`leadlift info`: of files of ours in every format, of others, and what it says of leads to use."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.commands.info import default_leads
from edge.files.recording import CALIBRATION, OF_RECORDING, Metadata
from edge.leads import INPUT_LEADS, LEADS
from edge.marker import Marker
from edge.sinks import open_sink
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
KNOWN = Metadata(
    device="Band 3",
    model="leadlift-any-to-12 0123456789ab",
    prefilter="HP:0.05Hz N:50Hz",
    simulated=True,
    started_at=START,
    calibration=f"{CALIBRATION} 0123456789ab from 10.0 s, 2026-03-01",
    source=OF_RECORDING,
)


@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea"])
def test_markers_with_their_times(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"out.{kind}"
    many = tuple(Marker(f"marker {i}", 10 * i) for i in range(25))
    with open_sink(f"file:{path}", 250.0) as sink:
        for i in range(5):  # as many as one data record of EDF+ has room for
            part = block(ecg(250), 250 * i)
            sink.write(replace(part, markers=many[5 * i : 5 * i + 5]))
    assert main(["info", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "markers    0.000 s: marker 0" in said
    assert "           0.760 s: marker 19" in said
    assert "           and 5 more: --json has all of them" in said
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["markers"]
    assert len(found) == 25
    assert found[-1] == {"sample": 240, "seconds": 0.96, "text": "marker 24"}


@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea"])
def test_a_reconstruction_in_80_columns(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_sink(f"file:out.{kind}", 250.0, metadata=KNOWN) as sink:
        sink.write(block(ecg(1000)))
        sink.write(block(ecg(250), 1125))
    assert main(["info", f"out.{kind}"]) == 0
    said = capsys.readouterr()
    assert [x for x in said.err.splitlines() if "are missing in time" not in x] == []
    assert max(map(len, said.out.splitlines())) <= 80
    for line in (
        "kind       reconstruction, made by leadlift of another recording",
        "start      2026-03-01 12:30:15.250+02:00",
        "duration   5.5 s, 1375 samples at 250 Hz",
        "device     Band 3",
        "signal     simulated: of no person",
        f"model      {KNOWN.model}",
        f"filters    {KNOWN.prefilter}",
        f"patient    {KNOWN.calibration}",
        "gaps       1, 500 ms in all",
        "quality    gap 9.1 %",
    ):
        assert line in said.out.splitlines()
    assert "would use" not in said.out
    assert "aVR  derived from reconstructed I             9.1 %" in said.out


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.hea"
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        sink.write(block(ecg(1000)))
    assert main(["info", str(path), "--json", "--leads", "V2,II"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["format"], found["samples"], found["seconds"]) == ("WFDB", 1000, 4.0)
    assert found["kind"] == "reconstruction, recorded live by leadlift"
    assert (found["device"], found["started_at"], found["expected"]) == (None, None, None)
    assert [one["lead"] for one in found["leads"]] == ["V2", "II"]
    assert found["leads"][0]["sigma_mv"] == pytest.approx(0.05)


def test_a_recording_of_others_says_what_would_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.npz"
    simulator = EcgSimulator(250.0)
    np.savez(path, ecg_mv=simulator.read(2500), leads=simulator.leads, sampling_hz=250.0)
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reconstruction"], found["kind"]) == (False, "recording, not of leadlift")
    assert found["would_use"] == list(INPUT_LEADS)
    assert main(["info", str(path)]) == 0
    assert "would use  II, V1, V5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("has", "used"),
    [
        (LEADS, ("II", "V1", "V5")),
        (("V5", "II", "V2"), ("V5", "II", "V2")),
        (("I", "V2"), ("I", "V2")),
    ],
)
def test_leads_used_by_default(has: tuple[str, ...], used: tuple[str, ...]) -> None:
    assert default_leads(has, INPUT_LEADS) == used


def test_a_unit_that_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "uv.csv"
    ecg_uv = 1000 * EcgSimulator(250.0).read(2500)
    rows = "\n".join(",".join(f"{v:.1f}" for v in row) for row in ecg_uv[:3].T)
    path.write_text(f"# sampling_hz: 250\nI,II,III\n{rows}\n")
    assert main(["info", str(path)]) == 0
    assert "--unit uV" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nowhere.edf"], 1, "does not exist"),
        (["x.csv"], 1, "sampling rate"),
        (["x.csv", "--leads", "V9"], 2, "unknown lead"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text("II,V1\n1,2\n3,4\n")
    assert main(["info", *arguments]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
