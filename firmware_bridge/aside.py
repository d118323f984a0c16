"""How a file that can be made again is made: in a folder aside, so that only what is whole has its name.

A recording of now grows under its name, or as `NAME.part`, and what there is of it is kept. What follows from
other files is worth nothing before it is whole: it goes when it fails or is interrupted, and what a program
left that was killed stands in nobody's way.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from firmware_bridge.file_lock import held_folder
from firmware_bridge.new_file import NewFile, publish, remedy

PREFIX = ".leadlift-"
_FRESH_S = 60.0  # a folder is locked a moment after it is made


@contextmanager
def made_aside(
    path: str | Path, *, overwrite: bool = False, also: Sequence[Path] = ()
) -> Iterator[Path]:
    """Where to make the file `path`, and what belongs to it beside it: all take their names at the end.

    `also` are the names of what may belong to it: what is there and not made anew goes, with `overwrite`. A
    pipe or a device is given as it is. Raises OSError, with a `strerror` that says what to do, at the start
    for a file that exists or cannot be made, at the end for one that was made meanwhile.
    """
    new = NewFile(path, overwrite=overwrite)
    new.check()
    if new.is_stream:
        yield new.path
        return
    home = new.part.parent
    _remove_left(home)
    with remedy():
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home))
    lock = None
    try:
        with suppress(OSError):  # a file system without locks: nobody gets one to remove it, either
            lock = held_folder(folder)
        made = folder / new.path.name
        yield made
        with remedy():
            beside = [one for one in folder.iterdir() if one != made]
            for one in (*beside, made):  # what is opened takes its name last
                publish(one, new.path.with_name(one.name), overwrite=overwrite)
            for old in also if overwrite else ():
                if old.name not in {one.name for one in (*beside, made)}:
                    old.unlink(missing_ok=True)
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(home: Path) -> None:
    """What programs left in a folder that were killed: nobody has their lock."""
    for folder in home.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _FRESH_S:
                lock = held_folder(folder)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)
