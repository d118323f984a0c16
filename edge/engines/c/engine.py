"""The bundle's decoder as C on the CPU: the codes of ONNX Runtime, without its cost of a node."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.bundle import Bundle
from edge.engines.base import Array, Batch, Engine, State
from edge.engines.c.build import Compiler, Say
from edge.engines.c.library import Arrays, Library, open_library
from edge.engines.cache import EngineCache
from edge.errors import EngineError

MAX_BOUND_FRAMES = 64  # a second of live packets; what is longer comes seldom


@dataclass
class Bound:
    """The arrays of `n` streams and one step length, as C reads and writes them."""

    ecg: Array
    mask: Array
    anchor: Array
    ecg_mv: Array
    log_sigma: Array
    arrays: Arrays
    """The same for C; `at` is its address."""
    at: int
    held: dict[str, Array] = field(default_factory=dict)

    def give(self, ecg: Array, mask: Array, anchor: Array) -> None:
        """Copy what goes in; mask and anchor seldom change, and what cannot be written is known again."""
        self.ecg[:] = ecg
        held = self.held
        if held.get("mask") is not mask:
            self.mask[:] = (
                mask[:, :, 0] if mask.ndim == 4 else np.broadcast_to(mask, ecg.shape)[:, :, 0]
            )
            self._keep("mask", mask)
        if held.get("anchor") is not anchor:
            self.anchor[:] = anchor[..., 0, 0]
            self._keep("anchor", anchor)

    def _keep(self, name: str, given: Array) -> None:
        if given.flags.writeable:
            self.held.pop(name, None)
        else:
            self.held[name] = given


class CEngine(Engine):
    """The exported C, compiled once for this machine and loaded into the process.

    Engines of one bundle share its constant tables, and each has a state of its own: they may step in any
    threads, one engine in one thread at a time.
    """

    name = "c"
    same_codes = True

    def __init__(
        self,
        bundle: Bundle,
        *,
        cache: EngineCache | None = None,
        compiler: Compiler | None = None,
        say: Say | None = None,
    ) -> None:
        """Raises EngineMissingError without a compiler, EngineBuildError where it does not work."""
        super().__init__(bundle)
        self._library: Library | None = open_library(bundle, cache, compiler, say)
        self._state = np.zeros(self._library.state_bytes, np.uint8)
        self._address = self._state.ctypes.data  # to ask for it costs as much as a tenth of a step
        self._history = np.empty(sum(int(np.prod(s.shape)) for s in self.manifest.states), np.uint8)
        self._bound: dict[int, Bound] = {}

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream; see Engine."""
        library = self._library or self.library
        frames = ecg.shape[-1]
        bound = self._bound.get(frames)
        if bound is None:
            bound = bound_arrays(self, 1, frames)
            if frames <= MAX_BOUND_FRAMES:
                self._bound[frames] = bound
        bound.give(ecg, mask, anchor)
        library.step(self._address, bound.at)
        return bound.ecg_mv[0], bound.log_sigma[0]

    def state(self) -> State:
        """A copy of the state tensors; see Engine."""
        return self._state_of(self._address)

    def set_state(self, state: State) -> None:
        """Continue from these state tensors; see Engine. Raises InputError for a code above 127."""
        self._put_state(self._address, state)

    def reset(self) -> None:
        """Forget the stream; see Engine."""
        self.library.reset(self._address)

    def details(self) -> dict[str, object]:
        """Kernel, compiler and where it is kept; see Engine."""
        cached = self.library.cached
        path = None if cached.path is None else str(cached.path)
        return {"kernel": self.library.kernel, **cached.report, "cache": path, "note": cached.note}

    def open_batch(self, n_slots: int) -> CBatch:
        """Slots with a state each; see Engine."""
        return CBatch(self, n_slots)

    def close(self) -> None:
        """Release the buffers; the code stays in the process."""
        self._library = None
        self._bound.clear()

    @property
    def library(self) -> Library:
        """The functions. Raises EngineError after `close`."""
        if self._library is None:
            raise EngineError("the c engine is closed: open another")
        return self._library

    def _state_of(self, address: int) -> State:
        self.library.get_state(address, self._history.ctypes.data)
        found: State = {}
        first = 0
        for s in self.manifest.states:
            after = first + int(np.prod(s.shape))
            found[s.input] = self._history[first:after].reshape(1, *s.shape).copy()
            first = after
        return found

    def _put_state(self, address: int, state: State) -> None:
        self.check_codes(state)
        codes = np.concatenate([state[s.input].ravel() for s in self.manifest.states])
        self.library.set_state(address, codes.ctypes.data)


class CBatch(Batch):
    """Slots that step in one call, one behind the other; the engine's own stream is not touched."""

    def __init__(self, engine: CEngine, n_slots: int) -> None:
        super().__init__(engine, n_slots)
        self._engine = engine
        self._states = np.zeros((n_slots, engine.library.state_bytes), np.uint8)
        first, size = self._states.ctypes.data, self._states.strides[0]
        self._addresses = first + size * np.arange(n_slots, dtype=np.uintp)
        self._bound: dict[tuple[int, int], Bound] = {}
        self._last: list[int] = []
        self._decoders = self._addresses[:0]  # of `_last`
        self._at = self._decoders.ctypes.data

    def step(
        self, slots: Sequence[int], ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """See Batch."""
        if self._last != slots:
            self.check(slots)
            self._last = list(slots)
            self._decoders = self._addresses[np.asarray(slots, np.intp)]
            self._at = self._decoders.ctypes.data
        n, frames = len(slots), ecg.shape[-1]
        bound = self._bound.get((n, frames))
        if bound is None:
            bound = bound_arrays(self._engine, n, frames)
            if frames <= MAX_BOUND_FRAMES:
                self._bound[n, frames] = bound
        bound.give(ecg, mask, anchor)
        self._engine.library.batch(self._at, bound.at, n)
        return bound.ecg_mv, bound.log_sigma

    def state(self, slot: int) -> State:
        """See Batch."""
        self.check([slot])
        return self._engine._state_of(int(self._addresses[slot]))

    def set_state(self, slot: int, state: State) -> None:
        """See Batch."""
        self.check([slot])
        self._engine._put_state(int(self._addresses[slot]), state)


def bound_arrays(engine: Engine, n: int, frames: int) -> Bound:
    """Buffers of `n` streams for one step length."""
    m = engine.manifest
    rows, outputs, sigmas, hop = len(m.input_leads), len(m.output_leads), len(m.sigma_leads), m.hop
    arrays = (
        np.zeros((n, rows, hop, frames), np.float32),
        np.zeros((n, rows, frames), np.float32),
        np.zeros((n, outputs, rows), np.float32),
        np.empty((n, outputs, hop, frames), np.float32),
        np.empty((n, sigmas, hop, frames), np.float32),
    )
    pointers = Arrays(*(array.ctypes.data for array in arrays), frames)
    return Bound(*arrays, pointers, ctypes.addressof(pointers))
