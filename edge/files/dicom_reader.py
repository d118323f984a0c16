"""Reads the ECG of a DICOM waveform object with pydicom: the first group that has the leads.

Its samples stay in the file; those that are asked for are read.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.files.dicom_codes import (
    CODES,
    MISSING,
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    PRIVATE_NOTES,
    companion,
    need_pydicom,
)
from edge.files.dicom_head import UV_PER_DIGIT
from edge.files.dicom_object import mended
from edge.files.dicom_samples import WaveformObject
from edge.files.record import (
    ReadOptions,
    Record,
    one_unit,
    pick_leads,
    printable,
    rate_of,
    reconstructed,
    unit_mv,
)
from edge.files.recording import OF_RECORDING, QUALITY, SIGMA
from edge.leads import LEADS
from edge.marker import Marker

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SCHEMES = ("MDC", "SCPECG")
_LEADS = {code.removeprefix("2:"): lead for lead, code in CODES.items()}
_BESIDE = [*(SIGMA + lead for lead in LEADS), QUALITY]


class DicomRecord(Record):
    """The leads of one multiplex group. A group of median beats stands behind that of the recording."""

    _beside: WaveformObject | None = None
    """Sigma and quality, in 13 channels; it may be shorter than the leads."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Raises InputError for what is no ECG in DICOM, is damaged, or lacks a lead."""
        need_pydicom(InputError)
        import pydicom

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of fields that nobody asked for
                self._object = WaveformObject(path)
                try:
                    if self._object.groups:
                        self._open(path, options)
                except BaseException:
                    self.close()
                    raise
        except Exception as error:  # pydicom raises whatever a damaged value makes Python raise
            of_system = isinstance(error, OSError) and error.errno is not None
            if of_system or isinstance(error, InputError):
                raise
            why = printable((str(error) or type(error).__name__).splitlines()[0][:200])
            text = f"cannot read {path} as a DICOM ECG: {why}"
            if isinstance(error, pydicom.errors.InvalidDicomError):  # its text is for programmers
                text = f"{path} is no DICOM file: it does not begin as one"
            if _can_be_mended(path):
                text = f"{path} was interrupted while it was written: `leadlift repair {path}` mends it"
            raise InputError(text) from error
        if not self._object.groups:
            self.close()
            what = self._object.fields.get("Modality") or "no modality"
            raise InputError(f"{path} holds no waveform ({what}): give a DICOM ECG")

    def _open(self, path: Path, options: ReadOptions) -> None:
        ds, groups = self._object.fields, self._object.groups
        number, names, rows, said = _pick(path, options, groups)
        group = groups[number]
        chosen = [group.ChannelDefinitionSequence[row] for row in rows]
        unit = [
            unit_mv(_unit(channel), names[i], options, f"{path}, channel {rows[i] + 1}", said)
            for i, channel in enumerate(chosen)
        ]
        self.mv_per_value = one_unit(unit)
        self._number, self._rows = number, rows
        scale = np.array([_number(c, "ChannelSensitivity", 1.0) for c in chosen])
        scale *= [_number(c, "ChannelSensitivityCorrectionFactor", 1.0) for c in chosen]
        baseline = np.array([_number(c, "ChannelBaseline", 0.0) for c in chosen])
        with np.errstate(over="ignore", invalid="ignore"):
            self._mv_per_code = (scale * np.array(unit))[:, None]
            self._zero_mv = (baseline * np.array(unit))[:, None]
        self._missing: int | None = None
        padding = group.get("WaveformPaddingValue")
        if isinstance(padding, bytes) and padding:
            signed = group.get("WaveformSampleInterpretation", "SS")[:1] == "S"
            width = int(group.WaveformBitsAllocated) // 8
            self._missing = int.from_bytes(padding[:width], "little", signed=signed)
        stated = float(group.SamplingFrequency) if group.get("SamplingFrequency") else None
        super().__init__(
            path, names, rate_of(stated, options, path), self._object.n_samples(number)
        )
        self._identify(ds, group, chosen, said)
        self._markers = _markers(ds, number)
        self.warnings = tuple(said)

    def _identify(self, ds: Dataset, group: Dataset, chosen: list[Any], said: list[str]) -> None:
        from pydicom.valuerep import DT

        model = str(ds.get("ManufacturerModelName") or "")
        self.device = printable(model.strip())
        if at := ds.get("AcquisitionDateTime"):
            with suppress(ValueError):
                start = DT(str(at))
                offset = _number(group, "MultiplexGroupTimeOffset", 0.0)
                self.started_at = None if start is None else start + timedelta(milliseconds=offset)
        notes = _notes(ds)
        if not notes:
            return
        self.started_at = None
        with suppress(ValueError):
            self.started_at = datetime.fromisoformat(notes.get("started_at", ""))
        self.simulated = notes.get("simulated") == "True"
        self.of_recording = notes.get("source") == OF_RECORDING
        self.model, self.prefilter = notes.get("model", ""), notes.get("prefilter", "")
        self.calibration = notes.get("calibration", "")
        self.provenance = tuple(str(c.get("ChannelDerivationDescription", "")) for c in chosen)
        said += reconstructed(self.leads, self.provenance)
        self._beside = _sigma_and_quality(self.path, ds, said)

    def read_markers(self) -> list[Marker]:
        """As of every recording: annotations with a text at a sample of the group that is read."""
        return self._markers

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        codes = self._object.codes(self._number, start, stop)[:, self._rows].T
        with np.errstate(over="ignore", invalid="ignore"):
            ecg_mv = np.asarray(codes * self._mv_per_code + self._zero_mv, np.float32)
        if self._missing is not None:
            ecg_mv[codes == self._missing] = np.nan
        return ecg_mv

    def read_sigma(self, start: int, stop: int) -> NDArray[np.float32] | None:
        """As of every recording: a recording of ours has it in an object beside it."""
        if self._beside is None:
            return None
        rows = [LEADS.index(lead) for lead in self.leads]
        codes = _padded(self._beside, start, stop)[:, rows].T
        sigma_mv = (codes * (UV_PER_DIGIT / 1000)).astype(np.float32)
        sigma_mv[codes == MISSING] = np.nan
        return sigma_mv

    def read_quality(self, start: int, stop: int) -> NDArray[np.uint8] | None:
        """As of every recording: a recording of ours has one signal for all leads."""
        if self._beside is None:
            return None
        bits = _padded(self._beside, start, stop)[:, -1].astype(np.uint8)
        return np.repeat(bits[None], len(self.leads), axis=0)

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        self._object.close()
        if self._beside is not None:
            self._beside.close()


def _can_be_mended(path: Path) -> bool:
    with path.open("rb") as file:
        return mended(file) is not None


def _sigma_and_quality(path: Path, leads: Dataset, said: list[str]) -> WaveformObject | None:
    """The object beside that of the leads; None, and why, where it is of no use."""
    beside = companion(path)
    try:
        found = WaveformObject(beside)
        try:
            _check(found, leads)
        except BaseException:
            found.close()
            raise
        return found
    except FileNotFoundError:
        said.append(f"{beside.name} is not beside it: no sigma, no quality")
        return None
    except Exception as error:  # pydicom raises whatever a damaged value makes Python raise
        why = printable((str(error) or type(error).__name__).splitlines()[0][:100])
        if _can_be_mended(beside):
            why = f"it was interrupted, `leadlift repair {path}` mends it"
        said.append(f"no sigma and no quality from {beside.name}: {why}")
        return None


def _check(beside: WaveformObject, leads: Dataset) -> None:
    """Raises ValueError, or what pydicom raises, for an object that does not belong to that of `leads`."""
    if beside.fields.StudyInstanceUID != leads.StudyInstanceUID:
        raise ValueError("it is of another recording")
    if [c.ChannelLabel for c in beside.groups[0].ChannelDefinitionSequence] != _BESIDE:
        raise ValueError("it has other channels")
    if beside.codes(0, 0, min(1, beside.n_samples(0))).dtype != np.int16:
        raise ValueError("it has samples of another size")


def _padded(beside: WaveformObject, start: int, stop: int) -> NDArray[np.int16]:
    """(stop - start, 13) codes: nothing is known of what lies behind the end."""
    n = beside.n_samples(0)
    codes = beside.codes(0, min(start, n), min(stop, n))
    short = stop - start - len(codes)
    if not short:
        return codes
    padded = np.pad(codes, ((0, short), (0, 0)), constant_values=MISSING)
    padded[len(codes) :, -1] = 0
    return padded


def _pick(
    path: Path, options: ReadOptions, groups: list[Any]
) -> tuple[int, tuple[str, ...], list[int], list[str]]:
    """(number of the group, names, channels, what to say): the first group that has what is wanted."""
    refusal: InputError | None = None
    for number, group in enumerate(groups):
        said: list[str] = []
        labels = [_label(channel) for channel in group.ChannelDefinitionSequence]
        if labels == _BESIDE:
            raise InputError(
                f"{path} holds sigma and quality of a recording: give that of its leads"
            )
        try:
            names, rows = pick_leads(labels, options.leads, path, said)
        except InputError as error:
            refusal = refusal or error
            continue
        if len(groups) > 1:
            said.append(f"it holds {len(groups)} groups of channels: group {number + 1} is read")
        return number, names, rows, said
    raise refusal or InputError(f"{path} holds no channels: nothing to reconstruct")


def _label(channel: Dataset) -> str:
    """The lead by its code; where that is of another scheme, what the channel is called."""
    source = channel.get("ChannelSourceSequence")
    if source:
        found = re.search(r"(?:^|[-:])(\d+)$", str(source[0].get("CodeValue", "")))
        lead = _LEADS.get(found[1]) if found else None
        if lead is not None and source[0].get("CodingSchemeDesignator") in _SCHEMES:
            return lead
    meaning = str(source[0].get("CodeMeaning", "")) if source else ""
    return printable(str(channel.get("ChannelLabel") or meaning))


def _unit(channel: Dataset) -> str:
    units = channel.get("ChannelSensitivityUnitsSequence")
    return str(units[0].get("CodeValue", "")) if units else ""


def _number(ds: Dataset, name: str, otherwise: float) -> float:
    value = ds.get(name)
    return otherwise if value is None or value == "" else float(value)


def _markers(ds: Dataset, group: int) -> list[Marker]:
    found: list[Marker] = []
    for item in ds.get("WaveformAnnotationSequence") or []:
        text = printable(str(item.get("UnformattedTextValue") or "")).strip()
        channels = item.get("ReferencedWaveformChannels")
        places = item.get("ReferencedSamplePositions")
        of_group = channels is not None and group + 1 in list(channels)[::2]
        if text and of_group and places is not None:
            first = places if isinstance(places, int) else places[0]
            found.append(Marker(text, int(first) - 1))  # DICOM counts from 1
    return sorted(found, key=lambda marker: marker.sample)


def _notes(ds: Dataset) -> dict[str, str]:
    """What leadlift noted; nothing in files of others."""
    try:
        text = str(ds.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[PRIVATE_NOTES].value)
    except KeyError:
        return {}
    parts = (line.partition(": ") for line in text.splitlines())
    return {key: value.strip() for key, colon, value in parts if colon}
