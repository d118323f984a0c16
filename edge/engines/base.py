"""The contract of an inference engine: named tensors in, named tensors out, the state kept inside.

An engine owns its state tensors and its output buffers. What `step` returns may be overwritten by the
next `step`: copy what must outlive it. Engines are context managers; `close` is idempotent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Manifest
from edge.errors import InputError

if TYPE_CHECKING:
    from edge.engines.batch import Batch

Array = NDArray[np.float32]


class Engine(ABC):
    """A loaded bundle that steps through a stream, one or more frames at a time.

    Shapes, with a batch of 1: `ecg` (1, n_inputs, hop, frames) mV, `mask` broadcastable to it, 1 where a
    lead is on, `anchor` (1, n_outputs, n_inputs, 1, 1), all float32; results (n_outputs, hop, frames).
    """

    name: str
    """As `--engine` and reports say it."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.manifest: Manifest = bundle.manifest

    @abstractmethod
    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream: `ecg_mv` in mV and `log_sigma` of mV."""

    @abstractmethod
    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the state tensors by input name; the same codes whatever the engine."""

    @abstractmethod
    def set_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from a copy made by `state`, of this or another engine on the same bundle."""

    def reset(self) -> None:
        """Forget the stream: all state codes zero."""
        self.set_state(self.zero_state())

    def zero_state(self) -> dict[str, NDArray[np.generic]]:
        """The state before the first frame."""
        return {s.input: np.zeros((1, *s.shape), s.dtype) for s in self.manifest.states}

    def check_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Raise InputError for leftover or missing state tensors, other shapes or types."""
        expected = {s.input: (s.dtype, (1, *s.shape)) for s in self.manifest.states}
        given = {name: (str(array.dtype), array.shape) for name, array in state.items()}
        if given != expected:
            raise InputError(f"state tensors {given} do not fit this bundle: it has {expected}")

    def open_batch(self, n_slots: int) -> Batch:
        """`n_slots` streams that step on this engine, each with a state of its own.

        The engine's own stream may be lost: take an engine of its own for a batch. Raises InputError for
        less than one slot.
        """
        from edge.engines.batch import SlotBySlot

        return SlotBySlot(self, n_slots)

    def details(self) -> dict[str, object]:
        """What a report says of it beside its name: versions, device, mode; plain values for JSON."""
        return {}

    def close(self) -> None:  # noqa: B027 - nothing to release unless an engine holds a device
        """Release what the engine holds."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
