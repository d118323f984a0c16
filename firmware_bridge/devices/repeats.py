"""Frames sent twice told from a signal that stands still, in a format that counts nothing.

A converter of 24 bits measures its own noise: three channels that repeat to the last bit are a copy, no
sample. Unless the signal stands still (electrodes off, a test signal): then runs are longer than two.
Where each of the last runs had an even length, long ones included, every frame is sent twice.
"""

from __future__ import annotations

STILL_FRAMES = (
    1000  # for so many frames after a signal stood still, a repeated frame proves nothing
)
EVEN_RUNS = 4  # in a row: one in sixteen by chance, and then at most one run is cut by half


class Repeats:
    """Says of each frame how many samples it stands for."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """The stream begins, or begins anew."""
        self._last = b""
        self._run = 0  # how often the last frame came
        self._even_runs = 0
        self._since_still = STILL_FRAMES
        self._dropped = False  # whether the second of this run was

    def samples(self, frame: bytes) -> int:
        """0 for a copy, 1 for a sample, 2 where the frame before was no copy after all."""
        if frame != self._last:
            self._even_runs = self._even_runs + 1 if self._run and self._run % 2 == 0 else 0
            self._last, self._run, self._dropped = frame, 1, False
            self._since_still += 1
            return 1
        self._run += 1
        if self._even_runs >= EVEN_RUNS:
            return self._run % 2
        if self._run == 2 and self._since_still >= STILL_FRAMES:
            self._dropped = True
            return 0
        if self._run > 2:
            self._since_still = 0
        taken = 2 if self._dropped else 1
        self._dropped = False
        return taken
