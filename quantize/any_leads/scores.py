"""r and RMSE of an any-lead network, set by set, beside the linear map's: as EVALUATION defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.subsets import INDEPENDENT_ROWS, TWELVE, classes_of, known, label
from quantize.data import SCORED_S, Records, zero_phase_highpass
from quantize.feed import samples_from_frames
from quantize.student import Student

BATCH = 32
EDGE_S = (
    0.08  # EVALUATION: 2,500 samples are scored to 2,480, and 2,450 (the larger folds) to 2,430
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
    twelve_uv: float
    """RMSE over all twelve leads, of known ones 0: what ranks sets of other leads."""

    def line(self) -> str:
        """For the reader."""
        return (
            f"{self.leads:<18} r {self.r:.4f}  RMSE {self.rmse_uv:6.2f} uV   "
            f"linear {self.linear_r:.4f} {self.linear_rmse_uv:6.2f}   "
            f"variance {self.variance_ratio:.2f}  twelve {self.twelve_uv:6.2f} uV"
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
    truth = zero_phase_highpass(signals[:, 2], records.sampling_hz)[..., scored]
    for which in classes:
        linear, shown = (
            zero_phase_highpass(made, records.sampling_hz)[..., scored]
            for made in predictions(student, signals, feed, which)
        )
        yield _score(truth, shown, linear, which)


def _score(
    truth: NDArray[np.float64],
    shown: NDArray[np.float64],
    linear: NDArray[np.float64],
    which: int,
) -> SetScore:
    """Of signals as they are compared, (n_records, 8, n_samples) mV."""
    rows = ~known(which)[INDEPENDENT_ROWS]
    (r, rmse), (linear_r, linear_rmse) = (
        (float(np.nanmean(one[0])), 1000 * float(one[1].mean()))
        for one in (r_and_rmse(truth[:, rows], made[:, rows]) for made in (shown, linear))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nanmedian(shown[:, rows].var(-1) / truth[:, rows].var(-1), 0)
    worst = ratios[np.abs(np.log(np.maximum(ratios, 1e-6))).argmax()]
    error = TWELVE @ (shown - truth)
    error[:, known(which)] = 0
    twelve = 1000 * float(np.sqrt(np.square(error).mean(-1)).mean())
    return SetScore(label(which), r, rmse, linear_r, linear_rmse, float(worst), twelve)


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


@torch.no_grad()
def predictions(
    student: Student, signals: NDArray[np.float32], feed: AnyFeed, which: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the linear map and the network make of `_signals`, both (n_records, 8, n_samples) mV."""
    linear, shown = [], []
    student.eval()
    for start in range(0, len(signals), BATCH):
        batch = feed.whole(signals[start : start + BATCH], which)
        assert batch.projection is not None
        residual = samples_from_frames(student(batch.ecg, batch.mask, batch.anchor)[0])
        base = batch.truth - batch.target
        linear.append(base.numpy())
        shown.append((base + batch.projection @ residual).numpy())
    return np.concatenate(linear), np.concatenate(shown)


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
