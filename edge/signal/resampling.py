"""Rate conversion of a live stream: a stateful polyphase FIR whose delay is known and compensated."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError

LIVE_DELAY_S = 0.02  # what a live display may spend on it
FILE_DELAY_S = 0.1  # a file can wait: a longer filter, sharper at the band edge
KAISER_BETA = 5.0
MAX_PHASES = (
    1024  # of the filter; a ratio that needs more lies between two of them, to 1e-6 of the signal
)
MAX_DENOMINATOR = 10**8  # of a ratio: for centuries of samples in int64, and wrong by at most 1e-8
EXACT = 1e-12  # of a ratio: closer than this to one of small numbers, it is that one
MAX_RATIO = 1000
_AT_ONCE = 1024  # outputs: bounds the memory of a long piece


class RateConverter:
    """Converts (n_leads, n) samples from one rate to another, piece by piece.

    Output sample m lies at time m / to_hz of the input: the filter is symmetric, and its delay shows only
    as outputs that come `delay_s` later. Before the first sample the stream is taken to have stood still.
    A missing sample (NaN) is held for the filter and is missing again in the output samples nearest to it.
    """

    def __init__(
        self, from_hz: float, to_hz: float, n_leads: int = 3, delay_s: float = LIVE_DELAY_S
    ) -> None:
        if not (from_hz > 0 and to_hz > 0 and math.isfinite(from_hz) and math.isfinite(to_hz)):
            raise InputError(
                f"cannot convert {from_hz} Hz to {to_hz} Hz: rates are positive numbers"
            )
        if not 1 / MAX_RATIO <= to_hz / from_hz <= MAX_RATIO:
            raise InputError(
                f"cannot convert {from_hz:g} Hz to {to_hz:g} Hz: at most {MAX_RATIO} times as fast or as slow"
            )
        self.from_hz, self.to_hz, self.n_leads = from_hz, to_hz, n_leads
        ratio = _ratio(from_hz, to_hz)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._half = max(2, math.floor(delay_s * from_hz))
        # Output m lies between two inputs, and takes those from floor + 1 - half on. Row p of the taps is
        # for the fraction p / n_phases of the way to the next input.
        self._n_phases = min(self._up, MAX_PHASES)
        offset = np.arange(1 - self._half, self._half + 1)
        at = np.arange(self._n_phases + 1)[:, None] / self._n_phases - offset
        cutoff = min(1.0, to_hz / from_hz) * (1 - 0.5 / self._half)
        window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (at / self._half) ** 2, 0, 1)))
        taps = np.sinc(cutoff * at) * window
        self._taps = taps / taps.sum(1, keepdims=True)
        self._empty = True
        none = (n_leads, 0)
        self._ecg: NDArray[np.float64] = np.empty(none, np.float64)
        self._missing: NDArray[np.bool_] = np.empty(none, bool)
        self._bits: NDArray[np.uint8] = np.empty(none, np.uint8)
        self._last = np.zeros(n_leads)
        self.reset()

    @property
    def delay_s(self) -> float:
        """How much later than its own time an output sample can be had."""
        return self._half / self.from_hz

    def reset(self) -> None:
        """Forget the stream; the next sample is number 0 of both rates."""
        self._in = self._out = 0
        self._begin()

    def skip(self, n_samples: int) -> int:
        """Declare input samples that nobody has; returns by how many the output index jumps."""
        before = self._out
        self._in += n_samples
        self._out = max(self._out, -(-self._in * self._up // self._down))
        self._begin()
        return self._out - before

    def push(
        self, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The next (n_leads, n) mV in; (n_leads, m) float32 mV and quality bits out."""
        ecg_mv = np.asarray(ecg_mv, np.float32)
        if ecg_mv.ndim != 2 or ecg_mv.shape[0] != self.n_leads:
            raise InputError(f"expected ({self.n_leads}, n) samples, got shape {ecg_mv.shape}")
        bits = np.zeros(ecg_mv.shape, np.uint8) if quality is None else quality
        if ecg_mv.shape[1] == 0:
            return ecg_mv, bits
        missing = ~np.isfinite(ecg_mv)
        held = self._hold(ecg_mv, missing)
        if self._empty:  # the history stands still at the first sample
            self._ecg = np.repeat(held[:, :1], self._half, axis=1)
            self._missing = np.repeat(missing[:, :1], self._half, axis=1)
            self._bits = np.repeat(bits[:, :1], self._half, axis=1)
            self._empty = False
        self._ecg = np.concatenate([self._ecg, held], 1)
        self._missing = np.concatenate([self._missing, missing], 1)
        self._bits = np.concatenate([self._bits, bits], 1)
        self._in += ecg_mv.shape[1]
        return self._convert()

    def flush(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The outputs still held back, as if the stream stood still after its last sample.

        The output then covers exactly the input: ceil(n * to_hz / from_hz) samples since `reset`.
        """
        if self._empty:
            return np.empty((self.n_leads, 0), np.float32), np.empty((self.n_leads, 0), np.uint8)
        total = -(-self._in * self._up // self._down)
        wanted = total - self._out
        last = np.where(self._missing[:, -1:], np.nan, self._ecg[:, -1:]).astype(np.float32)
        ecg, bits = self.push(
            np.repeat(last, self._half + 1, axis=1),
            np.repeat(self._bits[:, -1:], self._half + 1, axis=1),
        )
        return ecg[:, :wanted], bits[:, :wanted]

    def _begin(self) -> None:
        self._empty = True
        self._ecg, self._missing = self._ecg[:, :0], self._missing[:, :0]
        self._bits = self._bits[:, :0]
        self._last = np.zeros(self.n_leads)

    def _hold(self, ecg_mv: NDArray[np.float32], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
        last = np.maximum.accumulate(np.where(missing, -1, np.arange(ecg_mv.shape[1])), axis=1)
        held = np.take_along_axis(ecg_mv.astype(np.float64), np.maximum(last, 0), 1)
        held = np.where(last >= 0, held, self._last[:, None])
        self._last = held[:, -1]
        return held

    def _convert(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Every output whose last input is here; drops the inputs no later output needs."""
        base = self._in - self._ecg.shape[1]
        # Output m needs input floor(m * down / up) + half.
        stop = -(-(self._in - self._half) * self._up // self._down)
        m = np.arange(self._out, max(self._out, stop), dtype=np.int64)
        floor, phase = np.divmod(m * self._down, self._up)
        ecg = self._filtered(floor + 1 - self._half - base, phase)
        nearest = floor - base + (2 * phase >= self._up)
        ecg[self._missing[:, nearest]] = np.nan
        bits = self._bits[:, nearest]
        self._out += len(m)
        keep = max(0, self._out * self._down // self._up + 1 - self._half - base)
        self._ecg, self._missing = self._ecg[:, keep:], self._missing[:, keep:]
        self._bits = self._bits[:, keep:]
        return ecg, bits

    def _filtered(self, first: NDArray[np.int64], phase: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n_leads, n) outputs that take inputs from `first` on, at `phase` / up of the way to the next.

        einsum sums each window in order, alone: a BLAS product would depend on how many there are.
        """
        out = np.empty((self.n_leads, len(first)), np.float32)
        if self._up <= min(MAX_PHASES, len(first)):  # outputs of one phase lie evenly in the input
            for start in range(self._up):
                one = slice(start, None, self._up)
                windows = np.lib.stride_tricks.as_strided(
                    self._ecg[:, first[start] :],
                    (self.n_leads, len(first[one]), 2 * self._half),
                    (self._ecg.strides[0], self._down * self._ecg.itemsize, self._ecg.itemsize),
                    writeable=False,
                )
                out[:, one] = np.einsum("ijk,k->ij", windows, self._taps[phase[start]])
            return out
        for start in range(0, len(first), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            windows = self._ecg[:, first[some, None] + np.arange(2 * self._half)]
            row, rest = np.divmod(phase[some] * self._n_phases, self._up)
            taps = self._taps[row]
            if self._up > MAX_PHASES:
                taps += (rest / self._up)[:, None] * (self._taps[row + 1] - taps)
            out[:, some] = np.einsum("ijk,jk->ij", windows, taps)
        return out


def _ratio(from_hz: float, to_hz: float) -> Fraction:
    """to_hz / from_hz, of small whole numbers where it is one."""
    ratio = Fraction(to_hz) / Fraction(from_hz)
    small = ratio.limit_denominator(MAX_PHASES)
    if small and abs(small / ratio - 1) < EXACT:
        return small
    return ratio.limit_denominator(MAX_DENOMINATOR)
