"""`--json`: stdout holds one object with the documented keys, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.cli import main
from edge.commands.devices import Port, as_dict
from edge.leads import LEADS
from firmware_bridge.simulators.ecg import EcgSimulator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "command-line.md"


def documented(command: str) -> set[str]:
    """The keys in the first column of the table under `leadlift COMMAND --json`."""
    text = PAGE.read_text(encoding="utf-8").split(f"`leadlift {command} --json`", 1)[1]
    table = text.split("\n\n", 2)[1]
    first = [row.split("|")[1] for row in table.splitlines()[2:]]
    return {key for cell in first for key in re.findall(r"`([a-z0-9_]+)`", cell)}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_run_prints_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--source", "sim:", "--sink", "file:o.npz", "--seconds", "1"]
    found = printed(capsys, *arguments, "--report", "r.json")
    assert found == json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert documented("run") <= set(found)
    assert found["simulated"] is True
    assert found["outcome"] == "done"


def test_what_is_printed_before_a_run_goes_to_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = f"file:{tmp_path / 'o.npz'}"
    assert main(["run", "--source", "sim:", "--sink", sink, "--seconds", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    json.loads(out)
    assert err.startswith("leadlift: leads: II, V1, V5: ")


def test_json_and_a_screen_do_not_share_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--source", "sim:", "--sink", "terminal:", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        err == "leadlift: error: --json has stdout for itself: leave `terminal:` out, or --json\n"
    )


def test_calibrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference, patient = tmp_path / "twelve.npz", str(tmp_path / "patient.json")
    ecg_mv = EcgSimulator(250.0, muscle_mv=0.01).read(2500)
    ecg_mv = ecg_mv + np.random.default_rng(1).normal(0, 0.01, ecg_mv.shape).astype(np.float32)
    np.savez(reference, ecg_mv=ecg_mv, sampling_hz=250.0, leads=LEADS)
    code = main(["calibrate", str(reference), "-o", patient, "--trust-order", "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    found = json.loads(out)
    assert set(found) == documented("calibrate")
    assert found["output"] == patient
    assert found["leads"] == ["II", "V1", "V5"]
    assert found["reference"]["name"] == "twelve.npz"
    assert 0 <= found["quality"]["unexplained"] < 1


def test_devices(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "devices", "--ble-seconds", "0")
    assert set(found) == documented("devices")
    assert found["ble"] == [] and found["ble_error"] is None


def test_a_port_as_source_wants_it() -> None:
    port = Port("/dev/ttyUSB0", "FT231X", True, "0403:6015", "OpenBCI Cyton", "?device=cyton")
    (found,) = as_dict([port], 0.0)["serial"]
    assert found == {
        "source": "serial:/dev/ttyUSB0?device=cyton",
        "port": "/dev/ttyUSB0",
        "description": "FT231X",
        "belief": "OpenBCI Cyton",
        "usb": "0403:6015",
        "allowed": True,
        "hint": None,
    }
