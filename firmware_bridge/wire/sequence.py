"""Where a frame stands in its stream: counters unwrapped, gaps, duplicates, late frames and restarts told.

*Rules*, for a frame of the current session. `step` is how far its sequence is past the last frame's,
`ahead` how far its first sample is past the next one expected; both are signed, modulo their width.

    ahead >= 0, step > 0             the next frame, after a Gap of `ahead` samples
    ahead >= 0, step <= 0            the same after an outage of half the sequence's range or more; else
                                     overtaken by a frame without samples (delivered), or, if this sequence
                                     was delivered, nonsense; if it is not recent, the sequence restarted
    ahead <  0, sequence recent      Duplicate if it was delivered, Late if not
    ahead <  0, step > 0, overlap    nonsense: frames that share samples
    ahead <  0 otherwise             Restarted, under the same session number

The sample index decides, being 32 bits wide (49 days at 500 Hz until it is ambiguous); the sequence, half
of which passes in 22 minutes of 20-sample frames at 500 Hz, tells duplicates and counts frames. Over an
outage of many hours the frames in a Gap are an estimate, in steps of 2^16; its samples stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.events import Duplicate, Event, Gap, Late, Restarted
from firmware_bridge.wire.framing import FrameError
from firmware_bridge.wire.packets import Header, SamplePacket
from firmware_bridge.wire.reconstructed import ReconstructedPacket
from firmware_bridge.wire.spec import MAX_SAMPLES, REORDER_FRAMES

_SEEN_MASK = (1 << REORDER_FRAMES) - 1
_SEQUENCES = 1 << 16
_MAX_LATE_SAMPLES = REORDER_FRAMES * MAX_SAMPLES  # 16,320: no recent frame can be further back


@dataclass(frozen=True, slots=True)
class Position:
    """Unwrapped place of a sample frame."""

    first_sample: int
    tick_us: int


@dataclass(slots=True)
class _Place:
    """Where samples of one kind stand: those measured, those reconstructed. Each kind is counted apart."""

    next_sample: int | None = None
    tick_us: int | None = None
    tick_sample: int = 0


def signed(value: int, bits: int) -> int:
    """`value` modulo 2^bits, as the nearest number to zero."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


class SequenceTracker:
    """Follows one device. The first frame ever seen sets the origin: what came before is no loss."""

    def __init__(self) -> None:
        self.lost_frames = 0
        """Frames known lost, those without samples included (which no Gap tells)."""
        self._session: int | None = None
        self._previous_session: int | None = None
        self._last_sequence = 0
        self._recent = 0  # how many sequences back belong to this session, at most REORDER_FRAMES
        self._since_first = 0  # sequences since the first frame ever seen, itself included
        self._seen = 0  # bit k: the frame k before the last one was delivered
        self._pending_frames = 0  # lost, and not yet told in a Gap
        self._measured, self._reconstructed = _Place(), _Place()

    def place_other(self, header: Header) -> tuple[list[Event], bool]:
        """Place a frame without samples: what its counters told, and whether to deliver it."""
        events = self._enter(header)
        if events is None:
            return [Late(header.sequence, 0, 0)], False
        step = self._step(header)
        if self._is_recent(step):
            return [self._behind(header, step, self._measured.next_sample or 0, 0)], False
        self._advance(header, (step - 1) % _SEQUENCES)
        return events, True

    def place_samples(
        self,
        header: Header,
        packet: SamplePacket | ReconstructedPacket,
        sampling_hz: float | None,
    ) -> tuple[list[Event], Position | None]:
        """Place a sample frame: what its counters told, and its position, or None to drop it.

        `sampling_hz`, where known, lets the tick be unwrapped over outages longer than its 71 minutes.
        Raises FrameError, with the reason, for counters that contradict each other.
        """
        events = self._enter(header)
        if events is None:
            return [Late(header.sequence, packet.first_sample, packet.n_samples)], None
        step = self._step(header)
        place = self._reconstructed if isinstance(packet, ReconstructedPacket) else self._measured
        origin = place.next_sample
        next_sample = packet.first_sample if origin is None else origin
        ahead = signed(packet.first_sample - next_sample, 32)
        before_the_first = origin is None and -step >= self._since_first
        if self._is_recent(step) and (before_the_first or -_MAX_LATE_SAMPLES <= ahead < 0):
            return [self._behind(header, step, next_sample + ahead, packet.n_samples)], None
        if ahead < 0:
            if step > 0 and -ahead <= MAX_SAMPLES:
                raise FrameError(f"{-ahead} of its samples were already sent in another frame")
            events = self._restart(header.session)
            step, next_sample, ahead = self._step(header), 0, packet.first_sample
        lost = self._frames_between(step, ahead, packet.n_samples)
        if lost is None:
            self._fill_in(step)
        else:
            self._advance(header, lost)
        if ahead:
            events.append(Gap(next_sample, ahead, self._pending_frames))
        if ahead or lost is not None:
            self._pending_frames = 0
        first_sample = next_sample + ahead
        place.next_sample = first_sample + packet.n_samples
        tick_us = _unwrapped(place, packet.tick_us, first_sample, sampling_hz)
        return events, Position(first_sample, tick_us)

    def _enter(self, header: Header) -> list[Event] | None:
        """Follow a change of session; None for a frame that the session before left behind."""
        if header.session == self._session:
            return []
        if self._session is None:
            self._session = header.session
            self._last_sequence = (header.sequence - 1) % _SEQUENCES
            self._recent = REORDER_FRAMES
            return []
        if header.session == self._previous_session and self._recent < REORDER_FRAMES:
            self._recent += 1
            return None
        self._previous_session = self._session
        return self._restart(header.session)

    def _restart(self, session: int) -> list[Event]:
        self._session = session
        self._last_sequence = _SEQUENCES - 1
        self._recent = self._seen = self._pending_frames = 0
        for place in (self._measured, self._reconstructed):
            place.next_sample, place.tick_us = 0, None
        return [Restarted(session)]

    def _step(self, header: Header) -> int:
        return signed(header.sequence - self._last_sequence, 16)

    def _is_recent(self, step: int) -> bool:
        return -self._recent < step <= 0

    def _behind(self, header: Header, step: int, first_sample: int, n_samples: int) -> Event:
        if self._seen >> -step & 1:
            return Duplicate(header.sequence)
        self._seen |= 1 << -step  # so that a second copy is a duplicate
        return Late(header.sequence, first_sample, n_samples)

    def _frames_between(self, step: int, ahead: int, n_samples: int) -> int | None:
        """Frames lost before this one, given that `ahead` samples were; None if others overtook it."""
        lost = (step - 1) % _SEQUENCES
        guess = ahead / n_samples  # if the lost frames were as long as this one
        if step > 0 or guess >= lost / 2:
            return lost + _SEQUENCES * max(0, round((guess - lost) / _SEQUENCES))
        if not self._is_recent(step):
            return 0
        if self._seen >> -step & 1:
            raise FrameError("its sequence was used before and its sample index was not")
        return None

    def _fill_in(self, step: int) -> None:
        """Deliver a frame that a frame without samples overtook, and which counted as lost since."""
        self._seen |= 1 << -step
        self._pending_frames = max(0, self._pending_frames - 1)
        self.lost_frames -= 1

    def _advance(self, header: Header, lost: int) -> None:
        self._last_sequence = header.sequence
        self._seen = (self._seen << min(lost + 1, REORDER_FRAMES) | 1) & _SEEN_MASK
        self._recent = min(self._recent + lost + 1, REORDER_FRAMES)
        self._since_first = min(self._since_first + lost + 1, REORDER_FRAMES)
        self._pending_frames += lost
        self.lost_frames += lost


def _unwrapped(place: _Place, tick_us: int, first_sample: int, sampling_hz: float | None) -> int:
    """The tick of `first_sample`, kept in `place`."""
    if place.tick_us is not None:
        if sampling_hz is None:  # ticks only go forward
            tick_us = place.tick_us + (tick_us - place.tick_us) % 2**32
        else:
            elapsed_us = round((first_sample - place.tick_sample) * 1e6 / sampling_hz)
            expected = place.tick_us + elapsed_us
            tick_us = expected + signed(tick_us - expected, 32)
    place.tick_us, place.tick_sample = tick_us, first_sample
    return tick_us
