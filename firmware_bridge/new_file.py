"""How every file is made: never over one that exists unless told to, and then only once the new one is whole.

The name is taken exclusively, so of two programs that start at once one wins. A replacement grows beside
the old file as `NAME.part` and takes its name when it is complete. A file that another program is writing is
never replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import FileIO
from pathlib import Path

from firmware_bridge.file_lock import hold, is_held

TIME = "{time}"
EXISTS = "it exists; give another name, {time} in the name for a new one each time, or --overwrite"
INTERRUPTED = "holds a recording that was interrupted: move it away first, or `leadlift repair` it"
IN_USE = "it is being recorded now; give another name, or end that recording first"
_REMEDIES = {
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "a part of its path is a file, choose another folder",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOSPC: "make room, or choose another folder",
    errno.EDQUOT: "make room, or choose another folder",
}
_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


def stamped(name: str, at: datetime | None = None) -> str:
    """`name` with the local time in place of each `{time}`: 20261129T014044."""
    return name.replace(TIME, f"{at or datetime.now():%Y%m%dT%H%M%S}")


class NewFile:
    """A file that is to be made at `path`. Nothing is touched before `create`.

    All methods raise OSError, with a `strerror` that says what to do where there is something to do.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        self.part = part_of(self.path)
        """Where a replacement grows."""
        self.is_stream = str(self.path).startswith(_STREAMS) or _is_pipe_or_device(self.path)
        """A pipe or a device: there is nothing to lose, to replace or to remove."""
        self._growing: Path | None = None

    def check(self) -> None:
        """Refuse now what `create` would refuse later: what exists, and a folder that takes no file."""
        if not self.is_stream:
            with remedy():
                self._check()

    def _check(self) -> None:
        if self.path.is_dir():
            raise _error(errno.EISDIR, self.path)
        if os.path.lexists(self.path):
            if is_held(self.path) or is_held(self.part):
                raise FileExistsError(errno.EEXIST, IN_USE, str(self.path))
            if not self.overwrite:
                raise FileExistsError(errno.EEXIST, EXISTS, str(self.path))
            if os.path.lexists(self.part):
                raise FileExistsError(errno.EEXIST, f"{self.part} {INTERRUPTED}", str(self.part))
        folder = Path(os.path.realpath(self.path)).parent
        if not folder.exists():
            why = f"{os.strerror(errno.ENOENT)}: make the folder {folder} first"
            raise FileNotFoundError(errno.ENOENT, why, str(self.path))
        if not folder.is_dir():
            raise _error(errno.ENOTDIR, self.path)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(
                errno.EACCES,
                f"the folder {folder} is not writable: choose another",
                str(self.path),
            )

    def create(self) -> FileIO:
        """The file, empty, unbuffered and ours alone."""
        self.check()
        if self.is_stream:
            with remedy():
                return FileIO(os.open(self.path, os.O_WRONLY | os.O_APPEND), "w")
        replaces = self.overwrite and os.path.lexists(self.path)
        self._growing = self.part if replaces else self.path
        try:
            with remedy():
                file = FileIO(str(self._growing), "x")
        except OSError as error:
            self._growing = None  # somebody else's
            if isinstance(error, FileExistsError):
                raise FileExistsError(errno.EEXIST, EXISTS, str(self.path)) from error
            raise
        hold(file.fileno())
        return file

    @property
    def growing(self) -> Path:
        """Where the bytes are: `path`, or `part` until the new file is kept."""
        return self._growing or self.path

    def keep(self) -> None:
        """The file is closed and whole: it takes its name. A second call does nothing."""
        if self._growing is not None and self._growing != self.path:
            publish(self._growing, self.path, overwrite=True)
        self._growing = None

    def leave(self) -> Path:
        """The file is closed and not whole: it stays where it grew, and what it was to replace stays."""
        left, self._growing = self.growing, None
        return left

    def discard(self) -> None:
        """The file is closed and worth nothing: what was there before is there again."""
        growing, self._growing = self._growing, None
        if growing is not None:
            growing.unlink(missing_ok=True)


def write_file(path: str | Path, data: bytes, *, overwrite: bool = False) -> None:
    """Make the file `path` with `data`, or leave everything as it was."""
    new = NewFile(path, overwrite=overwrite)
    try:
        with new.create() as file:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        new.keep()
    except BaseException:
        new.discard()
        raise


def publish(made: Path, path: Path, *, overwrite: bool) -> None:
    """Give the complete file `made` the name `path`, which must be free unless `overwrite`."""
    target = Path(os.path.realpath(path)) if overwrite else path  # what a link names, not the link
    if is_held(target):
        raise FileExistsError(errno.EEXIST, IN_USE, str(path))
    if not overwrite:
        try:
            FileIO(
                str(target), "x"
            ).close()  # the name is ours; not every file system has hard links
        except FileExistsError as error:
            raise FileExistsError(errno.EEXIST, EXISTS, str(path)) from error
    try:
        made.replace(target)
    except OSError:
        if not overwrite:
            with suppress(OSError):
                target.unlink()
        raise


def part_of(path: Path) -> Path:
    """Where a file grows before it takes the name `path`: beside what the name stands for."""
    real = Path(os.path.realpath(path))
    return real.with_name(real.name + ".part")


@contextmanager
def remedy() -> Iterator[None]:
    """What the system alone says of an error is followed by what to do."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if error.strerror != os.strerror(number):  # it says more
            raise
        advice = _REMEDIES.get(number, "choose another folder")
        raise OSError(number, f"{error.strerror}: {advice}", error.filename) from error


def _is_pipe_or_device(path: Path) -> bool:
    with suppress(OSError, ValueError):
        mode = path.stat().st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
    return False


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
