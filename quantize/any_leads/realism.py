"""How much reconstructed leads look like true ones: amplitude, spectrum, Frechet distance, told apart or not.

What is compared are features of fixed random convolutions, which no training chose, not those of a classifier
of heart disease: so distances compare decoders on the same records only. True leads that went through the
causal conditioning and nothing else set the floor: above it lies what reconstruction gives away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from edge.lead_subsets import INDEPENDENT_ROWS, TWELVE, known, label
from edge.leads import INDEPENDENT_LEADS
from edge.signal.conditioning import Conditioning
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.scores import BATCH, r_and_rmse, reconstructed, scored_signals
from quantize.classifier.auroc import auroc
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.spectrum import band_power, band_ratio_db
from quantize.student import Student

Array = NDArray[np.float64]

SINGLE_LEADS = ("I", "V3")  # told apart alone, where they are unknown
TOGETHER = "all unknown"
KERNEL, DILATIONS = 9, (1, 2, 4, 8, 16, 32)  # 36 ms to 1 s of 250 Hz
FRECHET_KERNELS, AUROC_KERNELS = 32, 128
RIDGE = 30.0  # of the judge: features have unit variance, some 330 records teach it
SEED = 0
PRELIMINARY = (
    f"Preliminary: Frechet distance and AUROC are of fixed random convolutions (seed {SEED}), not of a"
    " trained classifier; the floor is what true leads get that were conditioned, not reconstructed"
)


@dataclass(frozen=True)
class Realism:
    """One set of leads: means over records unless it says otherwise."""

    leads: str
    r: dict[str, float]
    rmse_uv: dict[str, float]
    variance_ratio: dict[str, float]
    """Made over true, median over records."""
    spectrum_db: dict[str, float]
    """Power of `spectrum.BAND_HZ`, made over true, median over records."""
    hop_line_db: float
    """Power at the decoder's 62.5 Hz against that beside it, made over true, of the worst lead: 0 is none."""
    frechet: float
    """Of all twelve leads, per feature, features of unit variance: made against true of the same records."""
    auroc: dict[str, float]
    """Of a judge that tells made from true: 0.5 cannot, 1 always can."""
    frechet_floor: float = 0.0
    auroc_floor: dict[str, float] = field(default_factory=dict)
    """What both are for true leads that were conditioned and not reconstructed."""

    def line(self) -> str:
        """For the reader."""
        r, rmse = (np.mean(list(one.values())) for one in (self.r, self.rmse_uv))
        by_lead = "  ".join(
            f"{lead} {self.variance_ratio[lead]:.2f} {self.spectrum_db[lead]:+.1f} dB"
            for lead in self.r
        )
        floors = {lead: self.auroc_floor.get(lead, 0.5) for lead in self.auroc}
        told = "  ".join(f"{k} {value:.3f} ({floors[k]:.3f})" for k, value in self.auroc.items())
        return (
            f"{self.leads:<12} r {r:.4f}  RMSE {rmse:6.2f} uV  "
            f"Frechet {self.frechet:.4f} (floor {self.frechet_floor:.4f})  "
            f"line at 62.5 Hz {self.hop_line_db:+.1f} dB\n"
            f"  told apart (AUROC, floor): {told}\n  variance ratio, 40-100 Hz: {by_lead}"
        )


def realism(
    student: Student, records: Records, feed: AnyFeed, classes: Iterable[int]
) -> Iterator[Realism]:
    """Of each class. Raises QuantizeError for records without a second patient."""
    scored = scored_signals(records, Conditioning(), feed.hop)
    network = deepcopy(student).eval().fold()
    half, hz = halves(records.patient_id), records.sampling_hz
    truth, seen = scored.truth.astype(np.float64), scored.seen.astype(np.float64)
    for which in classes:
        at = [slice(start, start + BATCH) for start in range(0, len(records), BATCH)]
        shown = np.concatenate([reconstructed(network, feed, scored, one, which)[1] for one in at])
        made, floor = (of_pairs(truth, one, which, half, hz) for one in (shown, seen))
        yield replace(made, frechet_floor=floor.frechet, auroc_floor=floor.auroc)


def of_pairs(
    truth: Array, shown: Array, which: int, half: NDArray[np.bool_], sampling_hz: float
) -> Realism:
    """Of true and made (n_records, 8, n) mV; `half` (n_records,) is of `halves`."""
    open_rows = np.flatnonzero(~known(which)[INDEPENDENT_ROWS])
    names = [INDEPENDENT_LEADS[row] for row in open_rows]
    made = truth.copy()  # measured leads are the same in both: no sign of who made the rest
    made[:, open_rows] = shown[:, open_rows]
    r, rmse = r_and_rmse(truth[:, open_rows], made[:, open_rows])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = made[:, open_rows].var(-1) / truth[:, open_rows].var(-1)
        decibel = band_ratio_db(made[:, open_rows], truth[:, open_rows], sampling_hz)
        line = np.divide(*(hop_line(one[:, open_rows], sampling_hz) for one in (made, truth)))
    groups = {lead: [INDEPENDENT_LEADS.index(lead)] for lead in SINGLE_LEADS if lead in names}
    groups[TOGETHER] = open_rows.tolist()
    pairs = [features(TWELVE @ one, FRECHET_KERNELS) for one in (truth, made)]

    def by_lead(values: Array) -> dict[str, float]:
        return {lead: round(float(value), 4) for lead, value in zip(names, values, strict=True)}

    return Realism(
        label(which),
        by_lead(np.nanmean(r, 0)),
        by_lead(1000 * rmse.mean(0)),
        by_lead(np.nanmedian(ratio, 0)),
        by_lead(np.nanmedian(decibel, 0)),
        round(float(10 * np.log10(np.nanmedian(line, 0).max())), 2),
        round(frechet(*pairs), 5),
        {name: round(told_apart(truth[:, g], made[:, g], half), 4) for name, g in groups.items()},
    )


def hop_line(ecg: Array, sampling_hz: float) -> Array:
    """(..., n) -> (...) power about the rate of a decoder's hop, over that of the band beside it."""
    return band_power(ecg, sampling_hz, (61.5, 63.5)) / band_power(ecg, sampling_hz, (64.0, 68.0))


def features(ecg: Array, n_kernels: int, seed: int = SEED) -> Array:
    """(n_records, n_leads, n) mV -> (n_records, n_features) of convolutions that the seed alone chose.

    As many of each dilation, n_kernels at least; of what each makes of all leads: log RMS; mean size over
    RMS; share of samples beyond its RMS.
    """
    rng = np.random.default_rng((seed, ecg.shape[1]))
    signals = torch.from_numpy(ecg.astype(np.float32))
    found = []
    for dilation in DILATIONS:
        kernels = rng.standard_normal((-(-n_kernels // len(DILATIONS)), ecg.shape[1], KERNEL))
        kernels -= kernels.mean(-1, keepdims=True)
        kernels /= np.sqrt(np.square(kernels).sum((1, 2), keepdims=True))
        weight = torch.from_numpy(kernels.astype(np.float32))
        parts = []
        for start in range(0, len(signals), BATCH):
            some = signals[start : start + BATCH]
            y = torch.nn.functional.conv1d(some, weight, dilation=dilation)
            rms = y.square().mean(-1).sqrt() + 1e-6
            beyond = (y > rms[..., None]).float().mean(-1)
            parts.append(torch.cat([rms.log(), y.abs().mean(-1) / rms, beyond], 1))
        found.append(torch.cat(parts))
    return np.asarray(torch.cat(found, 1).numpy(), np.float64)


def frechet(true: Array, made: Array) -> float:
    """Squared Frechet distance, per feature, of Gaussians fitted to (n_records, n_features)."""
    centre, scale = true.mean(0), true.std(0) + 1e-9
    one, other = (true - centre) / scale, (made - centre) / scale
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # The eigenvalues of a product of two covariances are real and not negative, but for rounding.
    shared = np.sqrt(np.clip(np.linalg.eigvals(a @ b).real, 0, None)).sum()
    distance = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(a + b) - 2 * shared
    return float(distance / true.shape[1])


def halves(patient_id: list[str], seed: int = SEED) -> NDArray[np.bool_]:
    """(n_records,) which half each record is in; no patient is in both."""
    patients = sorted(set(patient_id))
    if len(patients) < 2:
        raise QuantizeError("realism needs records of two patients at least: give more --records")
    first = set(np.random.default_rng(seed).permutation(patients)[::2].tolist())
    return np.array([patient in first for patient in patient_id])


def told_apart(true: Array, made: Array, half: NDArray[np.bool_]) -> float:
    """AUROC of a linear judge that learned on one half of the patients, on the other; mean of both ways."""
    of_true, of_made = (features(one, AUROC_KERNELS) for one in (true, made))
    found = []
    for test in (half, ~half):
        judge = linear_judge(of_true[~test], of_made[~test])
        says = np.concatenate([judge(of_true[test]), judge(of_made[test])])
        found.append(float(auroc(says, np.repeat([True, False], test.sum()))))
    return float(np.mean(found))


def linear_judge(true: Array, made: Array) -> Callable[[Array], Array]:
    """Learns from (n_records, n_features) of each kind to score others: the higher, the more like true."""
    learn = np.concatenate([true, made])
    centre, scale = learn.mean(0), learn.std(0) + 1e-9
    x = (learn - centre) / scale
    y = np.concatenate([np.ones(len(true)), -np.ones(len(made))])
    weight = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ y)
    return lambda given: np.asarray((given - centre) / scale @ weight)
