"""DICOM objects of other writers, in other encodings, and damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")

from datetime import datetime

import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from edge.cli import main
from edge.errors import InputError
from edge.files.dicom_writer import DicomSink
from edge.files.records import open_record
from edge.leads import LEADS
from tests.edge.files.test_dicom import HALF_STEP, KNOWN, read_mv
from tests.edge.sinks.blocks import block, ecg


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
