"""What befalls the measured leads in the field: noise, an electrode off, gaps, gain, leads misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, lead_indices
from firmware_bridge.simulators.ecg import LEAD_VECTORS
from quantize.data import data_folder
from quantize.errors import QuantizeError

NOISE_KINDS = {"bw": "baseline wander", "em": "electrode motion", "ma": "muscle"}
SNR_DB = (24, 12, 6, 0)
GAPS_S = (0.02, 0.1, 0.5, 2.0)
GAP_FROM_S = 5.0
GAIN = 1.05
INTERSPACE_DEG = 12.0  # 2.5 cm up on the chest, 12 cm from the heart's middle

Signals = NDArray[np.float32]


@dataclass(frozen=True)
class Disturbance:
    """`change` takes a record, (n_leads, n_samples) mV, and its number, and gives a new array."""

    name: str
    group: str
    change: Callable[[Signals, int], Signals]


def load_noise(folder: Path | None = None) -> dict[str, Signals]:
    """By NOISE_KINDS (2, n) mV at 250 Hz: the second half of NSTDB, since the first trained the decoder.

    Raises QuantizeError where it is missing.
    """
    file = (folder or data_folder()) / "nstdb_noise.npz"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            every = {kind: arrays[kind] for kind in NOISE_KINDS}
    except FileNotFoundError as error:
        raise QuantizeError(f"{file} is missing: see the data page of the README") from error
    return {
        kind: noise[:, noise.shape[1] // 2 :].astype(np.float32) / np.float32(1000)
        for kind, noise in every.items()
    }


def noisy(noise: Signals, snr_db: float, ecg_mv: Signals, record: int) -> Signals:
    """Each lead with a stretch of its own, so large that its power is the lead's less `snr_db`.

    Powers are those about the mean of the whole record; a flat lead stays flat. The stretches depend on
    `record` alone: the same at every SNR.
    """
    rng, n = np.random.default_rng(record), ecg_mv.shape[1]
    out = ecg_mv.copy()
    for lead in out:
        start = rng.integers(noise.shape[1] - n)
        added = noise[rng.integers(len(noise)), start : start + n]
        power = max(float(added.var()), 1e-12)
        lead += (added - added.mean()) * np.float32(
            np.sqrt(float(lead.var()) / power) * 10 ** (-snr_db / 20)
        )
    return out


def gap(seconds: float, sampling_hz: float, ecg_mv: Signals, record: int) -> Signals:
    """All leads missing from GAP_FROM_S on."""
    out = ecg_mv.copy()
    out[:, round(GAP_FROM_S * sampling_hz) : round((GAP_FROM_S + seconds) * sampling_hz)] = np.nan
    return out


def scaled(row: int, factor: float, ecg_mv: Signals, record: int) -> Signals:
    """One lead times a factor: NaN for an electrode that is off."""
    out = ecg_mv.copy()
    out[row] *= np.float32(factor)
    return out


def exchanged(rows: tuple[int, int], ecg_mv: Signals, record: int) -> Signals:
    """Two leads in each other's place."""
    out = ecg_mv.copy()
    out[list(rows)] = ecg_mv[list(rows[::-1])]
    return out


def too_high(rows: tuple[int, ...], ecg_mv: Signals, record: int) -> Signals:
    """Chest electrodes one interspace too high, by a model: the dipole that the leads tell, seen from there.

    Each lead vector (Dower's) turns towards the head by INTERSPACE_DEG; what no dipole explains stays.
    """
    of = LEAD_VECTORS[lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)]
    seen = of.copy()
    for row in rows:
        across, up = (
            np.hypot(of[row, 0], of[row, 2]),
            -of[row, 1],
        )  # the second axis points to the feet
        angle = np.arctan2(up, across) + np.deg2rad(INTERSPACE_DEG)
        length = np.hypot(across, up)
        seen[row, [0, 2]] *= length * np.cos(angle) / across
        seen[row, 1] = -length * np.sin(angle)
    change = (seen - of) @ np.linalg.pinv(of)
    return np.asarray(ecg_mv + change @ ecg_mv, np.float32)


def disturbances(noise: dict[str, Signals], sampling_hz: float) -> Iterator[Disturbance]:
    """All that are measured, of INPUT_LEADS."""
    leads = tuple(enumerate(INPUT_LEADS))
    for kind, what in NOISE_KINDS.items():
        for db in SNR_DB:
            yield Disturbance(f"{what}, {db} dB", f"{db} dB", partial(noisy, noise[kind], db))
    for row, lead in leads:
        yield Disturbance(f"{lead} off", "off", partial(scaled, row, float("nan")))
    for seconds in GAPS_S:
        ms = f"{seconds * 1e3:.0f} ms"
        yield Disturbance(f"gap of {ms}", f"gap {ms}", partial(gap, seconds, sampling_hz))
    for row, lead in leads:
        yield Disturbance(f"{lead} {GAIN - 1:+.0%}", "gain", partial(scaled, row, GAIN))
    for (i, a), (j, b) in combinations(leads, 2):
        yield Disturbance(f"{a} and {b} exchanged", "exchanged", partial(exchanged, (i, j)))
    for row, lead in leads:
        yield Disturbance(f"{lead} inverted", "inverted", partial(scaled, row, -1.0))
    chest = tuple(row for row, lead in leads if lead.startswith("V"))
    for rows in (*((row,) for row in chest), chest):
        names = " and ".join(INPUT_LEADS[row] for row in rows)
        name = f"{names} an interspace too high (model)"
        yield Disturbance(name, "too high", partial(too_high, rows))
