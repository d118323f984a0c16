"""Placement and failure: nobody is lost, who was elsewhere stays, queues as arithmetic has them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmarks.placement import TICK_S, measure_placement, place, simulate_queues


def test_a_full_shard_is_passed_over_and_nobody_is_lost() -> None:
    shards, patients = ["a", "b", "c"], [f"p{i}" for i in range(30)]
    free = place(patients, shards, dict.fromkeys(shards, 30))
    tight = place(patients, shards, dict.fromkeys(shards, 10))
    assert set(Counter(tight.values()).values()) == {10}
    assert free.keys() == tight.keys()
    over = place(patients, shards, {"a": 5, "b": 0, "c": 5})
    assert len(over) == 10, "where there is no room nobody is placed"


@pytest.mark.parametrize("dead", [1, 3])
def test_all_patients_of_the_dead_go_elsewhere(dead: int) -> None:
    found = measure_placement(600, 12, 80, dead, busy=0.5, silent_s=2.5)
    assert found["placed"] == 600
    assert found["placed_again"] == found["moved"] > 0
    assert found["fewest"] <= 50 <= found["most"] <= 80
    assert found["moved"] / 600 == pytest.approx(dead / 12, abs=0.06)
    assert 2.5 < found["recovered_s"] < 30
    assert found["over"] == 0


def test_queues_are_those_of_arithmetic() -> None:
    """20 arrive 3 s late at a shard that carries 100 and has 60: 60 s of signal at 20 s a second."""
    found = simulate_queues(np.array([60, 60]), np.array([20, 0]), 100.0, 3.0)
    assert found["recovered_s"] == pytest.approx(3.0 + 60 / (100 - 80), abs=2 * TICK_S)
    assert found["queue_s"] == pytest.approx(60 / 80)
    assert found["over"] == 0
    never = simulate_queues(np.array([90]), np.array([20]), 100.0, 3.0)
    assert never["recovered_s"] == float("inf")
    assert never["over"] == 1
