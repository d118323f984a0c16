"""The whole promise on real ECG: a PTB-XL record over a pseudo-terminal into an EDF that others open."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import edfio
import numpy as np
import pytest

import edge
from edge.cli import main
from edge.files.edf_writer import LSB_MV
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS

pytestmark = pytest.mark.realtime

SECONDS = 9.0


@pytest.fixture
def record() -> np.ndarray:
    """A fold-10 record, (8, 2500) float32 mV, rows INDEPENDENT_LEADS."""
    pytest.importorskip("scipy", reason="quantize.data needs scipy: install '.[test]'")
    from quantize.data import load
    from quantize.errors import QuantizeError

    try:
        return load("test").millivolts()[3]
    except QuantizeError as error:
        pytest.skip(f"needs real recordings: {error}")


def test_a_real_record_through_a_pseudo_terminal_into_edf(
    record: np.ndarray, tmp_path: Path
) -> None:
    measured = record[[INDEPENDENT_LEADS.index(lead) for lead in INPUT_LEADS]]
    np.savez(tmp_path / "record.npz", ecg_mv=measured, sampling_hz=250.0, leads=INPUT_LEADS)
    wearable = [
        sys.executable,
        "-m",
        "firmware_bridge.simulators",
        "--port",
        "pty",
        "--wait",
        "--loop",
    ]
    device = subprocess.Popen(
        [*wearable, "--record", str(tmp_path / "record.npz")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert device.stdin is not None
    assert device.stdout is not None
    try:
        port = device.stdout.readline().strip()
        edf, report = tmp_path / "out.edf", tmp_path / "report.json"
        arguments = ["run", "--source", f"serial:{port}", "--sink", f"file:{edf}"]
        assert main([*arguments, "--seconds", str(SECONDS), "--report", str(report)]) == 0
    finally:
        device.stdin.close()
        device.wait(10)
        device.stdout.close()

    said = json.loads(report.read_text())
    assert said["samples_lost"] == said["gaps"] == said["corrupt"] == 0

    recording = edfio.read_edf(edf)
    signals = recording.signals[:12]
    assert [s.label for s in signals] == [f"ECG {lead}" for lead in LEADS]
    assert [s.transducer_type for s in signals] == [
        str(p) for p in edge.Reconstructor.open().provenance
    ]

    n = int((SECONDS - 1) * 250)  # whole seconds that every run has recorded
    written = np.stack([s.data[:n] for s in signals])
    offline = edge.reconstruct(measured)[:, :n]
    for lead in INPUT_LEADS:
        i = LEADS.index(lead)
        assert np.abs(written[i] - offline[i]).max() <= LSB_MV

    def r(ecg: np.ndarray) -> list[float]:
        truth = dict(zip(INDEPENDENT_LEADS, record, strict=True))
        pairs = [
            (truth[lead][500:n], ecg[LEADS.index(lead)][500:n]) for lead in RECONSTRUCTED_LEADS
        ]
        return [float(np.corrcoef(true, found)[0, 1]) for true, found in pairs]

    assert r(written) == pytest.approx(r(offline), abs=1e-3)
    assert np.mean(r(written)) > 0.8
