"""r and RMSE of an any-lead network, set by set, beside the linear map's: as PROTOCOL.md defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

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
from quantize.feed import Batch, samples_from_frames
from quantize.student import Student

BATCH = 32
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

    def line(self) -> str:
        """For the reader."""
        return (
            f"{self.leads:<18} r {self.r:.4f}  RMSE {self.rmse_uv:6.2f} uV   "
            f"linear {self.linear_r:.4f} {self.linear_rmse_uv:6.2f}   "
            f"variance {self.variance_ratio:.2f}  sigmas {self.error_in_sigmas:.2f}  "
            f"twelve {self.twelve_uv:6.2f} uV"
        )


def score_sets(
    student: Student,
    records: Records,
    feed: AnyFeed,
    classes: Iterable[int],
    spec: Conditioning | None = None,
) -> Iterator[SetScore]:
    """A score for each class, the records fed cold and causally, as they are streamed."""
    spec = spec or Conditioning()
    signals = _signals(records, spec, feed.hop)
    until = min(SCORED_S[1], records.ecg_uv.shape[-1] / records.sampling_hz - EDGE_S)
    scored = slice(*(round(s * records.sampling_hz) for s in (SCORED_S[0], until)))
    student.eval()
    for which in classes:
        parts = []
        for start in range(0, len(signals), BATCH):
            batch = feed.whole(signals[start : start + BATCH], which)
            made = _made(student, batch)
            truth, linear, shown = (
                zero_phase_highpass(one, records.sampling_hz)[..., scored] for one in made[:3]
            )
            parts.append(_of_records(truth, linear, shown, made[3][..., scored], which))
        yield _score(which, parts)


@torch.no_grad()
def _made(student: Student, batch: Batch) -> tuple[NDArray[np.float32], ...]:
    """Truth, the linear map, the network (n_records, 8, n_samples) and its sigma (n_records, 12, n), mV."""
    assert batch.projection is not None
    residual, log_sigma = (
        samples_from_frames(one) for one in student(batch.ecg, batch.mask, batch.anchor)
    )
    base = batch.truth - batch.target
    shown = base + batch.projection @ residual
    return batch.truth.numpy(), base.numpy(), shown.numpy(), log_sigma.exp().numpy()


def _of_records(
    truth: NDArray[np.float64],
    linear: NDArray[np.float64],
    shown: NDArray[np.float64],
    sigma: NDArray[np.float32],
    which: int,
) -> tuple[NDArray[np.float64], ...]:
    """Per record and unknown lead: r, RMSE, both of the linear map, variance ratio; RMSE of all twelve, and
    the mean square of error over sigma."""
    rows = ~known(which)[INDEPENDENT_ROWS]
    error = TWELVE @ (shown - truth)
    error[:, known(which)] = 0
    squares = np.square(error)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = shown[:, rows].var(-1) / truth[:, rows].var(-1)
    return (
        *r_and_rmse(truth[:, rows], shown[:, rows]),
        *r_and_rmse(truth[:, rows], linear[:, rows]),
        ratio,
        np.sqrt(squares.mean(-1)),
        (squares / np.square(sigma))[:, ~known(which)].mean(-1),
    )


def _score(which: int, parts: list[tuple[NDArray[np.float64], ...]]) -> SetScore:
    r, rmse, linear_r, linear_rmse, ratio, twelve, z = (
        np.concatenate(one) for one in zip(*parts, strict=True)
    )
    ratios = np.nanmedian(ratio, 0)
    worst = ratios[np.abs(np.log(np.maximum(ratios, 1e-6))).argmax()]
    return SetScore(
        label(which),
        float(np.nanmean(r)),
        1000 * float(rmse.mean()),
        float(np.nanmean(linear_r)),
        1000 * float(linear_rmse.mean()),
        float(worst),
        float(np.sqrt(z.mean())),
        1000 * float(twelve.mean()),
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


def _signals(records: Records, spec: Conditioning, hop: int) -> NDArray[np.float32]:
    """(n_records, 3, 8, n) mV, n whole hops: residual branch, conditioned, as recorded."""
    n = records.ecg_uv.shape[-1] // hop * hop
    out = np.empty((len(records), 3, len(INDEPENDENT_LEADS), n), np.float32)
    for start in range(0, len(records), BATCH):
        at = slice(start, start + BATCH)
        ecg = records.ecg_uv[at, :, :n].astype(np.float32) / np.float32(1000)
        rows = ecg.reshape(-1, n)
        seen, residual, _ = Conditioner(spec, records.sampling_hz, len(rows), hop).push(rows)
        for kind, one in enumerate((residual, seen, ecg)):
            out[at, kind] = one.reshape(ecg.shape)
    return out
