"""What a DICOM recording says of itself, made with pydicom: the leads, then sigma and quality."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from edge.files.dicom_codes import (
    CODES,
    ENCODING,
    GENERAL_ECG,
    MISSING,
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    PRIVATE_NOTES,
    PRIVATE_SCHEME,
    TWELVE_LEAD_ECG,
)
from edge.files.dicom_markers import keep_room
from edge.files.recording import MODEL, QUALITY, SIGMA, Metadata
from edge.leads import LEADS
from edge.quality import Quality
from edge.samples import TwelveLeadBlock

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

UV_PER_DIGIT = 0.5


def heads(known: Metadata, block: TwelveLeadBlock) -> tuple[bytes, bytes]:
    """The two objects of a recording, without a sample; `block` is the first one. They share a study."""
    from pydicom.uid import generate_uid

    study, hz = generate_uid(), block.sampling_hz
    simulated = "simulated signal" if known.simulated else "leadlift"
    leads = _object(known, block, TWELVE_LEAD_ECG, study, 1)
    leads.SeriesDescription = simulated
    keep_room(leads)
    channels = [
        _channel(lead, _code(CODES[lead], "MDC", f"Lead {lead}"), str(source))
        for lead, source in zip(LEADS, block.provenance, strict=True)
    ]
    _add_group(leads, "leads", channels, hz)
    beside = _object(known, block, GENERAL_ECG, study, 2)
    beside.SeriesDescription = f"sigma and quality of the leads, {simulated}"
    # Codes of our own: no program is to take a standard deviation for a lead.
    channels = [
        _channel(
            SIGMA + lead,
            _code(f"SD-{lead}", PRIVATE_SCHEME, f"Standard deviation of lead {lead}"),
            "one standard deviation of the error of the lead",
        )
        for lead in LEADS
    ]
    bits = _channel(QUALITY, _code("QUALITY", PRIVATE_SCHEME, "Quality bits"), _BITS)
    bits.ChannelSensitivity = "1"
    bits.ChannelSensitivityUnitsSequence = [_code("1", "UCUM", "no units")]
    _add_group(beside, "sigma, quality", [*channels, bits], hz)
    return _written(leads), _written(beside)


def _object(
    known: Metadata, block: TwelveLeadBlock, sop_class: str, study: str, series: int
) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    now = datetime.now().astimezone()
    start = known.started_at or now  # the standard wants one; our notes say if it is not known
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = UID(sop_class)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.SpecificCharacterSet = ENCODING
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, generate_uid()
    ds.StudyDate, ds.StudyTime = f"{start:%Y%m%d}", f"{start:%H%M%S}"
    ds.ReferringPhysicianName = ds.StudyID = ds.AccessionNumber = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "ECG", str(series), "1"
    ds.Manufacturer = "leadlift, research use only"
    ds.ManufacturerModelName = known.device[:64]
    ds.ContentDate, ds.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S.%f}"
    ds.AcquisitionDateTime = f"{start:%Y%m%d%H%M%S.%f}" + (f"{start:%z}" if start.tzinfo else "")
    ds.AcquisitionContextSequence = []
    notes = ds.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    notes.add_new(PRIVATE_NOTES, "UT", _notes(known, block))
    return ds


_BITS = "OR of the bits that leadlift's notes name"  # a description holds 64 characters


def _notes(known: Metadata, block: TwelveLeadBlock) -> str:
    start = known.started_at
    lines = [
        f"started_at: {'unknown' if start is None else start.isoformat()}",
        f"first_sample: {block.first_sample}",
        f"prefilter: {known.prefilter}",
        f"source: {known.source}",
        MODEL + known.model,
        f"calibration: {known.calibration}",
        f"simulated: {known.simulated}",
        f"quality bits: {_bits()}",
    ]
    return "\n".join(" ".join(line.split()) for line in lines)


def _channel(label: str, source: Dataset, derivation: str) -> Dataset:
    from pydicom.dataset import Dataset

    channel = Dataset()
    channel.ChannelLabel = label
    channel.ChannelSourceSequence = [source]
    channel.ChannelSensitivity = f"{UV_PER_DIGIT:g}"
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.ChannelSampleSkew = "0"
    channel.WaveformBitsStored = 16
    channel.ChannelDerivationDescription = derivation
    return channel


def _add_group(ds: Dataset, label: str, channels: list[Dataset], hz: float) -> None:
    """The one multiplex group, last in the object, of lengths that nobody has stated yet."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.WaveformOriginality = "ORIGINAL"
    item.NumberOfWaveformChannels = len(channels)
    item.NumberOfWaveformSamples = 0
    item.SamplingFrequency = f"{hz:.10g}"
    item.MultiplexGroupLabel = label
    item.ChannelDefinitionSequence = channels
    item.WaveformBitsAllocated = 16
    item.WaveformSampleInterpretation = "SS"
    item.add_new(0x5400100A, "OW", MISSING.to_bytes(2, "little", signed=True))
    item.add_new(0x54001010, "OW", b"")
    ds.WaveformSequence = [item]
    ds["WaveformSequence"].is_undefined_length = True
    item.is_undefined_length_sequence_item = True


def _bits() -> str:
    return " ".join(f"{flag.value}={str(flag.name).lower()}" for flag in Quality if flag)


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _written(ds: Dataset) -> bytes:
    import pydicom

    target = BytesIO()
    pydicom.dcmwrite(target, ds, enforce_file_format=True)
    return target.getvalue()
