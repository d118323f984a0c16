"""A file or folder that is being written shows it to other programs, for as long as it is open.

The system lets go of it when the program ends, however it ends. Windows and some network drives know no such
lock: there a file counts as written by nobody.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def hold(fd: int) -> None:
    """Show that what `fd` is open on is being written, until it is closed."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def held_folder(path: Path) -> int | None:
    """`path`, held; to be closed with `os.close`. None on Windows, which opens no folder.

    Raises OSError where another program holds it, and where the drive knows no lock.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """Whether a program is writing the file or folder `path`."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(fd)
    return False
