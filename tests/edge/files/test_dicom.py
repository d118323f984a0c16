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

pytest.importorskip("pydicom", reason="DICOM is pydicom's: install leadlift[test]")

import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from edge.cli import main
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
    with pytest.raises(SinkError, match=r"pip install 'leadlift\[dicom\]'"):
        DicomSink(tmp_path / "out.dcm", 250.0, KNOWN)
    with pytest.raises(InputError, match=r"pip install 'leadlift\[dicom\]'"):
        open_record(path)


# Objects of others


def test_an_object_of_another_writer(tmp_path: Path) -> None:
    """A 12-lead ECG of pydicom's own test data: a rhythm group, then median beats."""
    name = str(get_testdata_file("waveform_ecg.dcm"))
    path = Path(shutil.copy(name, tmp_path / "without ending"))  # the content tells what it is
    expected = pydicom.dcmread(name).waveform_array(0).T / 1000
    with open_record(path) as record:
        assert record.leads == LEADS
        assert (record.sampling_hz, record.n_samples) == (1000.0, 10_000)
        assert record.started_at == datetime(2013, 1, 25, 10, 59, 19)
        assert record.warnings == ("it holds 2 groups of channels: group 1 is read",)
        np.testing.assert_allclose(
            record.read(123, 9000), expected[:, 123:9000], rtol=1e-5, atol=1e-6
        )
    out = tmp_path / "twelve.dcm"
    assert main(["reconstruct", str(path), str(out)]) == 0
    assert read_mv(out).shape == (12, 10_000)


def changed(tmp_path: Path, **change: Any) -> Path:
    """An object of ours with fields of its group or first channel replaced, or left out where None."""
    path = tmp_path / "changed.dcm"
    with DicomSink(path, 250.0, KNOWN, overwrite=True) as sink:
        sink.write(block(ecg(300)))
    ds = pydicom.dcmread(path)
    group = ds.WaveformSequence[0]
    for name, value in change.items():
        where = group.ChannelDefinitionSequence[0] if name.startswith("Channel") else group
        where = ds if name in ("Modality", "WaveformSequence") else where
        if value is None:
            delattr(where, name)
        else:
            setattr(where, name, value)
    ds.save_as(path)
    return path


def code(value: str, scheme: str = "X", meaning: str = "") -> list[Dataset]:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, scheme, meaning
    return [made]


@pytest.mark.parametrize(
    "source",
    [code("5.6.3-9-1", "SCPECG", "?"), code("2:1", "MDC"), code("lead-1", "X", "Lead I")],
)
def test_a_lead_by_code_or_by_name(tmp_path: Path, source: list[Dataset]) -> None:
    change = {"ChannelSourceSequence": source, "ChannelLabel": None}
    with open_record(changed(tmp_path, **change)) as record:
        assert record.leads == LEADS


@pytest.mark.parametrize(
    "syntax", ["ImplicitVRLittleEndian", "ExplicitVRBigEndian", "DeflatedExplicitVRLittleEndian"]
)
def test_another_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    ds = pydicom.dcmread(changed(tmp_path))
    uid = ds.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    encoding = {"implicit_vr": uid.is_implicit_VR, "little_endian": uid.is_little_endian}
    pydicom.dcmwrite(tmp_path / "b.dcm", ds, **encoding, force_encoding=True)
    with open_record(tmp_path / "b.dcm") as record:
        np.testing.assert_allclose(record.read(0, 300), ecg(300), atol=HALF_STEP)


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "ExplicitVRLittleEndian"])
@pytest.mark.parametrize("stated", [False, True])
def test_groups_before_it_and_elements_behind_the_samples(
    tmp_path: Path, syntax: str, stated: bool
) -> None:
    """With lengths that are stated, or with delimiters: each range lies where it should."""
    ds = pydicom.dcmread(changed(tmp_path))
    group = ds.WaveformSequence[0]
    first = Dataset()
    first.update(group)
    channel = Dataset()
    channel.update(group.ChannelDefinitionSequence[0])
    channel.ChannelSourceSequence, channel.ChannelLabel = code("x"), "Pressure"
    first.ChannelDefinitionSequence = [channel]
    first.NumberOfWaveformChannels, first.NumberOfWaveformSamples = 1, 50
    first.WaveformData = bytes(100)
    group.private_block(0x5401, "OTHER", create=True).add_new(1, "OB", bytes(70_000))
    ds.WaveformSequence = [first, group]
    ds["WaveformSequence"].is_undefined_length = not stated
    for item in ds.WaveformSequence:
        item.is_undefined_length_sequence_item = not stated
    uid = ds.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    encoding = {"implicit_vr": uid.is_implicit_VR, "little_endian": True}
    pydicom.dcmwrite(tmp_path / "b.dcm", ds, **encoding, force_encoding=True)
    with open_record(tmp_path / "b.dcm") as record:
        assert record.warnings[0] == "it holds 2 groups of channels: group 2 is read"
        np.testing.assert_allclose(record.read(0, 300), ecg(300), atol=HALF_STEP)
        np.testing.assert_allclose(record.read(17, 200), ecg(300)[:, 17:200], atol=HALF_STEP)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    path = changed(tmp_path)
    with open_record(path) as record:
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(InputError, match="became shorter while it was read"):
            record.read(0, 300)


def test_without_its_sigma_it_is_read_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    with DicomSink(path, 250.0, KNOWN) as sink:
        sink.write(block(ecg(300)))
    beside = tmp_path / "a_sigma.dcm"
    with pytest.raises(InputError, match="holds sigma and quality of a recording"):
        open_record(beside)
    with DicomSink(tmp_path / "other.dcm", 250.0, KNOWN) as sink:
        sink.write(block(ecg(300)))
    for change in ("another recording", "damage", "not there"):
        match change:
            case "another recording":
                beside.write_bytes((tmp_path / "other_sigma.dcm").read_bytes())
            case "damage":
                beside.write_bytes(b"no DICOM")
            case _:
                beside.unlink()
        with open_record(path) as record:
            assert record.read_sigma(0, 300) is None
            assert record.read_quality(0, 300) is None
            assert any("a_sigma.dcm" in line for line in record.warnings)
            assert record.read(0, 300).shape == (12, 300)


def test_unit_gain_and_baseline_are_applied(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        ChannelSensitivityUnitsSequence=code("mV"),
        ChannelSensitivity="0.002",
        ChannelSensitivityCorrectionFactor="0.5",
        ChannelBaseline="3",
    )
    digits = np.rint(ecg(300)[0] * 2000)
    with open_record(path, ("I",)) as record:
        np.testing.assert_allclose(record.read(0, 300)[0], digits * 0.001 + 3, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"WaveformSequence": None, "Modality": "US"}, "holds no waveform .US."),
        ({"ChannelSensitivityUnitsSequence": code("mm[Hg]")}, "is no voltage"),
        ({"ChannelSensitivityUnitsSequence": None}, "states no unit: give --unit"),
        ({"SamplingFrequency": None}, "give --rate"),
        ({"WaveformSampleInterpretation": "MB"}, "cannot read .* as a DICOM ECG"),
        ({"WaveformData": b"\0\0"}, "cannot read .* says 300 samples and holds 0"),
        (
            {"WaveformBitsAllocated": 8, "WaveformSampleInterpretation": "MB"},
            "kind MB are not read",
        ),
        ({"NumberOfWaveformSamples": None}, "has no NumberOfWaveformSamples"),
        ({"ChannelSensitivity": None, "WaveformBitsAllocated": 12}, "cannot read"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = changed(tmp_path, **change)
    with pytest.raises(InputError, match=says) as caught:
        open_record(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    damage=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 9000),
)
def test_a_damaged_file_never_raises_anything_else(
    tmp_path: Path, damage: list[tuple[int, int]], cut: int
) -> None:
    whole = tmp_path / "whole.dcm"
    if not whole.exists():
        with DicomSink(whole, 250.0, KNOWN) as sink:
            sink.write(block(ecg(250)))
    content = bytearray(whole.read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    path = tmp_path / "bad.dcm"
    path.write_bytes(content[: max(cut, 140)])
    try:
        with open_record(path) as record:
            record.read(0, min(10, record.n_samples))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"", b"II,V1,V5\n" * 40])
def test_a_file_that_only_ends_in_dcm_is_no_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.dcm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"table\.dcm is no DICOM file"):
        open_record(path)
