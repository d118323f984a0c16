"""WFDB recordings, read back with wfdb-python, which is not their writer."""

from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("wfdb", reason="wfdb is the oracle: install '.[test]'")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.errors import InputError, SinkError
from edge.files.recording import OF_RECORDING, Metadata
from edge.files.records import open_record
from edge.files.wfdb_writer import DIGITAL_MAX, DIGITS_PER_MV, WfdbSink
from edge.leads import LEADS, provenance
from edge.quality import Quality
from tests.edge.files.oracle import wfdb
from tests.edge.files.test_edf_writer import record_until_full
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 12, 30, 15, 250_000, timezone(timedelta(hours=2)))
METADATA = Metadata(prefilter="HP:0.05Hz N:50Hz", device="Band 3", started_at=START)
HALF_STEP = 0.5 / DIGITS_PER_MV + 1e-6


def read(path: Path) -> wfdb.Record:
    return wfdb.rdrecord(str(path.with_suffix("")))


def check_sums(path: Path) -> None:
    """The checksums and first values of the header are those of the samples."""
    digital = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    assert np.array_equal(digital.d_signal.sum(0) % 65536, np.array(digital.checksum) % 65536)
    assert list(digital.d_signal[0]) == digital.init_value


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=8).filter(any))
def test_round_trip_within_one_step_whatever_the_block_sizes(
    tmp_path: Path, sizes: list[int]
) -> None:
    path = tmp_path / "out.hea"
    sent = ecg(sum(sizes))
    with WfdbSink(path, 250.0, METADATA, overwrite=True) as sink:
        at = 0
        for size in sizes:
            sink.write(block(sent[:, at : at + size], at))
            at += size
    got = read(path)
    assert got.sig_len == at
    assert np.abs(got.p_signal[:, :12].T - sent).max() <= HALF_STEP
    np.testing.assert_allclose(got.p_signal[:, 12:24], 0.05)
    assert not got.p_signal[:, 24].any()
    check_sums(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        *("out.dat", "out.hea", "out_sigma.dat")
    ]


def test_another_reader_finds_what_the_recording_is(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    with WfdbSink(path, 250.137, METADATA) as sink:
        sink.write(block(ecg(500), 7, sampling_hz=250.137))
    got = read(path)
    assert got.sig_name == [*LEADS, *(f"sigma {lead}" for lead in LEADS), "quality"]
    assert got.units == ["mV"] * 24 + ["NU"]
    assert got.fs == 250.137
    assert got.base_datetime == START.replace(tzinfo=None)
    assert [f"{x}: {p}" for x, p in zip(LEADS, provenance(), strict=True)] == got.comments[5:17]
    assert got.comments[1:5] == [
        f"started_at: {START.isoformat()}",
        *("first_sample: 7", "prefilter: HP:0.05Hz N:50Hz", "device: Band 3"),
    ]


def test_our_reader_finds_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    known = Metadata(
        device="Band 3",
        simulated=True,
        started_at=START,
        calibration="calibrated to p.edf",
        source=OF_RECORDING,
    )
    sent = ecg(600)
    quality = np.zeros((12, 600), np.uint8)
    quality[3, 50:60] = Quality.NOISY
    with WfdbSink(path, 250.0, known) as sink:
        sink.write(block(sent, quality=quality))
    with open_record(path, ("V2", "II")) as record:
        assert (record.device, record.simulated, record.of_recording) == ("Band 3", True, True)
        assert (record.started_at, record.calibration) == (START, "calibrated to p.edf")
        assert record.provenance == ("reconstructed", "measured")
        assert record.warnings == ("V2 in it: reconstructed by leadlift, not measured",)
        np.testing.assert_allclose(record.read(3, 77), sent[[7, 1], 3:77], atol=HALF_STEP)
        sigma, bits = record.read_sigma(40, 70), record.read_quality(40, 70)
    assert sigma is not None
    assert bits is not None
    np.testing.assert_allclose(sigma, np.full((2, 30), 0.05), atol=HALF_STEP)
    np.testing.assert_array_equal(bits, np.repeat(quality[3:4, 40:70], 2, axis=0))


def test_a_start_that_nobody_knows_is_not_made_up(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    with WfdbSink(path, 250.0, Metadata()) as sink:
        sink.write(block(ecg(250)))
    assert read(path).base_datetime is None
    with open_record(path) as record:
        assert record.started_at is None


def test_what_is_missing_is_the_code_for_it(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    sent = ecg(500)
    sent[6, 100:200] = np.nan
    with WfdbSink(path, 250.0, METADATA) as sink:
        sink.write(block(sent))
        sink.write(block(ecg(100), 40_000))
    got = read(path).p_signal
    assert len(got) == 40_100
    assert np.isnan(got[100:200, 6]).all()
    assert np.isnan(got[500:40_000, :24]).all()
    assert (got[500:40_000, 24] == Quality.GAP).all()
    np.testing.assert_allclose(got[40_000:, :12].T, ecg(100), atol=HALF_STEP)
    with open_record(path) as record:
        np.testing.assert_array_equal(np.isnan(record.read(0, 40_100)), np.isnan(got[:, :12].T))


def test_clipping_is_counted_and_flagged(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    sent = np.zeros((12, 250), np.float32)
    sent[0, 10:13] = 40.0, -np.inf, 16.0
    sink = WfdbSink(path, 250.0, METADATA)
    sink.write(block(sent))
    sink.close()
    most = DIGITAL_MAX / DIGITS_PER_MV
    got = read(path).p_signal
    np.testing.assert_allclose(got[10:13, 0], [most, -most, 16.0])
    assert sink.counters() == {"samples_clipped": 2}
    assert list(got[9:13, 24]) == [0, Quality.CLIPPED, Quality.CLIPPED, 0]


def test_stream_that_begins_anew_is_a_comment_and_follows_on(tmp_path: Path) -> None:
    path = tmp_path / "out.hea"
    with WfdbSink(path, 250.0, METADATA) as sink:
        sink.write(block(ecg(260), 5000))
        sink.write(block(ecg(250), 0))
    got = read(path)
    assert got.sig_len == 510
    assert got.comments[-1] == "stream restarted, break of unknown length: sample 260"


KILLED = """
import os, signal, sys
from pathlib import Path
from edge.files.recording import Metadata
from edge.files.wfdb_writer import WfdbSink
from tests.edge.files.oracle import wfdb
from tests.edge.sinks.blocks import block, ecg
sent = ecg(250 * 7 + 100)
sink = WfdbSink(Path(sys.argv[1]), 250.0, Metadata())
for at in range(0, sent.shape[1], 25):
    sink.write(block(sent[:, at : at + 25], at))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_a_record_up_to_its_last_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "killed.hea"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    got = read(path)
    np.testing.assert_allclose(
        got.p_signal[:, :12].T, ecg(250 * 7 + 100)[:, : 250 * 7], atol=HALF_STEP
    )
    check_sums(path)
    with open_record(path) as record:
        assert record.n_samples == 250 * 7
        assert len(record.warnings) == 1  # what was reconstructed


@pytest.mark.parametrize("cut", ["out.dat", "out_sigma.dat"])
def test_a_part_that_was_cut_short_is_read_as_far_as_it_goes(
    tmp_path: Path, cut: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.hea"
    with WfdbSink(path, 250.0, METADATA) as sink:
        sink.write(block(ecg(500)))
    part = tmp_path / cut
    part.write_bytes(part.read_bytes()[: 26 * 300 + 5])
    with open_record(path) as record:
        assert record.n_samples in (300, 325)
        assert "its header says 500 samples" in record.warnings[0]
    assert main(["repair", str(path)]) == 0
    assert "its header says 500 samples" in capsys.readouterr().err


def test_full_disk_is_one_line_and_leaves_the_recording_readable(tmp_path: Path) -> None:
    path = tmp_path / "full.hea"
    lines = record_until_full(path)
    assert len(lines) == 2
    assert lines[0].startswith(f"cannot write {path}: ")
    got = read(path)
    n = got.sig_len // 250
    assert n >= 10
    sent = np.concatenate([ecg(250, second) for second in range(n)], axis=1)
    np.testing.assert_allclose(got.p_signal[:, :12].T, sent, atol=HALF_STEP)
    check_sums(path)
    assert path.with_suffix(".dat").stat().st_size == 24 * got.sig_len


@pytest.mark.parametrize("there", ["out.hea", "out.dat", "out_sigma.dat"])
def test_no_file_is_written_over_unless_told(tmp_path: Path, there: str) -> None:
    path = tmp_path / "out.hea"
    (tmp_path / there).write_bytes(b"precious")
    with pytest.raises(SinkError, match=rf"cannot write .*{there}: it exists"):
        WfdbSink(path, 250.0, METADATA)
    assert [one.name for one in tmp_path.iterdir()] == [there]
    with WfdbSink(path, 250.0, METADATA, overwrite=True) as sink:
        sink.write(block(ecg(250)))
        assert (tmp_path / there).read_bytes() == b"precious"  # until the new one is whole
    assert read(path).sig_len == 250
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_came_in_between_leaves_nothing_behind(tmp_path: Path) -> None:
    sink = WfdbSink(tmp_path / "out.hea", 250.0, METADATA)
    (tmp_path / "out.hea").write_bytes(b"precious")
    with pytest.raises(SinkError, match="it exists"):
        sink.write(block(ecg(250)))
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"precious"]


def test_without_samples_there_is_no_file(tmp_path: Path) -> None:
    sink = WfdbSink(tmp_path / "out.hea", 250.0, METADATA)
    sink.close()
    sink.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b.hea", "a.1.hea", "ä.hea", "a+b.hea"])
def test_a_name_that_no_record_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        WfdbSink(tmp_path / name, 250.0, METADATA)


def test_million_samples_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.hea"
    sent = ecg(500)
    sink = WfdbSink(path, 500.0, METADATA)
    sink.write(block(sent, 0, sampling_hz=500.0))
    tracemalloc.start()
    for at in range(500, 1_000_000, 500):
        sink.write(block(sent, at, sampling_hz=500.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sink.close()
    assert peak < 2_000_000
    with open_record(path) as record:
        assert record.n_samples == 1_000_000
        np.testing.assert_allclose(record.read(999_500, 1_000_000), sent, atol=HALF_STEP)


def test_a_record_is_no_output_of_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given_path, out = tmp_path / "in.hea", tmp_path / "out.hea"
    with WfdbSink(out, 250.0, METADATA) as sink:
        sink.write(block(ecg(250)))
    given_path.write_text(out.read_text().replace("out 25", "in 25"))  # its samples are out.dat
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    for target in (given_path, out):
        assert main(["reconstruct", str(given_path), str(target), "--overwrite"]) == 2
        assert "is the input: write to another file" in capsys.readouterr().err
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before
