"""What an interrupted recording leaves is made whole in a new file, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.errors import InputError
from edge.files.records import Record, open_record
from edge.leads import LEADS
from tests.edge.files.edf_files import EdfFile, ramps, three
from tests.edge.files.test_edf_writer import KILLED
from tests.edge.sinks.blocks import ecg


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The name of an NPZ recording whose process was killed after 7 s."""
    path = tmp_path / "night.npz"
    script = KILLED.replace("EdfSink", "NpzSink").replace("edf_writer", "npz_writer")
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return path


@pytest.mark.parametrize("named", ["night.npz", "night.npz.part"])
def test_an_interrupted_npz_is_named_and_packed(
    killed: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"interrupted.*leadlift repair .*night\.npz"):
        open_record(killed.with_name(named))
    assert main(["repair", str(killed.with_name(named))]) == 0
    assert str(killed) in capsys.readouterr().out
    with open_record(killed) as record:
        got = record.read(0, record.n_samples)
        assert record.leads == LEADS
    assert got.shape[1] >= 250 * 6
    np.testing.assert_array_equal(got[:, :500], ecg(250 * 7 + 100)[:, :500])
    with np.load(killed) as arrays:
        assert arrays["quality"].shape == arrays["sigma_mv"].shape == got.shape
    assert killed.with_name("night.npz.part").is_dir()  # the original stays
    before = killed.read_bytes()
    assert main(["repair", str(killed)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert main(["repair", str(killed) + ".part"]) == 1
    assert "exists" in capsys.readouterr().err
    assert killed.read_bytes() == before


def test_samples_that_the_headers_do_not_know_of_are_kept(killed: Path) -> None:
    spool = killed.with_name("night.npz.part")
    with open_record_after_repair(killed) as record:
        n = record.n_samples
    killed.unlink()
    for name, width in (("ecg_mv", 4), ("sigma_mv", 4), ("quality", 1)):
        with (spool / f"{name}.npy").open("ab") as file:
            file.write(bytes(12 * width * 7 + 5))  # seven samples and a part of one
    with open_record_after_repair(killed) as record:
        assert record.n_samples == n + 7


def open_record_after_repair(path: Path) -> Record:
    assert main(["repair", str(path)]) == 0
    return open_record(path)


@pytest.mark.parametrize("damage", ["no leads", "no samples", "no array", "garbage"])
def test_a_spool_that_holds_no_recording_is_one_line(
    killed: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = killed.with_name("night.npz.part")
    match damage:
        case "no samples":
            (spool / "quality.npy").write_bytes((spool / "quality.npy").read_bytes()[:128])
        case "no array":
            (spool / "sigma_mv.npy").unlink()
        case "garbage":
            (spool / "ecg_mv.npy").write_bytes(b"garbage")
        case _:
            (spool / "leads.npy").write_bytes(b"")
    before = killed.exists() and killed.stat().st_size
    assert main(["repair", str(killed), "-o", str(killed.with_name("new.npz"))]) == 1
    assert capsys.readouterr().err.startswith("leadlift: error:")
    assert not killed.with_name("new.npz").exists()
    assert (killed.exists() and killed.stat().st_size) == before


@pytest.mark.parametrize(
    ("fields", "tail", "says"),
    [
        ({"n_records": "-1"}, b"", "4 data records"),
        ({"n_records": "9"}, b"", "4 data records"),
        ({}, b"x" * 77, "77 bytes"),
        ({"header_bytes": "1"}, b"", "header of 1024 bytes"),
    ],
)
def test_an_edf_gets_a_header_that_is_true(
    tmp_path: Path,
    fields: dict[str, str | bytes],
    tail: bytes,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = EdfFile(three(ramps(3, 1000)), fields=fields, tail=tail).write(tmp_path / "a.edf")
    before = path.read_bytes()
    assert main(["repair", str(path)]) == 0
    assert says in capsys.readouterr().out
    assert path.read_bytes() == before
    made = tmp_path / "a.repaired.edf"
    assert made.read_bytes() == EdfFile(three(ramps(3, 1000))).bytes()
    assert main(["repair", str(made)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert main(["repair", str(path)]) == 1
    assert "it exists; give another name" in capsys.readouterr().err


def test_nothing_to_repair_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["repair", str(tmp_path / "none.npz")]) == 2
    assert "does not exist" in capsys.readouterr().err
