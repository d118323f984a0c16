"""Markers in every format: text and sample, in order or not, read back by our readers and by others."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.errors import InputError
from edge.files import wfdb_annotations
from edge.files.records import open_record
from edge.marker import MAX_BYTES, PREFIX, Marker, checked
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

OF_WFDB = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of what it uses
KINDS = ["edf", "npz", "csv", "hea", *(["dcm"] if find_spec("pydicom") else [])]
MARKERS = [
    Marker("stands up", 300),
    Marker('Übelkeit 😀, "links" \\ %s # x', 2),
    Marker("end of recording", 731),  # what our own annotations say
    Marker("simulated signal", 731),
    Marker("x" * MAX_BYTES, 1999),
]
IN_ORDER = sorted(MARKERS, key=lambda marker: marker.sample)


def record(path: Path, markers: list[Marker], n_samples: int = 2000, first: int = 500) -> Path:
    """Markers come one each tenth of the recording, after all of which the last of them are."""
    sent, step = ecg(n_samples), n_samples // 10
    with open_sink(f"file:{path}", 250.0) as sink:
        for i in range(10):
            here = markers[i : i + 1] if i < 9 else markers[9:]
            moved = tuple(Marker(m.text, m.sample + first) for m in here)
            part = block(sent[:, i * step : (i + 1) * step], first + i * step)
            sink.write(replace(part, markers=moved))
    return path


def read(path: Path) -> list[Marker]:
    with open_record(path) as found:
        return found.read_markers()


@pytest.mark.parametrize("kind", KINDS)
def test_text_and_sample_come_back(tmp_path: Path, kind: str) -> None:
    path = record(tmp_path / f"out.{kind}", MARKERS)
    assert read(path) == IN_ORDER
    with open_record(path) as found:
        assert (found.n_samples, found.simulated) == (2000, False)


@pytest.mark.parametrize("kind", KINDS)
def test_without_markers_there_are_none(tmp_path: Path, kind: str) -> None:
    assert read(record(tmp_path / f"out.{kind}", [])) == []
    assert not (tmp_path / "out.atr").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_comes_with_no_samples_or_before_the_file_is_in_it(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"out.{kind}"
    with open_sink(f"file:{path}", 250.0) as sink:
        first = block(ecg(500), 1000)
        sink.write(first.first(0).followed_by((Marker("early", 750),)))
        sink.write(first)
        sink.write(first.followed_by((Marker("in a gap", 1600),)))
        sink.write(block(ecg(500), 2000))
        sink.write(block(ecg(0), 2500).followed_by((Marker("last", 2499),)))
    assert read(path) == [
        Marker("early (1.000 s before this file)", 0),
        Marker("in a gap", 600),
        Marker("last", 1499),
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn")))
        .map(str.strip)
        .filter(lambda text: 0 < len(text.encode()) <= 60),
        max_size=9,
    ),
    samples=st.lists(st.integers(0, 1999), min_size=9, max_size=9),
)
def test_any_text_at_any_sample(
    tmp_path: Path, kind: str, texts: list[str], samples: list[int]
) -> None:
    path = tmp_path / f"out.{kind}"
    sent = []
    for text, sample in zip(texts, samples, strict=False):
        try:
            sent.append(Marker(checked(text), sample))
        except InputError:  # one that turns the direction of what follows
            continue
    for old in tmp_path.glob("out*"):
        old.unlink()
    record(path, sent)
    got = [(m.sample, m.text) for m in read(path)]
    printed = [(m.sample, "".join(c if c.isprintable() else "?" for c in m.text)) for m in sent]
    assert sorted(got) == sorted(printed)


def test_an_edf_reader_of_others_sees_them(tmp_path: Path) -> None:
    path = record(tmp_path / "out.edf", MARKERS)
    seen = [(a.onset, a.text) for a in edfio.read_edf(path).annotations]
    for marker in MARKERS:
        assert (marker.sample / 250, PREFIX + marker.text) in seen


def test_annotations_of_an_edf_of_others_are_markers(tmp_path: Path) -> None:
    path = tmp_path / "other.edf"
    signal = edfio.EdfSignal(np.zeros(2500), 250.0, label="ECG II", physical_dimension="mV")
    notes = [edfio.EdfAnnotation(1.5, None, "Sleep stage W"), edfio.EdfAnnotation(0.004, 2, "a")]
    edfio.Edf([signal], annotations=notes).write(path)
    assert read(path) == [Marker("a", 1), Marker("Sleep stage W", 375)]


def test_a_csv_reader_of_others_passes_over_them(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="pandas is the oracle: install '.[test]'")
    path = record(tmp_path / "out.csv", MARKERS)
    assert len(pd.read_csv(path, comment="#")) == 2000
    assert '# marker: 0.008000 s: Übelkeit 😀, "links" \\ %s # x\n' in path.read_text("utf-8")


def test_numpy_has_them_as_plain_arrays(tmp_path: Path) -> None:
    with np.load(record(tmp_path / "out.npz", MARKERS), allow_pickle=False) as found:
        assert found["markers"].tolist() == [marker.sample for marker in MARKERS]
        assert found["marker_texts"].tolist() == [marker.text for marker in MARKERS]


@OF_WFDB
def test_wfdb_reads_them(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb", reason="wfdb is the oracle: install '.[test]'")
    far = Marker("far", 150_000)
    path = record(tmp_path / "out.hea", [*MARKERS, far], n_samples=200_000)
    found = wfdb.rdann(str(path.with_suffix("")), "atr")
    assert found.sample.tolist() == [marker.sample for marker in (*IN_ORDER, far)]
    assert set(found.symbol) == {'"'}
    assert [found.aux_note[i] for i in (1, 2, 3, 4, 5)] == [m.text for m in (*IN_ORDER, far)[1:]]


@OF_WFDB
def test_annotations_of_a_wfdb_record_of_others(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb", reason="wfdb is the oracle: install '.[test]'")
    wfdb.wrsamp("a", 250, ["mV"], ["II"], np.zeros((9000, 1)), fmt=["16"], write_dir=str(tmp_path))
    notes = {
        "symbol": ["N", "+", "N"],
        "aux_note": ["", "(AFIB", ""],
        "subtype": np.array([0, 1, 0]),
    }
    wfdb.wrann("a", "atr", np.array([10, 5000, 8000]), write_dir=str(tmp_path), **notes)
    assert read(tmp_path / "a.hea") == [Marker("(AFIB", 5000)]


@pytest.mark.parametrize("n", range(0, 60))
def test_annotations_that_are_cut_off_are_left_out(n: int) -> None:
    data = wfdb_annotations.notes([(5, "one"), (70_000, "two"), (70_001, "three")])
    whole = wfdb_annotations.texts(data)
    assert wfdb_annotations.texts(data[:n]) == whole[: len(wfdb_annotations.texts(data[:n]))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_reconstruction_has_those_of_its_recording(tmp_path: Path, kind: str) -> None:
    given = record(tmp_path / "in.edf", MARKERS)
    assert main(["reconstruct", str(given), str(tmp_path / f"out.{kind}")]) == 0
    assert read(tmp_path / f"out.{kind}") == IN_ORDER


def test_a_stale_file_of_annotations_goes_with_its_record(tmp_path: Path) -> None:
    path = record(tmp_path / "out.hea", MARKERS)
    with open_sink(f"file:{path}", 250.0, overwrite=True) as sink:
        sink.write(block(ecg(500)))
        assert (tmp_path / "out.atr").exists()
    assert read(path) == []


def test_dicom_has_them_as_waveform_annotations(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="DICOM needs '.[dicom]'")
    path = record(tmp_path / "out.dcm", MARKERS)
    ds = pydicom.dcmread(path)
    items = ds.WaveformAnnotationSequence
    assert [item.UnformattedTextValue for item in items] == [marker.text for marker in MARKERS]
    assert [item.ReferencedSamplePositions - 1 for item in items] == [m.sample for m in MARKERS]
    assert {item.TemporalRangeType for item in items} == {"POINT"}
    assert ds.WaveformSequence[0].NumberOfWaveformSamples == 2000


def test_more_than_a_dicom_file_has_room_for_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="DICOM needs '.[dicom]'")
    path = tmp_path / "out.dcm"
    with open_sink(f"file:{path}", 250.0) as sink:
        many = tuple(Marker("x" * 200, i) for i in range(500))
        sink.write(replace(block(ecg(500)), markers=many))
        dropped = sink.counters()["markers_dropped"]  # type: ignore[attr-defined]
    assert 0 < dropped < 300
    assert len(read(path)) == 500 - dropped
