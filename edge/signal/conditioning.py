"""Causal conditioning of the measured leads: high-pass, mains notch, optional low-pass, fast re-settling.

One linear filter cascade per lead, evaluated in blocks: from the state at the start of a block and the
samples in it, one matrix gives all outputs and the state after every hop. The same product runs whether
a block arrives at once or hop by hop (samples still to come stand as zeros with zero weight), so the
result does not depend on how the stream is cut, to the last bit.

A filter that starts in the steady state of one sample takes it for the baseline, be it the top of an R wave,
and forgets that with the time constant of the high-pass, 3.2 s at 0.05 Hz. Behind a high-pass the mean is
zero in the long run: so what the mean since the start shows of the wrong baseline is taken out while a lead
settles, little by little, all of it at the end. Later nothing is left of the start but the mean of these 2 s.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.signal.filters import Section, biquad, highpass1, slowest_mode

BLOCK_HOPS = 8  # a block of 32 samples: cheap for one hop, and for hours of signal
BATCH_BLOCKS = 64
# A BLAS takes rows and columns in groups and may sum what is left over in another order (OpenBLAS for AVX-512
# does). Products of whole groups have the same bits for one stream and among many, of a hop and of a block.
GROUP = 8

# No beat holds its sign this far from the baseline for this long; an electrode step does. Counted in blocks.
STEP_RULES_MV_S = ((5.0, 0.1), (1.5, 0.7))
# Two beats or so, whose mean is the baseline; the faster filters have forgotten by then.
SETTLING_S = 2.0


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The filters a decoder was trained behind; part of the bundle's manifest."""

    highpass_hz: float = 0.05
    """First order: what every output lead shows."""
    mains_hz: float | None = 50.0
    """Centre of the notch; None for none."""
    mains_q: float = 25.0
    lowpass_hz: float | None = None
    """Second-order Butterworth."""
    residual_highpass_hz: float = 0.5
    """Second-order Butterworth after all of these: what the learned residual sees."""

    def as_dict(self) -> dict[str, float | None]:
        """Plain values for the manifest."""
        return asdict(self)


def sections(spec: Conditioning, sampling_hz: float) -> tuple[list[Section], list[Section]]:
    """The cascade up to the conditioned leads, and the one that follows for the residual branch.

    Raises InputError for a corner at or above half the sampling rate.
    """
    corners = [spec.highpass_hz, spec.mains_hz, spec.lowpass_hz, spec.residual_highpass_hz]
    for corner in corners:
        if corner is not None and not 0 < corner < sampling_hz / 2:
            raise InputError(
                f"filter corner {corner:g} Hz does not fit a sampling rate of {sampling_hz:g} Hz: "
                f"use one between 0 and {sampling_hz / 2:g} Hz"
            )
    main = [highpass1(spec.highpass_hz, sampling_hz)]
    if spec.mains_hz is not None:
        main.append(biquad("notch", spec.mains_hz, sampling_hz, spec.mains_q))
    if spec.lowpass_hz is not None:
        main.append(biquad("lowpass", spec.lowpass_hz, sampling_hz))
    return main, [biquad("highpass", spec.residual_highpass_hz, sampling_hz)]


def _block_matrix(
    main: list[Section], residual: list[Section], n_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outputs and states of the cascade as linear maps of (initial state, samples).

    Returns the two outputs of each sample, (2, n_samples, n_states + n_samples), and the state after
    each sample, (n_samples, n_states, n_states + n_samples). Transposed direct form II.
    """
    cascade = main + residual
    n_states = 2 * len(cascade)
    basis = np.eye(n_states + n_samples)
    state = basis[:n_states].copy()
    outputs = np.empty((2, n_samples, n_states + n_samples))
    states = np.empty((n_samples, n_states, n_states + n_samples))
    for n in range(n_samples):
        signal = basis[n_states + n]
        for i, (b0, b1, b2, a1, a2) in enumerate(cascade):
            if i == len(main):
                outputs[0, n] = signal
            out = b0 * signal + state[2 * i]
            state[2 * i] = b1 * signal - a1 * out + state[2 * i + 1]
            state[2 * i + 1] = b2 * signal - a2 * out
            signal = out
        outputs[1, n] = signal
        states[n] = state
    return outputs, states


@cache
def block_map(
    spec: Conditioning, sampling_hz: float, hop: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a block gives, of its state and samples; and the steady state of a constant 1.

    (rows, n_states + n_samples): both outputs of every sample, then the state after every hop; (n_states,).
    Raises InputError as `sections`.
    """
    main, residual = sections(spec, sampling_hz)
    n = BLOCK_HOPS * hop
    outputs, states = _block_matrix(main, residual, n)
    n_states = states.shape[1]
    after_hop = states[hop - 1 :: hop]
    rows = np.concatenate(
        [outputs.reshape(2 * n, -1), after_hop.reshape(BLOCK_HOPS * n_states, -1)]
    )
    one_step = states[0][:, : n_states + 1]
    rest = np.linalg.solve(np.eye(n_states) - one_step[:, :-1], one_step[:, -1])
    return rows, rest


def in_groups(n: int) -> int:
    """The next multiple of GROUP: rows or columns of a product of which `n` are wanted."""
    return -(-n // GROUP) * GROUP


def _largest(values: NDArray[np.float64]) -> float:
    """The largest absolute value; several times faster than `max` on a few of them."""
    size = np.abs(values).ravel()
    return float(size[size.argmax()])


@cache
def _rows_stand_alone(n_rows: int, n_inner: int, n_columns: int, hop: int) -> bool:
    """Whether a product of some rows has the bits of those rows of the whole product on this machine."""
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(n_rows, n_inner)), rng.normal(size=(n_inner, n_columns))
    whole, every = np.dot(rows, columns), n_rows // (2 * hop)
    return all(
        np.array_equal(np.dot(rows[at], columns), whole[at])
        for at in (np.arange(first, n_rows, every) for first in range(every))
    )


class Conditioner:
    """The filters of a `Conditioning`, in whole hops, one independent stream per lead.

    A lead starts in the steady state of its first sample, and does so again after `restart()`, after a step
    of its baseline (STEP_RULES_MV_S, looked at whenever a block is full), and after `reset()`. It settles for
    SETTLING_S from then on, at the end of which its baseline is moved to where that time had it.
    """

    def __init__(
        self,
        spec: Conditioning,
        sampling_hz: float,
        n_leads: int,
        hop: int,
        open_block: NDArray[np.float64] | None = None,
    ) -> None:
        """`open_block` keeps the block in work, in the first columns of (n_inner, in_groups(n_leads))."""
        self.spec, self.sampling_hz, self.n_leads, self.hop = spec, sampling_hz, n_leads, hop
        n = BLOCK_HOPS * hop
        self._map, self._rest = block_map(spec, sampling_hz, hop)
        n_states = self._n_states = len(self._rest)
        levels, seconds = np.array(STEP_RULES_MV_S).T[:, :, None]
        self._levels, self._n_blocks = levels, np.ceil(seconds * sampling_hz / n)
        # No rule looks at a hop whose sum is within this; the last bits are for rounding.
        self._no_step = STEP_RULES_MV_S[-1][0] * hop * (1 - 1e-9)
        self._settling_hops = math.ceil(SETTLING_S * sampling_hz / hop)
        mode, n_settling = slowest_mode(*sections(spec, sampling_hz)), self._settling_hops * hop
        self._mode = np.ravel(mode.states)
        # Of a wrong start, by the sum until then: what is taken out of both outputs at each sample.
        per_sum = mode.amplitude(n_settling) * mode.decay ** np.arange(n_settling + 1)
        self._wrong = per_sum * np.array([[1.0], [mode.residual]])
        self._hop_sums = np.repeat(np.eye(BLOCK_HOPS), hop, axis=1)
        # The open block: its state and samples, and what they give. Views save a hop their making.
        n_columns = in_groups(n_leads)
        self._columns = np.zeros((n_states + n, n_columns)) if open_block is None else open_block
        self._z = self._columns[:, :n_leads]
        self._result = np.zeros((len(self._map), n_columns))
        self._outputs = self._result[: 2 * n, :n_leads].reshape(2, n, n_leads)
        self._states = self._result[2 * n :, :n_leads].reshape(BLOCK_HOPS, n_states, n_leads)
        self._hops = [self._hop_of_block(at) for at in range(BLOCK_HOPS)]
        self.reset()

    def _hop_of_block(self, at: int) -> tuple[NDArray[Any], ...]:
        """A hop's samples in the block, (n_leads, hop), and the product that gives its two outputs.

        The product is a matrix, what it makes, and the outputs in that, (2, n_leads, hop).
        """
        hop, n = self.hop, BLOCK_HOPS * self.hop
        first = self._n_states + at * hop
        samples = self._z[first : first + hop].T
        rows = np.concatenate([np.arange(hop), n + np.arange(hop)]) + at * hop
        n_columns = self._columns.shape[1]
        if _rows_stand_alone(*self._map.shape, n_columns, hop):
            made = np.zeros((2 * hop, n_columns))
            outputs = made[:, : self.n_leads].reshape(2, hop, -1).swapaxes(1, 2)
            return samples, self._map[rows], made, outputs
        outputs = self._outputs[:, at * hop : (at + 1) * hop].swapaxes(1, 2)
        return samples, self._map, self._result, outputs

    def reset(self) -> None:
        """Forget the signal: every lead starts anew at its next sample."""
        self._z[:] = 0.0
        self.filled = 0
        """Hops in the open block."""
        self._evaluated = False  # whether `_result` is that of all of these
        self._restart = np.ones(self.n_leads, bool)
        self._restarting = True
        self._beyond = np.zeros((len(self._levels), self.n_leads), np.int64)
        self._is_beyond = False
        self._settling = np.zeros(self.n_leads, np.int64)
        self._is_settling = False
        self._sum = np.zeros(self.n_leads)  # of the filtered samples of a lead that settles, mV
        self.is_settling = True
        """Whether the next samples settle, of any lead; a step may be noticed while they are filtered."""

    def restart(self, leads: NDArray[np.bool_]) -> None:
        """Start these leads anew at their next sample; `leads` is (n_leads,) bool."""
        self._restart |= leads
        self._restarting = bool(self._restart.any())
        self.is_settling = self._is_settling or self._restarting

    def push(
        self, ecg_mv: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Filter whole hops of finite samples, (n_leads, n_hops * hop) mV.

        Returns the conditioned leads and what the residual branch sees, both (n_leads, n) float32 mV, and
        per lead and hop whether the filters are settling, (n_leads, n_hops) bool.
        """
        hop, n_hops = self.hop, ecg_mv.shape[1] // self.hop
        samples = ecg_mv.T
        out = np.empty((2, n_hops * hop, self.n_leads), np.float32)
        settling = np.zeros((n_hops, self.n_leads), bool)
        done = 0
        while done < n_hops:
            if self._restarting:
                self._begin(samples[done * hop])
            left = n_hops - done
            if self._is_settling:  # no further than to where the first of them has settled
                left = min(left, int(self._settling[self._settling > 0].min()))
            take = self._whole_blocks(samples, done, left, out) if left >= 2 * BLOCK_HOPS else 0
            if take == 0:
                take = min(left, BLOCK_HOPS - self.filled)
                self._extend(samples, done, take, out)
            if self._is_settling:
                settling[done : done + take] = self._settling > 0
                self._settle(out[:, done * hop : (done + take) * hop], take)
            done += take
        self.is_settling = self._is_settling or self._restarting
        return out[0].T, out[1].T, settling.T

    def push_hop(self, ecg_mv: NDArray[np.floating], out: NDArray[np.float32]) -> None:
        """Filter one hop, (n_leads, hop) mV, as `push` does, while no lead `is_settling`.

        Both results are in `out`, (2, n_leads, hop).
        """
        samples, rows, made, outputs = self._hops[self.filled]
        samples[...] = ecg_mv
        np.dot(rows, self._columns, made)
        out[...] = outputs
        self.count_hop()

    @property
    def plain(self) -> bool:
        """Whether nothing settles and no lead is beyond a step rule's level."""
        return not (self.is_settling or self._is_beyond)

    def no_step(self, sums: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Where hops' sums of conditioned leads, mV, are too small for a step rule to look while `plain`."""
        return np.asarray(np.abs(sums) <= self._no_step)

    def resume(self, filled: int) -> None:
        """Go on after others kept the open block while it was `plain`; so many hops are in it."""
        self.filled, self._evaluated = filled, False

    def count_hop(self) -> None:
        """One more hop stands in the open block."""
        self.filled += 1
        self._evaluated = False
        if self.filled == BLOCK_HOPS:
            self._end_block()

    def _begin(self, first: NDArray[np.floating]) -> None:
        """Open a new block at this hop, the leads to restart in the steady state of `first`."""
        if self.filled:
            self._close_block()
        leads = self._restart
        self._z[: self._n_states, leads] = self._rest[:, None] * first[leads].astype(np.float64)
        self._settling[leads] = self._settling_hops
        self._sum[leads] = 0.0
        self._is_settling = True
        self._beyond[:, leads] = 0
        self._is_beyond = bool(self._beyond.any())
        self._restart = np.zeros(self.n_leads, bool)
        self._restarting = False

    def _settle(self, out: NDArray[np.float32], n_hops: int) -> None:
        """Take what is left of a wrong start out of filtered hops, (2, n, n_leads) mV, of settling leads."""
        hop, n, settled = self.hop, n_hops * self.hop, []
        for lead in np.flatnonzero(self._settling).tolist():
            # Sample after sample, so that the sum has the same bits however the stream is cut.
            seen, left = out[:, :, lead], int(self._settling[lead])
            sums = np.cumsum(np.concatenate([self._sum[lead : lead + 1], seen[0]]))
            begin = (self._settling_hops - left) * hop
            wrong = self._wrong[:, begin : begin + n].reshape(2, n_hops, hop)
            seen -= (wrong * sums[:-1:hop, None]).reshape(2, n)  # as known at the begin of each hop
            self._sum[lead] = sums[-1]
            self._settling[lead] = left - n_hops
            if left == n_hops:
                settled.append(lead)
        if settled:
            self._is_settling = bool(self._settling.any())
            if self.filled:
                self._close_block()
            left_over = self._wrong[0, -1] * self._sum[settled]
            self._z[: self._n_states, settled] -= self._mode[:, None] * left_over

    def _evaluate(self) -> None:
        if not self._evaluated:
            np.dot(self._map, self._columns, self._result)
            self._evaluated = True

    def _end_block(self) -> None:
        self._evaluate()
        self._look_for_steps(self._outputs[0])
        self._close_block()

    def _close_block(self) -> None:
        self._evaluate()
        self._z[: self._n_states] = self._states[self.filled - 1]
        self._z[self._n_states :] = 0.0
        self.filled = 0
        self._evaluated = False

    def _extend(
        self, samples: NDArray[np.floating], done: int, take: int, out: NDArray[np.float32]
    ) -> None:
        """Filter `take` hops that fit the open block."""
        hop, first = self.hop, self.filled * self.hop
        at = self._n_states + first
        self._z[at : at + take * hop] = samples[done * hop : (done + take) * hop]
        self._evaluated = False
        self._evaluate()
        out[:, done * hop : (done + take) * hop] = self._outputs[:, first : first + take * hop]
        self.filled += take
        if self.filled == BLOCK_HOPS:
            self._end_block()

    def _whole_blocks(
        self, samples: NDArray[np.floating], done: int, left: int, out: NDArray[np.float32]
    ) -> int:
        """The common case of long input: whole blocks, up to one that may be of a step; hops filtered."""
        n, n_states = BLOCK_HOPS * self.hop, self._n_states
        n_blocks = min(left // BLOCK_HOPS, BATCH_BLOCKS)
        if self.filled or self._is_beyond:
            return 0
        at = slice(done * self.hop, done * self.hop + n_blocks * n)
        blocks = samples[at].reshape(n_blocks, n, self.n_leads)
        result = np.empty((n_blocks, *self._result.shape))
        z, limit = self._z, self._no_step
        for i, (block, row) in enumerate(zip(blocks, result, strict=True)):
            z[n_states:] = block
            np.dot(self._map, self._columns, row)
            z[:n_states] = row[-n_states:, : self.n_leads]
            if _largest(np.dot(self._hop_sums, row[:n, : self.n_leads])) > limit:
                self._look_for_steps(row[:n, : self.n_leads])
                if self._is_beyond or self._restarting:
                    n_blocks = i + 1
                    break
        z[n_states:] = 0.0
        made = result[:n_blocks, : 2 * n, : self.n_leads].reshape(n_blocks, 2, n, self.n_leads)
        n *= n_blocks
        out[:, at.start : at.start + n] = made.swapaxes(0, 1).reshape(2, n, self.n_leads)
        return n_blocks * BLOCK_HOPS

    def _look_for_steps(self, conditioned: NDArray[np.float64]) -> None:
        """Apply the step rules to the second half of a full block, (block samples, n_leads) mV.

        So a step is noticed within a block and a half wherever it falls."""
        sums = conditioned.reshape(BLOCK_HOPS, self.hop, -1)[BLOCK_HOPS // 2 :].sum(1)
        if not self._is_beyond and _largest(sums) <= self._no_step:
            return
        mean = sums / self.hop
        low, high = mean.min(0), mean.max(0)
        sign = (low > self._levels).astype(np.int64) - (high < -self._levels)
        self._beyond = np.where(sign * self._beyond > 0, self._beyond + sign, sign)  # signed run
        self._restart |= (np.abs(self._beyond) >= self._n_blocks).any(0)
        self._is_beyond = bool(self._beyond.any())
        self._restarting = bool(self._restart.any())
        self.is_settling = self._is_settling or self._restarting
