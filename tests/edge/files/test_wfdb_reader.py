"""WFDB records of other writers, against wfdb-python as the oracle."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("wfdb", reason="wfdb is the oracle: install '.[test]'")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.cli import main
from edge.errors import InputError
from edge.files.records import open_record
from edge.leads import INPUT_LEADS
from tests.edge.files.oracle import wfdb

pytestmark = pytest.mark.filterwarnings(
    "ignore:The inplace keyword"
)  # of wfdb-python with pandas 3

RANGES = {"16": 30_000, "212": 2000, "80": 120, "24": 8_000_000, "32": 2_000_000_000}


def codes(form: str, n_samples: int, n_signals: int = 3) -> NDArray[np.int64]:
    most = RANGES[form]
    return np.random.default_rng(0).integers(-most, most, (n_samples, n_signals))


def write_record(
    folder: Path, form: str, digital: NDArray[np.int64], name: str = "100", **fields: object
) -> Path:
    wfdb.wrsamp(
        name,
        fs=360,
        units=["mV", "uV", "mV"],
        sig_name=["MLII", "V1", "V5"],
        d_signal=digital,
        fmt=[form] * 3,
        adc_gain=[200.0, 1.5, 1000.0],
        baseline=[3, 0, -5],
        write_dir=str(folder),
        **fields,
    )
    return folder / f"{name}.hea"


def write_raw(folder: Path, header: str, **files: bytes) -> Path:
    for name, data in files.items():
        (folder / f"{name}.dat").write_bytes(data)
    path = folder / "raw.hea"
    path.write_text(header)
    return path


@pytest.mark.parametrize("form", RANGES)
@pytest.mark.parametrize("n_samples", [1000, 1001])
def test_every_format_reads_as_wfdb_reads_it(tmp_path: Path, form: str, n_samples: int) -> None:
    path = write_record(tmp_path, form, codes(form, n_samples))
    expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T * [[1], [1e-3], [1]]
    with open_record(path) as record:
        assert record.leads == INPUT_LEADS
        assert (record.sampling_hz, record.n_samples) == (360.0, n_samples)
        assert record.warnings == ()
        np.testing.assert_allclose(record.read(0, n_samples), expected, rtol=1e-6, atol=1e-6)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    form=st.sampled_from(sorted(RANGES)),
    cuts=st.lists(st.integers(0, 501), min_size=2, max_size=2).map(sorted),
)
def test_any_piece(tmp_path: Path, form: str, cuts: list[int]) -> None:
    path = tmp_path / f"f{form}.hea"
    if not path.exists():
        write_record(tmp_path, form, codes(form, 501), f"f{form}")
    with open_record(path, ("V5", "II")) as record:
        whole = record.read(0, 501)
        np.testing.assert_array_equal(record.read(*cuts), whole[:, cuts[0] : cuts[1]])


@pytest.mark.parametrize(("form", "kind", "zero"), [("61", ">i2", 0), ("160", "<u2", 32768)])
def test_formats_that_wfdb_python_reads_and_does_not_write(
    tmp_path: Path, form: str, kind: str, zero: int
) -> None:
    digital = codes("16", 400)
    data = (digital + zero).astype(kind).tobytes()
    lines = [f"raw.dat {form} 200 16 0 0 0 0 {lead}" for lead in INPUT_LEADS]
    path = write_raw(tmp_path, "raw 3 500 400\n" + "\n".join(lines), raw=data)
    with open_record(path) as record:
        np.testing.assert_allclose(record.read(0, 400), digital.T / 200, rtol=1e-6)
    np.testing.assert_allclose(
        wfdb.rdrecord(str(path.with_suffix(""))).p_signal, digital / 200, rtol=1e-6
    )


@pytest.mark.parametrize(("form", "invalid"), [("16", -32768), ("212", -2048), ("80", -128)])
def test_the_code_of_a_missing_sample_is_missing(tmp_path: Path, form: str, invalid: int) -> None:
    digital = codes(form, 300)
    digital[40:50, 1] = invalid
    path = write_record(tmp_path, form, digital)
    with open_record(path) as record:
        missing = np.isnan(record.read(0, 300))
    assert missing[1, 40:50].all()
    assert missing.sum() == 10


def test_signals_in_two_files_at_two_rates_behind_a_prolog(tmp_path: Path) -> None:
    """As ICU records are: the ECG twice a frame, a pressure once, each in a file of its own."""
    ecg, pressure = codes("16", 800, 1).ravel(), codes("16", 400, 1).ravel()
    path = write_raw(
        tmp_path,
        "raw 3 125 400 10:20:30 01/02/2020\r\n"
        "a.dat 16x2:3+8 200(10)/mV 16 0 0 0 0 II\r\n"
        "b.dat 16 2/mmHg 16 0 0 0 0 ABP\r\n"
        "b.dat 16 100 16 5 0 0 0 V1\r\n",
        a=b"prologue" + ecg.astype("<i2").tobytes(),
        b=np.stack([pressure, pressure], 1).astype("<i2").tobytes(),
    )
    with open_record(path, ("II",)) as record:
        assert (record.sampling_hz, record.n_samples) == (250.0, 800)
        assert record.started_at == datetime(2020, 2, 1, 10, 20, 30)
        assert record.warnings == ("its signals state a skew, which is not undone",)
        np.testing.assert_allclose(record.read(101, 700), [(ecg[101:700] - 10) / 200], rtol=1e-5)
    with open_record(path, ("V1",)) as record:  # the ADC zero is the baseline where none is given
        assert (record.sampling_hz, record.n_samples) == (125.0, 400)
        np.testing.assert_allclose(record.read(0, 400), [(pressure - 5) / 100], rtol=1e-5)
    with pytest.raises(InputError, match=r"leads at 125 Hz, 250 Hz.*--leads"):
        open_record(path)


@pytest.mark.parametrize("n", ["", " 0"])
def test_a_length_that_is_not_stated_is_that_of_the_file(tmp_path: Path, n: str) -> None:
    path = write_raw(tmp_path, f"raw 1 250{n}\nraw.dat 16 200 16 0 0 0 0 II", raw=b"\1\0" * 77)
    with open_record(path) as record:
        assert record.n_samples == 77


def test_a_signal_without_gain_gets_the_default_and_a_warning(tmp_path: Path) -> None:
    header = "raw 2 250 50\nraw.dat 16 0 16 0 0 0 0 II\nraw.dat 16 100 16 0 0 0 0 V1"
    with open_record(write_raw(tmp_path, header, raw=b"\x64\0" * 100)) as record:
        assert record.warnings == ("II has no gain: 200 digits per mV taken, as the format says",)
        assert record.read(0, 1).tolist() == [[0.5], [1.0]]


def test_what_stands_beside_a_header_names_it(tmp_path: Path) -> None:
    path = write_record(tmp_path, "16", codes("16", 400))
    for given_name in ("100.dat", "100"):
        with pytest.raises(InputError, match=rf"give its header, {path}"):
            open_record(tmp_path / given_name)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("", "it is empty"),
        ("# comment only\n", "it is empty"),
        ("\0\1\2", "no short text"),
        ("three words here\n", "its first line"),
        ("raw/3 2 250 900\na 300\nb 300\n~ 300\n", "record of 3 segments .a, b, ....: give"),
        ("raw 0 250\n", "only annotations"),
        ("raw 3 250 9\nraw.dat 16 200 16 0 0 0 0 II\n", "says 3 signals and describes 1"),
        ("raw 1 fast\nraw.dat 16 200 16 0 0 0 0 II\n", "'fast' is no number"),
        ("raw 1 250\nraw.dat sixteen 200\n", "line 2: .* describes no WFDB signal"),
        ("raw 1 250\nraw.dat 16 much 16 0 0 0 0 II\n", "line 2"),
        ("raw 1 250\nraw.dat 16 1.2.3 16 0 0 0 0 II\n", "line 2"),
        ("raw 1 250\nraw.dat 516 200 16 0 0 0 0 II\n", "compressed with FLAC"),
        ("raw 1 250\nraw.dat 8 200 16 0 0 0 0 II\n", "format 8, which is not read"),
        ("raw 1 250\ngone.dat 16 200 16 0 0 0 0 II\n", "gone.dat, which is not beside it"),
        ("raw 1 250\n/etc/passwd 16 200 16 0 0 0 0 II\n", "must lie beside the header"),
        ("raw 1 250\n../x.dat 16 200 16 0 0 0 0 II\n", "must lie beside the header"),
        ("raw 1 250\n.. 16 200 16 0 0 0 0 II\n", "must lie beside the header|cannot read"),
        ("raw 1 250\n- 16 200 16 0 0 0 0 II\n", "must lie beside the header"),
        ("raw 1 250\nraw.dat 16 200/mmHg 16 0 0 0 0 II\n", "'mmHg' is no voltage"),
        ("raw 1 250\nraw.dat 16 200 16 0 0 0 0 ABP\n", "lacks any ECG lead: it has ABP"),
        ("raw 1 250\nraw.dat 16\n", "lacks any ECG lead"),
        ("raw 1 250\nraw.dat 16x900 200 16 0 0 0 0 II\n", "holds no samples"),
        (
            "raw 2 250\nraw.dat 16 200 16 0 0 0 0 II\nraw.dat 80 200 16 0 0 0 0 V1\n",
            "several formats",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, header: str, says: str) -> None:
    path = write_raw(tmp_path, header, raw=b"\1\0" * 100)
    with pytest.raises(InputError, match=says) as caught:
        open_record(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_never_raises_anything_else(
    tmp_path: Path, damage: list[tuple[int, int]]
) -> None:
    path = write_record(tmp_path, "16", codes("16", 40))
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[place % len(content)] = value
    path.write_bytes(content)
    try:
        with open_record(path) as record:
            record.read(0, min(10, record.n_samples))
    except InputError as error:
        assert "\n" not in str(error)


def test_reconstruct_reads_one_and_writes_one(tmp_path: Path) -> None:
    given_path = write_record(tmp_path, "212", codes("212", 3600) // 8)
    out = tmp_path / "twelve.hea"
    assert main(["reconstruct", str(given_path), str(out)]) == 0
    assert wfdb.rdrecord(str(out.with_suffix(""))).p_signal.shape == (3600, 25)
    assert main(["reconstruct", str(given_path), str(out)]) == 0  # it can be made again
    with open_record(out) as record:
        assert record.of_recording
        assert record.provenance[:2] == ("reconstructed", "measured")
