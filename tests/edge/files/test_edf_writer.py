"""EDF recordings, read back with edfio, which is not their writer."""

from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import InputError, SinkError
from edge.files.edf_writer import LSB_MV, PHYSICAL_MAX_MV, EdfSink
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.leads import LEADS, provenance
from edge.quality import Quality
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
METADATA = Metadata(prefilter="HP:0.05Hz N:50Hz", device="Band 3", started_at=START)


def signals(path: Path) -> np.ndarray:
    # Rounded to a femtovolt: edfio's own conversion leaves 1e-15 in the place of 0.
    return np.round([signal.data for signal in edfio.read_edf(path).signals], 9)


def annotations(path: Path) -> list[tuple[float, float | None, str]]:
    found = [(a.onset, a.duration, a.text) for a in edfio.read_edf(path).annotations]
    return [a for a in found if not a[2].startswith("started at ")]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any))
def test_round_trip_within_one_lsb_whatever_the_block_sizes(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "out.edf"
    sent = ecg(sum(sizes))
    with EdfSink(path, 250.0, METADATA, overwrite=True) as sink:
        at = 0
        for size in sizes:
            sink.write(block(sent[:, at : at + size], at))
            at += size
    got = signals(path)
    assert np.abs(got[:12, :at] - sent).max() <= LSB_MV / 2 + 1e-6
    assert got.shape[1] == -(-at // 250) * 250
    assert not got[:12, at:].any()
    assert not got[12, :at].any()
    assert (got[12, at:] == Quality.GAP).all()  # what fills the last record up is no signal


@pytest.mark.parametrize("hz", [250.137, 256.2, 249.6, 32768 / 131, 1999.9])
def test_a_rate_between_integers_is_kept(tmp_path: Path, hz: float) -> None:
    path = tmp_path / "out.edf"
    n = 5 * round(hz) + 17
    sent = ecg(n)
    with EdfSink(path, hz, METADATA) as sink:
        sink.write(block(sent, 0, sampling_hz=hz))
    with open_record(path) as record, pyedflib.EdfReader(str(path)) as reader:
        assert record.sampling_hz == pytest.approx(hz, rel=1e-6)
        assert reader.getSampleFrequency(0) == pytest.approx(hz, rel=1e-6)
        assert record.n_samples == n
        np.testing.assert_allclose(record.read(0, n), sent, atol=LSB_MV)
        assert [w for w in record.warnings if "reconstructed" not in w] == []
    assert edfio.read_edf(path).signals[0].sampling_frequency == pytest.approx(hz, rel=1e-6)
    assert annotations(path)[-1][0] == pytest.approx(n / hz, abs=1e-5)


def test_header_says_what_each_lead_is(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 500.0, METADATA) as sink:
        sink.write(block(ecg(500), sampling_hz=500.0))
    edf = edfio.read_edf(path)
    labels = [*(f"ECG {lead}" for lead in LEADS), "quality", *(f"sigma {lead}" for lead in LEADS)]
    assert [s.label for s in edf.signals] == labels
    assert [s.transducer_type for s in edf.signals[:12]] == [str(p) for p in provenance()]
    assert {s.physical_dimension for s in [*edf.signals[:12], *edf.signals[13:]]} == {"mV"}
    sigma_v2 = "standard deviation of the error of lead V2; -0.0005: not known"
    assert edf.signals[20].transducer_type == sigma_v2
    assert {s.prefiltering for s in edf.signals[:12]} == {"HP:0.05Hz N:50Hz"}
    assert {s.sampling_frequency for s in edf.signals} == {500.0}
    assert edf.data_record_duration == 1.0
    assert edf.patient.code == edf.patient.name == "X"
    assert edf.recording.equipment_code.startswith("leadlift_")
    assert edf.recording.additional == ("Band_3",)
    assert datetime.combine(edf.startdate, edf.starttime) == datetime(2026, 3, 1, 12, 30, 15)
    assert [a.text for a in edf.annotations] == ["started at 2026-03-01T12:30:15.250000+02:00"]


def test_a_start_that_nobody_knows_is_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 250.0, Metadata()) as sink:
        sink.write(block(ecg(250)))
    header = path.read_bytes()[:256]
    assert b"Startdate X X X leadlift" in header
    assert b"01.01.85" in header
    assert edfio.read_edf(path).annotations == ()
    assert LSB_MV <= 0.0005


def test_gap_is_zero_flagged_and_annotated(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    sent = ecg(500)
    with EdfSink(path, 250.0, METADATA) as sink:
        sink.write(block(sent[:, :100], 7))
        sink.write(block(sent[:, 100:], 7 + 100 + 1050))
    got = signals(path)
    np.testing.assert_allclose(got[:12, 1150:1550], sent[:, 100:], atol=LSB_MV)
    assert not got[:12, 100:1150].any()
    assert set(got[12, 100:1150]) == {float(Quality.GAP)}
    assert not got[12, :100].any()
    assert (0.4, 4.2, "gap 4200 ms") in annotations(path)


def test_lead_off_is_never_invented(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    sent = ecg(1000)
    sent[6, 300:425] = np.nan
    flags = np.zeros(sent.shape, np.uint8)
    flags[6, 300:425] = Quality.LEAD_OFF
    with EdfSink(path, 250.0, METADATA) as sink:
        for start in range(0, 1000, 4):
            sink.write(block(sent[:, start : start + 4], start, flags[:, start : start + 4]))
    got = signals(path)
    assert not got[6, 300:425].any()
    assert set(got[12, 300:425]) == {float(Quality.LEAD_OFF)}
    assert annotations(path) == [(1.2, 0.5, "lead off V1")]


def test_last_partial_second_is_kept_and_its_end_annotated(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 250.0, METADATA) as sink:
        sink.write(block(ecg(260)))
    assert signals(path).shape == (25, 500)
    assert annotations(path) == [(1.04, None, "end of recording")]


def test_clipping_is_counted_and_flagged(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    sent = np.zeros((12, 250), np.float32)
    sent[0, 10:13] = 40.0, -40.0, 16.0
    sink = EdfSink(path, 250.0, METADATA)
    given_block = block(sent)
    sink.write(given_block)
    sink.close()
    got = signals(path)
    np.testing.assert_allclose(
        got[0, 10:13], [PHYSICAL_MAX_MV, -PHYSICAL_MAX_MV, 16.0], atol=LSB_MV
    )
    assert sink.samples_clipped == 2
    assert set(got[12, 10:12]) == {float(Quality.CLIPPED)}
    assert not given_block.quality.any()  # other sinks see it too
    assert annotations(path) == [(0.04, 0.008, "clipped I")]


def test_stream_that_begins_anew_is_annotated_and_follows_on(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 250.0, METADATA) as sink:
        sink.write(block(ecg(250), 5000))
        sink.write(block(ecg(250), 0))
    assert signals(path).shape == (25, 500)
    assert annotations(path) == [(1.0, None, "stream restarted, break of unknown length")]


def test_more_annotations_than_a_record_holds_wait_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    index = 0
    with EdfSink(path, 250.0, METADATA) as sink:
        for _ in range(60):
            sink.write(block(ecg(2), index))
            index += 5
    gaps = [text for _, _, text in annotations(path) if text == "gap 12 ms"]
    assert len(gaps) == 59
    assert sink.annotations_dropped == 0


def test_simulated_signal_is_said_twice(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 250.0, Metadata(simulated=True)) as sink:
        sink.write(block(ecg(250)))
    assert edfio.read_edf(path).recording.additional == ("simulated_signal",)
    assert annotations(path) == [(0.0, None, "simulated signal")]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any))
def test_sigma_is_kept_sample_by_sample_whatever_the_block_sizes(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "out.edf"
    sent = np.abs(ecg(sum(sizes) + 100, 3)) / 10
    sent[[1, 6, 10]] = 0.0  # measured
    sent[:, 5:9] = np.nan
    with EdfSink(path, 250.0, METADATA, overwrite=True) as sink:
        at = 0
        for size in [*sizes, 100]:
            made = replace(block(ecg(size), at), sigma_mv=sent[:, at : at + size])
            sink.write(made)
            at += size
        sink.write(replace(made, first_sample=at + 300))  # a gap
    n = at + 300 + 100
    sent = np.concatenate([sent, np.full((12, 300), np.nan), sent[:, -100:]], 1)
    with open_record(path) as record:
        assert record.n_samples == n
        found = record.read_sigma(0, n)
        assert found is not None
        np.testing.assert_allclose(found, sent, atol=LSB_MV / 2 + 1e-6)
        some = record.read_sigma(n // 3, n // 2)
    assert some is not None
    np.testing.assert_array_equal(some, found[:, n // 3 : n // 2])
    other = signals(path)[13:]
    expected = np.where(np.isnan(sent), -LSB_MV, sent)  # no standard deviation is negative
    np.testing.assert_allclose(other[:, :n], expected, atol=LSB_MV / 2 + 1e-6)
    assert (other[:, n:] == -LSB_MV).all()


def test_the_largest_rate_keeps_its_records_in_what_edf_allows(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    sent = ecg(5001)
    with EdfSink(path, 2000.0, METADATA) as sink:
        sink.write(block(sent, 0, sampling_hz=2000.0))
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.getSampleFrequency(0) == reader.getSampleFrequency(24) == 2000.0
        assert sum(reader.getNSamples()) // reader.datarecords_in_file * 2 < 61440
        np.testing.assert_allclose(reader.readSignal(3)[:5001], sent[3], atol=LSB_MV)
    with open_record(path) as record:
        assert (record.n_samples, record.sampling_hz) == (5001, 2000.0)
        np.testing.assert_allclose(record.read(0, 5001), sent, atol=LSB_MV)


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.files.edf_writer import EdfSink
from tests.edge.sinks.blocks import block, ecg
sent = ecg(250 * 7 + 100)
sink = EdfSink(Path(sys.argv[1]), 250.0, Metadata())
sink.write(block(sent[:, :500]))
for at in range(600, sent.shape[1], 25):
    sink.write(block(sent[:, at : at + 25], at))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_a_file_up_to_its_last_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "killed.edf"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    got = signals(path)
    sent = ecg(250 * 7 + 100)
    sent[:, 500:600] = 0
    np.testing.assert_allclose(got[:12], sent[:, : 250 * 7], atol=LSB_MV)
    assert annotations(path) == [(2.0, 0.4, "gap 400 ms")]
    with pyedflib.EdfReader(str(path)) as reader:  # the strict one
        assert reader.datarecords_in_file == 7
        assert list(reader.readAnnotations()[2]) == ["gap 400 ms"]


FULL = """
import resource, signal, sys
from pathlib import Path
from edge.errors import SinkError
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sink = open_sink("file:" + sys.argv[1], 250.0)
try:
    for second in range(60):
        sink.write(block(ecg(250, second), 250 * second))
except SinkError as error:
    print(error)
else:
    sys.exit("the disk was never full")
sink.close()
try:
    sink.write(block(ecg(250)))
except SinkError as error:
    print(error)
"""


def record_until_full(path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_full_disk_is_one_line_and_leaves_the_recording_readable(tmp_path: Path) -> None:
    path = tmp_path / "full.edf"
    lines = record_until_full(path)
    assert len(lines) == 2
    assert lines[0].startswith(f"cannot write {path}: ")
    assert lines[1] == f"{path} is closed: open a new sink to write more"
    got = signals(path)
    n = got.shape[1] // 250
    assert n >= 7
    np.testing.assert_allclose(
        got[:12], np.concatenate([ecg(250, second) for second in range(n)], axis=1), atol=LSB_MV
    )
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.datarecords_in_file == n


def test_million_samples_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.edf"
    sent = ecg(500)
    sink = EdfSink(path, 500.0, METADATA)
    sink.write(block(sent, 0, sampling_hz=500.0))
    tracemalloc.start()
    for at in range(500, 1_000_000, 500):
        sink.write(block(sent, at, sampling_hz=500.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sink.close()
    assert peak < 2_000_000
    with pyedflib.EdfReader(str(path)) as reader:
        assert reader.datarecords_in_file == 2000
        np.testing.assert_allclose(reader.readSignal(3, 999_500, 500), sent[3], atol=LSB_MV)


@pytest.mark.parametrize("rate", [0.5, 4000.0, float("nan"), 0.0])
def test_rate_that_edf_cannot_hold(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match=r"Hz|samples a second"):
        EdfSink(tmp_path / "out.edf", rate, METADATA)


def test_wrong_blocks_are_refused_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    with EdfSink(path, 250.0, METADATA) as sink:
        sink.write(block(ecg(100)))
        with pytest.raises(InputError, match="500 Hz"):
            sink.write(block(ecg(100), 100, sampling_hz=500.0))
        with pytest.raises(InputError, match=r"\(12, n\)"):
            sink.write(block(ecg(100)[:3], 100))
        sink.write(block(ecg(150), 100))
    assert signals(path).shape == (25, 250)


def test_missing_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot write .*No such file or directory") as caught:
        EdfSink(tmp_path / "nowhere" / "out.edf", 250.0, METADATA)
    assert "\n" not in str(caught.value)


def test_without_samples_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.edf"
    sink = EdfSink(path, 250.0, METADATA)
    assert not path.exists()  # it is made with the first block
    sink.close()
    sink.close()
    assert not path.exists()


@pytest.mark.parametrize("flag", [Quality.LEAD_OFF, Quality.GAP | Quality.INTERPOLATED])
def test_a_value_next_to_zero_stays_a_value_while_another_lead_is_off(
    tmp_path: Path, flag: Quality
) -> None:
    path = tmp_path / "out.edf"
    sent = np.full((12, 250), LSB_MV / 5, np.float32)
    quality = np.zeros((12, 250), np.uint8)
    sent[LEADS.index("V1"), 100:] = np.nan
    quality[LEADS.index("V1"), 100:] = flag
    with EdfSink(path, 250.0, METADATA) as sink:
        sink.write(block(sent, 0, quality))
    with open_record(path) as record:
        got = record.read(0, 250)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(sent))
    assert np.nanmax(np.abs(got - sent)) <= LSB_MV
