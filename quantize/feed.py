"""From records to what the networks see: the causal conditioning of `edge`, anchors, and the target.

The feed is the one that ships: raw leads through `edge.signal.conditioning`, cold from the record's first
sample. What is compared is zero-phase high-passed, as PROTOCOL.md scores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.calibrate.fit import shrunk
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.signal.anchor import anchor_from_moments
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.augment import Augmentation, Noise, lead_maps
from quantize.data import zero_phase_highpass
from quantize.prepared import RESIDUAL, SEEN, TRUTH, Prepared

MASKS = np.array(
    [[m >> 2 & 1, m >> 1 & 1, m & 1] for m in range(1, 8)], bool
)  # all subsets but none
ALL_ON = len(MASKS) - 1
COLD_STARTS = 0.25


@dataclass(frozen=True)
class Batch:
    """One step of training, everything on the CPU in float32."""

    ecg: Tensor
    """(batch, 3, hop, frames) mV, residual branch, leads that are off at zero."""
    mask: Tensor
    """(batch, 3, frames), 1 where a lead is on."""
    anchor: Tensor
    """(batch, 5, 3)."""
    target: Tensor
    """(batch, 5, n_samples) mV: truth minus anchor, zero-phase high-passed."""
    truth: Tensor
    """(batch, 5, n_samples) mV, zero-phase high-passed."""
    taught: Tensor | None = None
    """As `target`, with what a teacher makes of the record in the place of the truth."""
    projection: Tensor | None = None
    """(batch, 8, 8) onto what is open, where any leads may be measured: `quantize.any_leads`. Then the rows
    of `ecg` and `mask` are LEADS, those of `target` and `truth` INDEPENDENT_LEADS."""


class Feed:
    """Turns records into batches, with the anchors of one second-moment matrix."""

    def __init__(
        self,
        spec: Conditioning,
        moments: NDArray[np.float64],
        hop: int = 4,
        noise: Noise | None = None,
    ) -> None:
        self.spec, self.moments, self.hop, self.noise = spec, moments, hop, noise
        self.anchors = np.stack([self._anchor(moments, mask) for mask in MASKS])
        self._inputs = lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)
        self._outputs = lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)

    @staticmethod
    def _anchor(moments: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        return anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS, mask)

    def prepare(
        self, ecg_mv: NDArray[np.float32], sampling_hz: float, subset: NDArray[np.intp]
    ) -> Batch:
        """Whole records, (batch, 8, n) mV with n a multiple of the hop; `subset` picks rows of MASKS."""
        batch, _, n = ecg_mv.shape
        mask, anchor = MASKS[subset], self.anchors[subset]
        measured = ecg_mv[:, self._inputs].reshape(-1, n)
        conditioned, residual, _ = Conditioner(
            self.spec, sampling_hz, len(measured), self.hop
        ).push(measured)
        on = mask[:, :, None].astype(np.float32)
        shown = residual.reshape(batch, -1, n) * on
        base = np.einsum("boi,bin->bon", anchor, conditioned.reshape(batch, -1, n) * on)
        truth = zero_phase_highpass(ecg_mv[:, self._outputs], sampling_hz)
        target = truth - zero_phase_highpass(base, sampling_hz)
        return self._batch(shown, on, anchor, target, truth)

    def whole(self, signals: NDArray[np.float16]) -> Batch:
        """Records of one pace as `Prepared.signals` keeps them, in their order, all inputs on."""
        residual, seen, truth = signals.astype(np.float32).swapaxes(0, 1)
        subset = np.full(len(signals), ALL_ON)
        on, anchor = MASKS[subset][:, :, None].astype(np.float32), self.anchors[subset]
        target = truth[:, self._outputs] - anchor @ seen[:, self._inputs]
        return self._batch(residual[:, self._inputs], on, anchor, target, truth[:, self._outputs])

    def batches(
        self,
        records: Prepared,
        size: int,
        augmentation: Augmentation,
        n_samples: int | None,
        seed: int,
    ) -> Iterator[Batch]:
        """One shuffled pass over the records, augmented, cropped at random to `n_samples`; seeded.

        With None for `n_samples` the records stay whole, and the last batch may be smaller.
        """
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(records))
        whole = n_samples is None
        for start in range(0, len(order) if whole else len(order) - size + 1, size):
            rows = order[start : start + size]
            yield self._drawn(records, rows, augmentation, n_samples, rng)

    def _drawn(
        self,
        records: Prepared,
        rows: NDArray[np.intp],
        augmentation: Augmentation,
        n_samples: int | None,
        rng: np.random.Generator,
    ) -> Batch:
        """The records in `rows`, each augmented by itself."""
        size = len(rows)
        n = records.signals[records.at_rest].shape[-1] if n_samples is None else n_samples
        parts = np.empty((3, size, len(INDEPENDENT_LEADS), n), np.float32)
        lessons = np.empty((size, len(self._outputs), n), np.float32) if records.taught else None
        # A stream starts cold: so does every fourth batch, at the first sample of its records.
        cold = rng.random() < COLD_STARTS or n_samples is None
        for i, row in enumerate(rows.tolist()):
            pace, at = records.crop(n, self.hop, augmentation.stretch, cold, rng)
            parts[:, i] = records.signals[pace][row, :, :, at]
            if lessons is not None:
                lessons[i] = records.taught[pace][row, :, at]
        maps = lead_maps(augmentation, size, rng)
        residual = maps[:, self._inputs] @ parts[RESIDUAL]
        seen = maps[:, self._inputs] @ parts[SEEN]
        truth = maps[:, self._outputs] @ parts[TRUTH]
        subset = np.where(
            rng.random(size) < augmentation.lead_off, rng.integers(0, ALL_ON, size), ALL_ON
        )
        anchor = self.anchors[subset].copy()
        for i in np.flatnonzero(rng.random(size) < augmentation.own_anchor).tolist():
            own = maps[i] @ records.moments[rows[i]] @ maps[i].T
            anchor[i] = self._anchor(shrunk(own, self.moments), MASKS[subset[i]])
        if self.noise is not None:
            self.noise.add(residual, seen, augmentation.noise, rng)
        on = MASKS[subset][:, :, None].astype(np.float32)
        base = anchor @ (seen * on)
        taught = None
        if lessons is not None:
            # All leads, since the heart may be turned: the teacher knew the measured ones as they are.
            every = parts[TRUTH]
            every[:, self._outputs] = lessons
            taught = maps[:, self._outputs] @ every - base
        return self._batch(residual * on, on, anchor, truth - base, truth, taught)

    def _batch(
        self,
        shown: NDArray[np.float32],
        on: NDArray[np.float32],
        anchor: NDArray[np.float32],
        target: NDArray[np.floating],
        truth: NDArray[np.floating],
        taught: NDArray[np.float32] | None = None,
    ) -> Batch:
        frames = shown.shape[-1] // self.hop
        framed = torch.from_numpy(shown.reshape(*shown.shape[:2], frames, self.hop))
        return Batch(
            framed.transpose(2, 3).contiguous(),
            torch.from_numpy(np.repeat(on, frames, 2)),
            torch.from_numpy(anchor),
            torch.from_numpy(target.astype(np.float32)),
            torch.from_numpy(truth.astype(np.float32)),
            None if taught is None else torch.from_numpy(taught),
        )


def samples_from_frames(framed: Tensor) -> Tensor:
    """(batch, leads, hop, frames) -> (batch, leads, hop * frames)."""
    return framed.transpose(2, 3).flatten(2)
