"""One recording in every format, read by programs that did not write it.

Each finds amplitudes within one step, labels, rate, start, the gap, and where each lead comes from.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.files.recording import Metadata
from edge.leads import LEADS, provenance
from edge.quality import Quality
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
GAP = slice(500, 600)
OFF = slice(700, 800)
"""V1 is off."""
N = 1000
STEP_MV = 0.0005


def sent() -> NDArray[np.float32]:
    """(12, 1000) mV, as it is written: NaN where there is nothing."""
    values = ecg(N)
    values[6, OFF] = np.nan
    values[:, GAP] = np.nan
    return values


def sigma() -> NDArray[np.float32]:
    """(12, 1000) mV, from sample to sample another."""
    return np.abs(ecg(N, 1)) / 10


@pytest.fixture
def recorded(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The recording in the format that a test is marked with."""
    if request.param == "dcm":
        pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")
    path = tmp_path / f"a.{request.param}"
    values, quality = sent(), np.zeros((12, N), np.uint8)
    quality[6, OFF] = Quality.LEAD_OFF
    known = Metadata(device="Band 3", started_at=START, prefilter="HP:0.05Hz")
    with open_sink(f"file:{path}", 250.0, metadata=known) as sink:
        for span in (slice(0, GAP.start), slice(GAP.stop, N)):
            made = block(values[:, span], span.start, quality=quality[:, span])
            sink.write(replace(made, sigma_mv=sigma()[:, span]))
    return path


def in_(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded", [kind], indirect=True)


def check(got_mv: NDArray[np.floating], *, missing: float = np.nan) -> None:
    expected = np.where(np.isnan(sent()), missing, sent())
    np.testing.assert_allclose(got_mv, expected, atol=STEP_MV / 2 + 1e-6)


def check_sigma(got_mv: NDArray[np.floating]) -> None:
    """(12, n) as EDF has it: a step below zero where it is not known."""
    expected = sigma()
    expected[:, GAP] = -STEP_MV
    np.testing.assert_allclose(got_mv, expected, atol=STEP_MV / 2 + 1e-6)


@in_("edf")
def test_mne_reads_edf(recorded: Path) -> None:
    mne = pytest.importorskip("mne", reason="mne reads EDF here: '.[test]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne.io.read_raw_edf(recorded, preload=True, verbose="error")
    assert raw.ch_names[:12] == [f"ECG {lead}" for lead in LEADS]
    assert raw.info["sfreq"] == 250.0
    assert raw.info["meas_date"].replace(tzinfo=None) == datetime(2026, 3, 1, 12, 30, 15)
    check(raw.get_data(picks=raw.ch_names[:12]) * 1e3, missing=0.0)  # volts
    check_sigma(raw.get_data(picks=[f"sigma {lead}" for lead in LEADS]) * 1e3)
    found = {a["description"]: (a["onset"], a["duration"]) for a in raw.annotations}
    assert found["gap 400 ms"] == pytest.approx((2.0, 0.4))
    assert found["lead off V1"] == pytest.approx((2.8, 0.4))
    assert f"started at {START.isoformat()}" in found


@in_("edf")
def test_pyedflib_reads_edf(recorded: Path) -> None:
    pyedflib = pytest.importorskip("pyedflib", reason="the strict reader: install '.[test]'")
    with pyedflib.EdfReader(str(recorded)) as reader:
        labels = [*(f"ECG {lead}" for lead in LEADS), "quality"]
        assert reader.getSignalLabels() == [*labels, *(f"sigma {lead}" for lead in LEADS)]
        assert set(reader.getSampleFrequencies()) == {250.0}
        assert reader.getStartdatetime() == datetime(2026, 3, 1, 12, 30, 15)
        check(np.stack([reader.readSignal(i) for i in range(12)]), missing=0.0)
        check_sigma(np.stack([reader.readSignal(i) for i in range(13, 25)]))
        assert [reader.getTransducer(i) for i in range(12)] == [str(p) for p in provenance()]
        assert list(reader.readSignal(12)[[0, 550, 750]]) == [0, Quality.GAP, Quality.LEAD_OFF]
        assert "gap 400 ms" in reader.readAnnotations()[2]


@in_("edf")
def test_edfio_reads_edf(recorded: Path) -> None:
    edfio = pytest.importorskip("edfio", reason="a reader of EDF+: install '.[test]'")
    found = edfio.read_edf(recorded)
    assert (found.startdate, found.starttime) == (START.date(), START.time().replace(microsecond=0))
    check(np.stack([signal.data for signal in found.signals[:12]]), missing=0.0)
    check_sigma(np.stack([signal.data for signal in found.signals[13:]]))
    assert [s.transducer_type for s in found.signals[:12]] == [str(p) for p in provenance()]


@in_("hea")
def test_wfdb_reads_wfdb(recorded: Path) -> None:
    pytest.importorskip("wfdb", reason="PhysioNet's reader: install '.[test]'")
    from tests.edge.files.oracle import wfdb

    found = wfdb.rdrecord(str(recorded.with_suffix("")))
    assert found.sig_name == [*LEADS, *(f"sigma {lead}" for lead in LEADS), "quality"]
    assert (found.fs, found.base_datetime) == (250, START.replace(tzinfo=None))
    check(found.p_signal[:, :12].T)
    assert np.isnan(found.p_signal[GAP, 12:24]).all()
    np.testing.assert_allclose(found.p_signal[:500, 12:24].T, sigma()[:, :500], atol=0.00026)
    assert list(found.p_signal[[0, 550, 750], 24]) == [0, Quality.GAP, Quality.LEAD_OFF]
    assert f"V2: {provenance()[7]}" in found.comments


@in_("dcm")
def test_pydicom_reads_dicom(recorded: Path) -> None:
    pydicom = pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")
    found, beside = (pydicom.dcmread(recorded.with_name(name)) for name in ("a.dcm", "a_sigma.dcm"))
    [group] = found.WaveformSequence
    channels = group.ChannelDefinitionSequence
    assert [c.ChannelLabel for c in channels] == list(LEADS)
    assert [c.ChannelDerivationDescription for c in channels] == [str(p) for p in provenance()]
    assert (group.SamplingFrequency, group.NumberOfWaveformSamples) == (250, N)
    assert found.AcquisitionDateTime == "20260301123015.250000+0200"
    missing_mv = -32768 * STEP_MV  # the padding value, which pydicom does not take out
    check(found.waveform_array(0).T / 1e3, missing=missing_mv)
    assert beside.StudyInstanceUID == found.StudyInstanceUID
    assert beside.SeriesInstanceUID != found.SeriesInstanceUID
    labels = [c.ChannelLabel for c in beside.WaveformSequence[0].ChannelDefinitionSequence]
    assert labels == [*(f"sigma {lead}" for lead in LEADS), "quality"]
    sigma_uv = beside.waveform_array(0)
    np.testing.assert_allclose(sigma_uv[:500, :12].T, 1e3 * sigma()[:, :500], atol=0.26)
    assert list(sigma_uv[[0, 550, 750], 12]) == [0, Quality.GAP, Quality.LEAD_OFF]


@in_("csv")
def test_pandas_reads_csv(recorded: Path) -> None:
    pd = pytest.importorskip("pandas", reason="reads CSV here: install '.[test]'")
    table = pd.read_csv(recorded, comment="#")
    sigmas = [f"sigma_{lead}" for lead in LEADS]
    assert list(table.columns) == ["time_s", *LEADS, "quality", *sigmas]
    expected = sigma()[:, np.r_[: GAP.start, GAP.stop : N]]
    np.testing.assert_allclose(table[sigmas].to_numpy().T, expected, atol=5.1e-5)
    rows = np.round(table["time_s"] * 250).astype(int)
    assert sorted({*range(N)} - {*rows}) == list(range(GAP.start, GAP.stop))
    got = np.full((12, N), np.nan)
    got[:, rows] = table[list(LEADS)].to_numpy().T
    check(got)
    notes = [line for line in recorded.read_text().splitlines() if line.startswith("#")]
    assert f"# started_at: {START.isoformat()}" in notes
    assert f"# V2: {provenance()[7]}" in notes
    assert "# sampling_hz: 250" in notes


@in_("npz")
def test_numpy_reads_npz(recorded: Path) -> None:
    with np.load(recorded, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["ecg_mv"], sent())
        assert tuple(found["leads"]) == LEADS
        assert found["sampling_hz"] == 250.0
        assert found["started_at"] == START.isoformat()
        assert [*found["provenance"]] == [str(p) for p in provenance()]
        assert (found["quality"][:, GAP] == Quality.GAP).all()
        np.testing.assert_array_equal(found["sigma_mv"][:, :500], sigma()[:, :500])
