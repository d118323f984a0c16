"""What the writer and the reader of DICOM share: classes, codes of leads, our private notes."""

from __future__ import annotations

from pathlib import Path

from edge.errors import LeadliftError
from firmware_bridge.extras import install_extra

TWELVE_LEAD_ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
GENERAL_ECG = "1.2.840.10008.5.1.4.1.1.9.1.2"
CODES = {
    "I": "2:1",
    "II": "2:2",
    "V1": "2:3",
    "V2": "2:4",
    "V3": "2:5",
    "V4": "2:6",
    "V5": "2:7",
    "V6": "2:8",
    "III": "2:61",
    "aVR": "2:62",
    "aVL": "2:63",
    "aVF": "2:64",
}
"""ISO/IEEE 11073-10101, as CID 3001 has them."""
MISSING = -32768
"""The padding value of what leadlift writes."""
ENCODING = "ISO_IR 192"
"""UTF-8."""
PRIVATE_GROUP, PRIVATE_CREATOR, PRIVATE_NOTES = 0x0019, "LEADLIFT", 0x01

PRIVATE_SCHEME = "99LEADLIFT"


def companion(path: Path) -> Path:
    """The object of sigma and quality that belongs to the object of the leads, `path`."""
    return path.with_name(f"{path.stem}_sigma{path.suffix}")


def need_pydicom(error_class: type[LeadliftError]) -> None:
    """Raises `error_class`, saying how to get it, where pydicom is not installed."""
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise error_class(f"DICOM needs pydicom: {install_extra('dicom')} ({error})") from error
