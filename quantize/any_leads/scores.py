"""r and RMSE of an any-lead network, set by set, beside the linear map's: as PROTOCOL.md defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from edge.lead_subsets import (
    INDEPENDENT_ROWS,
    TWELVE,
    classes_of,
    every_subset,
    known,
    label,
)
from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.sampling import MOST_LEADS
from quantize.data import SCORED_S, Records, zero_phase_highpass
from quantize.feed import samples_from_frames
from quantize.student import Student

BATCH = 8  # what a layer of the network holds then stays in the cache
EDGE_S = (
    0.08  # PROTOCOL.md: 2,500 samples are scored to 2,480, and 2,450 (the larger folds) to 2,430
)


@dataclass(frozen=True)
class SetScore:
    """One set of leads: means over records and the unknown ones of INDEPENDENT_LEADS."""

    leads: str
    r: float
    rmse_uv: float
    linear_r: float
    linear_rmse_uv: float
    variance_ratio: float
    """Predicted over true, median over records, of the lead where it is farthest from 1."""
    error_in_sigmas: float
    """Root mean square over all unknown leads: 1 is honest."""
    twelve_uv: float
    """RMSE over all twelve leads, of known ones 0: what ranks sets of other leads."""
    lead_r: tuple[float | None, ...]
    """(12,) of each of LEADS, mean over records; None where it is known."""
    lead_rmse_uv: tuple[float, ...]
    """(12,) of each of LEADS, mean over records; 0 where it is known."""

    def line(self) -> str:
        """For the reader."""
        return (
            f"{self.leads:<18} r {self.r:.4f}  RMSE {self.rmse_uv:6.2f} uV   "
            f"linear {self.linear_r:.4f} {self.linear_rmse_uv:6.2f}   "
            f"variance {self.variance_ratio:.2f}  sigmas {self.error_in_sigmas:.2f}  "
            f"twelve {self.twelve_uv:6.2f} uV"
        )


@dataclass(frozen=True)
class Scored:
    """What of the records no set of leads changes: made once, since the high-pass is linear."""

    signals: NDArray[np.float32]
    """(n_records, 3, 8, n) mV as `AnyFeed.whole` takes them."""
    truth: NDArray[np.float32]
    """(n_records, 8, n_scored) mV, zero-phase high-passed, as scored."""
    seen: NDArray[np.float32]
    """(n_records, 8, n_scored) mV, conditioned, then as `truth`: an anchor makes of it the linear map."""
    sampling_hz: float
    samples: slice
    """Those that count."""


def score_sets(
    student: Student,
    records: Records,
    feed: AnyFeed,
    classes: Iterable[int],
    spec: Conditioning | None = None,
) -> Iterator[SetScore]:
    """A score for each class, the records fed cold and causally, as they are streamed."""
    scored = scored_signals(records, spec or Conditioning(), feed.hop)
    network = deepcopy(student).eval().fold()
    for which in classes:
        starts = range(0, len(records), BATCH)
        parts = [_of_records(network, feed, scored, slice(at, at + BATCH), which) for at in starts]
        yield _score(which, parts)


def reconstructed(
    network: Student, feed: AnyFeed, scored: Scored, at: slice, which: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Of the records `at`, as scored: the linear map and the network (n, 8, n_scored) mV, and the log sigma
    of LEADS (n, 12, n_scored)."""
    certain = known(which)
    rows = np.flatnonzero(~certain[INDEPENDENT_ROWS])
    batch = feed.whole(scored.signals[at], which)
    assert batch.projection is not None
    with torch.inference_mode():
        # What comes late is waited for: behind the end of the records lie zeros.
        ecg, mask = (pad(one, (0, network.config.lookahead)) for one in (batch.ecg, batch.mask))
        framed = network(ecg, mask, batch.anchor)
        residual, log_sigma = (
            samples_from_frames(one)[..., network.late_samples :].cpu() for one in framed
        )
        residual = batch.projection[:, rows].cpu() @ residual
    linear = feed.anchors[which].astype(np.float64) @ (
        (TWELVE @ scored.seen[at]) * certain[:, None]
    )
    shown = linear.copy()
    filtered = zero_phase_highpass(residual.numpy(), scored.sampling_hz)
    shown[:, rows] += filtered[..., scored.samples]
    return linear, shown, log_sigma[..., scored.samples].numpy()


def _of_records(
    network: Student, feed: AnyFeed, scored: Scored, at: slice, which: int
) -> tuple[NDArray[np.float64], ...]:
    """Per record: r and RMSE (n, 12), NaN and 0 where known; of the unknown independent leads r and RMSE of
    the linear map, and the variance ratio (n, n_unknown); the mean square of error over sigma (n,)."""
    certain = known(which)
    rows = np.flatnonzero(~certain[INDEPENDENT_ROWS])
    truth = scored.truth[at].astype(np.float64)
    linear, shown, log_sigma = reconstructed(network, feed, scored, at, which)
    twelve = np.flatnonzero(~certain)
    truth_12, shown_12 = TWELVE[twelve] @ truth, TWELVE[twelve] @ shown
    r, rmse = np.full((len(truth), len(LEADS)), np.nan), np.zeros((len(truth), len(LEADS)))
    r[:, twelve], rmse[:, twelve] = r_and_rmse(truth_12, shown_12)
    precision = np.exp(-2 * log_sigma[:, twelve])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = shown[:, rows].var(-1) / truth[:, rows].var(-1)
    return (
        r,
        rmse,
        *r_and_rmse(truth[:, rows], linear[:, rows]),
        ratio,
        (np.square(shown_12 - truth_12) * precision).mean((1, 2)),
    )


def _score(which: int, parts: list[tuple[NDArray[np.float64], ...]]) -> SetScore:
    r, rmse, linear_r, linear_rmse, ratio, z = (
        np.concatenate(one) for one in zip(*parts, strict=True)
    )
    unknown = [row for row in INDEPENDENT_ROWS if not known(which)[row]]
    ratios = np.nanmedian(ratio, 0)
    worst = ratios[np.abs(np.log(np.maximum(ratios, 1e-6))).argmax()]
    defined = np.isfinite(r).any(0)
    return SetScore(
        leads=label(which),
        r=float(np.nanmean(r[:, unknown])),
        rmse_uv=1000 * float(rmse[:, unknown].mean()),
        linear_r=float(np.nanmean(linear_r)),
        linear_rmse_uv=1000 * float(linear_rmse.mean()),
        variance_ratio=float(worst),
        error_in_sigmas=float(np.sqrt(z.mean())),
        twelve_uv=1000 * float(rmse.mean()),
        lead_r=tuple(
            float(np.nanmean(one)) if there else None
            for one, there in zip(r.T, defined, strict=True)
        ),
        lead_rmse_uv=tuple((1000 * rmse.mean(0)).tolist()),
    )


def gain_by_number(gain: Mapping[int, float]) -> dict[int, float]:
    """Of 1 to MOST_LEADS leads, the mean over all subsets of so many, of a value that each class has."""
    subsets = every_subset()
    classes, size = classes_of(subsets), subsets.sum(1)
    return {
        n: float(np.mean([gain[c] for c in classes[size == n].tolist()]))
        for n in range(1, MOST_LEADS + 1)
    }


def costly_leads(twelve_uv: Mapping[int, float]) -> dict[tuple[str, str], float]:
    """By how many uV over all twelve leads one more lead makes a set worse, where it does.

    `twelve_uv` of each class that was scored; keys are the set and the lead, the worst first.
    """
    found = {}
    for which, before in twelve_uv.items():
        present = known(which)
        for row in np.flatnonzero(~present).tolist():
            more = present.copy()
            more[row] = True
            after = twelve_uv.get(int(classes_of(more)))
            if after is not None and after > before:
                found[label(which), LEADS[row]] = after - before
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def r_and_rmse(
    truth: NDArray[np.floating], predicted: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per record and lead, of (..., n_samples); a flat lead has no r."""
    rmse = np.sqrt(np.square(predicted - truth).mean(-1))
    t, p = (x - x.mean(-1, keepdims=True) for x in (truth, predicted))
    power = np.square(p).sum(-1) * np.square(t).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(power > 0, (p * t).sum(-1) / np.sqrt(power), np.nan)
    return r, rmse


def scored_signals(records: Records, spec: Conditioning, hop: int) -> Scored:
    """The records cut to whole hops, through the conditioning; and what is scored of them."""
    hz = records.sampling_hz
    n = records.ecg_uv.shape[-1] // hop * hop
    until = min(SCORED_S[1], records.ecg_uv.shape[-1] / hz - EDGE_S)
    samples = slice(*(round(s * hz) for s in (SCORED_S[0], until)))
    shape = (len(records), len(INDEPENDENT_LEADS))
    signals = np.empty((shape[0], 3, shape[1], n), np.float32)
    truth = np.empty((*shape, samples.stop - samples.start), np.float32)
    seen = np.empty_like(truth)
    for start in range(0, len(records), BATCH):
        at = slice(start, start + BATCH)
        ecg = records.ecg_uv[at, :, :n].astype(np.float32) / np.float32(1000)
        rows = ecg.reshape(-1, n)
        conditioned, residual, _ = Conditioner(spec, hz, len(rows), hop).push(rows)
        for kind, one in enumerate((residual, conditioned, ecg)):
            signals[at, kind] = one.reshape(ecg.shape)
        truth[at], seen[at] = (
            zero_phase_highpass(one.reshape(ecg.shape), hz)[..., samples]
            for one in (ecg, conditioned)
        )
    return Scored(signals, truth, seen, hz, samples)
