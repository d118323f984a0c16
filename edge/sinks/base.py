"""The contract of an output, and what it may ask of the live path."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

from edge.samples import TwelveLeadBlock


class Sink(Protocol):
    """Where twelve-lead blocks go. Use it as a context manager, or call `close()`."""

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block. Raises SinkError when the output can take no more."""
        ...

    def close(self) -> None:
        """Finish the output; a second call does nothing. Raises SinkError if that fails."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class CountingSink(Protocol):
    """A sink that counts what it could not hold; the report has it."""

    def counters(self) -> dict[str, int]:
        """Counts by name, such as `samples_clipped`."""
        ...


@runtime_checkable
class FilingSink(Protocol):
    """A sink that writes a file, or several one after another."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files so far, in the order of time."""
        ...


@runtime_checkable
class AddressedSink(Protocol):
    """A sink that is looked at elsewhere, such as in a browser."""

    @property
    def address(self) -> str:
        """Where it is looked at: a URL."""
        ...


class MarkCallable(Protocol):
    """Notes something in the recording: `Runtime.mark`."""

    def __call__(self, text: str, *, at_ns: int | None = None, sample: int | None = None) -> object:
        """Raises LeadliftError for what is not recorded, and says why."""
        ...


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How the live path is doing, for a sink that shows it."""

    latency_p50_ms: float = float("nan")
    """Last byte of a packet to its block at the sink, median, in milliseconds; NaN if unknown."""
    latency_p99_ms: float = float("nan")
    samples_lost: int = 0
    gaps: int = 0
    deadline_misses: int = 0
    engine: str = ""
    in_outage: bool = False
    """The link to the device is lost at the moment, and is waited for."""
    reconnects: int = 0
    device: str = ""
    """The device's own name; empty until it has said so."""
    simulated: bool = False
    """The signal is no person's."""
    device_hz: float = 0.0
    """Rate that the device declares; 0 until it has said so."""
    arrival_hz: float = float("nan")
    """Samples a second as they arrive, lost ones counted in; NaN in the first seconds."""
    warnings: tuple[str, ...] = ()
    """What a person should know of the stream or of an output, a line each, oldest first."""
    battery_percent: int | None = None
    recording: tuple[str, ...] = ()
    """The files that are being written."""
    address: str = ""
    """Where the view in a browser is; empty without one. It may hold a token: for a screen, not for a log."""
