"""One shard: a MultiReconstructor, and the patients who are on it. What Ray runs in a process of its own."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from edge.errors import LeadliftError
from edge.fleet.batch import Batch, Made
from edge.multi_reconstructor import MultiReconstructor
from edge.patient.patient import Patient as Calibration
from edge.samples import TwelveLeadBlock


class Shard:
    """Patients by name. One whom it does not know starts anew, and it says so: state is in memory alone."""

    def __init__(self, slots: int, options: dict[str, Any] | None = None) -> None:
        """`options` are those of `MultiReconstructor.open`."""
        self._multi = MultiReconstructor.open(slots=slots, **(options or {}))
        self._ends: dict[str, int] = {}  # index of the next sample, of each patient
        self._bases: dict[str, int] = {}  # index of the sample at which each joined
        self._leads: dict[str, tuple[str, ...]] = {}

    def step(self, batch: Batch) -> Made:
        """All samples of the batch; a patient who cannot be taken does not hold up the others."""
        for name in batch.leaving:
            self._leave(name)
        anew: list[str] = []
        refused: dict[str, str] = {}
        hops: list[dict[str, Any]] = []
        found: dict[str, list[TwelveLeadBlock]] = {}
        hop = self._multi.hop
        for name, first, leads, ecg_mv, quality in batch:
            try:
                if self._arrive(name, first, leads, batch.calibrations.get(name)):
                    anew.append(name)
            except LeadliftError as error:
                refused[name] = str(error)
                continue
            n = ecg_mv.shape[1]
            self._ends[name] = first + n
            found[name] = []
            if quality is not None or n % hop:
                given = None if quality is None else {name: quality}
                found[name].append(self._multi.push({name: ecg_mv}, quality=given)[name])
                continue
            for i in range(n // hop):
                if i == len(hops):
                    hops.append({})
                hops[i][name] = ecg_mv[:, i * hop : (i + 1) * hop]
        for together in hops:  # hop by hop: all patients as one
            for name, block in self._multi.push(together).items():
                found[name].append(block)
        return self._made(found, anew, refused)

    def engine(self) -> str:
        """The engine's name."""
        return self._multi.engine.name

    def pid(self) -> int:
        """The process that this runs in."""
        return os.getpid()

    def cpu_s(self) -> float:
        """CPU time of the process so far."""
        return time.process_time()

    def _arrive(
        self, name: str, first: int, leads: tuple[str, ...], calibration: Calibration | None
    ) -> bool:
        """Be ready for the sample `first`; whether the patient was not known. Raises as `join` does."""
        if name in self._ends and self._leads[name] != leads:
            self._leave(name)
        if name not in self._ends:
            self._multi.join(name, leads, calibration)
            self._bases[name], self._leads[name] = first, leads
            return True
        missing = first - self._ends[name]
        if missing > 0:
            self._multi.skip(name, missing)
        elif missing < 0:  # the stream began anew without leaving
            self._multi.reset(name)
            self._bases[name] = first
            return True
        return False

    def _leave(self, name: str) -> None:
        if self._ends.pop(name, None) is not None:
            self._multi.leave(name)

    def _made(
        self, found: dict[str, list[TwelveLeadBlock]], anew: list[str], refused: dict[str, str]
    ) -> Made:
        firsts, counts = [], []
        blocks: list[TwelveLeadBlock] = []
        for name, made in found.items():
            made = [block for block in made if block.n_samples] or made[:1]
            firsts.append(made[0].first_sample + self._bases[name])
            counts.append(sum(block.n_samples for block in made))
            blocks += made
        return Made(
            [*found],
            firsts,
            counts,
            _side_by_side([block.ecg_mv for block in blocks]),
            _side_by_side([block.sigma_mv for block in blocks]),
            _side_by_side([block.quality for block in blocks]),
            anew,
            refused,
        )


def _side_by_side(parts: list[Any]) -> Any:
    return np.concatenate(parts, 1) if parts else np.empty((12, 0), np.float32)
