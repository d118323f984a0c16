"""A disk that is really full: what was recorded stays, other outputs go on, one line says it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.errors import SinkError
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

HZ = 250


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if done.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    # Lazily: another run of pytest may just look through old folders to remove them.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("rotation", ["", "?every=5s"])
@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea", "dcm"])
def test_what_was_recorded_until_then_is_intact(small: Path, kind: str, rotation: str) -> None:
    if kind == "dcm" and find_spec("pydicom") is None:
        pytest.skip("DICOM is pydicom's: install '.[test]'")
    n = 0
    sink = open_sink(f"file:{small}/a.{kind}{rotation}", HZ, metadata=Metadata())
    with pytest.raises(SinkError) as caught:
        for n in range(200):
            sink.write(block(ecg(HZ, n), HZ * n))
    assert "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    sink.close()
    with pytest.raises(SinkError, match="is closed"):
        sink.write(block(ecg(HZ)))
    held = []
    for name in sink.files:  # type: ignore[attr-defined]
        path = Path(name)
        if Path(f"{name}.part").is_dir():
            path = small.parent / path.name  # where there is room
            assert main(["repair", name, "-o", str(path)]) == 0
        elif not path.exists():  # not one second of the last file found room
            assert name == sink.files[-1]  # type: ignore[attr-defined]
            continue
        with open_record(path) as record:
            held.append(record.read(0, record.n_samples))
    got = np.concatenate(held, axis=1)
    assert got.shape[1] >= HZ * (n - 1) >= 5 * HZ
    expected = np.concatenate([ecg(HZ, i) for i in range(-(-got.shape[1] // HZ))], axis=1)
    np.testing.assert_allclose(got, expected[:, : got.shape[1]], atol=0.00026)


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_where_nothing_finds_room_nothing_is_left_and_that_is_said(small: Path, kind: str) -> None:
    (small / "ballast").write_bytes(bytes(390_000))
    sink = open_sink(f"file:{small}/a.{kind}", HZ, metadata=Metadata())
    with pytest.raises(SinkError, match="No space left on device; nothing was recorded in it"):
        sink.write(block(ecg(60 * HZ)))
    sink.close()
    assert [path.name for path in small.iterdir()] == ["ballast"]


@pytest.mark.realtime
def test_a_run_goes_on_without_the_file_and_ends_with_1(small: Path, tmp_path: Path) -> None:
    (small / "ballast").write_bytes(bytes(360_000))
    view = ["view:0"] if find_spec("starlette") and find_spec("uvicorn") else []
    command = [sys.executable, "-m", "edge.cli", "run", "--source", "sim:", "--seconds", "8"]
    sinks = ["--sink", f"file:{small}/a.edf", f"file:{tmp_path}/b.csv", *view]
    report = ["--report", f"{tmp_path}/report.json"]
    done = subprocess.run([*command, *sinks, *report], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "No space left" in line]
    assert len(lines) == 1
    assert lines[0].endswith("; the other outputs go on")
    found = json.loads((tmp_path / "report.json").read_text())
    assert list(found["sink_failures"]) == [f"file:{small}/a.edf"]
    with open_record(tmp_path / "b.csv") as whole, open_record(small / "a.edf") as part:
        assert whole.n_samples == found["samples_out"]
        assert part.n_samples >= 2 * HZ
        np.testing.assert_allclose(
            part.read(0, part.n_samples), whole.read(0, part.n_samples), atol=0.0003
        )
