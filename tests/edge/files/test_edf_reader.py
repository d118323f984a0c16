"""EDF and BDF as others write them: what does not concern the ECG never blocks it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.files.edf_header import header_number
from edge.files.records import open_record
from edge.leads import INPUT_LEADS
from tests.edge.files.edf_files import (
    CODES,
    MV,
    TOLERANCE,
    EdfFile,
    Signal,
    plus,
    ramps,
    read,
    three,
    timed,
)


def test_a_plain_file_is_read_without_a_word(tmp_path: Path) -> None:
    got, warnings = read(EdfFile(three(CODES)).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert warnings == ()


ODD_FIELDS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "no date": ({"date": "00.00.00"}, "start"),
    "date taken out": ({"date": "XX.XX.XX"}, "start"),
    "no time": ({"time": ""}, "start"),
    "slashes": ({"date": "01/02/20"}, ""),
    "patient empty": ({"patient": "", "recording": ""}, ""),
    "latin-1 name": ({"patient": b"X M X M\xfcller"}, ""),
    "-1 records": ({"n_records": "-1"}, "did not finish"),
    "too many records": ({"n_records": "12"}, "'12' data records: 4"),
    "too few records": ({"n_records": "2"}, "'2' data records: 4"),
    "no record count": ({"n_records": ""}, "'' data records: 4"),
    "header length": ({"header_bytes": "9999"}, "header length"),
    "no header length": ({"header_bytes": "abc"}, "header length"),
    "no number of signals": ({"n_signals": "?"}, "number of signals"),
    "version": ({"version": "1"}, "version"),
    "EDF+ without annotations": ({"reserved": "EDF+C"}, "no annotation signal"),
    "EDF+D without annotations": ({"reserved": "EDF+D"}, "no annotation signal"),
    "duration with a comma": ({"duration": "1,0"}, ""),
    "duration with junk": ({"duration": "1 s"}, ""),
}


@pytest.mark.parametrize(("fields", "says"), ODD_FIELDS.values(), ids=ODD_FIELDS)
def test_a_field_that_does_not_concern_the_samples(
    tmp_path: Path, fields: dict[str, str | bytes], says: str
) -> None:
    got, warnings = read(EdfFile(three(CODES), fields=fields).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert [says in warning for warning in warnings] == ([True] if says else [])


@pytest.mark.parametrize(
    "other",
    [
        Signal("Unused", CODES[0], physical=("0", "0")),
        Signal("-", CODES[0], digital=("0", "0")),
        Signal("", CODES[0], physical=("", "abc"), dimension="???"),
        Signal(b"Temp \xb0C", CODES[0], 1, dimension=b"\xb0C"),
        Signal("Empty", [], 0),
        Signal("SpO2", CODES[0], 25, dimension="%"),
        timed("abc"),
        Signal("EDF Annotations", None, 0),
    ],
    ids=lambda signal: repr(signal.label),
)
@pytest.mark.parametrize("place", [0, 2, 3])
def test_another_signal_blocks_nothing(tmp_path: Path, other: Signal, place: int) -> None:
    signals: list[Signal] = three(CODES)
    signals.insert(place, other)
    got, warnings = read(EdfFile(signals).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert warnings == ()


def test_fields_padded_with_nul_and_bytes_behind_the_last_record(tmp_path: Path) -> None:
    got, warnings = read(EdfFile(three(CODES), pad=b"\0", tail=b"abc").write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV, atol=TOLERANCE)
    assert len(warnings) == 1
    assert "last 3 bytes" in warnings[0]


@pytest.mark.parametrize(
    ("dimension", "scale"),
    [
        (b"uV", 1e-3),
        (b"\xb5V", 1e-3),
        ("\u00b5V".encode(), 1e-3),
        ("\u03bcV".encode(), 1e-3),
        (b"UV", 1e-3),
        (b"V", 1e3),
        (b"nV", 1e-6),
        (b"mv", 1.0),
    ],
)
def test_units(tmp_path: Path, dimension: bytes, scale: float) -> None:
    signals = three(CODES)
    for signal in signals:
        signal.dimension = dimension
    got, _ = read(EdfFile(signals).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got, MV * scale, rtol=1e-3, atol=TOLERANCE * scale)


def test_a_unit_that_the_file_does_not_say(tmp_path: Path) -> None:
    signals = three(CODES)
    for signal in signals:
        signal.dimension = ""
    path = EdfFile(signals).write(tmp_path / "a.edf")
    with pytest.raises(InputError, match=r"signal 1 .*--unit"):
        read(path)
    got, warnings = read(path, unit="uV")
    np.testing.assert_allclose(got, MV * 1e-3, atol=TOLERANCE)
    assert warnings == ()
    _, warnings = read(EdfFile(three(CODES)).write(tmp_path / "b.edf"), unit="uV")
    assert warnings == ("the file says 'mV', read in uV as you say",)


@pytest.mark.parametrize(
    ("physical", "digital", "gain"),
    [
        (("16.384", "-16.3835"), ("-32768", "32767"), -0.0005),
        (("-16.384", "16.3835"), ("32767", "-32768"), -0.0005),
        (("-16,384", "16,3835"), ("-32768", "32767"), 0.0005),
        (("- 16.384", "16.3835x"), ("-32768.0", "32767"), 0.0005),
        (("-2e1", "2.0e+1"), ("-40000", "4e4"), 0.0005),
    ],
)
def test_ranges(
    tmp_path: Path, physical: tuple[str, str], digital: tuple[str, str], gain: float
) -> None:
    signals = three(CODES)
    signals[0].physical, signals[0].digital = physical, digital
    got, _ = read(EdfFile(signals).write(tmp_path / "a.edf"))
    np.testing.assert_allclose(got[0], CODES[0] * gain, atol=6e-4)


@pytest.mark.parametrize(
    "broken", [{"physical": ("1", "1")}, {"digital": ("0", "0")}, {"digital": ("", "x")}]
)
def test_a_range_of_the_ecg_itself_is_refused_by_name(
    tmp_path: Path, broken: dict[str, tuple[str, str]]
) -> None:
    signals = three(CODES)
    signals[1] = Signal("ECG V1", CODES[1], **broken)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"signal 2 \('ECG V1'\)"):
        read(EdfFile(signals).write(tmp_path / "a.edf"))


@pytest.mark.parametrize(
    ("samples", "duration", "rate"),
    [
        (25, "0.1", 250.0),
        (500, "2", 250.0),
        (1000, "4", 250.0),
        (1, "0.004", 250.0),
        (250, "0.999452", 250.1370751171642),
        (257, "1", 257.0),
    ],
)
def test_the_rate_is_samples_by_duration(
    tmp_path: Path, samples: int, duration: str, rate: float
) -> None:
    codes = ramps(3, samples * 4)
    file = EdfFile(three(codes, samples), fields={"duration": duration})
    with open_record(file.write(tmp_path / "a.edf"), INPUT_LEADS) as record:
        assert record.sampling_hz == pytest.approx(rate, rel=1e-12)
        np.testing.assert_allclose(record.read(0, samples * 4), codes * 0.0005, atol=TOLERANCE)
        with pytest.raises(InputError, match="is sampled at"):
            open_record(record.path, sampling_hz=rate * 1.05)


@pytest.mark.parametrize("duration", ["0", "1e-30", "nan", "1e300"])
def test_records_of_no_duration(tmp_path: Path, duration: str) -> None:
    path = EdfFile(three(CODES), fields={"duration": duration}).write(tmp_path / "a.edf")
    with pytest.raises(InputError, match=r"last 0 s.*--rate"):
        read(path)
    with open_record(path, INPUT_LEADS, sampling_hz=500) as record:
        assert record.sampling_hz == 500.0


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (EdfFile([], fields={"n_signals": "0"}), "no signals"),
        (EdfFile(three(CODES), fields={"n_signals": "9999"}), "cut short"),
        (EdfFile(three(CODES), fields={"n_signals": "x", "header_bytes": "x"}), "is no EDF file"),
        (EdfFile(three(CODES), n_records=0), "no samples"),
        (
            EdfFile([timed(0)], 1, {"reserved": "EDF+C", "duration": "0"}),
            "annotations and no signals",
        ),
        (EdfFile([Signal("II", [], 0)]), "data records are empty"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, file: EdfFile, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        open_record(file.write(tmp_path / "a.edf"))
    assert "\n" not in str(caught.value)


def test_bdf_has_24_bits(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(-(2**23), 2**23, (3, 1000)).astype(np.int32)
    signals = three(codes)
    for signal in signals:
        signal.physical, signal.digital = ("-4194.3", "4194.3"), ("-8388608", "8388607")
        signal.dimension = "uV"
    signals.insert(1, timed(0, 1, 2, 3, label="BDF Annotations"))
    for name in ("a.bdf", "a.edf", "a"):
        file = EdfFile(signals, wide=True, fields={"reserved": "BDF+C"})
        got, warnings = read(file.write(tmp_path / name))
        np.testing.assert_allclose(got, codes * 0.5e-6 * 4194.3 / 4194.304, atol=2e-6)
        assert warnings == ()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    hz=st.sampled_from([50, 128, 250, 257, 500]),
    seconds=st.integers(1, 5),
    low=st.floats(-30, -0.1),
    high=st.floats(0.1, 30),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    data=st.data(),
)
def test_edfio_and_pyedflib_read_the_same(
    tmp_path: Path,
    hz: int,
    seconds: int,
    low: float,
    high: float,
    cut: list[float],
    data: st.DataObject,
) -> None:
    path = tmp_path / "x.edf"
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    range_mv = (float(f"{low:.4g}"), float(f"{high:.4g}"))
    edfio.Edf(
        [
            edfio.EdfSignal(
                rng.uniform(*range_mv, hz * seconds),
                hz,
                label=name,
                physical_dimension="mV",
                physical_range=range_mv,
            )
            for name in ("II", "Resp", "V1", "V5")
        ],
        annotations=[edfio.EdfAnnotation(0.5, None, "note")],
    ).write(path)
    theirs = edfio.read_edf(path)
    with open_record(path, INPUT_LEADS) as record, pyedflib.EdfReader(str(path)) as reader:
        start, stop = (round(share * record.n_samples) for share in cut)
        got = record.read(start, stop)
        for row, number in enumerate((0, 2, 3)):
            np.testing.assert_allclose(got[row], theirs.signals[number].data[start:stop], atol=2e-5)
            np.testing.assert_allclose(got[row], reader.readSignal(number)[start:stop], atol=2e-5)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    damage=st.lists(
        st.tuples(st.integers(0, 256 * 5 + 300), st.binary(min_size=1, max_size=9)), max_size=4
    ),
    keep=st.integers(0, 256 * 5 + 4 * 1560),
    kind=st.sampled_from(["EDF+D", "EDF+C", ""]),
)
def test_any_header_gives_a_record_or_one_line(
    tmp_path: Path, damage: list[tuple[int, bytes]], keep: int, kind: str
) -> None:
    content = bytearray(plus(0, 1, 5, 6, kind=kind).bytes())
    for place, data in damage:
        content[place : place + len(data)] = data
    path = tmp_path / "damaged.edf"
    path.write_bytes(content[:keep] if keep % 3 == 0 else content)
    tracemalloc.start()
    try:
        with open_record(path) as record:
            for start in (0, record.n_samples // 2, max(0, record.n_samples - 2000)):
                record.read(start, min(start + 2000, record.n_samples))
    except InputError as error:
        assert "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8_000_000


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=8))
def test_any_eight_bytes_are_a_number_or_none(field: bytes) -> None:
    value = header_number(field)
    assert value is None or np.isfinite(value)


def test_long_records_are_read_in_bounded_memory(tmp_path: Path) -> None:
    n = 1_500_000  # 100 minutes in one record
    codes = np.tile(CODES, (1, n // 1000))
    path = EdfFile(three(codes, n), 1, {"duration": "6000"}).write(tmp_path / "long.edf")
    del codes
    tracemalloc.start()
    with open_record(path, INPUT_LEADS) as record:
        for start in range(0, n, 100_000):
            np.testing.assert_allclose(record.read(start, start + 1000), MV, atol=TOLERANCE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
