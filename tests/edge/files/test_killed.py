"""A recording whose process is killed, at any moment: it opens, or `leadlift repair` makes it open.

At most the last second is lost.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.cli import main
from edge.errors import InputError, SinkError
from edge.files.dicom_codes import companion
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

HZ = 250
WRITES = """
import sys
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg
seconds = [ecg(250, second) for second in range(40)]
sink = open_sink("file:" + sys.argv[1], 250.0)
n = 0
while True:  # as fast as it goes: most of the time is spent in writes
    second = seconds[n % 40]
    for at in range(0, 250, 125):
        sink.write(block(second[:, at : at + 125], 250 * n + at))
    n += 1
    print(n, flush=True)  # this many seconds were handed over
"""


def needs(kind: str) -> None:
    if kind == "dcm" and find_spec("pydicom") is None:
        pytest.skip("DICOM is pydicom's: install '.[test]'")


def killed(target: str, wait_s: float) -> int:
    """Seconds that a process had handed over when it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITES, target], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(wait_s)
    child.kill()
    said, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    return int(([1, *said.split()])[-1])


def readable(path: Path) -> Path:
    """`path`, or what `leadlift repair` makes of it where it does not open."""
    try:
        with open_record(path):
            return path
    except InputError as error:
        assert "leadlift repair" in str(error)
    made = path.with_name(f"mended-{path.name}")  # of several that were not finished
    assert main(["repair", str(path), "-o", str(made)]) == 0
    return made


def check(path: Path, n_seconds: int) -> None:
    """All but the last second of what was handed over is there, and right."""
    with open_record(readable(path)) as record:
        n = record.n_samples
        assert n >= HZ * (n_seconds - 1)
        got, sigma = record.read(0, n), record.read_sigma(0, n)
    expected = np.concatenate([ecg(HZ, i % 40) for i in range(-(-n // HZ))], axis=1)[:, :n]
    np.testing.assert_allclose(got, expected, atol=0.00026)
    if sigma is not None:
        np.testing.assert_allclose(sigma, 0.05, atol=0.00026)


@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea", "dcm"])
def test_killed_at_any_moment(tmp_path: Path, kind: str) -> None:
    needs(kind)
    rng = random.Random(kind)
    for i in range(3):
        folder = tmp_path / str(i)
        folder.mkdir()
        n = killed(f"{folder}/night.{kind}", rng.uniform(0.05, 0.3))
        check(folder / f"night.{kind}", n)


@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea", "dcm"])
def test_killed_while_files_change(tmp_path: Path, kind: str) -> None:
    needs(kind)
    n = killed(f"{tmp_path}/night.{kind}?every=3s", 0.3)
    names = {path.name.removesuffix(".part") for path in tmp_path.iterdir()}
    files = sorted(tmp_path / name for name in names if name.endswith(f"{kind}"))
    files = [path for path in files if not path.stem.endswith("_sigma")]
    held: list[NDArray[np.float32]] = []
    for path in files:
        if path == files[-1] and sum(one.shape[1] for one in held) >= HZ * (n - 1):
            break  # it was begun in the last second: there may be no more than its header
        # An NPZ has an empty file of its name at the moment in which it takes it.
        if (path.is_file() and path.stat().st_size) or Path(f"{path}.part").is_dir():
            with open_record(readable(path)) as record:
                held.append(record.read(0, record.n_samples))
    got = np.concatenate(held, axis=1)
    assert got.shape[1] >= HZ * (n - 1)
    expected = [ecg(HZ, i % 40) for i in range(-(-got.shape[1] // HZ))]
    np.testing.assert_allclose(
        got, np.concatenate(expected, axis=1)[:, : got.shape[1]], atol=0.00026
    )


# Every moment inside the writes of one second, for the format that changes in several places.


def two_states(tmp_path: Path, n_before: int) -> tuple[Path, list[bytes], list[bytes]]:
    """A DICOM recording's name, and the bytes of its files before and after a second was written."""
    path = tmp_path / "a.dcm"
    states = []
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        sink.write(block(ecg(n_before)))
        for at in (n_before, n_before + 250):
            states.append([one.read_bytes() for one in (path, companion(path))])
            sink.write(block(ecg(250, 1), at))
    return path, states[0], states[1]


@pytest.mark.parametrize("n_before", [500, 16_200], ids=["12-lead", "becomes general"])
def test_a_dicom_file_is_mended_from_every_state_of_a_write(
    tmp_path: Path, n_before: int, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")
    path, before, after = two_states(tmp_path, n_before)
    whole = np.concatenate([ecg(n_before), ecg(250, 1)], axis=1)
    grown = [len(two) - len(one) for one, two in zip(before, after, strict=True)]
    head = len(before[0]) - 16 - 24 * n_before
    changed = [i for i in range(head) if before[0][i] != after[0][i]]
    assert len(changed) >= 4  # length, number, and the class once it is longer
    rng = np.random.default_rng(7)
    cuts = [0, 1, 7, 15, 16, 17, 24, *rng.integers(0, grown[0] + 16, 12), grown[0] + 15]
    states = [(before[0][:-16] + after[0][len(before[0]) - 16 :][:cut], after[1]) for cut in cuts]
    # A write shorter than the old end leaves the rest of it.
    states = [(one + before[0][len(one) :], two) for one, two in states]
    for n_changed in range(len(changed) + 1):  # all samples are there, not all of the numbers
        mixed = bytearray(after[0])
        for i in changed[n_changed:]:
            mixed[i] = before[0][i]
        states.append((bytes(mixed), after[1]))
    cut = len(before[1]) - 16 + 1000
    states.append((before[0], after[1][:cut]))  # killed in the object of sigma
    for number, (leads, beside) in enumerate(states):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / path.name).write_bytes(leads)
        companion(folder / path.name).write_bytes(beside)
        assert main(["repair", str(folder / path.name)]) == 0
        said = capsys.readouterr().out
        made = folder / "a.repaired.dcm"
        assert made.exists() is ("nothing to repair" not in said)
        with open_record(made if made.exists() else folder / path.name) as record:
            n = record.n_samples
            assert n >= n_before
            np.testing.assert_allclose(record.read(0, n), whole[:, :n], atol=0.00026)
            sigma, bits = record.read_sigma(0, n_before), record.read_quality(0, n_before)
        assert sigma is not None
        assert bits is not None
        np.testing.assert_allclose(sigma, 0.05, atol=0.00026)
        if made.exists():
            import pydicom

            ds = pydicom.dcmread(made)
            assert ds.SOPClassUID == ds.file_meta.MediaStorageSOPClassUID
            assert ds.waveform_array(0).shape == (n, 12)
        assert (folder / path.name).read_bytes() == leads  # the original is only read


def test_an_object_of_another_writer_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="DICOM is pydicom's: install '.[test]'")
    from pydicom.data import get_testdata_file

    data = Path(str(get_testdata_file("waveform_ecg.dcm"))).read_bytes()
    (tmp_path / "cut.dcm").write_bytes(data[: len(data) // 2])
    assert main(["repair", str(tmp_path / "cut.dcm")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cut.dcm"]


@pytest.mark.parametrize("kind", ["edf", "csv", "npz", "hea", "dcm"])
def test_a_second_start_never_touches_what_is_being_recorded(tmp_path: Path, kind: str) -> None:
    needs(kind)
    target = tmp_path / f"a.{kind}"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(target)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(SinkError, match="it is being recorded now"):
            open_sink(f"file:{target}", 250.0, overwrite=True)
    finally:
        child.kill()
        child.communicate()
    open_sink(f"file:{tmp_path}/b.{kind}", 250.0, overwrite=True).close()
