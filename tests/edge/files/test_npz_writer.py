"""NPZ recordings: exact, uniform in time, and never lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge.errors import SinkError
from edge.files.npz_writer import NpzSink
from edge.files.recording import Metadata
from edge.leads import LEADS, provenance
from edge.quality import Quality
from tests.edge.files.test_edf_writer import KILLED, record_until_full
from tests.edge.sinks.blocks import block, ecg


def test_arrays_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    sent = ecg(700)
    flags = (np.arange(700) % 3 == 0).astype(np.uint8) * np.uint8(Quality.NOISY)
    with NpzSink(path, 250.0, Metadata(prefilter="HP:0.05Hz", simulated=True)) as sink:
        for start in range(0, 700, 7):
            here = slice(start, start + 7)
            sink.write(block(sent[:, here], 40 + start, flags[here]))
    with np.load(path, allow_pickle=False) as got:
        np.testing.assert_array_equal(got["ecg_mv"], sent)
        assert got["ecg_mv"].dtype == np.float32
        np.testing.assert_array_equal(got["sigma_mv"], np.full((12, 700), 0.05, np.float32))
        np.testing.assert_array_equal(got["quality"], np.broadcast_to(flags, (12, 700)))
        assert got["quality"].dtype == np.uint8
        assert (int(got["first_sample"]), float(got["sampling_hz"])) == (40, 250.0)
        assert tuple(got["leads"]) == LEADS
        assert tuple(got["provenance"]) == tuple(str(p) for p in provenance())
        assert bool(got["simulated"])
        assert str(got["prefilter"]) == "HP:0.05Hz"
        assert len(got["restarts"]) == 0
    assert list(tmp_path.iterdir()) == [path]


def test_gap_is_nan_and_flagged_and_a_restart_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    with NpzSink(path, 250.0, Metadata()) as sink:
        sink.write(block(ecg(100), 0))
        sink.write(block(ecg(100), 20_000))
        sink.write(block(ecg(50), 3))
    with np.load(path) as got:
        assert got["ecg_mv"].shape == (12, 20_150)
        assert np.isnan(got["ecg_mv"][:, 100:20_000]).all()
        assert (got["quality"][:, 100:20_000] == Quality.GAP).all()
        assert np.isfinite(got["ecg_mv"][:, 20_000:]).all()
        assert got["restarts"].tolist() == [20_100]


def test_killed_process_leaves_arrays_that_open(tmp_path: Path) -> None:
    path = tmp_path / "killed.npz"
    script = KILLED.replace("EdfSink", "NpzSink").replace("edf_writer", "npz_writer")
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    got = np.load(tmp_path / "killed.npz.part" / "ecg_mv.npy", mmap_mode="r")
    assert got.shape[1] >= 250 * 6
    sent = ecg(250 * 7 + 100)[:, : got.shape[1]]
    np.testing.assert_array_equal(got[:, :500], sent[:, :500])
    np.testing.assert_array_equal(got[:, 600:], sent[:, 600:])
    assert tuple(np.load(tmp_path / "killed.npz.part" / "leads.npy")) == LEADS
    with pytest.raises(SinkError, match="interrupted"):  # and nobody writes over them
        NpzSink(path, 250.0, Metadata())


def test_full_disk_says_where_the_recording_is(tmp_path: Path) -> None:
    path = tmp_path / "full.npz"
    lines = record_until_full(path)
    assert f"kept in {path}.part" in lines[0]
    got = np.load(tmp_path / "full.npz.part" / "ecg_mv.npy")
    np.testing.assert_array_equal(got[:, :250], ecg(250, 0))
    assert not path.exists()


def test_long_recording_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.npz"
    sent = ecg(500)
    tracemalloc.start()
    with NpzSink(path, 500.0, Metadata()) as sink:
        for at in range(0, 400_000, 500):
            sink.write(block(sent, at, sampling_hz=500.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000  # the array alone is 19 MB
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("sigma_mv.npy").compress_size < 200_000


def test_without_samples_there_is_no_file(tmp_path: Path) -> None:
    NpzSink(tmp_path / "out.npz", 250.0, Metadata()).close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_folder_says_what_to_do() -> None:
    """Root may write anywhere, and is refused by the file system itself."""
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    with (
        pytest.raises(SinkError, match=r"cannot write /proc/out\.npz: .*choose another"),
        NpzSink(Path("/proc/out.npz"), 250.0, Metadata()) as sink,
    ):
        sink.write(block(ecg(250)))


def test_missing_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot write .*No such file or directory"):
        NpzSink(tmp_path / "nowhere" / "out.npz", 250.0, Metadata())
