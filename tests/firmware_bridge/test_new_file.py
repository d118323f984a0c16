"""Files are made over nothing: names are taken exclusively, a replacement takes its name when it is whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from firmware_bridge.new_file import NewFile, publish, stamped, write_file


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def link(folder: Path) -> Path:
    (folder / "link.edf").symlink_to(folder / "real.edf")
    return folder / "link.edf"


def dangling(folder: Path) -> Path:
    (folder / "real.edf").unlink()
    return link(folder)


def hard(folder: Path) -> Path:
    os.link(folder / "real.edf", folder / "hard.edf")
    return folder / "hard.edf"


@pytest.mark.parametrize("name", [lambda folder: folder / "real.edf", link, dangling, hard])
def test_what_exists_is_refused_and_untouched(tmp_path: Path, name) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "real.edf").write_bytes(b"recorded")
    path = name(tmp_path)
    before = listed(tmp_path)
    with pytest.raises(FileExistsError, match="--overwrite"):
        NewFile(path).check()
    with pytest.raises(FileExistsError, match="--overwrite"):
        NewFile(path).create()
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_file(path, b"new")
    assert listed(tmp_path) == before
    if "real.edf" in before:
        assert (tmp_path / "real.edf").read_bytes() == b"recorded"


def test_nothing_is_there_before_create_and_a_discarded_file_is_gone(tmp_path: Path) -> None:
    new = NewFile(tmp_path / "a.edf")
    new.check()
    assert listed(tmp_path) == []
    new.create().close()
    assert listed(tmp_path) == ["a.edf"]
    new.discard()
    assert listed(tmp_path) == []


@pytest.mark.parametrize("through_link", [False, True])
def test_a_replacement_takes_the_name_when_it_is_whole(tmp_path: Path, through_link: bool) -> None:
    real = tmp_path / "real.edf"
    real.write_bytes(b"old")
    new = NewFile(link(tmp_path) if through_link else real, overwrite=True)
    with new.create() as file:
        file.write(b"new")
        assert real.read_bytes() == b"old"
        assert new.growing == tmp_path / "real.edf.part"
    new.keep()
    new.keep()
    assert real.read_bytes() == b"new"
    assert not real.is_symlink()
    assert not new.part.exists()


@pytest.mark.parametrize("how", ["discard", "leave"])
def test_a_replacement_that_failed_leaves_the_old_file(tmp_path: Path, how: str) -> None:
    real = tmp_path / "real.edf"
    real.write_bytes(b"old")
    new = NewFile(real, overwrite=True)
    new.create().close()
    getattr(new, how)()
    new.keep()
    assert real.read_bytes() == b"old"
    assert new.part.exists() == (how == "leave")
    if how == "leave":  # and the next one does not touch what is left
        with pytest.raises(FileExistsError, match=r"real\.edf\.part holds a recording"):
            NewFile(real, overwrite=True).check()


@pytest.mark.parametrize(
    ("name", "error", "remedy"),
    [
        ("no/a.edf", FileNotFoundError, "make the folder .*no first"),
        ("file/a.edf", NotADirectoryError, "choose another folder"),
        ("folder", IsADirectoryError, "name a file in it"),
        (256 * "a", OSError, "give a shorter name"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_place_that_takes_no_file_is_told_first(
    tmp_path: Path, name: str, error: type[OSError], remedy: str, overwrite: bool
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(error, match=remedy):
        NewFile(tmp_path / name, overwrite=overwrite).create()
    assert listed(tmp_path) == ["file", "folder"]


def test_a_folder_that_takes_no_file_says_what_to_do() -> None:
    """Root may write anywhere, and is refused by the file system itself."""
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    with pytest.raises(OSError, match="choose another"):
        NewFile("/proc/a.edf").create()


def test_a_pipe_is_written_and_never_removed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_file(pipe, b"rows")
    reader.join()
    assert got == [b"rows"]
    assert pipe.is_fifo()


def test_standard_output_that_is_a_file_is_appended_to(tmp_path: Path) -> None:
    script = "from firmware_bridge.new_file import write_file; write_file('/dev/stdout', b'report')"
    with (tmp_path / "log").open("wb") as log:
        log.write(b"before ")
        log.flush()
        subprocess.run([sys.executable, "-c", script], stdout=log, check=True, timeout=60)
    assert (tmp_path / "log").read_bytes() == b"before report"


RACE = """
import sys
from firmware_bridge.new_file import write_file
sys.stdin.readline()
try:
    write_file(sys.argv[1], sys.argv[2].encode() * 100_000)
except FileExistsError:
    sys.exit(3)
"""


def test_of_programs_that_start_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path), name], stdin=subprocess.PIPE, text=True
        )
        for name in "abcd"
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    codes = [(racer.communicate(timeout=60), racer.returncode)[1] for racer in racers]
    assert sorted(codes) == [0, 3, 3, 3]
    assert path.read_text() == "abcd"[codes.index(0)] * 100_000
    assert listed(tmp_path) == ["a.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_being_written_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "real.edf"
    first = NewFile(path)
    with first.create() as file:
        file.write(b"recording")
        other = NewFile(link(tmp_path) if overwrite else path, overwrite=overwrite)
        for refused in (other.check, other.create):
            with pytest.raises(FileExistsError, match="it is being recorded now"):
                refused()
        with pytest.raises(FileExistsError, match="it is being recorded now"):
            write_file(path, b"report", overwrite=overwrite)
    first.keep()
    assert path.read_bytes() == b"recording"
    write_file(path, b"report", overwrite=True)  # nobody writes it any more
    assert path.read_bytes() == b"report"


def test_a_replacement_that_grows_is_being_written_too(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(b"old")
    growing = NewFile(path, overwrite=True).create()
    with pytest.raises(FileExistsError, match="it is being recorded now"):
        NewFile(path, overwrite=True).check()
    growing.close()
    with pytest.raises(FileExistsError, match="holds a recording that was interrupted"):
        NewFile(path, overwrite=True).check()


def test_a_replacement_does_not_take_the_name_of_what_was_begun_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(b"old")
    new = NewFile(path, overwrite=True)
    new.create().close()
    path.unlink()
    with NewFile(path).create() as file:
        file.write(b"recording")
        with pytest.raises(FileExistsError, match="it is being recorded now"):
            new.keep()
        assert new.growing == new.part
    assert path.read_bytes() == b"recording"
    new.keep()
    assert path.read_bytes() == b""


def test_publish_takes_a_name_that_is_free_and_no_other(tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "a.npz"
    made.write_bytes(b"new")
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        publish(made, path, overwrite=False)
    assert (made.read_bytes(), path.read_bytes()) == (b"new", b"old")
    publish(made, path, overwrite=True)
    assert (listed(tmp_path), path.read_bytes()) == (["a.npz"], b"new")


def test_time_in_a_name() -> None:
    at = datetime(2026, 11, 29, 1, 40, 44)
    assert stamped("a {time} {other} %Y.edf", at) == "a 20261129T014044 {other} %Y.edf"
    assert stamped("plain.edf") == "plain.edf"
