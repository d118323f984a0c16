"""DICOM ECG: what is written, read with pydicom, and objects of other writers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")

import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import InputError, SinkError
from edge.files.dicom_codes import GENERAL_ECG, TWELVE_LEAD_ECG
from edge.files.dicom_head import UV_PER_DIGIT
from edge.files.dicom_object import MOST_SAMPLES
from edge.files.dicom_writer import DicomSink
from edge.files.recording import OF_RECORDING, Metadata
from edge.files.records import open_record
from edge.leads import LEADS, provenance
from edge.marker import Marker
from edge.quality import Quality
from tests.edge.files.test_edf_writer import record_until_full
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
KNOWN = Metadata(
    prefilter="HP:0.05Hz N:50Hz",
    device="Band 3",
    model="any 0123",
    calibration="patient calibration 01 from 10.0 s, 2026-03-01",
    simulated=True,
    started_at=START,
    source=OF_RECORDING,
)
HALF_STEP = UV_PER_DIGIT / 2000 + 1e-6


def read_mv(path: Path) -> Any:
    """(12, n) mV by pydicom."""
    return pydicom.dcmread(path).waveform_array(0).T / 1000


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=6).filter(any))
def test_round_trip_within_one_step_whatever_the_block_sizes(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "out.dcm"
    sent = ecg(sum(sizes))
    with DicomSink(path, 250.0, KNOWN, overwrite=True) as sink:
        at = 0
        for size in sizes:
            sink.write(block(sent[:, at : at + size], at))
            at += size
    assert np.abs(read_mv(path) - sent).max() <= HALF_STEP


def test_another_reader_finds_what_the_recording_is(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    with DicomSink(path, 250.0, KNOWN) as sink:
        sink.write(block(ecg(500)))
    ds = pydicom.dcmread(path)
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == TWELVE_LEAD_ECG
    assert (ds.PatientName, ds.PatientID, ds.ManufacturerModelName) == ("", "", "Band 3")
    assert ds.AcquisitionDateTime == "20260301123015.250000+0200"
    assert ds.SeriesDescription == "simulated signal"
    [group] = ds.WaveformSequence
    assert (group.SamplingFrequency, group.NumberOfWaveformSamples) == (250, 500)
    channels = group.ChannelDefinitionSequence
    assert [c.ChannelLabel for c in channels] == list(LEADS)
    assert [c.ChannelDerivationDescription for c in channels] == [str(p) for p in provenance()]
    assert {c.ChannelSensitivityUnitsSequence[0].CodeValue for c in channels} == {"uV"}


def test_our_reader_finds_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    sent = ecg(500)
    sent[6, 100:200] = np.nan
    with DicomSink(path, 250.0, KNOWN) as sink:
        sink.write(block(sent))
        sink.write(block(ecg(250), 40_000))
    with open_record(path, ("V1", "V2")) as record:
        assert (record.n_samples, record.sampling_hz) == (40_250, 250.0)
        got = record.read(0, 40_250)
        assert (record.started_at, record.device, record.simulated) == (START, "Band 3", True)
        assert (record.model, record.prefilter) == (KNOWN.model, KNOWN.prefilter)
        assert (record.calibration, record.of_recording) == (KNOWN.calibration, True)
        assert record.provenance == ("measured", "reconstructed")
    expected = np.full((2, 40_250), np.nan, np.float32)
    expected[:, :500], expected[:, 40_000:] = sent[6:8], ecg(250)[6:8]
    np.testing.assert_allclose(got, expected, atol=HALF_STEP)
    with open_record(path, ("V1", "V2")) as record:
        sigma, bits = record.read_sigma(0, 40_250), record.read_quality(0, 40_250)
    assert sigma is not None
    assert bits is not None
    np.testing.assert_allclose(sigma[:, :500], 0.05, atol=HALF_STEP)
    assert np.isnan(sigma[:, 500:40_000]).all()
    assert (bits[:, 500:40_000] == Quality.GAP).all()
    assert not bits[:, :500].any()


def test_a_start_that_nobody_knows_is_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    with DicomSink(path, 250.0, Metadata()) as sink:
        sink.write(block(ecg(250)))
    with open_record(path) as record:
        assert (record.started_at, record.simulated) == (None, False)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy of dicom3tools")
@pytest.mark.parametrize("n_samples", [2500, MOST_SAMPLES + 1])
def test_the_validator_finds_no_error(tmp_path: Path, n_samples: int) -> None:
    path = tmp_path / "out.dcm"
    with DicomSink(path, 250.0, KNOWN) as sink:
        sink.write(replace(block(ecg(n_samples)), markers=(Marker("Übelkeit", 7), Marker("b", 3))))
    for name in ("out.dcm", "out_sigma.dcm"):
        done = subprocess.run(
            ["dciodvfy", str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert "Error" not in said
        is_short = name == "out.dcm" and n_samples == 2500
        assert ("TwelveLeadECG" if is_short else "GeneralECG") in said


def test_longer_than_a_12_lead_ecg_may_be_is_a_general_one(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    sent = ecg(MOST_SAMPLES + 1)
    with DicomSink(path, 250.0, KNOWN) as sink:
        for at in range(0, sent.shape[1], 500):
            sink.write(block(sent[:, at : at + 500], at))
    ds = pydicom.dcmread(path)
    assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID == GENERAL_ECG
    np.testing.assert_allclose(read_mv(path), sent, atol=HALF_STEP)


def test_clipping_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    sent = np.zeros((12, 250), np.float32)
    sent[0, :3] = 40.0, -np.inf, 16.0
    with DicomSink(path, 250.0, KNOWN) as sink:
        sink.write(block(sent))
    np.testing.assert_allclose(read_mv(path)[0, :3], [16.3835, -16.3835, 16.0])
    assert sink.counters() == {"samples_clipped": 2, "markers_dropped": 0}


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.files.recording import Metadata
from edge.files.dicom_writer import DicomSink
from tests.edge.sinks.blocks import block, ecg
sent = ecg(250 * 7 + 100)
sink = DicomSink(Path(sys.argv[1]), 250.0, Metadata())
for at in range(0, sent.shape[1], 25):
    sink.write(block(sent[:, at : at + 25], at))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_a_file_up_to_its_last_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "killed.dcm"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    np.testing.assert_allclose(read_mv(path), ecg(250 * 7 + 100)[:, : 250 * 7], atol=HALF_STEP)


def test_full_disk_is_one_line_and_leaves_the_recording_readable(tmp_path: Path) -> None:
    path = tmp_path / "full.dcm"
    lines = record_until_full(path)
    assert len(lines) == 2
    assert lines[0].startswith(f"cannot write {path}: ")
    got = read_mv(path)
    n = got.shape[1] // 250
    assert n >= 4  # beside the room for markers
    sent = np.concatenate([ecg(250, second) for second in range(n)], axis=1)
    np.testing.assert_allclose(got, sent, atol=HALF_STEP)


@pytest.mark.parametrize("rate", [128.0, 1024.0])
def test_a_rate_that_the_standard_does_not_allow(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match="200 to 1000 samples a second"):
        DicomSink(tmp_path / "out.dcm", rate, KNOWN)


def test_without_samples_there_is_no_file(tmp_path: Path) -> None:
    DicomSink(tmp_path / "out.dcm", 250.0, KNOWN).close()
    assert not list(tmp_path.iterdir())


def test_without_pydicom_both_ends_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.dcm"
    path.write_bytes(bytes(128) + b"DICM")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(SinkError, match=r"pip install '\.\[dicom\]'"):
        DicomSink(tmp_path / "out.dcm", 250.0, KNOWN)
    with pytest.raises(InputError, match=r"pip install '\.\[dicom\]'"):
        open_record(path)
