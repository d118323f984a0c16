"""A stream of the Lab Streaming Layer as bytes, and the decoder of them: no liblsl, no clock, no I/O.

`transports.lsl` puts what liblsl hands out into frames (`wire.framing.wrap`: COBS, CRC-32), so that a capture
of it replays. The first byte of a frame says what it is:

    D  the stream's description, XML in UTF-8; before the first samples of each connection
    C  f64: seconds to be added to a time stamp for `time.monotonic()` of this computer
    S  u32 n, n f64 time stamps in the sender's clock, n rows of samples in the format of the description

all little-endian. Samples are counted by their time stamps (`devices.sample_times`): where these jump,
samples are missing. LSL has no word for an electrode that is off; a value of NaN is a sample that
is not there.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.csv_rate import clock_rate, round_rate
from firmware_bridge.devices.device import Device
from firmware_bridge.devices.lsl_description import (
    FORMATS,
    Asked,
    Description,
    Wiring,
    check_leads,
    parse,
    wire,
)
from firmware_bridge.devices.sample_times import Placed, SampleTimes
from firmware_bridge.errors import PeerError, SourceSpecError
from firmware_bridge.events import (
    Corrupt,
    Event,
    Gap,
    LeadOffChanged,
    Notice,
    RateSource,
    Samples,
    StreamInfo,
)
from firmware_bridge.lead_names import MV_PER_UNIT, unit_named
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.framing import FrameError, Splitter, unwrap, wrap

SAMPLE_BITS = 32
NANOVOLTS_PER_LSB = 1.0  # float32 in uV is no finer at 16 mV; the rails are at 2.1 V
MAX_FRAME_BYTES = 1 << 20
RATE_S = 2.0  # of stamps that an unknown rate is estimated from
LONGER_S = 4.0  # where they do not go up step by step
_AGREES = 0.01  # the user's rate and the stream's
_AHEAD_S = 3.0  # samples that come faster than time goes by: that the stamps jumped is no gap
_FOREIGN_S = 60.0  # stamps so far from now are not in LSL's clock
_RAIL = (1 << (SAMPLE_BITS - 1)) - 1
_DESCRIPTION, _CLOCK, _SAMPLES = b"D", b"C", b"S"


def description_frame(xml: str) -> bytes:
    """The frame of a stream's description."""
    return wrap(_DESCRIPTION + xml.encode())


def clock_frame(correction_s: float) -> bytes:
    """The frame of what is to be added to a time stamp for `time.monotonic()` of this computer."""
    return wrap(_CLOCK + struct.pack("<d", correction_s))


def samples_frame(stamps_s: NDArray[np.float64], values: NDArray[np.generic]) -> bytes:
    """The frame of (n,) time stamps and (n, n_channels) values."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    stamps = stamps_s.astype("<f8", copy=False).tobytes()
    return wrap(_SAMPLES + struct.pack("<I", len(stamps_s)) + stamps + little.tobytes())


class LslDecoder:
    """Decodes the frames above: one StreamInfo at each connection, and Samples as they are placed."""

    def __init__(self, asked: Asked | None = None, rate_hz: float | None = None) -> None:
        """`rate_hz` is what the user says; without it the stream's own, or an estimate where it has none.

        Raises SourceSpecError for leads and for a rate that cannot be.
        """
        self._asked = asked or Asked()
        if self._asked.leads:
            check_leads(self._asked.leads, self._asked.reference)
        for name, value in (("rate", rate_hz), ("unit_mv", self._asked.mv_per_unit)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SourceSpecError(f"{name}={value:g}: give a number above 0")
        self._rate_hz = rate_hz
        self._splitter = Splitter(max_bytes=MAX_FRAME_BYTES)
        self._description: Description | None = None
        self._wiring: Wiring | None = None
        self._times: SampleTimes | None = None
        self._untimed: list[tuple[NDArray[np.float64], NDArray[np.generic]]] = []
        """Stamps and values from before the rate was known."""
        self._correction_s: float | None = None  # of the sender's clock, as of now
        self._shift_s = 0.0  # that carries the stamps of a later outlet on those of the first one
        self._uid = ""
        self._joins = False  # another outlet: its first correction is to come
        self._info: StreamInfo | None = None
        self._now_ns: int | None = None
        self._first_ns: int | None = None
        self._n_samples = 0
        self._lead_off = 0
        self._foreign = False
        self._told: set[str] = set()

    def check(self, xml: str) -> None:
        """Raise PeerError or SourceSpecError for a stream that cannot be read as asked."""
        wire(parse(xml), self._asked)

    @property
    def held_samples(self) -> int:
        """Samples that were understood and are held back."""
        waiting = sum(len(stamps) for stamps, _ in self._untimed)
        return waiting + (self._times.held if self._times is not None else 0)

    def arrived(self, now_ns: int) -> None:
        """The bytes that follow arrived at this time (`time.monotonic_ns()`)."""
        self._now_ns = now_ns

    def ended(self) -> list[Event]:
        """No more will come: what was held back."""
        events: list[Event] = []
        self._estimate(events, at_end=True)
        if self._times is not None:
            self._emit(self._times.ended(), events)
        return events

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes, in pieces of any size, and say what they completed."""
        events: list[Event] = []
        for frame in self._splitter.receive_data(data):
            if isinstance(frame, Corrupt):
                events.append(frame)
                continue
            try:
                self._take(unwrap(frame), events)
            except (FrameError, PeerError, SourceSpecError, struct.error) as error:
                events.append(Corrupt(str(error), len(frame)))
        return events

    def _take(self, packet: bytes, events: list[Event]) -> None:
        """Raises what a frame that makes no sense raises."""
        kind, body = packet[:1], packet[1:]
        if kind == _DESCRIPTION:
            self._describe(parse(body.decode("utf-8", "replace")), events)
        elif kind == _CLOCK:
            (correction_s,) = struct.unpack("<d", body)
            self._correct(correction_s)
        elif kind == _SAMPLES:
            self._sampled(body, events)
        else:
            raise FrameError(f"a frame of unknown kind {kind!r}")

    def _describe(self, description: Description, events: list[Event]) -> None:
        self._wiring, notices = wire(description, self._asked)
        self._description = description
        for text in notices:
            self._notice(text, events)
        if self._uid != description.uid and self._uid:
            # Another outlet, maybe on another computer: only this computer's clock joins the two.
            self._emit_held(events)
            self._joins = True
        self._uid = description.uid
        if self._info is not None:  # told again, also where nothing changed
            self._tell_info(self._info.sampling_hz, self._info.rate_source, events)
            return
        if self._rate_hz is not None:
            if description.hz and abs(description.hz / self._rate_hz - 1) > _AGREES:
                self._notice(
                    f"rate={self._rate_hz:g} was said, and the stream says {description.hz:g} Hz: correct "
                    "rate=, or leave it out",
                    events,
                )
            self._tell_info(self._rate_hz, RateSource.DECLARED, events)
        elif description.hz:
            self._tell_info(description.hz, RateSource.DEVICE, events)

    def _correct(self, correction_s: float) -> None:
        if not math.isfinite(correction_s):
            raise FrameError("a time correction that is no number")
        if self._joins and self._correction_s is not None:
            self._shift_s += correction_s - self._correction_s
        self._joins = False
        self._correction_s = correction_s

    def _sampled(self, body: bytes, events: list[Event]) -> None:
        if self._description is None or self._wiring is None:
            raise FrameError("samples before the description of their stream")
        (n,) = struct.unpack_from("<I", body)
        dtype = np.dtype(FORMATS[self._description.format])
        n_channels = len(self._description.channels)
        if len(body) != 4 + n * (8 + n_channels * dtype.itemsize):
            raise FrameError(f"{len(body)} bytes for {n} samples of {n_channels} channels")
        if n == 0:
            return
        stamps_s = np.frombuffer(body, "<f8", n, 4) + self._shift_s
        values = np.frombuffer(body, dtype, n * n_channels, 4 + 8 * n).reshape(n, n_channels)
        if not np.isfinite(stamps_s).all():
            raise FrameError("a time stamp that is no number")
        if self._first_ns is None:
            self._first_ns = self._now_ns
            self._doubt_clock(stamps_s, events)
        if self._times is None:
            self._untimed.append((stamps_s, values))
            self._estimate(events, at_end=False)
        else:
            self._emit(self._times.place(stamps_s, values), events)

    def _doubt_clock(self, stamps_s: NDArray[np.float64], events: list[Event]) -> None:
        if self._now_ns is None or self._correction_s is None:
            return
        off_s = float(stamps_s[-1]) + self._correction_s - self._now_ns * 1e-9
        self._foreign = abs(off_s) > _FOREIGN_S
        if self._foreign:
            self._notice(
                f"the time stamps of the stream are not in LSL's clock (off by {off_s:.0f} s): samples are "
                "timed by when they arrive",
                events,
            )

    def _estimate(self, events: list[Event], at_end: bool) -> None:
        """Say what was held back, once the rate of a stream that has none is known."""
        if self._times is not None or not self._untimed:
            return
        stamps_s = np.concatenate([stamps for stamps, _ in self._untimed])
        lasting_s = float(stamps_s[-1] - stamps_s[0])
        if not at_end and lasting_s < RATE_S:
            return
        found = clock_rate(list(stamps_s - stamps_s[0]), 1.0)
        hz = None if found is None else round_rate(found[0], _AGREES / 2) or found[0]
        if hz is None:
            if not at_end and lasting_s < LONGER_S:
                return
            if len(stamps_s) < 2 or not lasting_s > 0:
                self._untimed.clear()
                return
            counted = float(np.polyfit(stamps_s - stamps_s[0], np.arange(len(stamps_s)), 1)[0])
            hz = round_rate(counted) or float(f"{counted:.4g}")
        self._notice(
            f"the stream says no rate: {hz:g} Hz by its time stamps, taken for samples at even steps; say "
            f"what it is: rate={hz:g}",
            events,
        )
        times = self._times = SampleTimes(hz)
        self._tell_info(hz, RateSource.TIME_COLUMN, events)
        untimed, self._untimed = self._untimed, []
        for stamps, values in untimed:
            self._emit(times.place(stamps, values), events)

    def _tell_info(self, hz: float, source: RateSource, events: list[Event]) -> None:
        assert self._description is not None and self._wiring is not None
        if self._times is None:
            self._times = SampleTimes(hz)
        leads = self._wiring.leads
        config_id = 0 if self._info is None else self._info.config_id
        if self._info is not None and self._info.leads != leads:
            config_id = (config_id + 1) % 256
        self._info = StreamInfo(
            leads=leads,
            sampling_hz=hz,
            nanovolts_per_lsb=NANOVOLTS_PER_LSB,
            sample_bits=SAMPLE_BITS,
            config_id=config_id,
            device=self._description.device,
            rate_source=source,
            simulated=self._description.simulated,
        )
        events.append(self._info)

    def _emit_held(self, events: list[Event]) -> None:
        if self._times is not None:
            self._emit(self._times.ended(), events)

    def _emit(self, placed: list[Placed], events: list[Event]) -> None:
        for part in placed:
            missing = self._believed(part.missing, len(part.rows))
            if missing:
                events.append(Gap(self._n_samples, missing, missing))
                self._n_samples += missing
            assert self._wiring is not None
            self._split(self._wiring.apply(part.rows), part, events)

    def _believed(self, missing: int, n_samples: int) -> int:
        """No more than there was time for: else the sender's clock was set."""
        if not missing or self._info is None or self._now_ns is None or self._first_ns is None:
            return missing
        passed = (self._now_ns - self._first_ns) * 1e-9 + _AHEAD_S
        there_was = round(passed * self._info.sampling_hz) - self._n_samples - n_samples
        return missing if missing <= there_was else 0

    def _split(self, leads_mv: NDArray[np.float64], part: Placed, events: list[Event]) -> None:
        """Samples events, a new one where other leads are missing."""
        assert self._info is not None
        with np.errstate(over="ignore", invalid="ignore"):
            counts = np.rint(leads_mv * (1e6 / NANOVOLTS_PER_LSB))
        there = np.isfinite(leads_mv)
        counts = np.clip(np.where(there, counts, 0), -_RAIL - 1, _RAIL).astype(np.int32)
        masks = (~there * (1 << np.arange(len(there)))[:, None]).sum(axis=0)
        n = counts.shape[1]
        period_s = (part.last_s - part.first_s) / max(1, n - 1)
        cuts = [0, *(np.flatnonzero(np.diff(masks)) + 1).tolist(), n]
        for start, stop in pairwise(cuts):
            mask = int(masks[start])
            if mask != self._lead_off:
                self._lead_off = mask
                events.append(LeadOffChanged(self._n_samples, mask))
            events.append(
                Samples(
                    self._n_samples,
                    np.ascontiguousarray(counts[:, start:stop]),
                    tick_us=round((part.first_s + start * period_s) * 1e6),
                    lead_off=mask,
                    config_id=self._info.config_id,
                    acquired_ns=self._host_ns(part.first_s + (stop - 1) * period_s),
                )
            )
            self._n_samples += stop - start

    def _host_ns(self, stamp_s: float) -> int | None:
        if self._correction_s is None or self._foreign:
            return None
        return round((stamp_s - self._shift_s + self._correction_s) * 1e9)

    def _notice(self, text: str, events: list[Event]) -> None:
        if text not in self._told:
            self._told.add(text)
            events.append(Notice(text))


def _make(options: Options) -> LslDecoder:
    unit = options.text("unit", "")
    unit_mv = options.number("unit_mv", 0.0) if options.has("unit_mv") else None
    if unit:
        name = unit_named(unit)
        if name is None:
            raise SourceSpecError(f"unit={unit}: use one of {', '.join(MV_PER_UNIT)}, or unit_mv=")
        unit_mv = MV_PER_UNIT[name]
    rate = options.number("rate", 0.0) if options.has("rate") else None
    return LslDecoder(
        Asked(options.text("leads", ""), options.text("reference", ""), unit_mv), rate
    )


DEVICE = Device(
    "lsl",
    "stream of the Lab Streaming Layer",
    _make,
    on_serial=False,
    scheme="lsl",
    takes_rate=True,
)
