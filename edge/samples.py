"""Blocks: contiguous samples between two stages of the live path, as frozen values.

`first_sample` counts from the start of the stream (or the last `reset()`), so a block says exactly
what is missing between it and the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.errors import InputError
from edge.leads import LEADS, Provenance
from edge.marker import Marker

FLOAT32 = np.dtype(np.float32)
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class SampleBlock:
    """Measured leads as they came from the device, before conditioning."""

    ecg_mv: NDArray[np.float32]
    """(n_leads, n_samples) float32 mV; NaN where nothing was measured (lead off, gap)."""
    first_sample: int
    sampling_hz: float
    quality: NDArray[np.uint8]
    """(n_leads, n_samples) uint8, `edge.Quality` bits known so far (CLIPPED, INTERPOLATED, GAP)."""
    arrival_ns: int = 0
    """`time.monotonic_ns()` when the last byte of the block arrived; 0 where there was no wire."""
    acquired_ns: int = 0
    """Host time at which the device took the last sample, by `edge.live.clock`; 0 where unknown."""

    def __repr__(self) -> str:
        first, last = self.first_sample, self.first_sample + self.n_samples
        n = len(self.ecg_mv)
        return f"<SampleBlock {n} leads, samples {first}..{last} at {self.sampling_hz:g} Hz>"

    @property
    def n_samples(self) -> int:
        """Samples per lead."""
        return int(self.ecg_mv.shape[1])

    def parts(self, n_samples: int) -> Iterator[SampleBlock]:
        """The same in blocks of at most `n_samples`; only the last of them says when it was acquired."""
        for start in range(0, self.n_samples, n_samples):
            stop = start + n_samples
            yield replace(
                self,
                ecg_mv=self.ecg_mv[:, start:stop],
                quality=self.quality[:, start:stop],
                first_sample=self.first_sample + start,
                acquired_ns=self.acquired_ns if stop >= self.n_samples else 0,
            )


@dataclass(frozen=True, slots=True, eq=False)
class TwelveLeadBlock:
    """Twelve leads out: what `Reconstructor.push` returns and every sink takes."""

    ecg_mv: NDArray[np.float32]
    """(12, n_samples) float32 mV in the order of `edge.LEADS`; NaN where an input lead is off."""
    sigma_mv: NDArray[np.float32]
    """(12, n_samples) float32 mV, one standard deviation of the error; 0 where measured."""
    quality: NDArray[np.uint8]
    """(12, n_samples) uint8, `edge.Quality` bits."""
    first_sample: int
    sampling_hz: float
    provenance: tuple[Provenance, ...]
    """Where each of the twelve leads comes from."""
    arrival_ns: int = 0
    acquired_ns: int = 0
    markers: tuple[Marker, ...] = ()
    """What was noted since the block before. One that brings nothing else has no samples."""

    def __repr__(self) -> str:
        first, last = self.first_sample, self.first_sample + self.n_samples
        return f"<TwelveLeadBlock samples {first}..{last} at {self.sampling_hz:g} Hz>"

    def then(self, other: TwelveLeadBlock) -> TwelveLeadBlock:
        """This block and the one that follows it, as one."""
        return replace(
            other,
            ecg_mv=np.concatenate([self.ecg_mv, other.ecg_mv], 1),
            sigma_mv=np.concatenate([self.sigma_mv, other.sigma_mv], 1),
            quality=np.concatenate([self.quality, other.quality], 1),
            first_sample=self.first_sample,
            markers=self.markers + other.markers,
        )

    def first(self, n_samples: int) -> TwelveLeadBlock:
        """Its first samples alone."""
        return replace(
            self,
            ecg_mv=self.ecg_mv[:, :n_samples],
            sigma_mv=self.sigma_mv[:, :n_samples],
            quality=self.quality[:, :n_samples],
        )

    def followed_by(self, markers: tuple[Marker, ...]) -> TwelveLeadBlock:
        """The block after this one that brings `markers` and no samples."""
        none = np.empty((len(self.ecg_mv), 0), np.float32)
        return replace(
            self,
            ecg_mv=none,
            sigma_mv=none,
            quality=none.astype(np.uint8),
            first_sample=self.first_sample + self.n_samples,
            markers=markers,
        )

    @property
    def leads(self) -> tuple[str, ...]:
        """`edge.LEADS`."""
        return LEADS

    @property
    def n_samples(self) -> int:
        """Samples per lead; may be 0."""
        return int(self.ecg_mv.shape[1])


class _Open:
    """A block while its fields are set: nine that are guarded cost more than a hop's filters."""

    __slots__ = TwelveLeadBlock.__slots__


def block_of(
    ecg_mv: NDArray[np.float32],
    sigma_mv: NDArray[np.float32],
    quality: NDArray[np.uint8],
    first_sample: int,
    sampling_hz: float,
    provenance: tuple[Provenance, ...],
) -> TwelveLeadBlock:
    """`TwelveLeadBlock` of these, in a quarter of the time."""
    block: Any = _Open()
    block.ecg_mv, block.sigma_mv, block.quality = ecg_mv, sigma_mv, quality
    block.first_sample, block.sampling_hz, block.provenance = first_sample, sampling_hz, provenance
    block.arrival_ns = block.acquired_ns = 0
    block.markers = ()
    block.__class__ = TwelveLeadBlock
    return block  # type: ignore[no-any-return]


def millivolts(ecg_mv: ArrayLike) -> NDArray[np.float32]:
    """Samples as float32, masked ones NaN. Raises InputError for what is no array of real numbers."""
    if type(ecg_mv) is np.ndarray and ecg_mv.dtype is FLOAT32:
        return ecg_mv
    try:
        if isinstance(ecg_mv, (list, tuple)) and any(np.ma.isMaskedArray(row) for row in ecg_mv):
            ecg_mv = np.ma.array(ecg_mv)
        values = np.asarray(ecg_mv)
        if values.dtype.kind not in "iufO":
            raise TypeError(f"these are of type {values.dtype}")
        with np.errstate(over="ignore"):  # what float32 cannot hold counts as missing
            samples = values.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:  # torch: a tensor that requires grad
        why = _unequal(ecg_mv) or error
        raise InputError(f"expected an array of samples in mV, one row a lead: {why}") from error
    if isinstance(ecg_mv, np.ma.MaskedArray):
        samples[np.ma.getmaskarray(ecg_mv)] = np.nan
    return samples


def _unequal(rows: object) -> str:
    """What is wrong with rows of different lengths; empty where that is not what is wrong."""
    try:
        lengths = [len(row) for row in rows]  # type: ignore[attr-defined]
    except TypeError:
        return ""
    if len(set(lengths)) < 2:
        return ""
    return f"the rows have {', '.join(map(str, lengths))} samples: give all the same"


def fitting(
    value: ArrayLike, shape: tuple[int, ...], name: str, dtype: type[Scalar]
) -> NDArray[Scalar]:
    """`value` in the shape of the samples. Raises InputError, naming it, if it does not fit."""
    try:
        values = np.asarray(value)
        if values.dtype.kind not in "biufO":
            raise TypeError(f"these are of type {values.dtype}")
        values = values.astype(dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        why = _unequal(value) or error
        raise InputError(f"`{name}` is no array of numbers: {why}") from error
    try:
        return np.broadcast_to(values, shape)
    except ValueError as error:
        raise InputError(
            f"`{name}` has shape {values.shape}: it must fit samples {shape}"
        ) from error
