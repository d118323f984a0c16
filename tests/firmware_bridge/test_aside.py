"""What can be made again: it has its name once it is whole, and what is left of it stands in nobody's way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge.aside import PREFIX, made_aside

MAKES = """
import sys, time
from firmware_bridge.aside import made_aside
with made_aside(sys.argv[1], overwrite=True) as made:
    made.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(600)
"""


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left_by_a_killed_one(path: Path) -> Path:
    """The folder of a program that was killed before its file was whole."""
    command = [sys.executable, "-c", MAKES, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        (folder,) = path.parent.glob(f"{PREFIX}*")
        os.utime(folder, (0, 0))
        with made_aside(path.with_name("other")) as made:
            made.write_bytes(b"whole")
        assert folder.exists()  # its program is alive
        child.send_signal(signal.SIGKILL)
    return folder


@pytest.mark.parametrize("through_link", [False, True])
def test_files_take_their_names_together(tmp_path: Path, through_link: bool) -> None:
    real = tmp_path / "real.hea"
    for name in ("real.hea", "a.dat", "a.atr"):
        (tmp_path / name).write_bytes(b"old")
    (tmp_path / "a.hea").symlink_to(real) if through_link else real.rename(tmp_path / "a.hea")
    also = [tmp_path / "a.dat", tmp_path / "a.atr"]
    with made_aside(tmp_path / "a.hea", overwrite=True, also=also) as made:
        for path in (made, made.with_name("a.dat")):
            path.write_bytes(b"new")
        assert (tmp_path / "a.hea").read_bytes() == b"old"
    assert listed(tmp_path) == ["a.dat", "a.hea", *(["real.hea"] if through_link else [])]
    assert (tmp_path / "a.hea").read_bytes() == (tmp_path / "a.dat").read_bytes() == b"new"
    assert (tmp_path / "a.hea").is_symlink() is through_link


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_of_what_fails_nothing_is_left(tmp_path: Path, kind: type[BaseException]) -> None:
    (tmp_path / "a.csv").write_bytes(b"old")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(kind), made_aside(tmp_path / name, overwrite=True) as made:
            made.write_bytes(b"new")
            raise kind
    assert listed(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"old"


def test_what_was_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(FileExistsError, match="--overwrite"), made_aside(path) as made:
        made.write_bytes(b"new")
        path.write_bytes(b"of another")
    assert (listed(tmp_path), path.read_bytes()) == (["a.csv"], b"of another")
    with pytest.raises(FileExistsError, match="it exists"), made_aside(path):
        raise AssertionError("it exists")


@pytest.mark.skipif(sys.platform == "win32", reason="locks as POSIX has them")
def test_what_a_killed_program_left_goes_with_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    folder = left_by_a_killed_one(path)
    assert (folder / "a.csv").read_bytes() == b"half"
    with made_aside(path) as made:
        assert not folder.exists()
        made.write_bytes(b"whole")
    assert (listed(tmp_path), path.read_bytes()) == (["a.csv", "other"], b"whole")


def test_a_device_is_written_as_it_is() -> None:
    with made_aside(os.devnull) as made:
        assert made == Path(os.devnull)
