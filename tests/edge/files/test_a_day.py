"""A day of simulated ECG at speed into every format: complete, in memory that does not grow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.live.memory import read_memory
from edge.sinks import open_sink
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.sinks.blocks import block

HZ = 250
SECONDS = 24 * 3600
DAY = f"""
import json, sys, time
import numpy as np
from datetime import datetime, timezone
from edge.files.recording import Metadata
from edge.live.memory import read_memory
from edge.sinks import open_sink
from tests.edge.files.test_a_day import simulated
from tests.edge.sinks.blocks import block
minute, began = simulated(), time.monotonic()
known = Metadata(device="sim", simulated=True, started_at=datetime(2026, 3, 1, tzinfo=timezone.utc))
sink = open_sink("file:" + sys.argv[1], {HZ}.0, metadata=known)
for second in range({SECONDS}):
    at = second % 60 * {HZ}
    sink.write(block(minute[:, at : at + {HZ}], second * {HZ}))
    if second == 7200:
        early_mb = read_memory().peak_mb
sink.close()
print(json.dumps(dict(
    early_mb=early_mb, peak_mb=read_memory().peak_mb, seconds=time.monotonic() - began,
    files=list(sink.files),
)))
"""


def simulated() -> np.ndarray:
    """A minute of twelve leads, (12, 15000) float32 mV."""
    return EcgSimulator(float(HZ), 72, muscle_mv=0.01, seed=4).read(60 * HZ).astype(np.float32)


def needs(kind: str) -> None:
    """Skip what this system cannot do."""
    if kind == "dcm" and find_spec("pydicom") is None:
        pytest.skip("DICOM is pydicom's: install '.[test]'")
    if np.isnan(read_memory().peak_mb):
        pytest.skip("the system does not say how much memory is in use")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """One whose gigabytes do not stay."""
    if shutil.disk_usage(tmp_path).free < 8e9:
        pytest.skip("needs 8 GB of disk")
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("rotation", ["", "?every=1h", "?size=100MB"])
@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea", "dcm"])
def test_a_day_is_complete_and_memory_flat(folder: Path, kind: str, rotation: str) -> None:
    needs(kind)
    done = subprocess.run(
        [sys.executable, "-c", DAY, f"{folder}/day.{kind}{rotation}"],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    size_mb = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(
        f"\n{kind}{rotation}: {found['seconds']:.0f} s, {size_mb:.0f} MB in {len(found['files'])} files, "
        f"memory {found['early_mb']:.1f} MB after two hours, {found['peak_mb']:.1f} MB at most"
    )
    assert found["peak_mb"] - found["early_mb"] < 8
    if rotation == "?every=1h":
        assert len(found["files"]) == 24
    minute, n = simulated(), 0
    for name in found["files"]:
        if kind == "csv":  # reading gigabytes of text takes longer than all else
            n += _rows(Path(name))
            continue
        with open_record(name) as record:
            for at in (0, record.n_samples - HZ):
                second = (n + at) // HZ % 60 * HZ
                expected = minute[:, second : second + HZ]
                np.testing.assert_allclose(record.read(at, at + HZ), expected, atol=0.00026)
            n += record.n_samples
    assert n == SECONDS * HZ


RECONSTRUCTS = """
import sys
import time
from edge.cli import main
from edge.live.memory import read_memory
if main(["reconstruct", *sys.argv[1:]]):
    sys.exit("it failed")
print(read_memory().peak_mb)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "hours"), [*((kind, 4) for kind in ("edf", "npz", "csv", "hea", "dcm")), ("dcm", 24)]
)
def test_what_is_long_is_reconstructed_in_the_memory_of_an_hour(
    folder: Path, kind: str, hours: int
) -> None:
    needs(kind)
    peak_mb = {}
    for n in (1, hours):
        source, made = folder / f"{n}.{kind}", folder / f"{n}-made.{kind}"
        with open_sink(f"file:{source}", float(HZ), metadata=Metadata(simulated=True)) as sink:
            for at in range(0, n * 3600 * HZ, 60 * HZ):
                sink.write(block(simulated(), at))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", RECONSTRUCTS, str(source), str(made)],
            check=True,
            capture_output=True,
            text=True,
        )
        peak_mb[n] = float(done.stdout.split()[-1])
        print(f"\n{kind}, {n} h: {time.monotonic() - began:.0f} s, {peak_mb[n]:.1f} MB at most")
    assert peak_mb[hours] - peak_mb[1] < 16


def _rows(path: Path) -> int:
    n = 0
    with path.open("rb") as file:
        while data := file.read(1 << 24):
            n += data.count(b"\n")
    with path.open("rb") as file:
        return n - 1 - sum(line.startswith(b"#") for line in file.read(4096).splitlines())
