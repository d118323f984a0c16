"""NPZ files that are damaged, hollow, or claim what they do not hold."""

from __future__ import annotations

import tracemalloc
import zipfile
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from edge.errors import InputError
from edge.files.npz_writer import NpzSink
from edge.files.recording import Metadata
from edge.files.records import open_record
from tests.edge.sinks.blocks import block, ecg

GOOD = {"ecg_mv": np.ones((3, 9)), "leads": np.array(["II", "V1", "V5"]), "sampling_hz": 250.0}


def npy(array: object) -> bytes:
    content = BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\n"


def archive(path: Path, compression: int = zipfile.ZIP_STORED, **members: bytes) -> Path:
    content = {name: npy(array) for name, array in GOOD.items()} | members
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in content.items():
            file.writestr(f"{name}.npy", data)
    return path


def claim(shape: str, descr: str = "'<f4'") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("member", ["ecg_mv", "leads", "sampling_hz"])
@pytest.mark.parametrize(
    "data",
    {
        "terabytes": claim("(3, 1000000000000)") + bytes(9),
        "overflowing": claim("(3, 9223372036854775807)") + bytes(9),
        "400 digits": claim(f"(3, {'9' * 400})") + bytes(9),
        "9000 digits": claim(f"(3, {'9' * 9000})") + bytes(9),
        "negative": claim("(3, -5)") + bytes(99),
        "wide text": claim("(3,)", "'<U1000000000'") + bytes(9),
        "hollow": b"",
        "header alone": claim("(3, 9)"),
        "nested": header("(" * 5000),
        "minus": header("-" * 9000 + "1"),
        "objects": claim("(3, 9)", "'|O'") + bytes(999),
        "structured": claim("(3,)", "[('a', '<f4')]") + bytes(12),
        "version": b"\x93NUMPY\x09\x00" + bytes(20),
        "text": b"hello",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_member_is_held_to_the_bytes_that_are_there(
    tmp_path: Path, compression: int, member: str, data: tuple[str, bytes]
) -> None:
    path = archive(tmp_path / "a.npz", compression, **{member: data[1]})
    tracemalloc.start()
    with pytest.raises(InputError) as caught, open_record(path) as record:
        record.read(0, record.n_samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sampling_hz": float("inf")}, "cannot be"),
        ({"sampling_hz": "fast"}, "no number"),
        ({"sampling_hz": [250.0, 500.0]}, "no number"),
        ({"sampling_hz": -1}, "cannot be"),
        ({"ecg_mv": 5.0}, "does not fit"),
        ({"ecg_mv": np.ones((3, 9), complex)}, "not numbers"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, change: dict[str, object], says: str) -> None:
    np.savez(tmp_path / "a.npz", **(GOOD | change))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says):
        open_record(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"leads": np.array([b"II", b"V1", b"V5"])},
        {"leads": np.array("II,V1,V5")},
        {"sampling_hz": np.array([250])},
        {"sampling_hz": np.array("250")},
        {"ecg_mv": np.ones((3, 9), ">f8")},
    ],
)
def test_other_ways_to_say_the_same(tmp_path: Path, change: dict[str, object]) -> None:
    np.savez(tmp_path / "a.npz", **(GOOD | change))  # type: ignore[arg-type]
    with open_record(tmp_path / "a.npz") as record:
        assert (record.leads, record.sampling_hz) == (("II", "V1", "V5"), 250.0)
        np.testing.assert_array_equal(record.read(0, 9), np.ones((3, 9)))


def test_the_caller_says_what_the_file_does_not(tmp_path: Path) -> None:
    path = tmp_path / "bare.npz"
    np.savez(path, ecg=np.arange(6.0).reshape(2, 3))
    with pytest.raises(InputError, match="--leads and --rate"):
        open_record(path)
    with pytest.raises(InputError, match="--unit"):
        open_record(path, ("II", "V1"), sampling_hz=250)
    for leads in (("II", "V1"), {"II": "#1", "V1": "#2"}):
        with open_record(path, leads, sampling_hz=250, unit="uV") as record:
            np.testing.assert_allclose(record.read(0, 3)[1], np.array([3, 4, 5]) * 1e-3)
    with pytest.raises(InputError, match="does not fit 3 leads"):
        open_record(path, ("II", "V1", "V5"), sampling_hz=250, unit="uV")


def test_a_wrong_unit_is_overruled_with_a_warning(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **GOOD)  # type: ignore[arg-type]
    with open_record(tmp_path / "a.npz", unit="uV") as record:
        assert record.read(0, 1)[0, 0] == np.float32(1e-3)
        assert "'mV', read in uV" in record.warnings[0]


def test_what_a_sink_says_of_the_recording_comes_back(tmp_path: Path) -> None:
    start = datetime(2026, 3, 1, 12, 30, 15, 250_000)
    metadata = Metadata(device="Band 3", simulated=True, started_at=start)
    with NpzSink(tmp_path / "a.npz", 250.0, metadata) as sink:
        sink.write(block(ecg(50)))
    with open_record(tmp_path / "a.npz") as record:
        assert (record.device, record.simulated) == ("Band 3", True)
        assert record.started_at == start
