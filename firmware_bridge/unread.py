"""Why a file cannot be read, and what to do about it."""

from __future__ import annotations

import errno
import os
from difflib import get_close_matches
from pathlib import Path

MOST_NAMES = 1000  # of a folder are compared
_REMEDIES = {
    errno.EISDIR: "it is a folder: name a file in it",
    errno.EACCES: "give yourself the right to read it (chmod)",
    errno.EPERM: "give yourself the right to read it (chmod)",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "copy it from where it is whole: this medium fails",
}


def why_unread(error: OSError | ValueError, path: Path) -> str:
    """What the system says of `path`, and what to do.

    Parameters
    ----------
    error
        What opening or reading `path` raised.
    path
        What was to be read.

    Returns
    -------
    str
        As in "No such file or directory: there is a.edf".
    """
    if isinstance(error, ValueError):  # a null in the name, or half a character
        return f"{error}: give the name of a file"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{os.strerror(errno.ENOENT)}: {_instead(path)}"
    remedy = _REMEDIES.get(error.errno or 0, "give another file, or look at its disk")
    return f"{error.strerror or error}: {remedy}"


def _instead(path: Path) -> str:
    """Of a file that is not there: one of nearly its name, or where it was looked for."""
    folder = path.parent
    try:
        if not folder.is_dir():
            return f"there is no folder {folder.absolute()}"
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_NAMES), strict=False)]
    except OSError:
        names = []
    close = get_close_matches(path.name, names, n=1)
    if close:
        return f"did you mean {folder / close[0]}"
    return f"it was looked for in {folder.absolute()}: give the file's whole path"
