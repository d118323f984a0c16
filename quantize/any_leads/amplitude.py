"""How much of a lead's amplitude its sigma should have besides: the share is chosen on fold 9, by likelihood.

The decoder's sigma knows the sample of the beat better than how large the beat is, and errors are as large
as the leads are. What the share adds is put together in `edge.signal.amplitude`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from edge.lead_subsets import TWELVE, class_of, known, sigma_of
from edge.signal.conditioning import Conditioning
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.sampling import NAMED_SETS
from quantize.any_leads.scores import BATCH, Scored, reconstructed, scored_signals
from quantize.data import Records
from quantize.student import Student

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)


class Outcome(NamedTuple):
    """What was made of some records, (n_records, n_leads, n_samples) each."""

    weight: float
    error: NDArray[np.float64]
    """mV"""
    shown: NDArray[np.float64]
    """mV"""
    log_sigma: NDArray[np.float32]
    """Of mV, as the decoder says it."""


@dataclass(frozen=True)
class SigmaAmplitude:
    """What fold 9 says, over NAMED_SETS and all unknown leads, each set of one weight."""

    share: float
    """Of SHARES, the likeliest."""
    scale: float
    """By which all of sigma is made larger, so that the mean squared error in sigmas is 1."""
    nll: tuple[float, ...]
    """Negative log-likelihood for each of SHARES, at the scale that is best for it; smaller is better."""

    def line(self) -> str:
        """For the reader."""
        tried = "  ".join(f"{c:g} {nll:.4f}" for c, nll in zip(SHARES, self.nll, strict=True))
        return (
            f"sigma_amplitude {self.share:g}, sigma times {self.scale:.3f}; NLL by share: {tried}"
        )

    def put_into(self, student: Student) -> float:
        """Scale the sigma head; returns the share as a manifest has it."""
        bias = student.sigma_head.conv.bias
        assert bias is not None
        with torch.no_grad():
            bias += float(np.log(self.scale))
        return round(self.share * self.scale, 4)


def fitted(student: Student, records: Records, moments: NDArray[np.float64]) -> SigmaAmplitude:
    """Of the decoder as it is given, on these records."""
    feed = AnyFeed(moments, student.config.hop)
    scored = scored_signals(records, Conditioning(), feed.hop)
    return likeliest(_outcomes(student, feed, scored))


def likeliest(outcomes: Iterable[Outcome]) -> SigmaAmplitude:
    """The share that suits these best."""
    squares, logs, weights = np.zeros(len(SHARES)), np.zeros(len(SHARES)), 0.0
    for one in outcomes:
        own = np.exp(2 * one.log_sigma.astype(np.float64))
        weights += one.weight
        for i, share in enumerate(SHARES):
            variance = own + np.square(share * one.shown)
            squares[i] += one.weight * (np.square(one.error) / variance).mean()
            logs[i] += one.weight * 0.5 * np.log(variance).mean()
    squares, logs = squares / weights, logs / weights
    nll = logs + 0.5 * np.log(squares) + 0.5
    best = int(np.argmin(nll))
    return SigmaAmplitude(
        SHARES[best], round(float(np.sqrt(squares[best])), 4), tuple(nll.round(4).tolist())
    )


def _outcomes(student: Student, feed: AnyFeed, scored: Scored) -> Iterator[Outcome]:
    n_records = len(scored.truth)
    for which in map(class_of, NAMED_SETS):
        # One limb lead's sigma is that of another, times a factor: the first is enough.
        rows = np.flatnonzero((sigma_of(which) == np.eye(len(TWELVE))).all(1) & ~known(which))
        for start in range(0, n_records, BATCH):
            at = slice(start, start + BATCH)
            truth = scored.truth[at].astype(np.float64)
            _, shown, log_sigma = reconstructed(student, feed, scored, at, which)
            error, made = (TWELVE[rows] @ one for one in (shown - truth, shown))
            yield Outcome(len(truth), error, made, log_sigma[:, rows])
