"""Records through every filter once, at several paces: what training draws its batches from.

All that the feed does to a record is linear, so gains, rotations, noise and anchors can be applied after the
filters, to crops, at a hundredth of the cost. (The conditioner also re-settles after electrode steps, which
depend on amplitude; a training record has hardly any.)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.progress import followed
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.data import Records, zero_phase_highpass
from quantize.errors import QuantizeError

PACES = (0.85, 0.925, 1.0, 1.075, 1.15)  # +-15 %: as far as a heart changes, and QT with it
RESIDUAL, SEEN, TRUTH = range(3)  # what of a record is kept, the second axis of `signals`
BATCH = 64

NumberT = TypeVar("NumberT", bound=np.generic)


@dataclass(frozen=True)
class Prepared:
    """Records as they pass the filters, one array for each pace."""

    signals: tuple[NDArray[np.float16], ...]
    """Per pace (n_records, 3, 8, n_samples) mV: the residual branch, the conditioned leads zero-phase
    high-passed, the leads as recorded zero-phase high-passed. float16 resolves 0.5 uV at 1 mV."""
    moments: NDArray[np.float64]
    """(n_records, 8, 8) mV^2 of the zero-phase high-passed leads as recorded."""
    taught: tuple[NDArray[np.float16], ...] = ()
    """Per pace (n_records, 5, n_samples) mV: the reconstructed leads as a teacher makes them of the record
    with all inputs on, zero-phase high-passed; or nothing."""

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def at_rest(self) -> int:
        """The pace at which the records are as they were: the middle one."""
        return len(self.signals) // 2

    def crop(
        self, n: int, hop: int, any_pace: bool, cold: bool, rng: np.random.Generator
    ) -> tuple[int, slice]:
        """A pace, and n samples of it from a whole hop on: at random, or from the first sample if `cold`."""
        pace = int(rng.integers(len(self.signals))) if any_pace else self.at_rest
        hops = (self.signals[pace].shape[-1] - n) // hop
        first = 0 if cold else int(rng.integers(hops + 1)) * hop
        return pace, slice(first, first + n)

    def take(self, rows: NDArray[np.intp]) -> Prepared:
        """These records alone."""
        return Prepared(
            tuple(signals[rows] for signals in self.signals),
            self.moments[rows],
            tuple(taught[rows] for taught in self.taught),
        )


def prepare(
    records: Records,
    spec: Conditioning,
    hop: int,
    paces: tuple[float, ...] = PACES,
    folder: Path | None = None,
) -> Prepared:
    """Filter every record at every pace; kept in `folder`, if given, and taken from there the next time.

    Raises QuantizeError if the folder cannot be written.
    """
    signals = tuple(_signals(records, spec, hop, pace, folder) for pace in paces)
    at_rest = signals[int(np.argmin(np.abs(np.array(paces) - 1)))]
    moments = []
    for start in range(0, len(records), BATCH):
        x = at_rest[start : start + BATCH, TRUTH].astype(np.float32)
        moments.append(np.einsum("bin,bjn->bij", x, x, dtype=np.float64) / x.shape[-1])
    return Prepared(signals, np.concatenate(moments))


def _signals(
    records: Records, spec: Conditioning, hop: int, pace: float, folder: Path | None
) -> NDArray[np.float16]:
    if folder is None:
        return _filtered(records, spec, hop, pace)
    of = hashlib.sha256(repr((spec, hop, pace)).encode())
    of.update(np.ascontiguousarray(records.ecg_uv).data)
    file = folder / f"{records.name}-{pace:g}-{of.hexdigest()[:16]}.npy"
    return kept(file, lambda: _filtered(records, spec, hop, pace))


def kept(file: Path | None, make: Callable[[], NDArray[NumberT]]) -> NDArray[NumberT]:
    """What `make` gives, memory-mapped from the file if it is there, and left there if it is not.

    Raises QuantizeError if the file cannot be written.
    """
    if file is None:
        return make()
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = partial_of(file)
            with partial.open("wb") as stream:
                np.save(stream, make())
            partial.replace(file)
        except OSError as error:
            raise QuantizeError(f"cannot write {file}: {error.strerror}") from error
    # Copy on write, since torch takes only what may be written to; nothing is.
    stored: NDArray[NumberT] = np.load(file, mmap_mode="c", allow_pickle=False)
    return stored


def partial_of(file: Path) -> Path:
    """What is not whole yet, beside `file`: a name of this process alone, so that two may make the same."""
    return file.with_suffix(f".{os.getpid()}.partial")


def _filtered(records: Records, spec: Conditioning, hop: int, pace: float) -> NDArray[np.float16]:
    out, hz = np.empty((0,), np.float16), records.sampling_hz
    paced = f"filtering {records.name}" + ("" if pace == 1 else f" at a pace of {pace:g}")
    for start in followed(range(0, len(records), BATCH), paced):
        ecg = records.ecg_uv[start : start + BATCH].astype(np.float32) / np.float32(1000)
        ecg = time_stretch(ecg, pace, hop)
        n, n_leads, length = ecg.shape
        if not len(out):  # once for all: 15,000 records take 1.8 GB, and twice that to put together
            out = np.empty((len(records), 3, n_leads, length), np.float16)
        rows = ecg.reshape(-1, length)
        seen, residual, _ = Conditioner(spec, hz, len(rows), hop).push(rows)
        filtered = (zero_phase_highpass(seen, hz), zero_phase_highpass(rows, hz))
        out[start : start + n, RESIDUAL] = residual.reshape(n, n_leads, length)
        for kind, one in zip((SEEN, TRUTH), filtered, strict=True):
            out[start : start + n, kind] = one.reshape(n, n_leads, length)
    return out


def time_stretch(ecg_mv: NDArray[np.float32], factor: float, hop: int) -> NDArray[np.float32]:
    """Play (..., n) samples `factor` times slower, by cubic interpolation (Catmull-Rom), to whole hops."""
    n = ecg_mv.shape[-1]
    if factor == 1:
        return np.ascontiguousarray(ecg_mv[..., : n // hop * hop], np.float32)
    length = int((n - 3) * factor) // hop * hop
    at = 1 + np.arange(length) / factor
    i = np.minimum(at.astype(np.intp), n - 3)
    t = (at - i).astype(np.float32)
    p0, p1, p2, p3 = (ecg_mv[..., i + k] for k in (-1, 0, 1, 2))
    stretched = p1 + 0.5 * t * (
        p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))
    )
    return np.ascontiguousarray(stretched, np.float32)
