"""What goes to a shard and comes back: all its patients as a few arrays, since each object costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.fleet.waiting import Run
from edge.patient.patient import Patient as Calibration
from edge.samples import FLOAT32

Floats = NDArray[np.float32]
Bits = NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class Batch:
    """Samples of some patients, one after another."""

    names: list[str]
    firsts: list[int]
    counts: list[int]
    """Samples of each lead of each patient."""
    leads: list[tuple[str, ...]]
    ecg_mv: Floats
    """All of one patient, lead by lead, then the next."""
    marked: list[int]
    """Which of them bring quality bits."""
    quality: Bits
    """As `ecg_mv`, of those."""
    leaving: list[str] = field(default_factory=list)
    """Patients whose slots are free from now on."""
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    """Of those who come and have one."""

    def __iter__(self) -> Iterator[tuple[str, int, tuple[str, ...], Floats, Bits | None]]:
        """(name, first sample, leads, (n_leads, n) mV, bits or None) of each patient."""
        at = at_bits = 0
        ecg_mv = self.ecg_mv.view(
            FLOAT32
        )  # another process made a dtype of its own, which costs a look
        marked = set(self.marked)
        for i, name in enumerate(self.names):
            shape = (len(self.leads[i]), self.counts[i])
            size = shape[0] * shape[1]
            bits = None
            if i in marked:
                bits = self.quality[at_bits : at_bits + size].reshape(shape)
                at_bits += size
            yield (
                name,
                self.firsts[i],
                self.leads[i],
                ecg_mv[at : at + size].reshape(shape),
                bits,
            )
            at += size


def batch_of(
    runs: Mapping[str, Run],
    leads: Mapping[str, tuple[str, ...]],
    leaving: list[str],
    calibrations: dict[str, Calibration] | None = None,
) -> Batch:
    """`runs` of patients who have `leads`."""
    bits = [run.quality.ravel() for run in runs.values() if run.quality is not None]
    return Batch(
        [*runs],
        [run.first_sample for run in runs.values()],
        [run.ecg_mv.shape[1] for run in runs.values()],
        [leads[name] for name in runs],
        np.concatenate([run.ecg_mv.ravel() for run in runs.values()])
        if runs
        else np.empty(0, np.float32),
        [i for i, run in enumerate(runs.values()) if run.quality is not None],
        np.concatenate(bits) if bits else np.empty(0, np.uint8),
        leaving,
        calibrations or {},
    )


@dataclass(slots=True, eq=False)
class Made:
    """What a shard made of a batch."""

    names: list[str]
    firsts: list[int]
    counts: list[int]
    ecg_mv: Floats
    """(12, sum of counts), patient by patient; the two below as well."""
    sigma_mv: Floats
    quality: Bits
    anew: list[str]
    """Patients whom the shard did not know: their decoders begin here."""
    refused: dict[str, str]
    """Patients whom it does not take, and why."""

    def __iter__(self) -> Iterator[tuple[str, int, Floats, Floats, Bits]]:
        """(name, first sample, (12, n) mV, sigma, bits) of each patient."""
        at = 0
        for name, first, n in zip(self.names, self.firsts, self.counts, strict=True):
            part = slice(at, at + n)
            yield name, first, self.ecg_mv[:, part], self.sigma_mv[:, part], self.quality[:, part]
            at += n
