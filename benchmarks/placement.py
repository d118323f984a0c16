"""Placement and failure of a large fleet, without inference: who moves, and how long the queues last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from time import process_time
from typing import Any

import numpy as np

from edge.fleet.placement import preferred
from edge.progress import followed

TICK_S = 0.1
"""Of the simulation of queues."""
GIVE_UP_S = 600.0


def place(patients: list[str], shards: list[str], room: Mapping[str, int]) -> dict[str, str]:
    """Each patient's shard, one after another: the first of those preferred that has `room`."""
    left, found = dict(room), {}
    for patient in followed(patients, "placing patients", calm=True):
        for shard in preferred(patient, shards):
            if left[shard] > 0:
                left[shard] -= 1
                found[patient] = shard
                break
    return found


def measure_placement(
    n_patients: int, n_shards: int, slots: int, dead: int, busy: float, silent_s: float
) -> dict[str, Any]:
    """Place `n_patients`, end `dead` of the shards, and let the others take their patients.

    `busy` is the share of a shard's CPU that its mean number of patients takes; after `silent_s` those of
    the dead shards are placed anew, with all that they sent meanwhile.
    """
    shards = [f"shard-{i}" for i in range(n_shards)]
    patients = [f"patient-{i}" for i in range(n_patients)]
    began = process_time()
    at = place(patients, shards, dict.fromkeys(shards, slots))
    cpu_us = (process_time() - began) / n_patients / n_shards * 1e6
    before = Counter(at.values())
    gone, left = set(shards[:dead]), shards[dead:]
    room = {shard: slots - before[shard] for shard in left}
    moved = place([p for p, shard in at.items() if shard in gone], left, room)
    n_moved, arrived = sum(before[shard] for shard in gone), Counter(moved.values())
    mean = n_patients / n_shards
    queues = simulate_queues(
        np.array([before[shard] for shard in left]),
        np.array([arrived[shard] for shard in left]),
        mean / busy,
        silent_s,
    )
    return {
        "patients": n_patients,
        "shards": n_shards,
        "slots": slots,
        "dead": dead,
        "busy": busy,
        "silent_s": silent_s,
        "placed": len(at),
        "fewest": min(before[shard] for shard in shards),
        "most": max(before.values()),
        "most_of_mean": max(before.values()) / mean,
        "moved": n_moved,
        "placed_again": len(moved),
        "most_arrived": max(arrived.values(), default=0),
        "cpu_us": cpu_us,
        **queues,
    }


def simulate_queues(
    here: np.ndarray, arrived: np.ndarray, carries: float, silent_s: float
) -> dict[str, float]:
    """How long queues last on shards that have `here` patients and take `arrived`, `silent_s` late.

    `carries` is how many patients a shard decodes in real time with all of its CPU. Queues are in seconds of
    signal of one patient.
    """
    live = here + arrived
    queue = arrived * silent_s
    worst = float(np.max(queue / live, initial=0.0, where=live > 0))
    passed = silent_s
    while queue.any() and passed < GIVE_UP_S:
        queue = np.maximum(queue + (live - carries) * TICK_S, 0.0)
        passed += TICK_S
    over = float(np.mean(live > carries))
    return {
        "recovered_s": round(passed, 1) if not queue.any() else float("inf"),
        "queue_s": worst,
        "over": over,
    }
