"""r and RMSE of an any-lead network, set by set, beside the linear map's: as EVALUATION defines them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.conditioning import Conditioner, Conditioning
from edge.leads import INDEPENDENT_LEADS
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.subsets import INDEPENDENT_ROWS, known, label
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

    def line(self) -> str:
        """For the reader."""
        return (
            f"{self.leads:<18} r {self.r:.4f}  RMSE {self.rmse_uv:6.2f} uV   "
            f"linear {self.linear_r:.4f} {self.linear_rmse_uv:6.2f}"
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
        open_rows = ~known(which)[INDEPENDENT_ROWS]
        linear, shown = predictions(student, signals, feed, which)
        found = [
            r_and_rmse(
                truth[:, open_rows],
                zero_phase_highpass(made[:, open_rows], records.sampling_hz)[..., scored],
            )
            for made in (shown, linear)
        ]
        (r, rmse), (linear_r, linear_rmse) = (
            (float(np.nanmean(one[0])), 1000 * float(one[1].mean())) for one in found
        )
        yield SetScore(label(which), r, rmse, linear_r, linear_rmse)


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
