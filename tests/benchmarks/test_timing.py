"""Calls in turn, with garbage collection off and on again."""

from __future__ import annotations

import gc

import pytest

from benchmarks.timing import collection_off, time_calls, time_in_turn, warm_up


def test_alternatives_are_called_in_turn_and_one_call_is_not_counted() -> None:
    calls: list[str] = []
    steps = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    durations = time_in_turn(steps, rounds=2, burst=3, warm_up_s=0.0)
    assert "".join(calls) == "ab" + "aaaabbbb" * 2
    assert {name: t.shape for name, t in durations.items()} == {"a": (2, 3), "b": (2, 3)}


def test_garbage_is_collected_again_afterwards() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="inside"), collection_off():
        assert not gc.isenabled()
        raise ValueError("inside")
    assert gc.isenabled()


def test_every_call_has_a_duration() -> None:
    assert (time_calls(lambda: None, 5) >= 0).all()
    calls: list[None] = []
    warm_up(lambda: calls.append(None), 0.0)
    assert len(calls) == 1
