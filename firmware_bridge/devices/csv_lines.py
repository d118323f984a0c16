"""Lines of numbers, `II,V1,V5`, as a microcontroller sketch prints them on its first day.

*What a line is.* Numbers, one per lead, with any separator, bracket and decimal sign
(`devices.csv_fields`), or with labels: `II:0.1 V1:0.2 V5:0.3`. An empty field or `nan` says that the
electrode is off; so does `inf` or `ovf`, since such a value is none. One such word alone, as `!`, says it of
all leads. Everything else (boot chatter, half lines) is `Corrupt`.

*What a column is.* A header line (`time_ms,II (uV),V1 (uV),V5 (uV)`) names leads, units and a column of
time; it is believed when a line of as many numbers follows it. Columns that are no leads are skipped, and a
`Notice` says so.

*The rate* is what `sampling_hz` says; else it is estimated, from the column of time or from when the lines
arrive, and the first seconds are held back meanwhile, whatever their columns: a header that comes within
them holds for them, too.

The format has no sequence: `first_sample` counts good lines, so a lost line cannot be known and shifts
what follows it. A sketch that stops for more than a second, or whose column of time jumps, leaves a gap
(`devices.csv_pauses`). Firmware that should be trusted speaks the wire format.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from firmware_bridge.devices.csv_columns import Columns, wanted
from firmware_bridge.devices.csv_fields import Row, cut, is_no_sample, split_line, value_of
from firmware_bridge.devices.csv_headers import Headers, checked
from firmware_bridge.devices.csv_held import HeldLine, HeldLines
from firmware_bridge.devices.csv_pauses import ClockJumps, Pauses
from firmware_bridge.devices.csv_rate import ASSUMED_HZ, RateEstimate
from firmware_bridge.devices.device import Device
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import (
    Corrupt,
    Duplicate,
    Event,
    Gap,
    LeadOffChanged,
    Notice,
    Samples,
    StreamInfo,
)
from firmware_bridge.lead_names import MV_PER_UNIT
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.framing import FrameError, Splitter

MAX_LINE_BYTES = 256  # nine columns of 20 characters, with room to spare
SAMPLE_BITS = 24
NANOVOLTS_PER_LSB = 100.0  # four decimals of a millivolt are exact; the rails are at 838 mV
STOPPED = (
    "the lines stopped for a while: the gap is as long as their column of time says, "
    "or this computer's clock"
)
_RAIL = (1 << (SAMPLE_BITS - 1)) - 1


class CsvDecoder:
    """Decodes CSV lines. Holds one unfinished line, and the first seconds while their rate is not known.

    The complete lines of one `receive_data` call become one Samples event (more where the lead-off mask
    changes), after one StreamInfo at the start and at each header that names other leads.
    """

    def __init__(
        self,
        leads: Sequence[str] = ("II", "V1", "V5"),
        sampling_hz: float | None = ASSUMED_HZ,
        millivolts_per_unit: float | None = None,
    ) -> None:
        """Expect the columns `leads` until a header line names others.

        `leads` may also say which column is which lead, by number from 1 (`3:V5`) or by the name in the
        header (`CH2:V1`, `V1=CH2`). `sampling_hz` of None estimates the rate; this needs `arrived`. A value
        of 1 is `millivolts_per_unit` millivolts, or what the header says, or one; rounded to 100 nV and
        clipped to the rails.
        Raises SourceSpecError for unknown or repeated leads and for a rate or unit not above zero.
        """
        for name, value in (("rate", sampling_hz), ("unit", millivolts_per_unit)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SourceSpecError(f"CSV {name} of {value:g}: give a number above 0")
        self._unit_mv = millivolts_per_unit
        self._splitter = Splitter(b"\n", MAX_LINE_BYTES, "line")
        self._headers = Headers(wanted(leads), millivolts_per_unit)
        self._last_text = ""
        self._first_line = True
        self._rate = RateEstimate(sampling_hz)
        self._held = HeldLines() if sampling_hz is None else None  # None once they were released
        self._now_ns: int | None = None
        self._is_later = False  # than when what is held was last looked at
        self._pauses = Pauses()
        self._clock_jumps = ClockJumps()
        self._info: StreamInfo | None = None  # as last told
        self._n_samples = 0
        self._lead_off = 0
        self._events: list[Event] = []  # to be returned
        self._rows: list[list[int]] = []  # that come after them

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished line, at most MAX_LINE_BYTES."""
        return self._splitter.held_bytes

    @property
    def held_samples(self) -> int:
        """Lines of known columns that are held back, at most MAX_HELD."""
        return len(self._held or ()) + len(self._pauses)

    def arrived(self, now_ns: int) -> None:
        """The bytes that follow arrived at this time."""
        if self._held is None and self._first_line:
            self._held = HeldLines()  # what comes before the first header may have another order
        self._is_later = self._is_later or now_ns != self._now_ns
        self._now_ns = now_ns
        self._rate.arrivals.arrived(now_ns)

    def ended(self) -> list[Event]:
        """No more lines will come: those held back."""
        self._release(at_end=True)
        for missing, (row, columns), at_ns in self._pauses.ended(self._rate.hz):
            self._place(missing, row, columns, at_ns)
        return self._said()

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        if self._is_later or self._now_ns is None:  # how one arrival is cut must not matter
            self._is_later = False
            self._release()
        # A carriage return ends a line, too; the empty lines that this makes of CR LF are skipped.
        for line in self._splitter.receive_data(data.replace(b"\r", b"\n")):
            if isinstance(line, Corrupt):
                self._first_line = False
                self._say(line)
                continue
            text = _text(line)
            if not text:
                continue
            try:
                self._take(text, len(line))
            except FrameError as error:
                self._notice(self._headers.notices())
                self._say(Corrupt(str(error), len(line)))
            self._first_line = False
        return self._said()

    def _say(self, event: Event) -> None:
        self._flush()
        self._events.append(event)

    def _notice(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._say(Notice(text))

    def _said(self) -> list[Event]:
        self._flush()
        said, self._events = self._events, []
        return said

    def _take(self, text: str, n_bytes: int) -> None:
        """Take a line that is not empty. Raises FrameError for one that is no line of numbers."""
        line = split_line(text)
        row = [value_of(field) for field in line.fields]
        if not row:  # what stands around a line, and nothing in it
            raise FrameError("a line without numbers")
        pairs = zip(row, line.fields, strict=True)
        numbers = [value is not None and field != "" for value, field in pairs]
        if not any(numbers) and any(line.fields):
            self._headers.hear_words(line, self._first_line)
            return
        if self._first_line:  # "3,0.1,0.2" may be the tail of "0.123,0.1,0.2"
            raise FrameError("the first line may be half a line")
        if line.labels is not None and any(numbers):
            self._headers.hear_labels(line.labels)
        known, named = self._headers.columns, bool(self._headers.names)
        fitting = self._headers.understood(row)
        self._notice(self._headers.notices())
        held, columns = self._held, self._headers.columns
        if columns is None or fitting is None:
            if held is None:
                raise self._headers.miscounted(len(row))
            held.put(HeldLine(row, self._now_ns, n_bytes), is_known=False)
            return
        if held is not None and columns is not known and not named:
            self._rate.learn_again(columns, held.known(columns))
        if columns.clock is not None and not is_no_sample(row):
            if text == self._last_text:
                self._say(Duplicate(0))
                return
            self._last_text = text
            self._rate.time(columns, columns.time(fitting))
        if held is not None:
            self._rate.arrivals.line()
            own = columns if self._headers.names else None
            held.put(HeldLine(row, self._now_ns, n_bytes, own), is_known=True)
        else:
            self._add(fitting, columns, self._now_ns)
        self._notice(self._rate.notices())

    def _release(self, at_end: bool = False) -> None:
        """Say what was held back, once rate and columns are known."""
        held, columns = self._held, self._headers.columns
        if held is None:
            return
        for line in held.given_up(columns, self._now_ns, at_end):
            self._say(Corrupt(str(self._headers.miscounted(len(line.row))), line.n_bytes))
        n_held, named = len(held), bool(self._headers.names)
        if columns is None or not n_held or not self._rate.is_known(named, n_held, at_end):
            return
        self._held = None
        self._notice(self._rate.notices())
        for line in held:
            own = line.columns or columns
            row = cut(line.row, own.n_columns)
            try:
                if row is None:
                    raise self._headers.miscounted(len(line.row))
                self._add(checked(row, own), own, line.at_ns)
            except FrameError as error:
                self._say(Corrupt(str(error), line.n_bytes))

    def _add(self, row: Row, columns: Columns, at_ns: int | None) -> None:
        """Take a row; after a pause it waits until it is known what is missing."""
        for missing, ready, ready_ns in self._pauses.take((row, columns), at_ns, self._rate.hz):
            self._place(missing, *ready, ready_ns)

    def _place(self, missing: int, row: Row, columns: Columns, at_ns: int | None) -> None:
        """Put a row behind the gap before it, if there is one."""
        if columns.clock is not None:
            by_clock = self._clock_jumps.missing(
                columns.time(row),
                at_ns,
                self._rate.clock_step,
                self._rate.hz,
                columns.clock_is_index,
            )
            missing = missing if by_clock is None else by_clock
        if missing and self._info is not None:
            self._flush()
            self._say(Gap(self._n_samples, missing, missing))
            self._notice([STOPPED])
            self._n_samples += missing
        self._count(row, columns)

    def _count(self, row: Row, columns: Columns) -> None:
        """Put a row into counts."""
        if self._info is None or self._info.leads != columns.leads:
            self._flush()
            self._info = self._stream_info(columns.leads)
            self._say(self._info)
        counts = []
        lead_off = 0
        for channel, place in enumerate(columns.places):
            value, unit = row[place] or (math.nan, None)
            if math.isnan(value):
                lead_off |= 1 << channel
                counts.append(0)
                continue
            scale = MV_PER_UNIT[unit] if unit else columns.scales[channel]
            millivolts = value * (self._unit_mv or scale or 1.0)
            scaled = max(-_RAIL - 1.0, min(float(_RAIL), millivolts * 1e6 / NANOVOLTS_PER_LSB))
            counts.append(round(scaled))
        if lead_off != self._lead_off:
            self._flush()  # under the mask before
            self._lead_off = lead_off
            self._say(LeadOffChanged(self._n_samples, lead_off))
        self._rows.append(counts)

    def _stream_info(self, leads: tuple[str, ...]) -> StreamInfo:
        return StreamInfo(
            leads=leads,
            sampling_hz=self._rate.hz,
            nanovolts_per_lsb=NANOVOLTS_PER_LSB,
            sample_bits=SAMPLE_BITS,
            config_id=0 if self._info is None else (self._info.config_id + 1) % 256,
            device="CSV lines",
            rate_source=self._rate.source,
        )

    def _flush(self) -> None:
        """Turn the rows so far into one Samples event."""
        if not self._rows or self._info is None:
            return
        counts = np.ascontiguousarray(np.array(self._rows, np.int32).T)
        config_id = self._info.config_id
        self._events.append(
            Samples(self._n_samples, counts, lead_off=self._lead_off, config_id=config_id)
        )
        self._n_samples += len(self._rows)
        self._rows.clear()


def _text(line: bytes) -> str:
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        return line.decode("latin-1").strip()


def _make(options: Options) -> CsvDecoder:
    leads = options.text("leads", "II,V1,V5").split(",")
    rate = options.number("rate", 0.0) if options.has("rate") else None
    unit = options.number("unit_mv", 0.0) if options.has("unit_mv") else None
    return CsvDecoder(leads, rate, unit)


DEVICE = Device(
    "csv",
    "sketch that prints CSV lines",
    _make,
    "firmware_bridge.simulators.twins:sketch",
    takes_rate=True,
)
