"""From records to what an any-lead network sees: the leads known, their mask, the anchor, what is open.

As `quantize.feed`, with the twelve LEADS in and the eight INDEPENDENT_LEADS out. Each batch has the
randomness of its step alone, so a run goes on from any step as if it had not been interrupted.

The leads of a crop stay the same: where they change within a record, what was trained so costs 3 to 7 % of
RMSE for a second, and nothing after it (83 records of fold 9, six changes, step 2,700).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.calibrate.fit import shrunk
from edge.lead_subsets import N_CLASSES, TWELVE, anchor_of, known, projection
from edge.leads import INDEPENDENT_LEADS
from quantize.any_leads.sampling import Sampling
from quantize.augment import Augmentation, Noise, lead_maps
from quantize.errors import QuantizeError
from quantize.feed import COLD_STARTS, Batch
from quantize.prepared import RESIDUAL, SEEN, TRUTH, Prepared

_TWELVE = TWELVE.astype(np.float32)
WHITE_NOISE_RMS_MV = (0.002, 0.015)  # white noise on the inputs: an amplifier's, good and poor


@dataclass(frozen=True)
class Source:
    """Records of one kind, all of one length."""

    records: Prepared
    rows: NDArray[np.intp]
    """Which of them train."""
    share: float
    """Of what is drawn."""


class Mixture:
    """Records of several kinds, drawn by their shares, every one of a kind as often as the others."""

    def __init__(self, *sources: Source) -> None:
        if not sources or not all(len(source.rows) for source in sources):
            raise QuantizeError("no records to train on: ask for more patients")
        self.sources = sources
        shares = np.array([source.share for source in sources])
        self._until = np.cumsum(shares / shares.sum())

    def __len__(self) -> int:
        return sum(len(source.rows) for source in self.sources)

    def draw(self, n: int, rng: np.random.Generator) -> list[tuple[Prepared, int]]:
        """n records, each with its row."""
        kind = np.minimum(np.searchsorted(self._until, rng.random(n)), len(self.sources) - 1)
        drawn = [self.sources[k] for k in kind.tolist()]
        return [(one.records, int(rng.choice(one.rows))) for one in drawn]


class AnyFeed:
    """Turns records into batches of any leads, with the anchors of one second-moment matrix."""

    def __init__(
        self, moments: NDArray[np.float64], hop: int = 4, noise: Noise | None = None
    ) -> None:
        self.moments, self.hop, self.noise = moments, hop, noise
        every = range(N_CLASSES)
        self.known = np.stack([known(c) for c in every]).astype(np.float32)
        self.anchors = np.stack([anchor_of(moments, c) for c in every]).astype(np.float32)
        self.projections = np.stack([projection(c) for c in every]).astype(np.float32)

    def batches(
        self,
        mixture: Mixture,
        size: int,
        augmentation: Augmentation,
        sampling: Sampling,
        n_samples: int,
        seed: int,
        steps: range,
    ) -> Iterator[Batch]:
        """A batch for each step: augmented, cropped at random to `n_samples`, of leads drawn anew."""
        for step in steps:
            rng = np.random.default_rng((seed, step))
            yield self._drawn(mixture, size, augmentation, sampling, n_samples, rng)

    def whole(self, signals: NDArray[np.floating], which: int) -> Batch:
        """Records of one pace as `Prepared.signals` keeps them, all of one class."""
        residual, seen, truth = signals.astype(np.float32).swapaxes(0, 1)
        classes = np.full(len(signals), which)
        return self._batch(residual, seen, truth, classes, self.anchors[classes])

    def _drawn(
        self,
        mixture: Mixture,
        size: int,
        augmentation: Augmentation,
        sampling: Sampling,
        n: int,
        rng: np.random.Generator,
    ) -> Batch:
        drawn = mixture.draw(size, rng)
        parts = np.empty((3, size, len(INDEPENDENT_LEADS), n), np.float32)
        # A stream starts cold: so does every fourth batch, at the first sample of its records.
        cold = rng.random() < COLD_STARTS
        for i, (records, row) in enumerate(drawn):
            pace, at = records.crop(n, self.hop, augmentation.stretch, cold, rng)
            parts[:, i] = records.signals[pace][row, :, :, at]
        maps = lead_maps(augmentation, size, rng)
        residual, seen, truth = (maps @ parts[kind] for kind in (RESIDUAL, SEEN, TRUTH))
        classes = sampling.draw(size, rng)
        anchor = self.anchors[classes].copy()
        for i in np.flatnonzero(rng.random(size) < augmentation.own_anchor).tolist():
            records, row = drawn[i]
            own = maps[i] @ records.moments[row] @ maps[i].T
            anchor[i] = anchor_of(shrunk(own, self.moments), int(classes[i]))
        if self.noise is not None:
            self.noise.add(residual, seen, augmentation.noise, rng)
        for i in np.flatnonzero(rng.random(size) < augmentation.white_noise).tolist():
            level = np.float32(np.exp(rng.uniform(*np.log(WHITE_NOISE_RMS_MV))))
            white_noise = level * rng.standard_normal(residual[i].shape, np.float32)
            residual[i] += white_noise
            seen[i] += white_noise
        return self._batch(residual, seen, truth, classes, anchor)

    def _batch(
        self,
        residual: NDArray[np.float32],
        seen: NDArray[np.float32],
        truth: NDArray[np.float32],
        classes: NDArray[np.intp],
        anchor: NDArray[np.float32],
    ) -> Batch:
        on = self.known[classes][:, :, None]
        shown = (_TWELVE @ residual) * on
        base = anchor @ ((_TWELVE @ seen) * on)
        frames = shown.shape[-1] // self.hop
        framed = torch.from_numpy(shown.reshape(*shown.shape[:2], frames, self.hop))
        return Batch(
            framed.transpose(2, 3).contiguous(),
            torch.from_numpy(np.repeat(on, frames, 2)),
            torch.from_numpy(anchor),
            torch.from_numpy(truth - base),
            torch.from_numpy(truth),
            projection=torch.from_numpy(self.projections[classes]),
        )
