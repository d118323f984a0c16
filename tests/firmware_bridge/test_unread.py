"""What is said of a file that cannot be read: why, and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from firmware_bridge.unread import why_unread


def why(path: Path) -> str:
    """What is said when `path` is opened."""
    with pytest.raises((OSError, ValueError)) as caught:
        path.read_bytes()
    return why_unread(caught.value, path)  # type: ignore[arg-type]


def test_each_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "session.llcap").write_bytes(b"x")
    gone = os.strerror(errno.ENOENT)
    assert why(tmp_path / "sesion.llcap") == f"{gone}: did you mean {tmp_path / 'session.llcap'}"
    assert (
        why(tmp_path / "q")
        == f"{gone}: it was looked for in {tmp_path}: give the file's whole path"
    )
    assert why(tmp_path / "no" / "a") == f"{gone}: there is no folder {tmp_path / 'no'}"
    assert why(tmp_path / "session.llcap" / "a").startswith(f"{gone}: there is no folder")
    assert why(tmp_path).endswith(": it is a folder: name a file in it")
    assert why(tmp_path / ("a" * 300)).endswith(": give a shorter name")
    assert why(tmp_path / "a\0b").endswith(": give the name of a file")


def test_other_errors_of_the_system_have_a_remedy_too() -> None:
    for number in (errno.EACCES, errno.EIO, errno.ELOOP):
        said = why_unread(OSError(number, os.strerror(number)), Path("a"))
        assert said.startswith(f"{os.strerror(number)}: ") and len(said.split(": ")[1]) > 10
