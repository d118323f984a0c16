"""CSV recordings: rows that any tool reads, whole seconds on disk."""

from __future__ import annotations

import csv
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge.errors import SinkError
from edge.files.csv_writer import CsvSink
from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.quality import Quality
from tests.edge.files.test_edf_writer import record_until_full
from tests.edge.sinks.blocks import block, ecg


def rows(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(newline="") as file:
        table = list(csv.reader(line for line in file if not line.startswith("#")))
    return table[0], np.array(table[1:], float)


def test_rows_comments_and_a_gap_that_shows(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sent = ecg(300)
    sent[6, 10] = np.nan
    with CsvSink(path, 250.0, Metadata(device="two\nlines", simulated=True)) as sink:
        sink.write(block(sent[:, :100], 50, Quality.SETTLING))
        sink.write(block(sent[:, 100:], 50 + 600))
    header, values = rows(path)
    assert header == ["time_s", *LEADS, "quality", *(f"sigma_{lead}" for lead in LEADS)]
    np.testing.assert_allclose(values[:, 1:13], sent.T, atol=5.1e-6)
    np.testing.assert_allclose(values[:, 14:], 0.05)
    np.testing.assert_allclose(values[:, 0], [*np.arange(100) / 250, *np.arange(600, 800) / 250])
    assert values[:, 13].tolist() == [4.0] * 100 + [0.0] * 200
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "# V1: measured" in comments
    assert "# V2: reconstructed" in comments
    assert "# aVF: derived from reconstructed I" in comments
    assert "# sampling_hz: 250" in comments
    assert "# simulated signal" in comments
    assert "# device: two lines" in comments


def test_every_second_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = CsvSink(path, 250.0, Metadata())
    for start in range(0, 2000, 5):
        sink.write(block(ecg(5), start))
    assert len(rows(path)[1]) == 2000
    sink.write(block(ecg(5), 0))
    sink.close()
    assert "# stream restarted at 8.000000 s\n" in path.read_text()


def test_full_disk_leaves_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "full.csv"
    lines = record_until_full(path)
    assert lines[0].startswith(f"cannot write {path}: ")
    values = rows(path)[1]
    assert len(values) > 0
    assert len(values) % 250 == 0
    np.testing.assert_allclose(values[:250, 1:13], ecg(250, 0).T, atol=5.1e-6)


def test_device_that_is_full_is_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    sink = CsvSink(full, 250.0, Metadata())
    with pytest.raises(SinkError, match="No space left on device"):
        sink.write(block(ecg(250)))


def test_missing_directory_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"cannot write .*No such file or directory"):
        CsvSink(tmp_path / "nowhere" / "out.csv", 250.0, Metadata())


def test_a_pipe_takes_every_row(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        with CsvSink(pipe, 250.0, Metadata()) as sink:
            sink.write(block(ecg(600)))
        copy = tmp_path / "copy.csv"
        copy.write_bytes(read.result())
    np.testing.assert_allclose(rows(copy)[1][:, 1:13], ecg(600, 0).T, atol=5.1e-6)
