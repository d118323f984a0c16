"""EDF and BDF files byte by byte, with every field open to what other writers put there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.files.records import open_record
from edge.leads import INPUT_LEADS


def ramps(n_signals: int, n_samples: int, seed: int = 0) -> NDArray[np.int32]:
    """(n_signals, n_samples) codes of 16 bits, all different enough to be told apart."""
    codes = np.random.default_rng(seed).integers(-20000, 20000, (n_signals, n_samples))
    return codes.astype(np.int32)


@dataclass
class Signal:
    """One signal: codes, or annotation bytes for each record."""

    label: str | bytes
    codes: Sequence[int] | NDArray[np.int32] | None = None
    samples: int = 250
    texts: Sequence[bytes] = ()
    dimension: str | bytes = "mV"
    physical: tuple[str, str] = ("-16.384", "16.3835")
    digital: tuple[str, str] = ("-32768", "32767")


@dataclass
class EdfFile:
    """The fields of the header by name; `write` makes the file."""

    signals: Sequence[Signal]
    n_records: int = 4
    fields: dict[str, str | bytes] = field(default_factory=dict)
    pad: bytes = b" "
    tail: bytes = b""
    wide: bool = False  # 24 bits

    def bytes(self) -> bytes:
        n = len(self.signals)
        fixed = {
            "version": b"\xffBIOSEMI" if self.wide else "0",
            "patient": "X X X X",
            "recording": "Startdate X X X X",
            "date": "01.02.20",
            "time": "10.00.00",
            "header_bytes": str(256 * (1 + n)),
            "reserved": "",
            "n_records": str(self.n_records),
            "duration": "1",
            "n_signals": str(n),
        } | self.fields
        widths = (8, 80, 80, 8, 8, 8, 44, 8, 8, 4)
        parts = [self._field(x, w) for x, w in zip(fixed.values(), widths, strict=True)]
        columns: list[tuple[list[str | bytes], int]] = [
            ([s.label for s in self.signals], 16),
            ([""] * n, 80),
            ([s.dimension for s in self.signals], 8),
            ([s.physical[0] for s in self.signals], 8),
            ([s.physical[1] for s in self.signals], 8),
            ([s.digital[0] for s in self.signals], 8),
            ([s.digital[1] for s in self.signals], 8),
            ([""] * n, 80),
            ([str(s.samples) for s in self.signals], 8),
            ([""] * n, 32),
        ]
        parts += [self._field(x, w) for texts, w in columns for x in texts]
        width = 3 if self.wide else 2
        for record in range(self.n_records):
            for s in self.signals:
                if s.codes is None:
                    text = s.texts[record] if record < len(s.texts) else b""
                    parts.append(text.ljust(width * s.samples, b"\0"))
                    continue
                part = np.asarray(s.codes[record * s.samples : (record + 1) * s.samples], "<i4")
                raw = part.view(np.uint8).reshape(-1, 4)[:, :width]
                parts.append(np.resize(raw, (s.samples, width)).tobytes() if s.samples else b"")
        return b"".join(parts) + self.tail

    def write(self, path: Path) -> Path:
        path.write_bytes(self.bytes())
        return path

    def _field(self, text: str | bytes, width: int) -> bytes:
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        assert len(data) <= width, text
        return data.ljust(width, self.pad)


def three(codes: NDArray[np.int32], samples: int = 250) -> list[Signal]:
    """II, V1 and V5."""
    return [Signal(x, codes[i], samples) for i, x in enumerate(("ECG II", "ECG V1", "ECG V5"))]


def timed(*onsets: float | str, label: str = "EDF Annotations") -> Signal:
    """An annotation signal that states when each record begins."""
    texts = [f"+{onset}\x14\x14\0".encode() for onset in onsets]
    return Signal(label, None, 30, texts, "", ("-1", "1"))


CODES = ramps(3, 1000)
MV = CODES * 0.0005
"""What CODES are in the default range, -16.384 to 16.3835 over 16 bits."""
TOLERANCE = 1e-4


def plus(*onsets: float | str, kind: str = "EDF+D", **fields: str) -> EdfFile:
    """CODES in an EDF+ file whose records state `onsets`."""
    signals = [timed(*onsets), *three(CODES)]
    return EdfFile(signals, len(onsets), {"reserved": kind} | dict(fields))


def read(path: Path, **says: object) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The input leads of a file, and its warnings."""
    with open_record(path, INPUT_LEADS, **says) as record:  # type: ignore[arg-type]
        return record.read(0, record.n_samples), record.warnings
