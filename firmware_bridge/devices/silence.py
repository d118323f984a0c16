"""What a silence says of a counter that may have wrapped during it."""

from __future__ import annotations

SHORTEST_S = 0.25  # half of the shortest wrap there is, less the jitter of a busy host
BACKLOG_S = 0.1  # so much in one piece had piled up: it was the host who was late


class Silence:
    """Seconds since the last valid frame, set before each piece of bytes and used up by its first frame."""

    def __init__(self, sampling_hz: float) -> None:
        self.seconds = 0.0
        self._sampling_hz = sampling_hz

    @property
    def is_long(self) -> bool:
        """Whether it was so long that counters may have wrapped."""
        return self.seconds >= SHORTEST_S

    def wrapped(self, ahead: int, wrap: int, n_waiting: int) -> int:
        """Samples, a multiple of `wrap`, that passed beside the `ahead` that a counter of `wrap` shows.

        `n_waiting` samples arrived in one piece with the first one after the silence.
        """
        seconds, self.seconds = self.seconds, 0.0
        if seconds < SHORTEST_S or n_waiting > BACKLOG_S * self._sampling_hz:
            return 0
        passed = seconds * self._sampling_hz - n_waiting
        return max(0, round((passed - ahead) / wrap)) * wrap
