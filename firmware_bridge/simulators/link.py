"""A link that loses, corrupts, delays, repeats and reorders: bytes in, pieces out, seeded, no clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_bridge.errors import SourceSpecError


@dataclass(frozen=True, slots=True)
class Delivery:
    """One piece as it comes out of the link."""

    data: bytes
    at_s: float
    """When, on the caller's clock."""


class ImpairedLink:
    """What a radio or a bad cable does to the pieces (writes, notifications) that pass through it.

    Shares between 0 and 1, drawn per piece: `loss` drops it; `duplicate` delivers it twice; `reorder`
    delivers it after the piece that follows. Drawn per byte: `bit_flips` inverts one bit of it,
    `byte_loss` deletes it, as a UART that overruns does. Every piece takes `delay_s` plus an
    exponential jitter of mean `jitter_s`, without overtaking. The same seed gives the same damage.

    Raises SourceSpecError for a share or time out of range.
    """

    def __init__(
        self,
        *,
        loss: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        bit_flips: float = 0.0,
        byte_loss: float = 0.0,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        shares = {
            "loss": loss,
            "duplicate": duplicate,
            "reorder": reorder,
            "bit_flips": bit_flips,
            "byte_loss": byte_loss,
        }
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise SourceSpecError(f"{name} is {share:g}: use a share from 0 to 1")
        if delay_s < 0 or jitter_s < 0:
            raise SourceSpecError(
                "a link cannot deliver before it is sent: use delays of 0 or more"
            )
        self._shares = shares
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._rng = np.random.default_rng(seed)
        self._held: bytes | None = None
        self._last_s = float("-inf")
        self.pieces_in = 0
        self.pieces_lost = 0
        self.bytes_damaged = 0

    def transmit(self, data: bytes, at_s: float = 0.0) -> list[Delivery]:
        """Send one piece at `at_s`; what comes out because of it, in order of time."""
        self.pieces_in += 1
        # One draw of each kind per piece, so that one setting does not move another's damage.
        lost, twice, late = self._rng.random(3) < self._drawn("loss", "duplicate", "reorder")
        if lost:
            self.pieces_lost += 1
            return self._deliver(self._release(), at_s)
        data = self._damage(data)
        pieces = [data, data] if twice else [data]
        if late and self._held is None:
            self._held = pieces.pop()
            return self._deliver(pieces, at_s)
        return self._deliver(pieces + self._release(), at_s)

    def flush(self, at_s: float = 0.0) -> list[Delivery]:
        """What the link still holds, after the last piece was sent."""
        return self._deliver(self._release(), at_s)

    def _drawn(self, *names: str) -> list[float]:
        return [self._shares[name] for name in names]

    def _release(self) -> list[bytes]:
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _damage(self, data: bytes) -> bytes:
        flip_share, loss_share = self._drawn("bit_flips", "byte_loss")
        if not flip_share and not loss_share:
            return data
        piece = np.frombuffer(data, np.uint8).copy()
        flips = self._rng.random(len(piece)) < flip_share
        piece[flips] ^= np.left_shift(1, self._rng.integers(0, 8, int(flips.sum()))).astype(
            np.uint8
        )
        kept = self._rng.random(len(piece)) >= loss_share
        self.bytes_damaged += int(np.count_nonzero(flips | ~kept))
        return piece[kept].tobytes()

    def _deliver(self, pieces: list[bytes], at_s: float) -> list[Delivery]:
        out = []
        for piece in pieces:
            if not piece:
                continue
            due_s = at_s + self._delay_s + self._jitter_s * float(self._rng.exponential())
            self._last_s = max(self._last_s, due_s)
            out.append(Delivery(piece, self._last_s))
        return out
