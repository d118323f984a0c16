"""Both ends of one stream: what is pushed is checked and held to whole hops, what comes out is numbered."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge.errors import InputError
from edge.lead_set import Flags
from edge.samples import TwelveLeadBlock, block_of, fitting
from edge.signal.held import Bits, Held
from edge.stream_state import StreamState


class StreamEnds:
    """Samples that do not fill a hop yet, and the index of the next block; resets the state between."""

    __slots__ = (
        "_held",
        "_hop",
        "_last",
        "_leads",
        "_nothing",
        "first_sample",
        "provenance",
        "sampling_hz",
        "stream",
    )

    def __init__(self, stream: StreamState, sampling_hz: float, hop: int) -> None:
        self.stream, self.sampling_hz, self._hop = stream, sampling_hz, hop
        leads = stream.leads
        self._leads, self.provenance = leads.measured, leads.provenance
        self._nothing = Held(np.empty((leads.n_measured, 0), np.float32), None, None)
        self._held = self._nothing
        self._last = np.full((leads.n_measured, 1), np.nan, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next sample is number 0."""
        self._restart()
        self.first_sample = 0
        """Of the next block."""

    def skip(self, n_samples: int) -> None:
        """Samples that nobody has, after what is held back. Raises InputError for what is no such number."""
        if not isinstance(n_samples, (int, np.integer)):
            raise InputError(f"cannot skip {n_samples!r} samples: give a whole number")
        if n_samples < 0:
            raise InputError(f"cannot skip {n_samples} samples: the stream runs forward")
        self.first_sample += n_samples + self._held.n_samples
        if self.stream.look_ahead is not None:
            self.first_sample += self.stream.look_ahead.waiting
        self._restart()

    def take_hop(self, samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """As `StreamState.take_hop`; None also where samples are held."""
        return self.stream.take_hop(samples) if self._held is self._nothing else None

    @property
    def aligns(self) -> bool:
        """Whether a hop in is not a hop out: samples are held, or the decoder looks ahead."""
        return self._held is not self._nothing or self.stream.look_ahead is not None

    def take(
        self,
        samples: NDArray[np.float32],
        valid: ArrayLike | None = None,
        quality: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float32], Flags | None, Bits | None]:
        """Whole hops of what was held and these samples, what is missing of them, and known quality bits.

        As `Reconstructor.push` takes them. `None` is the common case, nothing missing and nothing known.
        Raises InputError, and takes nothing, for what does not fit.
        """
        self.check(samples)
        present: Flags = np.isfinite(samples)
        if valid is not None:
            present &= fitting(valid, samples.shape, "valid", np.bool_)
        missing = None if np.count_nonzero(present) == present.size else ~present
        bits: Bits | None = None
        if quality is not None:
            bits = fitting(quality, samples.shape, "quality", np.uint8)
        if self._held is not self._nothing:
            samples, missing, bits = self._held.before(samples, missing, bits)
        n = samples.shape[1]
        whole = n // self._hop * self._hop
        if self.stream.look_ahead is not None and n:
            self._last = samples[:, -1:].copy()
        if whole == n:
            self._held = self._nothing
            return samples, missing, bits
        rest = cut(slice(whole, n), samples, missing, bits)
        self._held = Held(*(None if part is None else part.copy() for part in rest))  # type: ignore[arg-type]
        return cut(slice(whole), samples, missing, bits)

    def check(self, samples: NDArray[np.float32]) -> None:
        """Raise InputError for samples that are not (n_leads, n)."""
        if samples.ndim != 2 or samples.shape[0] != len(self._leads):
            raise InputError(
                f"expected ({len(self._leads)}, n) samples in mV, rows {', '.join(self._leads)};"
                f" got shape {samples.shape}"
            )

    def give(
        self, ecg: NDArray[np.float32], sigma: NDArray[np.float32], flags: NDArray[np.uint8]
    ) -> TwelveLeadBlock:
        """The block of these (12, n), without what lies before the first sample where one looks ahead."""
        if self.stream.look_ahead is not None:
            before = self.stream.look_ahead.taken(ecg.shape[1])
            ecg, sigma, flags = ecg[:, before:], sigma[:, before:], flags[:, before:]
        first = self.first_sample
        self.first_sample = first + ecg.shape[1]
        return block_of(ecg, sigma, flags, first, self.sampling_hz, self.provenance)

    def tail(self) -> tuple[NDArray[np.float32], int]:
        """What to push so that all comes out that look-ahead holds back, and how much of it is real.

        The last sample goes on. Nothing without a look-ahead: less than a hop then is all that is held.
        """
        look_ahead, held = self.stream.look_ahead, self._held.n_samples
        if look_ahead is None or not (look_ahead.waiting or held):
            return self._nothing.samples, 0
        more = -held % self._hop + look_ahead.n_samples
        return np.repeat(self._last, more, axis=1), look_ahead.waiting + held

    def end(self, block: TwelveLeadBlock, real: int) -> TwelveLeadBlock:
        """What is real of the block that `tail` gave; the next sample begins a new state."""
        if not real:
            return block
        self._restart()
        self.first_sample = block.first_sample + real
        return block.first(real)

    def _restart(self) -> None:
        self.stream.reset()
        self._held = self._nothing


def cut(
    at: slice, samples: NDArray[np.float32], missing: Flags | None, bits: Bits | None
) -> tuple[NDArray[np.float32], Flags | None, Bits | None]:
    """The samples `at` and what is known of them."""
    return (
        samples[:, at],
        None if missing is None else missing[:, at],
        None if bits is None else bits[:, at],
    )
