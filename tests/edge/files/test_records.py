"""Reading recordings: every format, piece by piece, and every way a file can be wrong."""

from __future__ import annotations

import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.records import open_record
from edge.leads import INPUT_LEADS, LEADS
from edge.sinks import Metadata, open_sink
from tests.edge.sinks.blocks import block, ecg

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def write(path: Path, ecg_mv: NDArray[np.float32]) -> Path:
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        sink.write(block(ecg_mv))
    return path


# The device part has no pydicom.
KINDS = ["edf", "npz", "csv", "hea", *(["dcm"] if find_spec("pydicom") else [])]


@pytest.fixture(scope="module")
def sent() -> NDArray[np.float32]:
    return ecg(9000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, sent: NDArray[np.float32]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("records")
    return {name: write(folder / f"out.{name}", sent) for name in KINDS}


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 9000), min_size=2, max_size=2).map(sorted))
def test_any_piece_of_what_a_sink_wrote(
    files: dict[str, Path], sent: NDArray[np.float32], kind: str, cuts: list[int]
) -> None:
    start, stop = cuts
    with open_record(files[kind], INPUT_LEADS) as record:
        assert record.leads == INPUT_LEADS
        assert (record.sampling_hz, record.n_samples) == (250.0, 9000)
        got = record.read(start, stop)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, sent[[1, 6, 10], start:stop], atol=2.6e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_all_leads_in_the_order_of_the_file(files: dict[str, Path], kind: str) -> None:
    with open_record(str(files[kind])) as record:
        assert record.leads == LEADS
        for start, stop in ((-1, 5), (5, 4), (0, 9001)):
            with pytest.raises(InputError, match="9000 samples"):
                record.read(start, stop)
        record.close()


# EDF


def test_edf_of_another_writer_in_microvolts(tmp_path: Path, sent: NDArray[np.float32]) -> None:
    path = tmp_path / "other.edf"
    labels = ["EEG Fp1", "V5", "MLII", "V1"]
    edfio.Edf(
        [
            edfio.EdfSignal(
                sent[row, :5000].astype(float) * 1000,
                500,
                label=label,
                physical_dimension="uV",
                physical_range=(-10000, 10000),
            )
            for row, label in enumerate(labels)
        ]
    ).write(path)
    with open_record(path, INPUT_LEADS) as record:
        assert record.sampling_hz == 500.0
        np.testing.assert_allclose(record.read(100, 4000), sent[[2, 3, 1], 100:4000], atol=4e-4)


def test_edf_leads_at_two_rates(tmp_path: Path) -> None:
    path = tmp_path / "two.edf"
    edfio.Edf(
        [
            edfio.EdfSignal(np.zeros(10 * hz), hz, label=name, physical_range=(-1, 1))
            for name, hz in (("II", 250), ("V1", 500), ("V5", 250))
        ]
    ).write(path)
    with pytest.raises(InputError, match="250 Hz, 500 Hz"):
        open_record(path, INPUT_LEADS)


def test_edf_signal_that_is_no_voltage(tmp_path: Path) -> None:
    path = tmp_path / "bpm.edf"
    signal = edfio.EdfSignal(
        np.zeros(1000), 250, label="II", physical_dimension="bpm", physical_range=(-1, 1)
    )
    edfio.Edf([signal]).write(path)
    with pytest.raises(InputError, match="'bpm' is no voltage"):
        open_record(path)


# NPZ


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_many_records(tmp_path: Path, save: object) -> None:
    path = tmp_path / "many.npz"
    ecg_uv = np.random.default_rng(0).integers(-3000, 3000, (5, 8, 400)).astype(np.int16)
    save(path, ecg_uv=ecg_uv, leads=np.array(EIGHT), sampling_hz=np.array(500))  # type: ignore[operator]
    with open_record(f"{path}#3", INPUT_LEADS) as record:
        assert record.sampling_hz == 500.0
        np.testing.assert_allclose(
            record.read(7, 390), ecg_uv[3][[1, 2, 6], 7:390] * 1e-3, rtol=1e-6
        )
    for spec, says in ((path, "pick one"), (f"{path}#5", "there is no 5"), (f"{path}#x", "number")):
        with pytest.raises(InputError, match=says):
            open_record(spec)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_long_npz_in_bounded_memory(tmp_path: Path, save: object) -> None:
    path = tmp_path / "long.npz"
    long = np.tile(ecg(1000)[:3], (1, 1000))
    save(path, ecg_mv=long, leads=np.array(INPUT_LEADS), sampling_hz=250.0)  # type: ignore[operator]
    tracemalloc.start()
    with open_record(path) as record:
        for start in range(0, 1_000_000, 50_000):
            np.testing.assert_array_equal(
                record.read(start, start + 10), long[:, start : start + 10]
            )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # the array is 12 MB


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "csv"])  # has its own
def test_a_long_recording_is_read_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    """Leads, sigma and quality: 20 MB in 16 bits, and more as float."""
    path, n, step = tmp_path / f"long.{kind}", 400_000, 7500
    part = ecg(10_000)
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        for at in range(0, n, part.shape[1]):
            sink.write(block(part, at))
    tracemalloc.start()
    with open_record(path) as record:
        for at in range(0, n, step):
            span = at, min(at + step, n)
            record.read(*span)
            assert record.read_sigma(*span) is not None
            assert record.read_quality(*span) is not None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros(3)}, "it has x"),
        ({"ecg_mv": np.zeros((3, 9)), "leads": np.array(INPUT_LEADS)}, "sampling_hz"),
        (
            {"ecg_mv": np.zeros((2, 9)), "leads": np.array(INPUT_LEADS), "sampling_hz": 250},
            r"\(2, 9\)",
        ),
        (
            {"ecg_mv": np.zeros((3, 0)), "leads": np.array(INPUT_LEADS), "sampling_hz": 250},
            "no samples",
        ),
        (
            {"ecg_mv": np.zeros((3, 9)), "leads": np.array(INPUT_LEADS), "sampling_hz": 0},
            "sampling rate",
        ),
        (
            {"ecg_mv": np.array([{}]), "leads": np.array(["II"]), "sampling_hz": 250},
            "Python objects",
        ),
    ],
)
def test_npz_that_is_no_recording(tmp_path: Path, arrays: dict[str, object], says: str) -> None:
    path = tmp_path / "odd.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says):
        open_record(path)


# CSV


def test_csv_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    lines = ["\ufefftime,V5 (uV),II (mV),V1 (uV)"]
    lines += [f"{i / 500:.4f},{i},{i / 1000},{-i}" for i in range(5000)]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    with open_record(path, INPUT_LEADS) as record:
        assert (record.sampling_hz, record.n_samples) == (500.0, 5000)
        i = np.arange(4090, 4999)
        np.testing.assert_allclose(record.read(4090, 4999), np.array([i, -i, i]) * 1e-3, rtol=1e-6)


def test_csv_without_times_needs_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("II,V1,V5\n1,2,3\n4,5,6\n")
    with pytest.raises(InputError, match="sampling_hz: 250"):
        open_record(path)
    path.write_text("# sampling_hz: 360\n# unit: uV\nII,V1,V5\n1,2,3\n\n4,nan,6\n")
    with open_record(path) as record:
        assert record.sampling_hz == 360.0
        np.testing.assert_allclose(
            record.read(0, 2), np.array([[1, 4], [2, np.nan], [3, 6]]) * 1e-3
        )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "odd.csv is empty: give another"),
        ("# only: comments\n", "no header"),
        ("II,V1,V5\n", "no samples"),
        ("# sampling_hz: fast\nII,V1,V5\n1,2,3\n", "'fast' is no number"),
        ("time_s,II,V1,V5\n0,1,2,3\n0,1,2,3\n", "does not rise"),
        ("x" * 40_000, "no CSV"),
    ],
)
def test_csv_that_is_no_recording(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        open_record(path)


@pytest.mark.parametrize("row", ["1,2", "1,two,3", ""])
def test_csv_with_a_damaged_row(tmp_path: Path, row: str) -> None:
    path = tmp_path / "damaged.csv"
    path.write_text(f"# sampling_hz: 250\nII,V1,V5\n1,2,3\n{row}\n")
    if not row:
        with open_record(path) as record:
            assert record.n_samples == 1
        return
    with pytest.raises(InputError, match=r"line 4: .*correct or cut") as caught:
        open_record(path)
    assert "\n" not in str(caught.value)


# Any format


@pytest.mark.parametrize("kind", ["edf", "npz", "csv"])
def test_missing_leads_are_named_with_what_there_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"few.{kind}"
    if kind == "edf":
        signal = edfio.EdfSignal(np.zeros(1000), 250, label="ECG II", physical_range=(-1, 1))
        edfio.Edf([signal]).write(path)
    elif kind == "npz":
        np.savez(path, ecg_mv=np.zeros((1, 9)), leads=np.array(["ECG II"]), sampling_hz=250)
    else:
        path.write_text("# sampling_hz: 250\nECG II\n1\n")
    with pytest.raises(InputError, match="lacks V1, V5: it has ECG II; --leads II does without"):
        open_record(path, INPUT_LEADS)


@pytest.mark.parametrize("kind", ["edf", "npz"])
def test_truncated_file_is_one_line(
    tmp_path: Path, files: dict[str, Path], kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = files[kind].read_bytes()
    path = tmp_path / f"cut.{kind}"
    first_record = 256 * 15 + 2 * 13 * 250 + 360
    for size in [
        0,
        1,
        100,
        300,
        3000,
        *([first_record - 1] if kind == "edf" else [len(whole) // 2]),
    ]:
        path.write_bytes(whole[:size])
        with pytest.raises(InputError) as caught:
            open_record(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore::UserWarning")  # NumPy takes some damage for Python 2
@pytest.mark.parametrize("kind", ["edf", "npz"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    damage=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4)
)
def test_damaged_header_never_raises_anything_else(
    tmp_path: Path, files: dict[str, Path], kind: str, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(files[kind].read_bytes())
    for place, value in damage:
        content[place] = value
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(content)
    try:
        with open_record(path) as record:
            record.read(0, min(10, record.n_samples))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.edf", "does not exist"), (".", "is a directory"), ("some.mat", "format")],
)
def test_what_is_no_recording(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "some.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(InputError, match=says):
        open_record(tmp_path / name)
