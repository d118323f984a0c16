"""What a step of any-lead training draws: a few numbers for each crop, and no samples.

They are drawn with NumPy, with the randomness of the step alone, so a run goes on from any step as if it had
not been interrupted, and on another device with the same crops. `AnyFeed.rendered` makes signals of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.calibrate.fit import shrunk
from edge.lead_subsets import anchor_of
from edge.leads import INDEPENDENT_LEADS
from quantize.any_leads.sampling import Sampling
from quantize.augment import Augmentation, Noise, lead_maps
from quantize.errors import QuantizeError
from quantize.feed import COLD_STARTS
from quantize.prepared import Prepared

WHITE_NOISE_RMS_MV = (0.002, 0.015)  # white noise on the inputs: an amplifier's, good and poor
DRAWN_WITHIN_S = 600  # seconds; a draw takes milliseconds


@dataclass(frozen=True)
class Source:
    """Records of one kind, all of one length."""

    records: Prepared
    rows: NDArray[np.intp]
    """Which of them train."""
    share: float
    """Of what is drawn."""


@dataclass(frozen=True)
class Crop:
    """Where a crop lies."""

    source: int
    pace: int
    row: int
    start: int


class Mixture:
    """Records of several kinds, drawn by their shares, every one of a kind as often as the others."""

    def __init__(self, *sources: Source) -> None:
        if not sources or not all(len(source.rows) for source in sources):
            raise QuantizeError("no records to train on: ask for more patients")
        self.sources = sources
        shares = np.array([source.share for source in sources])
        self._until = np.cumsum(shares / shares.sum())
        self._signals: dict[torch.device, dict[tuple[int, int], torch.Tensor]] = {}

    def __len__(self) -> int:
        return sum(len(source.rows) for source in self.sources)

    def draw(self, n: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """n records, each as the number of its source and its row there."""
        kind = np.minimum(np.searchsorted(self._until, rng.random(n)), len(self.sources) - 1)
        return [(k, int(rng.choice(self.sources[k].rows))) for k in kind.tolist()]

    def signals(self, device: torch.device) -> dict[tuple[int, int], torch.Tensor]:
        """By source and pace (n_records, 3, 8, n) float16 mV, as `Prepared.signals`, on a device to stay."""
        if device not in self._signals:
            self._signals[device] = {
                (kind, pace): torch.from_numpy(signals).to(device)
                for kind, source in enumerate(self.sources)
                for pace, signals in enumerate(source.records.signals)
            }
        return self._signals[device]


@dataclass(frozen=True)
class Drawn:
    """One step's draw, the crops of one source and pace side by side."""

    crops: list[Crop]
    maps: NDArray[np.float32]
    """(batch, 8, 8) over INDEPENDENT_LEADS."""
    classes: NDArray[np.intp]
    """(batch,) which leads are known."""
    anchor: NDArray[np.float32]
    """(batch, 8, 12)."""
    noisy: list[tuple[int, list[tuple[int, int, float]]]]
    """Crops with recorded noise, each with the `Noise.pieces` of its leads."""
    white: list[tuple[int, float]]
    """Crops with white noise, each with its level in mV rms."""
    seed: int
    """Of the white noise."""


@dataclass(frozen=True)
class Draws:
    """The draws of a run by step: what worker processes of a `DataLoader` make ahead."""

    mixture: Mixture
    anchors: NDArray[np.float32]
    """(n_classes, 8, 12)."""
    moments: NDArray[np.float64]
    hop: int
    noise: Noise | None
    augmentation: Augmentation
    sampling: Sampling
    size: int
    n_samples: int
    seed: int

    def __getitem__(self, step: int) -> Drawn:
        rng, size = np.random.default_rng((self.seed, step)), self.size
        how = self.augmentation
        records = self.mixture.draw(size, rng)
        # A stream starts cold: so does every fourth batch, at the first sample of its records.
        cold = rng.random() < COLD_STARTS
        crops = []
        for kind, row in records:
            prepared = self.mixture.sources[kind].records
            pace, at = prepared.crop(self.n_samples, self.hop, how.stretch, cold, rng)
            crops.append(Crop(kind, pace, row, at.start))
        crops.sort(key=lambda crop: (crop.source, crop.pace))
        maps = lead_maps(how, size, rng)
        classes = self.sampling.draw(size, rng)
        anchor = self.anchors[classes].copy()
        for i in np.flatnonzero(rng.random(size) < how.own_anchor).tolist():
            moments = self.mixture.sources[crops[i].source].records.moments[crops[i].row]
            own = maps[i] @ moments @ maps[i].T
            anchor[i] = anchor_of(shrunk(own, self.moments), int(classes[i]))
        noisy = []
        if self.noise is not None:
            for i in np.flatnonzero(rng.random(size) < how.noise).tolist():
                pieces = self.noise.pieces(len(INDEPENDENT_LEADS), self.n_samples, rng)
                noisy.append((i, pieces))
        loud = np.flatnonzero(rng.random(size) < how.white_noise)
        low, high = np.log(WHITE_NOISE_RMS_MV)
        levels = np.exp(rng.uniform(low, high, len(loud)))
        white = list(zip(loud.tolist(), levels.tolist(), strict=True))
        return Drawn(crops, maps, classes, anchor, noisy, white, int(rng.integers(1 << 62)))

    def ahead(self, steps: range, workers: int) -> Iterator[Drawn]:
        """Those of the steps, in order; `workers` processes draw ahead, with 0 none does."""
        loader = torch.utils.data.DataLoader[Drawn](
            self,  # type: ignore[arg-type]  # what it asks of a dataset is __getitem__
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            multiprocessing_context="fork" if workers else None,  # others would copy the records
            timeout=DRAWN_WITHIN_S if workers else 0,  # a worker forked beside threads may hang
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # there is no list without batch_size
        )
        return iter(loader)


def _as_it_is(drawn: Drawn) -> Drawn:
    return drawn
