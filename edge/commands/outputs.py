"""What a command is about to write, compared as files with what it reads, before anything is opened."""

from __future__ import annotations

import argparse
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedWriter
from itertools import combinations
from pathlib import Path
from typing import BinaryIO, TypeVar

from edge.commands.signals import interruptible
from edge.errors import InputError, LeadliftError, SinkError
from edge.files.formats import all_files
from edge.files.rotation import first_name, split_target
from edge.notices import say
from firmware_bridge.aside import made_aside
from firmware_bridge.new_file import TIME, NewFile, part_of, write_file

T = TypeVar("T")
_MAX_REPORT_BYTES = 1 << 20
_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
_OF_FILES = ("replay", "serial")  # schemes of sources that name something in the file system


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """The option of every command that makes a file."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that exist; the old one stays until the new one is whole "
        "(or write {time} in a name for a new file each time)",
    )


def file_of_source(spec: str) -> str | None:
    """The file or device that a source names; None where it names none."""
    scheme, _, rest = spec.partition(":")
    return rest.partition("?")[0] if scheme in _OF_FILES else None


def file_of_sink(spec: str) -> str | None:
    """The file that a sink names, the first of several; None where it names none."""
    scheme, _, rest = spec.partition(":")
    if scheme != "file" or not rest:
        return None
    name, rotation = split_target(rest)
    return name if rotation is None else first_name(name)


def refuse_placeholders(spec: str) -> None:
    """Raises InputError for a file's name with a {word} that nothing is put in place of."""
    unknown = [one for one in _PLACEHOLDER.findall(file_of_sink(spec) or "") if one != TIME]
    if unknown:
        raise InputError(
            f"sink {spec!r}: nothing is put in place of {unknown[0]}: take {TIME}, or with several "
            "sources {source} or {number}"
        )


def makes_several(spec: str) -> bool:
    """Whether a sink makes a new file now and then; `{time}` is that of each of them."""
    scheme, _, rest = spec.partition(":")
    return scheme == "file" and split_target(rest)[1] is not None


def check_outputs(
    outputs: Sequence[tuple[str, str | Path | None]],
    inputs: Mapping[str, str | Path | None],
    *,
    overwrite: bool,
    made_again: Mapping[str, Callable[[Path], bool]] | None = None,
) -> set[str]:
    """Refuse outputs that are an input or one another, that exist, or that cannot be made.

    Both pair what a thing is called in a message with its path; None is left out. Files are compared as the
    system does: links, other spellings and names that differ only in case are one file. Raises InputError
    for two uses of one file, SinkError for a file that exists (without `overwrite`) or cannot be made.

    `made_again` tells, for a kind of output, an earlier file of that kind: the command makes it anew, so
    nothing is lost when it is replaced, and a line says so. Returns the kinds that may replace what exists.
    """
    replaced = {what for what, _ in outputs} if overwrite else set[str]()
    named = [(what, Path(path)) for what, path in outputs if path]
    made = [(what, part) for what, path in named for part in all_files(path, written=True)]
    given = [
        (what, part)
        for what, path in inputs.items()
        if path
        for part in all_files(Path(path), written=False)
    ]
    for what, path in made:
        for source, read in given:
            if _meet(path, read):
                raise InputError(f"{what} {path} is {source}: write to another file")
    for (one, first), (other, second) in combinations(made, 2):
        if _meet(first, second):
            raise InputError(
                f"{one} {first} and {other} {second} are one file: name each output once"
            )
    for what, path in made:
        try:
            if (
                what not in replaced
                and os.path.isfile(path)  # noqa: PTH113  a name that is too long is none
                and _may_be_made_again(what, path, made_again)
            ):
                say(f"{what} {path} exists: the new one replaces it once it is whole")
                replaced.add(what)
            NewFile(path, overwrite=what in replaced).check()
        except OSError as error:
            raise SinkError(f"cannot write {what} {path}: {error.strerror}") from error
    return replaced


def is_reconstruction(path: Path) -> bool:
    """Whether leadlift made this file of another recording."""
    from edge.files.records import open_record

    try:
        with open_record(path) as record:
            return record.of_recording
    except InputError:
        return False


def is_report(path: Path) -> bool:
    """Whether a file is the report of an earlier run."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_REPORT_BYTES:  # a device has no end
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"samples_in", "latency_us", "outcome"} <= found.keys()


def _may_be_made_again(
    what: str, path: Path, made_again: Mapping[str, Callable[[Path], bool]] | None
) -> bool:
    return made_again is not None and what in made_again and made_again[what](path)


def write_output(what: str, path: str, text: str, *, overwrite: bool) -> None:
    """Make the file `path`, whole or not at all. Raises SinkError, naming `what` it is, if that fails."""
    try:
        write_file(path, text.encode(), overwrite=overwrite)
    except OSError as error:
        raise SinkError(f"cannot write {what} {path}: {error.strerror}") from error


def write_folder(what: str, folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Make `files`, by their paths in `folder`; of what fails nothing new is left, so it can be tried again.

    Raises SinkError, naming `what` it is.
    """
    new: list[Path] = []
    try:
        for name, data in files.items():
            path = folder / name
            for one in reversed(path.parents):
                if not one.exists():
                    one.mkdir()
                    new.append(one)
            was_there = os.path.lexists(path)
            write_file(path, data, overwrite=overwrite)
            new += [] if was_there else [path]
    except BaseException as error:
        for one in reversed(new):
            with suppress(OSError):
                one.rmdir() if one.is_dir() else one.unlink()
        if not isinstance(error, OSError):
            raise
        raise SinkError(
            f"cannot write {what} to {folder}: {error.strerror}; nothing of it was left there: make room, or "
            "name another folder"
        ) from error


@contextmanager
def made_whole(path: str, *, overwrite: bool) -> Iterator[str]:
    """Where to record what takes the name `path` once it is whole: of what fails, or is interrupted, nothing
    is left.

    Raises SinkError where the system does not take it.
    """
    made = path
    try:
        also = all_files(Path(path), written=True)[1:]
        with made_aside(path, overwrite=overwrite, also=also) as aside:
            made = str(aside)
            yield made
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error
    except LeadliftError as error:
        if made == path or made not in str(error):
            raise
        cause, said = error.__cause__, str(error).replace(made, path)
        if isinstance(cause, OSError):
            why = cause.strerror or cause
            said = f"cannot write {path}: {why}; nothing of it was left: make room, or choose another folder"
        raise type(error)(said) from cause


def make_file(path: str, write: Callable[[BinaryIO], T], *, overwrite: bool) -> T:
    """What `write` returns, having filled the new file `path`; there is none if it fails or is interrupted.

    Raises SinkError where the system does not take it.
    """
    try:
        with (
            interruptible(),
            made_aside(path, overwrite=overwrite) as made,
            BufferedWriter(NewFile(made).create()) as target,
        ):
            return write(target)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error


def _meet(first: Path, second: Path) -> bool:
    """Whether two paths, or what grows beside them, are one file."""
    if _same(first, second):
        return True
    return _same(part_of(first), second) or _same(first, part_of(second))


def _same(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except (
        OSError
    ):  # one of them does not exist: one name, then, as the least particular system sees it
        return folded(first) == folded(second)


def folded(path: Path) -> str:
    """A path as the least particular system sees it: two that are equal may be one file."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
