"""The grammar of a source's name, `scheme:rest?option=value&...`, and its options, typed and used up."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl

from firmware_bridge.errors import SourceSpecError


class Options:
    """The options of one source name. Reading one uses it up; what is left at the end is unknown."""

    def __init__(self, spec: str, values: Mapping[str, str]) -> None:
        self._spec = spec
        self._left = dict(values)
        self._defaults: dict[str, str] = {}
        self._accepted: list[str] = []

    def add_defaults(self, values: Mapping[str, str]) -> None:
        """Values for options that the name leaves out; unknown ones among them are no mistake."""
        self._defaults = {**values, **self._defaults}

    def left(self) -> dict[str, str]:
        """Options not used yet, defaults included."""
        return {**self._defaults, **self._left}

    def has(self, name: str) -> bool:
        """Whether the option is given, here or by default; a question uses nothing up."""
        self._accepted.append(name)
        return name in self._left or name in self._defaults

    def text(self, name: str, default: str) -> str:
        """The option as it is written."""
        if name not in self._accepted:
            self._accepted.append(name)
        fallback = self._defaults.pop(name, default)
        return self._left.pop(name, fallback)

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """One of `choices`."""
        value = self.text(name, default)
        if value not in choices:
            raise self._error(f"{name}={value}", f"use one of {', '.join(sorted(choices))}")
        return value

    def number(self, name: str, default: float) -> float:
        """A number; `inf` is one, `nan` is not."""
        value = self.text(name, repr(default))
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise self._error(f"{name}={value}", "use a number")
        return number

    def integer(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.text(name, repr(default))
        try:
            return int(value)
        except ValueError:
            raise self._error(f"{name}={value}", "use a whole number") from None

    def refuse_unknown(self) -> None:
        """Raise SourceSpecError if an option of the name was not used, with those that are accepted."""
        for name in self._left:
            raise self._error(f"unknown option {name!r}", f"it takes {', '.join(self._accepted)}")

    def _error(self, what: str, remedy: str) -> SourceSpecError:
        return SourceSpecError(f"source {self._spec!r}: {what}; {remedy}")


def parse_spec(spec: str, schemes: Collection[str]) -> tuple[str, str, Options]:
    """Scheme, what stands between it and the `?`, and the options.

    Raises SourceSpecError for a scheme that is not one of `schemes` and for options that are malformed
    or given twice.
    """
    scheme, colon, rest = spec.partition(":")
    if not colon or scheme not in schemes:
        accepted = ", ".join(f"{name}:" for name in sorted(schemes))
        raise SourceSpecError(f"source {spec!r}: start it with one of {accepted}")
    name, _, query = rest.partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise SourceSpecError(f"source {spec!r}: write options as ?name=value&name=value") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise SourceSpecError(f"source {spec!r}: give each option once")
    return scheme, name, Options(spec, values)


def simulating(spec: str, leads: Sequence[str] | None) -> str:
    """The name of a source; where it is simulated and says no leads of its own, it measures `leads`."""
    scheme, _, rest = spec.partition(":")
    query = rest.partition("?")[2]
    if not leads or scheme != "sim" or any(name == "leads" for name, _ in parse_qsl(query)):
        return spec
    return f"{spec}{'&' if query else '?'}leads={','.join(leads)}"
