"""What is done to a training record behind the filters: one matrix over its leads, and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.signal.conditioning import Conditioner, Conditioning
from firmware_bridge.simulators.ecg import LEAD_VECTORS
from quantize.data import data_folder, zero_phase_highpass
from quantize.errors import QuantizeError

NOISE_KINDS = ("bw", "em", "ma")  # baseline wander, electrode motion, muscle
NOISE_HZ = 250.0
NOISE_RMS_MV = (0.005, 0.08)  # of a record of 0.2 mV rms: 32 to 8 dB
LEAST_SHARE = 0.25  # of the loudest lead's noise, in the quietest
LEAST_RMS_MV = 1e-6  # of a piece: a flat one stays flat


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training record; all off for validation."""

    stretch: bool = True
    """Played at one of PACES."""
    gain: float = 0.15
    """Louder or softer by up to this factor, in natural logarithms."""
    rotation_deg: float = 3.0
    """The heart turned in the chest by up to so much (3KG, Gopal et al. 2021, arXiv 2106.04452)."""
    axes: float = 0.02
    """Standard deviation of the log gain of each of the heart's three axes."""
    noise: float = 0.15
    """Share of records with recorded noise on the inputs, which the targets lack."""
    lead_off: float = 0.2
    """Share of records with one or two inputs off."""
    own_anchor: float = 0.1
    """Share of records whose anchor is shrunk towards their own, as calibration makes it."""
    white_noise: float = 0.0
    """Share of records with white noise on the inputs: of any leads alone."""

    @classmethod
    def none(cls) -> Augmentation:
        """The record as it is."""
        return cls(False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def calm(self) -> Augmentation:
        """Without what turns the heart, adds noise or moves the anchor."""
        return replace(self, rotation_deg=0.0, axes=0.0, noise=0.0, own_anchor=0.0, white_noise=0.0)


def lead_maps(augmentation: Augmentation, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, 8, 8) matrices over INDEPENDENT_LEADS: gain, and the heart's dipole turned and stretched.

    The dipole is what Dower's lead vectors see of the leads by least squares; the rest stays as it is.
    """
    gains = np.exp(augmentation.gain * rng.uniform(-1, 1, (n, 1, 1)))
    axis = rng.standard_normal((n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.deg2rad(augmentation.rotation_deg) * rng.uniform(0, 1, n)
    turned = _rotations(axis, angle) * np.exp(augmentation.axes * rng.standard_normal((n, 1, 3)))
    change = LEAD_VECTORS @ (turned - np.eye(3)) @ np.linalg.pinv(LEAD_VECTORS)
    return np.asarray(gains * (np.eye(8) + change), np.float32)


def _rotations(axis: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3, 3) rotations about unit vectors (Rodrigues)."""
    k = np.cross(axis[:, None], np.eye(3))
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.asarray(np.eye(3) + s * k + (1 - c) * (k @ k))


class Noise:
    """Recorded noise behind the filters of the feed, to add to the inputs of training records."""

    def __init__(self, noise_mv: NDArray[np.float32], spec: Conditioning, hop: int) -> None:
        noise_mv = noise_mv[:, : noise_mv.shape[1] // hop * hop]
        seen, residual, _ = Conditioner(spec, NOISE_HZ, len(noise_mv), hop).push(noise_mv)
        self.signals = np.stack([residual, zero_phase_highpass(seen, NOISE_HZ)]).astype(np.float32)
        """(2, n_channels, n_samples) mV: the residual branch; conditioned, zero-phase high-passed."""

    @classmethod
    def load(cls, spec: Conditioning, hop: int, folder: Path | None = None) -> Noise:
        """The first half of each channel of the MIT-BIH Noise Stress Test: the second half is for tests.

        Raises QuantizeError if it is missing.
        """
        file = (folder or data_folder()) / "nstdb_noise.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                every = np.concatenate([arrays[kind] for kind in NOISE_KINDS])
        except (OSError, KeyError) as error:
            raise QuantizeError(f"no noise in {file}: fetch the data again ({error})") from error
        half = every[:, : every.shape[1] // 2].astype(np.float32)
        return cls(half / np.float32(1000), spec, hop)

    def add(
        self,
        residual: NDArray[np.float32],
        seen: NDArray[np.float32],
        share: float,
        rng: np.random.Generator,
    ) -> None:
        """To a share of records, in place; both (n_records, n_leads, n_samples) mV."""
        _, n_leads, n = residual.shape
        for i in np.flatnonzero(rng.random(len(residual)) < share).tolist():
            noise = self.draw(n_leads, n, rng)
            residual[i] += noise[0]
            seen[i] += noise[1]

    def draw(self, n_leads: int, n_samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(2, n_leads, n_samples) mV for one record, each lead with a piece and a level of its own."""
        out = np.empty((2, n_leads, n_samples), np.float32)
        for lead, (channel, start, level) in enumerate(self.pieces(n_leads, n_samples, rng)):
            piece = self.signals[:, channel, start : start + n_samples]
            rms = np.sqrt(np.square(piece[1]).mean()) + LEAST_RMS_MV
            out[:, lead] = piece * np.float32(level / rms)
        return out

    def pieces(
        self, n_leads: int, n_samples: int, rng: np.random.Generator
    ) -> list[tuple[int, int, float]]:
        """For each lead of one record the channel, the first sample, and the level in mV rms."""
        level = np.exp(rng.uniform(*np.log(NOISE_RMS_MV)))
        channels, last = self.signals.shape[1], self.signals.shape[2] - n_samples
        return [
            (
                int(rng.integers(channels)),
                int(rng.integers(last)),
                float(level * rng.uniform(LEAST_SHARE, 1)),
            )
            for _ in range(n_leads)
        ]
