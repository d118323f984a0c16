"""From raw records to what the student sees: the causal conditioning of `edge`, anchors, and the target.

The feed is the one that ships: raw leads through `edge.conditioning`, cold from the first sample of the
record. What is compared is zero-phase high-passed, as EVALUATION scores it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.anchor import anchor_from_moments
from edge.conditioning import Conditioner, Conditioning
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records, zero_phase_highpass

MASKS = np.array(
    [[m >> 2 & 1, m >> 1 & 1, m & 1] for m in range(1, 8)], bool
)  # all subsets but none

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


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training record; all off for validation."""

    stretch: float = 0.15
    gain: float = 0.15
    lead_off: float = 0.2
    """Share of records with one or two inputs off."""

    @classmethod
    def none(cls) -> Augmentation:
        """The record as it is."""
        return cls(0.0, 0.0, 0.0)


class Feed:
    """Turns records into batches, with the anchors of one second-moment matrix."""

    def __init__(self, spec: Conditioning, moments: NDArray[np.float64], hop: int = 4) -> None:
        self.spec, self.moments, self.hop = spec, moments, hop
        self.anchors = np.stack(
            [anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS, mask) for mask in MASKS]
        )
        self._inputs = lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)
        self._outputs = lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)

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
        frames = n // self.hop
        return Batch(
            torch.from_numpy(shown.reshape(batch, -1, frames, self.hop))
            .transpose(2, 3)
            .contiguous(),
            torch.from_numpy(np.repeat(on, frames, 2)),
            torch.from_numpy(anchor),
            torch.from_numpy(target.astype(np.float32)),
            torch.from_numpy(truth.astype(np.float32)),
        )

    def batches(
        self, records: Records, size: int, augmentation: Augmentation, crop_s: float, seed: int
    ) -> Iterator[Batch]:
        """One shuffled pass over the records, augmented, cropped at random; seeded."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(records))
        crop = round(crop_s * records.sampling_hz / self.hop)
        for start in range(0, len(order) - size + 1, size):
            ecg = records.ecg_uv[order[start : start + size]].astype(np.float32) / np.float32(1000)
            ecg = time_stretch(ecg, 1 + augmentation.stretch * rng.uniform(-1, 1), self.hop)
            ecg *= (1 + augmentation.gain * rng.uniform(-1, 1, (len(ecg), 1, 1))).astype(np.float32)
            subset = np.where(
                rng.random(len(ecg)) < augmentation.lead_off,
                rng.integers(0, len(MASKS) - 1, len(ecg)),
                len(MASKS) - 1,
            )
            whole = self.prepare(ecg, records.sampling_hz, subset)
            # A stream starts cold: so does every fourth batch, at the first sample of its records.
            last = whole.ecg.shape[-1] - crop
            first = int(rng.integers(0, last + 1)) if rng.random() >= COLD_STARTS else 0
            frames = slice(first, first + crop)
            samples = slice(first * self.hop, (first + crop) * self.hop)
            yield Batch(
                whole.ecg[..., frames],
                whole.mask[..., frames],
                whole.anchor,
                whole.target[..., samples],
                whole.truth[..., samples],
            )


def time_stretch(ecg_mv: NDArray[np.float32], factor: float, hop: int) -> NDArray[np.float32]:
    """Play (..., n) samples `factor` times slower, by cubic interpolation (Catmull-Rom), to whole hops."""
    n = ecg_mv.shape[-1]
    length = int((n - 3) * factor) // hop * hop
    at = 1 + np.arange(length) / factor
    i = np.minimum(at.astype(np.intp), n - 3)
    t = (at - i).astype(np.float32)
    p0, p1, p2, p3 = (ecg_mv[..., i + k] for k in (-1, 0, 1, 2))
    stretched = p1 + 0.5 * t * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    return np.ascontiguousarray(stretched, np.float32)


def samples_from_frames(framed: Tensor) -> Tensor:
    """(batch, leads, hop, frames) -> (batch, leads, hop * frames)."""
    return framed.transpose(2, 3).flatten(2)
