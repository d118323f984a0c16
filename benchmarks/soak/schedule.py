"""Which fault happens when: drawn from a seed, so that every episode can be had again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np


class Kind(Enum):
    """What goes wrong, and how long it may last in seconds of signal."""

    LOSS = ("loss", 0.2, 5.0)  # frames here and there
    BURST = ("burst", 0.04, 20.0)  # all frames
    CORRUPTION = ("corruption", 0.2, 5.0)  # bits turned, bytes cut out and put in
    DISORDER = ("disorder", 0.2, 5.0)  # frames twice, and frames overtaken
    HOST_SUSPENDED = (
        "host suspended",
        0.5,
        15.0,
    )  # its clock stands, and jumps against the device's
    LATER = ("later", 0.1, 3.0)  # from now on everything comes so much later
    STARVED_ACQUISITION = (
        "starved acquisition",
        0.2,
        8.0,
    )  # nobody reads; the port's buffer is small
    STARVED_INFERENCE = ("starved inference", 9.0, 20.0)  # longer than the ring lasts
    SLOW_SINK = ("slow sink", 0.5, 5.0)  # shorter: nothing may be lost
    LINK_LOST = ("link lost", 0.3, 10.0)
    RESTART = ("restart", 0.3, 10.0)
    KILLED_VIEWER = ("killed viewer", 0.5, 5.0)
    LEAD_OFF = ("lead off", 0.3, 20.0)

    def __init__(self, label: str, least_s: float, most_s: float) -> None:
        self.label = label
        self.least_s = least_s
        self.most_s = most_s


@dataclass(frozen=True)
class Fault:
    """One fault, from when to when in seconds of signal."""

    kind: Kind
    begin_s: float
    end_s: float
    channels: int = 0
    """Bit i set: of channel i; of a lead that is off."""

    def holds(self, at_s: float) -> bool:
        """Whether it holds then."""
        return self.begin_s <= at_s < self.end_s


CALM_S = 6.0  # between two faults, on average
AT_ONCE = 0.3  # of the faults follow the one before without a pause
FIRST_S = 5.0  # undisturbed, so that there is a stream to disturb
LAST_S = 5.0


def draw(rng: np.random.Generator, seconds: float, n_channels: int = 3) -> list[Fault]:
    """Faults of an episode in the order of their begins.

    Those of the link and of the host follow one another, since a host that does not run cannot be slow;
    electrodes come off at any time.
    """
    others = [kind for kind in Kind if kind is not Kind.LEAD_OFF]
    found = _train(rng, seconds, others) + [
        Fault(fault.kind, fault.begin_s, fault.end_s, _channels(rng, n_channels))
        for fault in _train(rng, seconds, [Kind.LEAD_OFF], calm_s=10 * CALM_S)
    ]
    return sorted(found, key=lambda fault: fault.begin_s)


ONCE_S = 2.0  # or the least that a kind may last
PAUSE_S = 3.5  # the bound of a recovery, and half a second of what is clean


def one_of_each(rng: np.random.Generator, n_channels: int = 3) -> list[Fault]:
    """Every kind once, in any order, so far apart that each recovery can be seen."""
    found, at_s = list[Fault](), FIRST_S
    for kind in rng.permutation(np.array(list(Kind), object)):
        off = _channels(rng, n_channels) if kind is Kind.LEAD_OFF else 0
        found.append(Fault(kind, at_s, at_s + max(kind.least_s, ONCE_S), off))
        at_s = found[-1].end_s + PAUSE_S
    return found


def seconds_of_each() -> float:
    """How long an episode with one of each lasts."""
    return FIRST_S + sum(max(kind.least_s, ONCE_S) + PAUSE_S for kind in Kind) + LAST_S


def _train(
    rng: np.random.Generator, seconds: float, kinds: Sequence[Kind], calm_s: float = CALM_S
) -> list[Fault]:
    found: list[Fault] = []
    at_s = FIRST_S
    while True:
        if len(kinds) == 1 or rng.random() > AT_ONCE:
            at_s += rng.exponential(calm_s)
        kind = kinds[int(rng.integers(len(kinds)))]
        lasts_s = float(np.exp(rng.uniform(np.log(kind.least_s), np.log(kind.most_s))))
        if at_s + lasts_s > seconds - LAST_S:
            return found
        found.append(Fault(kind, at_s, at_s + lasts_s))
        at_s += lasts_s


def _channels(rng: np.random.Generator, n_channels: int) -> int:
    """One electrode mostly, several now and then."""
    if rng.random() < 0.7:
        return int(1 << rng.integers(n_channels))
    return int(rng.integers(1, 1 << n_channels))
