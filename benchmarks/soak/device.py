"""A virtual wearable with a known truth, and what faults make of its bytes on their way to the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.soak.schedule import Fault, Kind
from edge.leads import INPUT_LEADS
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info

DEVICE_HZ = 250.0  # that of the bundle, so that what comes out is compared without a rate converter
EPOCH_NS = 10**15  # host time at the start; only differences matter
DELAY_S = 0.002
JITTER_S = 0.005
PORT_BYTES = 4095  # what a terminal keeps for a reader who does not come
OFF_MV = 200.0  # what an electrode picks up that hangs in the air, at most
SHARE = 0.4  # of the frames, where a fault does not hit all
IN_PIECES = 0.1  # of the reads bring a frame in two pieces


class Truth:
    """What the heart did, and garbage in the channels whose electrode is off."""

    leads = INPUT_LEADS
    sampling_hz = DEVICE_HZ

    def __init__(self, seconds: float, seed: int) -> None:
        signal = EcgSimulator(DEVICE_HZ, baseline_mv=0.03, muscle_mv=0.005, seed=seed)
        rows = [signal.leads.index(lead) for lead in INPUT_LEADS]
        lsb_mv = stream_info(DEVICE_HZ).nanovolts_per_lsb * 1e-6
        exact = signal.read(round(seconds * DEVICE_HZ))[rows].astype(np.float64) / lsb_mv
        self.codes: NDArray[np.int32] = np.rint(exact).astype(np.int32)
        """(3, n) converter codes, as the wire carries them."""
        self.ecg_mv: NDArray[np.float32] = (self.codes * lsb_mv).astype(np.float32)
        """The same in mV."""
        self.position = 0
        """The sample that is taken next."""
        self.off = 0
        """Bit i set: the electrode of channel i is off."""
        self._garbage = np.random.default_rng(seed)

    def read(self, n_samples: int) -> NDArray[np.float32]:
        """The next samples, (3, n) mV; fewer at the end."""
        taken = self.ecg_mv[:, self.position : self.position + n_samples].copy()
        self.position += taken.shape[1]
        for row in range(len(taken)):
            if self.off >> row & 1:
                taken[row] = self._garbage.uniform(-OFF_MV, OFF_MV, taken.shape[1])
        return taken


@dataclass(frozen=True)
class Piece:
    """What one read of the port returns; without data the link is lost instead."""

    at_s: float
    """Time of the signal."""
    arrival_ns: int
    """Time of the host."""
    data: bytes


@dataclass(frozen=True)
class _Frame:
    """A frame on its way: its bytes, and the (first, stop) samples of the truth in it."""

    data: bytes
    span: tuple[int, int]
    whole: bool = True


class FaultyDevice:
    """Says the truth in frames, through the faults; to be iterated once."""

    def __init__(self, truth: Truth, faults: Sequence[Fault], rng: np.random.Generator) -> None:
        self.session_starts: list[int] = []
        """Sample of the truth that is sample 0 of each session."""
        self.must_arrive: list[tuple[int, int]] = []
        """(first, stop) of the truth in frames that come whole, in order, and after no damaged one."""
        self.felt = Counter[Kind]()
        """Frames and moments at which a fault of a kind did what it does."""
        self._truth, self._rng = truth, rng
        self._electrodes = [fault for fault in faults if fault.kind is Kind.LEAD_OFF]
        self._others = [fault for fault in faults if fault.kind is not Kind.LEAD_OFF]
        self._waiting: list[_Frame] = []  # in the port, for a reader who does not come
        self._overtaken: _Frame | None = None
        self._newest = 0  # sample after the newest whole frame's
        self._doubtful = False  # what came before was damaged: the next may be lost with it
        self._offset_s = 0.0  # of the host's clock
        self._arrival_s = 0.0

    def __iter__(self) -> Iterator[Piece]:
        """What comes to the host, in the order of its arrival."""
        n, at_s, before = self._truth.ecg_mv.shape[1], 0.0, None
        wearable, boot_s = self._boot()
        while self._truth.position < n:
            self._truth.off = wearable.lead_off = self._channels_off(at_s)
            self.felt[Kind.LEAD_OFF] += bool(self._truth.off)
            made = wearable.next_frame()
            if made is None or not made.n_samples:
                break
            first = self.session_starts[-1] + made.first_sample
            frame, begin_s = _Frame(made.data, (first, first + made.n_samples)), at_s
            at_s = boot_s + made.due_s
            fault = self._fault(begin_s, at_s)
            if before is not None and fault is not before:
                yield from self._end(before, begin_s)
            if fault is not None and fault is not before:
                frame = self._begin(fault, frame)
                if fault.kind in (Kind.LINK_LOST, Kind.RESTART):
                    yield from self._deliver([frame], at_s)
                    frame = _Frame(b"", frame.span, whole=False)
                if fault.kind is Kind.LINK_LOST:
                    self.felt[Kind.LINK_LOST] += 1
                    yield Piece(at_s, self._arrive(at_s), b"")
                if fault.kind is Kind.RESTART:
                    away_until = round(fault.end_s * DEVICE_HZ)
                    self._truth.position = min(max(self._truth.position, away_until), n)
                    wearable, boot_s = self._boot()
                    self.felt[Kind.RESTART] += 1
                    at_s, before = boot_s, None
                    continue
            before = fault
            yield from self._deliver(self._through(fault, frame), at_s)
        if before is not None:
            yield from self._end(before, at_s)

    def _boot(self) -> tuple[VirtualWearable, float]:
        """A device that begins a session, and when."""
        info = stream_info(DEVICE_HZ, session=len(self.session_starts) % 256)
        self.session_starts.append(self._truth.position)
        return VirtualWearable(self._truth, info), self._truth.position / DEVICE_HZ

    def _channels_off(self, at_s: float) -> int:
        off = 0
        for fault in self._electrodes:
            off |= fault.channels if fault.holds(at_s) else 0
        return off

    def _fault(self, begin_s: float, end_s: float) -> Fault | None:
        """The fault that holds somewhere in between; a restart only at its begin."""
        for fault in self._others:
            boots = fault.kind is Kind.RESTART and begin_s > fault.begin_s
            if fault.begin_s < end_s and begin_s < fault.end_s and not boots:
                return fault
        return None

    def _begin(self, fault: Fault, frame: _Frame) -> _Frame:
        if fault.kind is Kind.LATER:
            self._offset_s += fault.end_s - fault.begin_s
            self.felt[Kind.LATER] += 1
        if fault.kind in (Kind.LINK_LOST, Kind.RESTART):
            cut = int(self._rng.integers(len(frame.data)))
            return _Frame(frame.data[:cut], frame.span, whole=False)
        return frame

    def _end(self, fault: Fault, at_s: float) -> Iterator[Piece]:
        """What comes when a fault is over."""
        if fault.kind is Kind.HOST_SUSPENDED:
            self._offset_s -= fault.end_s - fault.begin_s
        waiting, self._waiting = self._waiting, []
        if self._overtaken is not None:
            waiting.append(self._overtaken)
            self._overtaken = None
        yield from self._deliver(waiting, at_s)

    def _through(self, fault: Fault | None, frame: _Frame) -> list[_Frame]:
        """What of a frame goes on now."""
        kind, hit = None if fault is None else fault.kind, self._rng.random() < SHARE
        if kind in (Kind.BURST, Kind.LINK_LOST) or (kind is Kind.LOSS and hit):
            if kind is not None and kind is not Kind.LINK_LOST:
                self.felt[kind] += 1
            return []
        if kind in (Kind.HOST_SUSPENDED, Kind.STARVED_ACQUISITION):
            room = PORT_BYTES - sum(len(waiting.data) for waiting in self._waiting)
            if room < len(frame.data):
                frame = _Frame(frame.data[:room], frame.span, whole=False)
            if frame.data:
                self._waiting.append(frame)
                self.felt[kind] += 1
            return []
        if kind is Kind.CORRUPTION and hit:
            self.felt[kind] += 1
            return [_Frame(self._damaged(frame.data), frame.span, whole=False)]
        if self._overtaken is not None and hit:
            late, self._overtaken = self._overtaken, None
            return [frame, late]
        if kind is Kind.DISORDER and hit:
            self.felt[kind] += 1
            if self._overtaken is None and self._rng.random() < 0.5:
                self._overtaken = frame
                return []
            return [frame, frame]
        return [frame]

    def _damaged(self, data: bytes) -> bytes:
        """Bits turned, bytes cut out, or bytes put in."""
        damaged = bytearray(data)
        at = int(self._rng.integers(len(data)))
        how = self._rng.integers(3)
        if how == 0:
            for _ in range(int(self._rng.integers(1, 9))):
                damaged[int(self._rng.integers(len(data)))] ^= 1 << int(self._rng.integers(8))
        elif how == 1:
            del damaged[at : at + int(self._rng.integers(1, 40))]
        else:
            damaged[at:at] = self._rng.bytes(int(self._rng.integers(1, 40)))
        return bytes(damaged)

    def _deliver(self, frames: Sequence[_Frame], at_s: float) -> Iterator[Piece]:
        """Frames on the wire; a read takes all that is there, or a part of one."""
        for frame in frames:
            if frame.whole and frame.span[0] >= self._newest:
                if not self._doubtful:
                    self.must_arrive.append(frame.span)
                self._newest = frame.span[
                    1
                ]  # what comes after it, though older, may be called late
            self._doubtful = not frame.whole
        data = b"".join(frame.data for frame in frames)
        if not data:
            return
        arrival_ns = self._arrive(at_s)
        cut = len(data)
        if self._rng.random() < IN_PIECES:
            cut = int(self._rng.integers(1, len(data) + 1))
        for part in (data[:cut], data[cut:]):
            if part:
                yield Piece(at_s, arrival_ns, part)

    def _arrive(self, at_s: float) -> int:
        due_s = at_s + self._offset_s + DELAY_S + float(self._rng.exponential(JITTER_S))
        self._arrival_s = max(self._arrival_s, due_s)
        return EPOCH_NS + round(self._arrival_s * 1e9)
