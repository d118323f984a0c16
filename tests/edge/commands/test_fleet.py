"""`leadlift fleet`: entries of the file of devices, and what is refused before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.cli import main
from edge.fleet.admission import Admission, add_entry


def test_a_device_and_a_reader_are_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "devices.json"
    given = [
        "fleet",
        "--devices",
        str(path),
        "--add-device",
        "watch=bed",
        "--add-reader",
        "desk=bed,ward",
    ]
    assert main(given) == 0
    device, reader = capsys.readouterr().out.split()
    name, _, token = reader.partition(":")
    admission = Admission(path)
    assert admission.patient_of("watch", device) == "bed"
    assert name == "desk" and admission.reads(name, token, "ward")
    assert not admission.reads(name, token, "other")
    assert set(json.loads(path.read_text())) == {"devices", "readers"}


def test_who_is_given_a_new_token_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["fleet", "--devices", str(tmp_path / "devices.json"), "--add-device", "watch=bed"]
    assert main(given) == 0
    assert capsys.readouterr().err == ""
    assert main(given) == 0
    assert "watch was there: its token from before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--listen", "0.0.0.0:0"], "--certificate and --key"),
        (["--listen", "port"], "--listen 'port': give a port"),
        (["--certificate", "a.pem"], "both"),
        (["--certificate", "a.pem", "--key", "b.pem"], "cannot use certificate"),
        (["--publish"], "--mqtt"),
        (["--mqtt", "http://broker"], "no broker"),
        (["--sink", "file:all.edf"], "{patient}"),
        (["--sink", "file:{patient}.xyz"], ".xyz"),
        (["--sink", "terminal:"], "{patient}"),
        (["--add-device", "../a"], "no name"),
        (["--add-device", "a=b,c"], "one patient"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], why: str
) -> None:
    path = tmp_path / "devices.json"
    add_entry(path, "devices", "watch", None)
    assert main(["fleet", "--devices", str(path), *given]) == 2
    told = capsys.readouterr().err
    assert why in told and len(told.splitlines()) == 1


def test_without_the_file_it_says_how_to_make_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "--devices", str(tmp_path / "none.json")]) == 2
    assert "--add-device" in capsys.readouterr().err
