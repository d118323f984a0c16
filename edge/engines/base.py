"""The contract of an inference engine: named tensors in, named tensors out, a state for each stream.

An engine owns its state tensors and its output buffers. What `step` returns may be overwritten by the
next `step`: copy what must outlive it. Engines are context managers; `close` is idempotent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Manifest
from edge.errors import InputError
from firmware_bridge.closing import Closing

Array = NDArray[np.float32]
State = dict[str, NDArray[np.generic]]
"""State tensors by input name."""
MAX_CODE = 127
"""Of a state: after a ReLU every engine saturates there."""


class Engine(Closing, ABC):
    """A loaded bundle that steps through a stream, one or more frames at a time.

    Shapes, with a batch of 1: `ecg` (1, n_inputs, hop, frames) mV, `mask` broadcastable to it, 1 where a
    lead is on, `anchor` (1, n_outputs, n_inputs, 1, 1), all float32; results (n_outputs, hop, frames) and
    (n_sigmas, hop, frames).
    """

    name: str
    """As `--engine` and reports say it."""
    same_codes = False
    """Its codes must equal the reference's, everywhere: `self_check` demands it."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest: Manifest = bundle.manifest

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.manifest.name}>"

    @abstractmethod
    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream: `ecg_mv` in mV and `log_sigma` of mV."""

    @abstractmethod
    def state(self) -> State:
        """A copy of the state tensors by input name; the same codes whatever the engine."""

    @abstractmethod
    def set_state(self, state: State) -> None:
        """Continue from a copy made by `state`, of this or another engine on the same bundle."""

    def reset(self) -> None:
        """Forget the stream: all state codes zero."""
        self.set_state(self.zero_state())

    def zero_state(self) -> State:
        """The state before the first frame."""
        return {s.input: np.zeros((1, *s.shape), s.dtype) for s in self.manifest.states}

    def check_state(self, state: State) -> None:
        """Raise InputError for leftover or missing state tensors, other shapes or types."""
        expected = {s.input: (s.dtype, (1, *s.shape)) for s in self.manifest.states}
        given = {name: (str(array.dtype), array.shape) for name, array in state.items()}
        if given != expected:
            raise InputError(f"state tensors {given} do not fit this bundle: it has {expected}")

    def check_codes(self, state: State) -> None:
        """`check_state`, and raise InputError for a code above 127."""
        self.check_state(state)
        for name, codes in state.items():
            if codes.size and codes.max() > MAX_CODE:
                raise InputError(f"{name} has codes above {MAX_CODE}: no engine made this state")

    def open_batch(self, n_slots: int) -> Batch:
        """`n_slots` streams that step on this engine, each with a state of its own.

        The engine's own stream may be lost: take an engine of its own for a batch. Raises InputError for
        less than one slot.
        """
        return SlotBySlot(self, n_slots)

    def details(self) -> dict[str, object]:
        """What a report says of it beside its name: versions, device, mode; plain values for JSON."""
        return {}

    def close(self) -> None:
        """Release what the engine holds."""


class Batch(ABC):
    """`n_slots` streams of one engine. Any of them may take a step at any time, alone or with others.

    Each slot gives the codes that the engine gives to the same stream alone.
    """

    def __init__(self, engine: Engine, n_slots: int) -> None:
        """Raises InputError for less than one slot."""
        if n_slots < 1:
            raise InputError(f"a batch of {n_slots} slots: give one or more")
        self.engine, self.n_slots = engine, n_slots

    @abstractmethod
    def step(
        self, slots: Sequence[int], ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """The next frames of the streams in `slots`, each named once, in any order.

        Parameters: `ecg` (n, n_inputs, hop, frames) mV, `mask` broadcastable to it, `anchor` (n, n_outputs,
        n_inputs, 1, 1), row by row as in `slots`. Returns `ecg_mv` (n, n_outputs, hop, frames) and
        `log_sigma` (n, n_sigmas, hop, frames); the next step may overwrite them. Raises InputError for a
        slot that is not there.
        """

    @abstractmethod
    def state(self, slot: int) -> State:
        """A copy of a slot's state tensors, as `Engine.state` gives them."""

    @abstractmethod
    def set_state(self, slot: int, state: State) -> None:
        """Continue slot `slot` from a copy made by `state`, or by `Engine.state` on the same bundle."""

    def reset(self, slot: int) -> None:
        """Forget the stream of a slot."""
        self.set_state(slot, self.engine.zero_state())

    def check(self, slots: Sequence[int]) -> None:
        """Raise InputError for a slot that is not there, or is named twice."""
        if len(set(slots)) != len(slots) or not all(0 <= slot < self.n_slots for slot in slots):
            raise InputError(f"slots {list(slots)}: name each once, of 0 to {self.n_slots - 1}")


class SlotBySlot(Batch):
    """A batch on an engine that steps one stream at a time: its state is exchanged for each slot.

    The engine's own stream is lost: open an engine of its own for a batch.
    """

    def __init__(self, engine: Engine, n_slots: int) -> None:
        super().__init__(engine, n_slots)
        self._states = [engine.zero_state() for _ in range(n_slots)]

    def step(
        self, slots: Sequence[int], ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """See Batch."""
        self.check(slots)
        mask = np.broadcast_to(mask, ecg.shape)
        ecg_mv, log_sigma = [], []
        for row, slot in enumerate(slots):
            at = slice(row, row + 1)
            self.engine.set_state(self._states[slot])
            one = self.engine.step(ecg[at], mask[at], anchor[at])
            self._states[slot] = self.engine.state()
            ecg_mv.append(one[0].copy())
            log_sigma.append(one[1].copy())
        m = self.engine.manifest
        leads, sigmas = (
            (len(slots), len(rows), m.hop, ecg.shape[-1])
            for rows in (m.output_leads, m.sigma_leads)
        )
        return (
            np.array(ecg_mv, np.float32).reshape(leads),
            np.array(log_sigma, np.float32).reshape(sigmas),
        )

    def state(self, slot: int) -> State:
        """See Batch."""
        self.check([slot])
        return {name: array.copy() for name, array in self._states[slot].items()}

    def set_state(self, slot: int, state: State) -> None:
        """See Batch."""
        self.check([slot])
        self.engine.check_state(state)
        self._states[slot] = {name: array.copy() for name, array in state.items()}
