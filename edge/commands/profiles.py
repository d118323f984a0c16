"""Profiles: options of `leadlift run` under a name in a TOML file; `leadlift profiles` lists them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edge.commands.common import Subparsers, UsageError
from edge.errors import InputError
from edge.notices import LOG
from firmware_bridge.unread import why_unread

NOT_KEPT = ("help", "profile", "config", "debug", "quiet", "verbose")
"""Options that no profile sets."""
MAX_BYTES = 1 << 20
_SHOWN = 60


class Replace(argparse.Action):
    """Values of an option that may be repeated; the first on a command line replaces those of a profile."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the values of one occurrence."""
        before = getattr(namespace, self.dest, None)
        first = before is None or before is self.default
        setattr(namespace, self.dest, list(values) if first else [*(before or ()), *values])


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    """The options of a command whose options a profile can hold."""
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="take the options that are kept under this name; what is given here counts more",
    )
    _add_config(parser)
    parser.set_defaults(profiled=parser)


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "profiles", help="list the profiles of `leadlift run --profile`, and what each stands for"
    )
    _add_config(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per profile; a profile that cannot be used is said."""
    from edge.cli import parser

    path = profiles_file(arguments.config)
    found = read_profiles(path)
    takes = parser().parse_args(["run"]).profiled
    code = 0
    print(f"file       {path}")
    for name in found:
        try:
            print(f"{name:<10} {_as_options(takes, options_of(takes, path, found, name))}")
        except UsageError as error:
            LOG.error("%s", error)
            code = 1
    return code


def parse(top: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with the options of the profile that it names where it does not give them itself.

    Raises UsageError, naming file and key, for a profile that cannot be used.
    """
    given = top.parse_args(argv)
    takes: argparse.ArgumentParser | None = getattr(given, "profiled", None)
    if takes is None:
        return given
    if given.profile is None:
        if given.config is not None:
            raise UsageError(f"--config {given.config}: give --profile NAME, too")
        return given
    path = profiles_file(given.config)
    try:
        found = read_profiles(path)
    except InputError as error:
        raise UsageError(str(error)) from error
    options = options_of(takes, path, found, given.profile)
    takes.set_defaults(**options, of_profile=_as_options(takes, options))
    return top.parse_args(argv)


def profiles_file(given: str | None) -> Path:
    """What `--config` says, or leadlift/profiles.toml in $XDG_CONFIG_HOME or ~/.config."""
    if given is not None:
        return Path(given)
    kept = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        folder = kept if kept.is_absolute() else Path.home() / ".config"
    except RuntimeError as error:  # a service's user without a home
        raise InputError(
            "there is no home for profiles here: name their file with --config"
        ) from error
    return folder / "leadlift" / "profiles.toml"


def read_profiles(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file by name. Raises InputError for what is no such file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MB")
        found = tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        why = why_unread(error, path)
        raise InputError(
            f"cannot read the profiles {path}: {why}; "
            "begin it with a line such as [bench], or --config names another"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no TOML: {' '.join(str(error).split())}") from error
    for name, table in found.items():
        if not isinstance(table, dict):
            raise InputError(
                f"{path}: {name} stands in no profile: begin one with a line such as [bench]"
            )
    return found


def options_of(
    takes: argparse.ArgumentParser, path: Path, found: Mapping[str, dict[str, Any]], name: str
) -> dict[str, Any]:
    """What a profile sets, by the names that the parsed command line has. Raises UsageError."""
    if name not in found:
        known = f"it has {', '.join(found)}" if found else "it is empty"
        raise UsageError(f"{path}: there is no profile [{name}]: {known}")
    actions = dict(_kept(takes))
    options = {}
    for key, value in found[name].items():
        if key not in actions:
            near = get_close_matches(key.replace("_", "-").lstrip("-"), actions, 1)
            hint = f"did you mean {near[0]}?" if near else f"use {', '.join(actions)}"
            raise UsageError(f"{path}: [{name}] has an unknown key {key}: {hint}")
        try:
            options[actions[key].dest] = _taken(actions[key], value)
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise UsageError(f"{path}: [{name}] {key}: {error}") from error
    return options


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="file of profiles (default: leadlift/profiles.toml in $XDG_CONFIG_HOME or ~/.config)",
    )


def _kept(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """The options that a profile can set, by key: the name of the option."""
    for action in parser._actions:
        long = [name[2:] for name in action.option_strings if name.startswith("--")]
        if long and long[0] not in NOT_KEPT:
            yield long[0], action


def _taken(action: argparse.Action, value: Any) -> Any:
    """A value as the option takes it. Raises ValueError or ArgumentTypeError with what is wrong with it."""
    if action.nargs == 0:
        return _of_kind(value, bool, "true or false")
    if action.nargs == "+":
        values = value if isinstance(value, list) else [value]
        if not values:
            raise ValueError("it is empty: name one at least")
        return [_text(one, "text or a list of texts") for one in values]
    if action.choices is not None:
        choices = [str(choice) for choice in action.choices]
        if isinstance(value, bool) or str(value) not in choices:
            raise ValueError(f"{_short(value)} is not one of {', '.join(choices)}")
        return str(value)
    if not callable(action.type):
        return _text(value, "text")
    if isinstance(action.type("1"), int | float):
        _of_kind(value, (int, float), "a number")
    elif not isinstance(value, int | float):
        value = _text(value, "text")
    return action.type(str(value))


def _of_kind(value: Any, kind: type | tuple[type, ...], what: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{_short(value)} is not {what}")
    return value


def _text(value: Any, what: str) -> str:
    """Text, `~` in a path filled in, as a shell does it."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{_short(value)} is not {what}")
    scheme, colon, rest = value.partition(":")
    if colon and rest.startswith("~/"):
        return f"{scheme}:{_at_home(rest)}"
    return _at_home(value) if value.startswith("~/") else value


def _at_home(path: str) -> str:
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise ValueError(f"there is no home here for {path}") from error


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


def _as_options(takes: argparse.ArgumentParser, options: Mapping[str, Any]) -> str:
    """The same as it would stand on a command line."""
    words = []
    for key, action in _kept(takes):
        value = options.get(action.dest)
        if value is None or value is False:
            continue
        words.append(f"--{key}")
        if value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return shlex.join(words)
