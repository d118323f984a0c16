"""The programs of examples/ run as their first lines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edge
from firmware_bridge.simulators.ecg import EcgSimulator

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """Ten seconds of twelve simulated leads."""
    ecg_mv = EcgSimulator(250.0, seed=3, muscle_mv=0.01).read(2500).astype(np.float32)
    path = tmp_path / "twelve.npz"
    np.savez(path, ecg_mv=ecg_mv, leads=np.array(edge.LEADS), sampling_hz=250.0)
    return path


def run(name: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def reconstruct_file(twelve: Path, folder: Path) -> None:
    said = run("reconstruct_file.py", folder, str(twelve), "out.edf").splitlines()
    assert len(said) == len(edge.LEADS)
    assert "measured" in said[1]
    assert "reconstructed" in said[7]
    assert (folder / "out.edf").stat().st_size > 10 * 250 * 24
    said = run("reconstruct_file.py", folder, str(twelve), "watch.edf", "I,II").splitlines()
    assert [line.split()[1] for line in said[:3]] == ["measured", "measured", "derived"]


def test_what_a_recording_lacks_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("II,V1,V5\n" + "0.1,0.2,0.3\n" * 500)
    command = [sys.executable, str(ROOT / "examples" / "reconstruct_file.py"), "in.csv", "out.edf"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("in.csv does not say its sampling rate")
    assert len(done.stderr.splitlines()) == 1


def watch_a_stream(twelve: Path, folder: Path) -> None:
    said = run("watch_a_stream.py", folder, "sim:", "1").splitlines()
    assert all("lost 0" in line for line in said)
    assert said


def own_driver(twelve: Path, folder: Path) -> None:
    said = run("own_driver.py", folder)
    assert len(said.splitlines()) == 50
    assert said.count(" 0 flagged") < 50


def own_sink(twelve: Path, folder: Path) -> None:
    said = run("own_sink.py", folder, "sim:", "out.edf", "2").splitlines()
    assert set(json.loads(said[0])) == set(edge.LEADS)
    assert (folder / "out.edf").exists()


def calibrate_a_patient(twelve: Path, folder: Path) -> None:
    said = run("calibrate_a_patient.py", folder, str(twelve)).splitlines()
    population, patient = (float(line.rpartition(" ")[2]) for line in said)
    assert patient > population - 0.02
    assert patient > 0.9


def triton_client(twelve: Path, folder: Path) -> None:
    """With a server: tests/edge/triton/test_server.py."""
    pytest.importorskip("tritonclient.grpc", reason="no client of Triton: tritonclient[grpc]")
    with pytest.raises(AssertionError, match="lost 40 samples"):
        run("triton_client.py", folder, "127.0.0.1:9", "--probe")


def fleet_client(twelve: Path, folder: Path) -> None:
    """With a fleet: tests/edge/fleet/test_websocket_gateway.py."""
    pytest.importorskip("websockets", reason="no websockets here: '.[fleet]'")
    with pytest.raises(AssertionError, match="ConnectionRefusedError"):
        run("fleet_client.py", folder, "ws://127.0.0.1:9", "watch", "a", "bed", "station:b", "1")


CHECKS = (
    reconstruct_file,
    watch_a_stream,
    own_driver,
    own_sink,
    calibrate_a_patient,
    triton_client,
    fleet_client,
)


def test_every_example_is_checked() -> None:
    assert {path.stem for path in EXAMPLES} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_example_runs(
    check: Callable[[Path, Path], None], twelve: Path, tmp_path: Path
) -> None:
    check(twelve, tmp_path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    assert f"python examples/{path.name}" in text
