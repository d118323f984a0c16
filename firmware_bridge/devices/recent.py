"""The newest packets of a stream, by which a packet that comes again is known."""

from __future__ import annotations

from collections import deque

RECENT_PACKETS = 32  # 320 ms of a Ganglion, a third of its cycle: far from where its ids come again


class Recent:
    """Remembers the last RECENT_PACKETS packets, whole: a doubled packet has the same bytes."""

    def __init__(self) -> None:
        self._packets: deque[bytes] = deque(maxlen=RECENT_PACKETS)

    def __contains__(self, packet: bytes) -> bool:
        return packet in self._packets

    def add(self, packet: bytes) -> None:
        """A packet was taken."""
        self._packets.append(packet)

    def clear(self) -> None:
        """The device started anew."""
        self._packets.clear()
