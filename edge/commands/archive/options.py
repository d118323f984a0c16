"""Options of `leadlift reconstruct` for a folder."""

from __future__ import annotations

import argparse

from edge.commands.common import UsageError
from edge.files.formats import FORMATS
from firmware_bridge.extras import install_extra

_OF_A_FOLDER = ("jobs", "format", "json", "ray", "address")


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """Options of `reconstruct` for a folder."""
    group = parser.add_argument_group(
        "a folder",
        "INPUT and OUTPUT may be folders: every record under INPUT is reconstructed, each once, to the same "
        "relative name; record 17 of many in x.npz becomes x/000017.npz. What an earlier run made whole and "
        "alike is left, so the same command goes on where one was interrupted (--overwrite makes all anew). "
        "Files that cannot be read are listed at the end, the others are made; the exit code is then 1.",
    )
    group.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        help="processes, of one thread each (default: one per core)",
    )
    group.add_argument(
        "--ray",
        action="store_true",
        help="on Ray, which is started here; --jobs is how many records at a time: "
        f"{install_extra('fleet')}",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="with --ray: join the cluster there, whose machines see the same folders (or `auto`)",
    )
    group.add_argument(
        "--format",
        choices=[form.suffixes[0][1:] for form in FORMATS if form.writer is not None],
        help="format of the outputs (default: that of each input, EDF+ for BDF)",
    )
    group.add_argument(
        "--json", action="store_true", help="print what became of the records as JSON"
    )


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1024):
        raise argparse.ArgumentTypeError(f"{text}: give a number of processes, 1 or more")
    return int(text)


def refuse_archive_options(arguments: argparse.Namespace) -> None:
    """Raise UsageError for an option of folders beside a file."""
    for name in _OF_A_FOLDER:
        if getattr(arguments, name) not in (None, False):
            raise UsageError(f"--{name} is for a folder, and {arguments.input} is none")
