"""Recordings in several files: no sample lost or doubled, each opens alone, nothing is overwritten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from time import monotonic_ns

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.cli import main
from edge.errors import InputError, SinkError
from edge.files.formats import all_files
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.files.rotation import Names, RotatingSink, Rotation, split_target
from edge.marker import Marker
from edge.quality import Quality
from edge.sinks import Sink, open_sink
from firmware_bridge.new_file import NewFile
from tests.edge.sinks.blocks import block, ecg

START = datetime(2026, 3, 1, 23, 59, 50, 250_000, timezone(timedelta(hours=2)))
KNOWN = Metadata(device="Band 3", started_at=START)
HZ = 250.0
FORMATS = ["edf", "npz", "csv", "hea", "dcm"]
N = round(10.4 * HZ)
LEFT_OUT = slice(round(5.1 * HZ), round(5.5 * HZ))
"""A gap inside a file of two seconds."""


def needs(kind: str) -> None:
    if kind == "dcm" and find_spec("pydicom") is None:
        pytest.skip("DICOM is pydicom's: install '.[test]'")


def stream(cuts: list[int]) -> list[NDArray[np.int64]]:
    """Samples 0 .. N in blocks that end at `cuts`, without those of the gap."""
    edges = sorted({*cuts, LEFT_OUT.start, LEFT_OUT.stop})
    parts = np.split(np.arange(N), edges)
    return [part for part in parts if len(part) and part[0] != LEFT_OUT.start]


def length(path: Path | str) -> int:
    with open_record(path) as found:
        return found.n_samples


def record(spec: str, parts: list[NDArray[np.int64]], known: Metadata = KNOWN) -> Sink:
    values = ecg(N)
    quality = np.zeros((12, N), np.uint8)
    quality[6, 300:900] = Quality.NOISY
    with open_sink(f"file:{spec}", HZ, metadata=known) as sink:
        for part in parts:
            span = slice(part[0], part[-1] + 1)
            sink.write(block(values[:, span], 70 + part[0], quality=quality[:, span]))
    return sink


def placed(files: list[Path], start: datetime = START) -> dict[str, NDArray[np.floating]]:
    """What files hold together, each placed by its own start."""
    held: dict[str, NDArray[np.floating]] = {
        "ecg": np.full((12, N), np.nan),
        "sigma": np.full((12, N), np.nan),
        "bits": np.zeros((12, N)),
    }
    taken = np.zeros(N, bool)
    for path in files:
        with open_record(path) as found:
            assert found.started_at is not None
            at = round((found.started_at - start).total_seconds() * HZ)
            n = min(found.n_samples, N - at)
            here = slice(at, at + n)
            bits = found.read_quality(0, n)
            assert not taken[here].any()
            taken[here] = True
            held["ecg"][:, here] = found.read(0, n)
            sigma = found.read_sigma(0, n)
            if sigma is not None:
                held["sigma"][:, here] = sigma
            held["bits"][:, here] = np.nan if bits is None else bits
            assert found.device == "Band 3"
    return held


@pytest.mark.parametrize("kind", FORMATS)
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(1, N - 1), max_size=12))
def test_the_files_together_are_the_recording_in_one(
    tmp_path_factory: pytest.TempPathFactory, kind: str, cuts: list[int]
) -> None:
    needs(kind)
    folder = tmp_path_factory.mktemp("night")
    parts = stream(cuts)
    sink = record(f"{folder}/night.{kind}?every=2s", parts)
    record(f"{folder}/one.{kind}", parts)
    files = sorted(path for path in folder.glob(f"night-????.{kind}"))
    assert [path.name for path in files] == [f"night-000{i}.{kind}" for i in range(1, 7)]
    assert isinstance(sink, RotatingSink)
    assert sink.files == tuple(map(str, files))
    apart, whole = placed(files), placed([folder / f"one.{kind}"])
    for name in apart:
        np.testing.assert_array_equal(apart[name], whole[name], err_msg=name)
    there = np.ones(N, bool)
    there[LEFT_OUT] = False
    np.testing.assert_allclose(apart["ecg"][:, there], ecg(N)[:, there], atol=0.00026)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_never_larger_than_asked(tmp_path: Path, kind: str) -> None:
    needs(kind)
    limit = 200_000
    record(f"{tmp_path}/night.{kind}?size=200kB", stream([]))
    files = sorted(tmp_path.glob(f"night-????.{kind}"))
    sizes = [sum(one.stat().st_size for one in all_files(path, written=False)) for path in files]
    assert max(sizes) <= limit
    n = [length(path) for path in files]
    assert len(set(n[:-1])) <= 1
    assert all(one % 250 == 0 for one in n[:-1])


def test_a_gap_over_a_change_of_files_is_in_neither(tmp_path: Path) -> None:
    """Ten hours without the device are no files full of nothing."""
    gap = round(10 * 3600 * HZ)
    with open_sink(f"file:{tmp_path}/a.npz?every=1h", HZ, metadata=KNOWN) as sink:
        sink.write(block(ecg(500)))
        sink.write(block(ecg(250), 500 + gap))
        sink.write(block(ecg(250), 750 + gap))
    assert isinstance(sink, RotatingSink)
    assert len(sink.files) == 2
    with open_record(sink.files[0]) as first, open_record(sink.files[1]) as second:
        assert (first.n_samples, second.n_samples) == (500, 500)
        assert second.started_at == START + timedelta(hours=10, seconds=2)


def test_an_hour_begins_on_the_hour_after_a_gap(tmp_path: Path) -> None:
    with open_sink(f"file:{tmp_path}/a.npz?every=4s", HZ, metadata=KNOWN) as sink:
        sink.write(block(ecg(250)))
        sink.write(block(ecg(1000), round(5.5 * HZ)))  # the second file ends at 8 s
    assert isinstance(sink, RotatingSink)
    n = [length(name) for name in sink.files]
    assert n == [250, 500, 500]


@pytest.mark.parametrize("rate", [249.6, 250.137, 128.0])
def test_changes_do_not_drift_at_any_rate(tmp_path: Path, rate: float) -> None:
    """Whole records of EDF+, and after an hour of files still within half of one of where they belong."""
    second = round(rate)
    with open_sink(f"file:{tmp_path}/a.npz?every=60s", rate, metadata=KNOWN) as sink:
        for at in range(0, 3 * 60 * second, second):
            sink.write(block(ecg(second), at, sampling_hz=rate))
    assert isinstance(sink, RotatingSink)
    ends = np.cumsum([length(name) for name in sink.files])
    assert all(end % second == 0 for end in ends)
    assert np.abs(ends[:2] / rate - [60, 120]).max() <= 0.5 * second / rate


def test_the_clock_counts_where_the_rate_of_the_device_is_off(tmp_path: Path) -> None:
    """A device that takes 4 s by its samples for what lasted 5: the second file says when it began."""
    now = monotonic_ns()
    with open_sink(f"file:{tmp_path}/a.npz?every=4s", HZ, metadata=Metadata()) as sink:
        for i in range(8):
            late = replace(block(ecg(250), 250 * i), acquired_ns=now + round(1.25e9 * i))
            sink.write(late)
    assert isinstance(sink, RotatingSink)
    with open_record(sink.files[0]) as one, open_record(sink.files[1]) as other:
        first, second = one.started_at, other.started_at
    assert first is not None
    assert second is not None
    assert (second - first).total_seconds() == pytest.approx(5.0, abs=0.01)


def test_a_marker_lies_in_the_file_of_its_sample(tmp_path: Path) -> None:
    marked = replace(block(ecg(750)), markers=(Marker("early", 499), Marker("late", 500)))
    with open_sink(f"file:{tmp_path}/a.csv?every=2s", HZ, metadata=KNOWN) as sink:
        sink.write(marked)
    assert isinstance(sink, RotatingSink)
    with open_record(sink.files[0]) as one, open_record(sink.files[1]) as other:
        assert one.read_markers() == [Marker("early", 499)]
        assert other.read_markers() == [Marker("late", 0)]


def test_counts_are_those_of_all_files(tmp_path: Path) -> None:
    loud = np.full((12, 750), 40.0, np.float32)
    with open_sink(f"file:{tmp_path}/a.hea?every=1s", HZ, metadata=KNOWN) as sink:
        sink.write(block(loud))
    assert isinstance(sink, RotatingSink)
    assert sink.counters()["samples_clipped"] == 12 * 750


def test_what_exists_is_refused_first_and_passed_by_later(tmp_path: Path) -> None:
    (tmp_path / "a-0002.csv").write_text("of yesterday")
    record(f"{tmp_path}/a.csv?every=5s", stream([]))
    assert (tmp_path / "a-0002.csv").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("a-0001.csv", "a-0002.csv", "a-0003.csv", "a-0004.csv")
    ]
    with pytest.raises(SinkError, match=r"a-0001\.csv: it exists"):
        open_sink(f"file:{tmp_path}/a.csv?every=5s", HZ)


def test_a_time_in_the_name_is_that_of_each_file(tmp_path: Path) -> None:
    """Files that begin within one second differ, too."""
    record(f"{tmp_path}/{{time}}.csv?every=1s", stream([]))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 11
    assert all(name.startswith(f"{datetime.now():%Y}") for name in names)


def test_without_samples_there_is_no_file(tmp_path: Path) -> None:
    open_sink(f"file:{tmp_path}/a.csv?every=1s", HZ).close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_finished_is_said_at_the_end(tmp_path: Path) -> None:
    sink = open_sink(f"file:{tmp_path}/a.npz?every=1s", HZ)
    sink.write(block(ecg(250)))
    (tmp_path / "a-0001.npz").write_text("somebody else's")  # while the first one grows beside it
    sink.write(block(ecg(250), 250))
    sink.write(block(ecg(250), 500))
    with pytest.raises(SinkError, match=r"cannot write .*a-0001\.npz: it exists"):
        sink.close()
    assert (tmp_path / "a-0001.npz").read_text() == "somebody else's"
    for name in ("a-0002.npz", "a-0003.npz"):
        assert length(tmp_path / name) == 250
    assert main(["repair", f"{tmp_path}/a-0001.npz.part", "-o", f"{tmp_path}/b.npz"]) == 0


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a.edf", ("a.edf", None)),
        ("a?b.edf", ("a?b.edf", None)),
        ("a?b=c.edf", ("a?b=c.edf", None)),
        ("a.edf?every=1h", ("a.edf", Rotation(every_s=3600.0))),
        ("a.EDF?every=1.5h", ("a.EDF", Rotation(every_s=5400.0))),
        ("a.edf?every=15 min", ("a.edf", Rotation(every_s=900.0))),
        ("a.hea?size=100MB", ("a.hea", Rotation(max_bytes=100_000_000))),
        ("a.hea?size=2GiB&every=1d", ("a.hea", Rotation(86400.0, 2 << 30))),
    ],
)
def test_options_stand_behind_the_name(target: str, expected: object) -> None:
    assert split_target(target) == expected


@pytest.mark.parametrize(
    "query",
    [
        *(
            "",
            "every",
            "every=",
            "every=1",
            "every=1m",
            "every=-1h",
            "every=0.5s",
            "every=1h&every=2h",
        ),
        *("size=1", "size=1TB", "size=1h", "evry=1h", "every=1h&", "every=9e9h", "every=nan s"),
    ],
)
def test_options_that_are_not_understood(tmp_path: Path, query: str) -> None:
    with pytest.raises(InputError) as caught:
        open_sink(f"file:{tmp_path}/a.edf?{query}", HZ)
    assert "\n" not in str(caught.value)


def test_options_before_the_ending_and_a_size_too_small(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="end the name before"):
        open_sink(f"file:{tmp_path}/a?every=1h.edf", HZ)
    with pytest.raises(InputError, match="larger size"):
        open_sink(f"file:{tmp_path}/a.edf?size=1kB", HZ)


def test_a_file_that_another_run_is_recording_is_passed_over(tmp_path: Path) -> None:
    names = Names(str(tmp_path / "a.csv"), overwrite=True)
    assert names.next().name == "a-0001.csv"
    with NewFile(tmp_path / "a-0002.csv").create():
        assert names.next().name == "a-0003.csv"
