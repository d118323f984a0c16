"""Every command of `leadlift`: its parser, and how an error ends."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence

from edge import __version__
from edge.commands import (
    build_engine,
    calibrate,
    completion,
    demo,
    devices,
    doctor,
    export_c,
    export_triton,
    fleet,
    info,
    leads,
    monitor,
    plot,
    profiles,
    reconstruct,
    repair,
    run,
    simulate,
)
from edge.commands.common import UsageError, one_line
from edge.commands.console import accept_any_text, open_closed_streams
from edge.damaged import in_words
from edge.errors import LeadliftError
from edge.notices import LOG, add_log_option, add_notice_options, leave_stdout, shown

COMMANDS = (
    demo,
    run,
    reconstruct,
    calibrate,
    repair,
    devices,
    doctor,
    info,
    plot,
    leads,
    monitor,
    simulate,
    profiles,
    completion,
    build_engine,
    export_c,
    export_triton,
    fleet,
)

_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
"""What a full disk says of whoever prints to a file."""
_NO_PATHS = ("--leads", "--frames")
"""Options that say themselves what they lack."""


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    top = argparse.ArgumentParser(
        prog="leadlift",
        description="Twelve leads from a few, live, on the device. Research use only, "
        "not a medical device.",
    )
    top.add_argument("--version", action="version", version=f"leadlift {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    add_notice_options(top)
    add_log_option(top)
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(subparsers)
    for subparser in subparsers.choices.values():
        subparser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks"
        )
        add_notice_options(subparser, default=argparse.SUPPRESS)
        add_log_option(subparser, default=argparse.SUPPRESS)
    return top


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    open_closed_streams()
    accept_any_text()
    with shown():
        try:
            _refuse_empty(sys.argv[1:] if argv is None else argv)
            arguments = profiles.parse(parser(), argv)
        except LeadliftError as error:
            return _failed(error)
    with shown(arguments.verbosity, log_format=arguments.log_format):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    LOG.debug("leadlift %s, Python %s", __version__, sys.version.split()[0])
    if getattr(arguments, "of_profile", None):
        LOG.debug("profile %s: %s", arguments.profile, arguments.of_profile)
    try:
        code = int(arguments.command(arguments))
        sys.stdout.flush()
        return code
    except LeadliftError as error:
        if arguments.debug:
            raise
        if isinstance(
            error.__cause__, BrokenPipeError
        ):  # `--sink file:/dev/fd/3` into a program that ended
            leave_stdout()
            return 1
        return _failed(error)
    except ImportError as error:
        if arguments.debug:
            raise
        LOG.error("%s", in_words(error))
        return 1
    except BrokenPipeError:  # `leadlift doctor | head`
        leave_stdout()
        return 1
    except OSError as error:  # a full disk under stdout; a path that the system does not take
        if arguments.debug:
            raise
        why = one_line(error)
        if error.errno in _FULL:
            leave_stdout()
            why = f"cannot write the output: {error.strerror}"
        LOG.error("%s", why)
        return 1


def _refuse_empty(argv: Sequence[str]) -> None:
    """A shell makes an empty name of a variable that is not set; as a path it would be this folder."""
    for before, word in zip(("leadlift", *argv), argv, strict=False):
        if before in _NO_PATHS or word[:-1] in _NO_PATHS:
            continue
        if not word or (word.startswith("--") and word.endswith("=")):
            where = f"after {before}" if not word else f"of {word[:-1]}"
            raise UsageError(f"the argument {where} is empty: give a name, or leave it out")


def _failed(error: LeadliftError) -> int:
    LOG.error("%s", one_line(error))
    return 2 if isinstance(error, UsageError) else 1
