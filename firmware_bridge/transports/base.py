"""The transport contract: bytes from one device and back, each piece with the time it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Received:
    """One piece of the byte stream."""

    data: bytes
    """At least one byte; empty once and for all when a finite stream has ended."""
    arrival_ns: int
    """`time.monotonic_ns()` right after the read that returned the piece."""
    reopened: bool = False
    """No piece, but the place in a recording where the link was opened anew; then `data` is empty."""


class Transport(Protocol):
    """A link to one device. One task reads at a time; `open` after `close` opens it anew."""

    async def open(self) -> None:
        """Open the link.

        Raises TransportError (missing, busy, forbidden) or CaptureError (a file that is no capture).
        """
        ...

    async def read(self) -> Received:
        """Wait for at least one byte and take all that is there; cancelling loses no byte.

        A finite stream ends with empty data, as sockets do. Raises TransportLost when the link has
        gone, and CaptureError where a captured stream cannot be read further.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data` to the device; a link that cannot talk back ignores it.

        Raises TransportLost when the link has gone, TransportError when it takes no bytes.
        """
        ...

    async def close(self) -> None:
        """Close the link; closing twice is fine."""
        ...


@runtime_checkable
class Notified(Protocol):
    """A transport whose bytes come by themselves, and are lost where nobody takes them in time."""

    @property
    def notifications_dropped(self) -> int:
        """Pieces lost so."""
        ...
