"""When a device that sends nothing, or nothing that makes sense, is given up; and the words for it."""

from __future__ import annotations

from firmware_bridge.errors import BridgeError, PeerError, StallError

LATE_S = 0.25  # a timer this late tells that the host was asleep, or stopped, or busy
AWAKE_S = 1.0  # what waited meanwhile comes within this, over any number of threads and services


class Watchdog:
    """Adds up the time that a source waits for its device, less what the host itself slept."""

    def __init__(self, name: str, device: str, stall_s: float, peer_s: float) -> None:
        self.stall_s = stall_s
        self.understood = False
        """Whether it ever made sense."""
        self.n_bytes = 0
        """Bytes received so far."""
        self._name = name
        self._device = device
        self._peer_s = peer_s
        self._waited_s = 0.0  # since its first bytes, later since its last valid frame
        self._bytes_since_valid = 0
        self._why = ""  # what the last bytes that were none were

    def opened(self) -> None:
        """The link was opened: it has all the time again."""
        self._waited_s = 0.0
        self._bytes_since_valid = 0

    def waited(self, seconds: float) -> None:
        """So long the source waited for bytes."""
        if seconds <= self.stall_s + LATE_S:  # longer is not waited by a host that is awake
            self._waited_s += seconds

    def heard(self, n_bytes: int) -> None:
        """Bytes came."""
        if not self.n_bytes:
            self._waited_s = 0.0
        self.n_bytes += n_bytes
        self._bytes_since_valid += n_bytes

    def understands(self) -> None:
        """They made sense."""
        self.understood = True
        self.opened()

    def doubts(self, reason: str | None) -> None:
        """They made none, for that reason if any is known; raises what `error` gives when it was too long."""
        self.blames(reason)
        if self._waited_s > (self.stall_s if self.understood else self._peer_s):
            raise self.error()

    def blames(self, reason: str | None) -> None:
        """What was no frame was none for that reason, if any is known."""
        self._why = self._why if reason is None else f" ({reason})"

    def error(self) -> BridgeError:
        """StallError, or PeerError for a device that sends and never made sense."""
        if self._bytes_since_valid and not self.understood:
            return self.peer_error()
        seen = f"{self._bytes_since_valid:,} bytes but no valid frame"
        return StallError(
            f"{self._name}: {seen if self._bytes_since_valid else 'silent'} for {self.stall_s:g} s; "
            "check that the device is on and sends"
        )

    def peer_error(self) -> PeerError:
        """That nothing it sent made sense."""
        return PeerError(
            f"{self._name}: received {self.n_bytes:,} bytes but no valid frame{self._why}; "
            f"check device= ({self._device} here) and baud="
        )
