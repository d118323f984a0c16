"""Rules for JSON that comes from a file: what a value must be to be used, and what is said when it is not.

A rule takes a parsed value and returns it in the type it is used in, or raises Refused with what is wrong.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Rule = Callable[[Any], T]

LEAST_POWER_MV2 = 1e-9  # of any mixture of leads: noise alone has more, a microvolt is 1e-6
MOST_CONDITION = 1e6  # of second moments: 83 in a population; beyond, the ridge makes the anchors

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = _shown.maxlong = 40
_shown.maxlist = _shown.maxdict = 3
_shown.maxlevel = 2


class Refused(Exception):  # noqa: N818 - it never leaves the reader that catches it
    """What is wrong with a value, as the end of a sentence that names the file."""


def parsed(text: str) -> dict[str, Any]:
    """The object that a JSON text holds. Raises Refused."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:80]
        raise Refused(f"is no JSON ({reason})") from error
    if not isinstance(value, dict):
        raise Refused("holds no object")
    return value


def number(least: float, most: float) -> Rule[float]:
    """A finite number from `least` to `most`."""

    def rule(value: Any) -> float:
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and least <= value <= most
        ):
            return float(value)
        raise Refused(f"is {_shown.repr(value)}, not a number from {least:g} to {most:g}")

    return rule


def integer(least: int, most: int) -> Rule[int]:
    """A whole number from `least` to `most`."""

    def rule(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise Refused(f"is {_shown.repr(value)}, not a whole number from {least} to {most}")

    return rule


def text(longest: int = 200, *, length: int | None = None) -> Rule[str]:
    """Printable text of 1 to `longest` characters, or of just `length`."""

    def rule(value: Any) -> str:
        fits = isinstance(value, str) and value.isprintable() and 0 < len(value) <= longest
        if fits and length in (None, len(value)):
            return str(value)
        wanted = f"1 to {longest}" if length is None else str(length)
        raise Refused(f"is {_shown.repr(value)}, not a text of {wanted} characters")

    return rule


def one_of(choices: Collection[str]) -> Rule[str]:
    """One of these texts."""

    def rule(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise Refused(f"is {_shown.repr(value)}, not one of {', '.join(choices)}")

    return rule


def or_none(rule: Rule[T]) -> Rule[T | None]:
    """null, or what `rule` takes."""
    return lambda value: None if value is None else rule(value)


def mapping(value: Any) -> dict[str, Any]:
    """Any object."""
    if isinstance(value, dict):
        return value
    raise Refused(f"is {_shown.repr(value)}, not an object")


def listed(rule: Rule[T], least: int, most: int) -> Rule[tuple[T, ...]]:
    """A list of `least` to `most` values that `rule` takes, no two the same."""

    def whole(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise Refused(f"is {_shown.repr(value)}, not a list of {least} to {most}")
        found = tuple(rule(part) for part in value)
        if any(part in found[:i] for i, part in enumerate(found)):
            raise Refused(f"names one twice: {_shown.repr(value)}")
        return found

    return whole


def array(shape: tuple[int, ...], largest: float) -> Rule[NDArray[np.float64]]:
    """Nested lists of finite numbers of this shape, none beyond `largest`."""

    def rule(value: Any) -> NDArray[np.float64]:
        try:
            found = np.array(value, np.float64)
        except (TypeError, ValueError, OverflowError, RecursionError):
            raise Refused(f"is {_shown.repr(value)}, not numbers of shape {shape}") from None
        if found.shape != shape:
            raise Refused(f"has shape {found.shape}, not {shape}")
        if not (np.abs(found) <= largest).all():
            raise Refused(f"has values that are not finite or beyond {largest:g}")
        return found

    return rule


def moments(value: Any) -> NDArray[np.float64]:
    """Second moments of the eight independent leads in mV^2, as some signal has them."""
    found = array((8, 8), 1e4)(value)
    if not np.allclose(found, found.T):
        raise Refused("are those of no signal: they are not symmetric")
    powers = np.linalg.eigvalsh(found)
    if powers[0] < max(LEAST_POWER_MV2, powers[-1] / MOST_CONDITION):
        raise Refused("are those of no eight leads: not positive definite, or hardly so")
    return found


def record(rules: Mapping[str, Rule[Any]], *, more: bool = False) -> Rule[dict[str, Any]]:
    """An object with just these keys, each by its rule. With `more`, other keys are passed over."""

    def rule(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Refused(f"is {_shown.repr(value)}, not an object")
        if lacking := [key for key in rules if key not in value]:
            raise Refused(f"lacks {', '.join(lacking)}")
        if not more and (left := [key for key in value if key not in rules]):
            raise Refused(f"has the unknown {', '.join(_shown.repr(key) for key in left[:3])}")
        return {key: named(key, one, value[key]) for key, one in rules.items()}

    return rule


def named(key: str, rule: Rule[T], value: Any) -> T:
    """What `rule` makes of `value`; a refusal says that it is about `key`."""
    try:
        return rule(value)
    except Refused as error:
        raise Refused(f"{key} {error}") from None
