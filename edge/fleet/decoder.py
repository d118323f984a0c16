"""What the gateway knows of the decoder that its shards run, and of each person whom it is fitted to."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from edge.bundle import Bundle
from edge.errors import InputError, PatientError
from edge.fleet.patient import Patient
from edge.lead_set import LeadSet
from edge.leads import Provenance
from edge.misplacement_watch import MisplacementWatch
from edge.patient.patient import Patient as Calibration
from edge.patient.patient import load_patient


def calibrations_in(folder: str | Path) -> Path:
    """The folder. Raises InputError where there is none."""
    path = Path(folder)
    if not path.is_dir():
        raise InputError(
            f"{path} is no folder: give one with a calibration for each patient, PATIENT.json as "
            "`leadlift calibrate TWELVE.edf -o PATIENT.json` writes it"
        )
    return path


class Decoder:
    """One bundle, and a folder of calibrations by the names of patients."""

    def __init__(self, bundle: Bundle, calibrations: Path | None = None) -> None:
        self._bundle, self._calibrations = bundle, calibrations
        self.sampling_hz = bundle.manifest.sampling_hz
        self.hop = bundle.manifest.hop
        self._known = lru_cache(maxsize=1024)(lambda leads: LeadSet(bundle.manifest, leads))

    def provenance(self, leads: tuple[str, ...]) -> tuple[Provenance, ...]:
        """Where the twelve come from if these are measured."""
        return self._known(leads).provenance

    def prepare(self, patient: Patient, say: Callable[[str], object]) -> None:
        """Calibration and misplacement watch of a stream whose leads are known: once, for all shards.

        A calibration that does not fit is told of, and the stream goes on without: it says so itself.
        """
        if patient.watch is not None:
            return
        try:
            patient.calibration = self._calibration(patient.name, patient.leads)
        except PatientError as error:
            say(f"warning: {patient.name} is not calibrated: {error}")
        fitted, m = patient.calibration, self._bundle.manifest
        moments = m.moments if fitted is None else fitted.moments
        patient.watch = MisplacementWatch(
            patient.leads, moments, m.sampling_hz, lambda line: say(f"{patient.name}: {line}")
        )

    def _calibration(self, name: str, leads: tuple[str, ...]) -> Calibration | None:
        """None where there is no file. Raises PatientError for one that does not fit."""
        path = self._calibrations and self._calibrations / f"{name}.json"
        if path is None or not path.exists():
            return None
        calibration = load_patient(path)
        calibration.checked_leads(self._bundle, leads)
        return calibration
