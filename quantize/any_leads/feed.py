"""From records to what an any-lead network sees: the leads known, their mask, the anchor, what is open.

As `quantize.feed`, with the twelve LEADS in and the eight INDEPENDENT_LEADS out, on any device of torch. Each
batch has the randomness of its step alone, so a run goes on from any step as if it had not been interrupted.

The leads of a crop stay the same: where they change within a record, what was trained so costs 3 to 7 % of
RMSE for a second, and nothing after it (83 records of fold 9, six changes, step 2,700).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.lead_subsets import N_CLASSES, TWELVE, anchor_of, known, projection
from edge.leads import INDEPENDENT_LEADS
from quantize.any_leads.drawn import Drawn, Draws, Mixture
from quantize.any_leads.sampling import Sampling
from quantize.augment import LEAST_RMS_MV, Augmentation, Noise
from quantize.feed import Batch
from quantize.prepared import RESIDUAL, SEEN, TRUTH

CPU = torch.device("cpu")


class AnyFeed:
    """Turns records into batches of any leads, with the anchors of one second-moment matrix."""

    def __init__(
        self,
        moments: NDArray[np.float64],
        hop: int = 4,
        noise: Noise | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.moments, self.hop, self.noise, self.device = moments, hop, noise, device
        every = range(N_CLASSES)
        self.anchors = np.stack([anchor_of(moments, c) for c in every]).astype(np.float32)
        of_classes = np.stack([known(c) for c in every]), np.stack([projection(c) for c in every])
        self._known, self._projections, self._twelve = (
            torch.from_numpy(one.astype(np.float32)).to(device) for one in (*of_classes, TWELVE)
        )
        self._noise = None if noise is None else torch.from_numpy(noise.signals).to(device)

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
        """A batch for each step: augmented, cropped at random to `n_samples`, of leads drawn anew.

        For a GPU the records go there, and other processes draw ahead.
        """
        draws = Draws(
            mixture,
            self.anchors,
            self.moments,
            self.hop,
            self.noise,
            augmentation,
            sampling,
            size,
            n_samples,
            seed,
        )
        workers = 0 if self.device == CPU else max(1, (os.cpu_count() or 1) - 2)
        ahead = draws.ahead(steps, workers)
        signals = mixture.signals(self.device)
        for drawn in ahead:
            yield self.rendered(drawn, signals, n_samples)

    def rendered(
        self, drawn: Drawn, signals: dict[tuple[int, int], Tensor], n_samples: int
    ) -> Batch:
        """The batch of a draw, from records as `Mixture.signals` gives them."""
        size = len(drawn.crops)
        parts = torch.empty((size, 3, len(INDEPENDENT_LEADS), n_samples), device=self.device)
        at = 0
        for key, some in groupby(drawn.crops, lambda crop: (crop.source, crop.pace)):
            crops = list(some)
            rows = self._put([crop.row for crop in crops])
            hops = self._put([crop.start // self.hop for crop in crops])
            windows = signals[key].unfold(-1, n_samples, self.hop)
            parts[at : at + len(crops)] = windows[rows, :, :, hops]
            at += len(crops)
        maps = self._put(drawn.maps)
        residual, seen, truth = (maps @ parts[:, kind] for kind in (RESIDUAL, SEEN, TRUTH))
        if drawn.noisy:
            self._add_noise(residual, seen, drawn.noisy)
        if drawn.white:
            rows, levels = (self._put(one) for one in zip(*drawn.white, strict=True))
            source = torch.Generator(self.device).manual_seed(drawn.seed)
            noise = torch.randn(
                len(rows), *residual.shape[1:], device=self.device, generator=source
            )
            noise *= levels.float()[:, None, None]
            residual[rows] += noise
            seen[rows] += noise
        return self._batch(residual, seen, truth, drawn.classes, drawn.anchor)

    def whole(self, signals: NDArray[np.floating], which: int) -> Batch:
        """Records of one pace as `Prepared.signals` keeps them, all of one class."""
        residual, seen, truth = (
            self._put(np.ascontiguousarray(one))
            for one in signals.astype(np.float32).swapaxes(0, 1)
        )
        classes = np.full(len(signals), which)
        return self._batch(residual, seen, truth, classes, self.anchors[classes])

    def _add_noise(
        self,
        residual: Tensor,
        seen: Tensor,
        noisy: list[tuple[int, list[tuple[int, int, float]]]],
    ) -> None:
        assert self._noise is not None
        every = [piece for _, pieces in noisy for piece in pieces]
        channels, starts, levels = (self._put(one) for one in zip(*every, strict=True))
        n = residual.shape[-1]
        pieces = self._noise.unfold(-1, n, 1)[:, channels, starts]  # (2, crops * leads, n)
        rms = pieces[1].square().mean(-1).sqrt() + LEAST_RMS_MV
        pieces = pieces * (levels.float() / rms)[:, None]
        rows = self._put([i for i, _ in noisy])
        for to, noise in zip((residual, seen), pieces, strict=True):
            to[rows] += noise.view(len(noisy), -1, n)

    def _batch(
        self,
        residual: Tensor,
        seen: Tensor,
        truth: Tensor,
        classes: NDArray[np.intp],
        anchors: NDArray[np.float32],
    ) -> Batch:
        which, anchor = self._put(classes), self._put(anchors)
        on = self._known[which][:, :, None]
        shown = (self._twelve @ residual) * on
        base = anchor @ ((self._twelve @ seen) * on)
        frames = shown.shape[-1] // self.hop
        framed = shown.view(*shown.shape[:2], frames, self.hop)
        return Batch(
            framed.transpose(2, 3).contiguous(),
            on.repeat_interleave(frames, 2),
            anchor,
            truth - base,
            truth,
            projection=self._projections[which],
        )

    def _put(self, values: Any) -> Tensor:
        """On the device; from pinned memory, since a copy from other memory waits for the GPU."""
        here = torch.as_tensor(values)
        return here if self.device == CPU else here.pin_memory().to(self.device, non_blocking=True)
