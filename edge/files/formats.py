"""Every format of recordings: its names, its reader, its writer and what it keeps, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.errors import InputError
from edge.files.record import ReadOptions, Record
from edge.files.recording import MetadataSource, RecordingSink

HEAD_BYTES = 1024
"""What is read of a file to tell its format."""

RecordOpener = Callable[[Path, ReadOptions, "int | None"], Record]


class Writer(Protocol):
    """Opens a recording to be written."""

    def __call__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> RecordingSink:
        """Raises InputError for a rate that the format cannot hold."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A format of recordings. Readers and writers are imported when they are called."""

    name: str
    suffixes: tuple[str, ...]
    """Endings of its files in lower case; the first one is what is written."""
    reader: RecordOpener
    writer: Writer | None
    keeps: str
    """What a file of this format holds beside the twelve leads."""


def _read_edf(path: Path, options: ReadOptions, number: int | None) -> Record:
    from edge.files.edf_reader import EdfRecord

    return EdfRecord(path, options)


def _read_npz(path: Path, options: ReadOptions, number: int | None) -> Record:
    from edge.files.npz_reader import NpzRecord

    return NpzRecord(path, options, number)


def _read_csv(path: Path, options: ReadOptions, number: int | None) -> Record:
    from edge.files.csv_reader import CsvRecord

    return CsvRecord(path, options)


def _read_wfdb(path: Path, options: ReadOptions, number: int | None) -> Record:
    from edge.files.wfdb_reader import WfdbRecord

    return WfdbRecord(path, options)


def _read_dicom(path: Path, options: ReadOptions, number: int | None) -> Record:
    from edge.files.dicom_reader import DicomRecord

    return DicomRecord(path, options)


def _write_edf(
    path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
) -> RecordingSink:
    from edge.files.edf_writer import EdfSink

    return EdfSink(path, sampling_hz, metadata, overwrite=overwrite)


def _write_npz(
    path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
) -> RecordingSink:
    from edge.files.npz_writer import NpzSink

    return NpzSink(path, sampling_hz, metadata, overwrite=overwrite)


def _write_csv(
    path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
) -> RecordingSink:
    from edge.files.csv_writer import CsvSink

    return CsvSink(path, sampling_hz, metadata, overwrite=overwrite)


def _write_wfdb(
    path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
) -> RecordingSink:
    from edge.files.wfdb_writer import WfdbSink

    return WfdbSink(path, sampling_hz, metadata, overwrite=overwrite)


def _write_dicom(
    path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
) -> RecordingSink:
    from edge.files.dicom_writer import DicomSink

    return DicomSink(path, sampling_hz, metadata, overwrite=overwrite)


EDF = Format(
    "EDF+",
    (".edf", ".rec"),
    _read_edf,
    _write_edf,
    "sigma, quality, annotations, half a microvolt a step",
)
BDF = Format("BDF", (".bdf",), _read_edf, None, "24 bits a sample")
NPZ = Format("NPZ", (".npz",), _read_npz, _write_npz, "float32, sigma and quality of every lead")
CSV = Format(
    "CSV", (".csv", ".tsv", ".txt"), _read_csv, _write_csv, "time, sigma and quality, as text"
)
WFDB = Format(
    "WFDB",
    (".hea",),
    _read_wfdb,
    _write_wfdb,
    "OUT.dat and OUT_sigma.dat beside it: sigma, quality, half a microvolt a step",
)
DICOM = Format(
    "DICOM",
    (".dcm",),
    _read_dicom,
    _write_dicom,
    "needs pydicom; OUT_sigma.dcm beside it: sigma, quality, half a microvolt a step",
)
FORMATS = (EDF, BDF, NPZ, CSV, WFDB, DICOM)

_FOREIGN = {
    ".dat": "a WFDB signal, or raw samples",
    ".atr": "a WFDB annotation file",
    ".xml": "XML",
    ".scp": "SCP-ECG",
    ".mat": "a MATLAB file",
    ".gdf": "GDF",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".json": "JSON",
    ".xlsx": "an Excel workbook",
    ".xls": "an Excel workbook",
    ".npy": "one NumPy array",
    ".parquet": "Parquet",
    ".pdf": "PDF",
    ".llcap": "a capture: `leadlift run --source replay:FILE` reads it",
}


def written(between: str = "|") -> str:
    """The endings that can be written."""
    return between.join(form.suffixes[0] for form in FORMATS if form.writer is not None)


def readable() -> str:
    """The endings that are read, as help and errors list them."""
    return ", ".join(form.suffixes[0] for form in FORMATS) + " or FILE.npz#17"


def kept() -> str:
    """What each format that can be written holds beside the leads, for help."""
    return "; ".join(f"{form.suffixes[0]} ({form.keeps})" for form in FORMATS if form.writer)


def writer_for(path: str | Path) -> Writer:
    """The writer that the ending of `path` names in any case. Raises InputError, listing them, for others."""
    suffix = Path(path).suffix.lower()
    for form in FORMATS:
        if form.writer is not None and suffix == form.suffixes[0]:
            return form.writer
    raise InputError(f"cannot tell the format of {str(path)!r}: end the name in {written(', ')}")


def can_write(path: str | Path) -> bool:
    """Whether the ending of `path` names a format that can be written."""
    suffix = Path(path).suffix.lower()
    return any(form.writer is not None and suffix == form.suffixes[0] for form in FORMATS)


def all_files(path: Path, *, written: bool) -> list[Path]:
    """Every file of a recording that is `written` to `path`, or read from it; `path` is the first."""
    if path.suffix.lower() == DICOM.suffixes[0]:
        from edge.files.dicom_codes import companion

        beside = companion(path)
        return [path, beside] if written or beside.is_file() else [path]
    if path.suffix.lower() != WFDB.suffixes[0]:
        return [path]
    if written:
        from edge.files.wfdb_writer import companions

        return [path, *companions(path)]
    from edge.files.wfdb_reader import files_of

    return [path, *files_of(path)]


def format_of(path: Path, head: bytes) -> Format:
    """The format of a file by its content, where that says it, else by its name.

    Raises InputError for a file of another kind, which it names if it can.
    """
    from edge.files.edf_header import BDF_VERSION, is_edf

    suffix = path.suffix.lower()
    named = next((form for form in FORMATS if suffix in form.suffixes), None)
    if head.startswith(BDF_VERSION):
        return BDF
    if head[128:132] == b"DICM":
        return DICOM
    if head.startswith(b"PK\x03\x04") and suffix not in _FOREIGN:
        if b"[Content_Types].xml" in head or b"mimetypeapplication/" in head:
            raise InputError(f"{path} is a workbook of a spreadsheet: save its table as CSV there")
        return NPZ
    if named is not None:
        return EDF if named in (NPZ, CSV) and is_edf(head) else named
    if is_edf(head):
        return EDF
    if suffix not in _FOREIGN and _is_table(head):
        return CSV
    if head.startswith(b"\x1f\x8b"):
        raise InputError(f"{path} is compressed with gzip: unpack it first")
    header = path.with_suffix(WFDB.suffixes[0])
    if suffix in (".dat", ".atr") and header.is_file():
        raise InputError(f"{path} is part of a WFDB record: give its header, {header}")
    if b'"bundle_name"' in head and b'"reference"' in head:
        raise InputError(
            f"{path} is a patient's calibration, no recording: give it with --patient to reconstruct or run"
        )
    what = (
        f"it seems to be {_FOREIGN[suffix]}" if suffix in _FOREIGN else "it is none that is known"
    )
    raise InputError(f"cannot tell the format of {path}: {what}; convert it to one of {readable()}")


def _is_table(head: bytes) -> bool:
    """Whether a file without a known ending begins as text with several columns."""
    text = head.decode("utf-8", "replace")
    return all(c.isprintable() or c in "\r\n\t\ufeff" for c in text) and any(
        c in text for c in ",;\t"
    )
