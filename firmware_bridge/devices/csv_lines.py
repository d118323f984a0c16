"""Lines of numbers, `II,V1,V5`, as a microcontroller sketch prints them on its first day.

*What a line is.* Numbers between commas, one per lead; an empty field or `nan` says that the electrode is
off. A header line (`t,II,V1,V5`) names the leads, and whether a first column of time or index is there to
be skipped. Everything else (boot chatter, half lines) is `Corrupt`.

The format has no sequence: `first_sample` counts good lines, so a lost line cannot be known and shifts
what follows it. Firmware that should be trusted speaks the wire format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Corrupt, Event, LeadOffChanged, Samples, StreamInfo
from firmware_bridge.wire.framing import FrameError, Splitter
from firmware_bridge.wire.spec import LEADS, MAX_CHANNELS

MAX_LINE_BYTES = 256  # nine columns of 20 characters, with room to spare
SAMPLE_BITS = 24
NANOVOLTS_PER_LSB = 100.0  # four decimals of a millivolt are exact; the rails are at 838 mV
_RAIL = (1 << (SAMPLE_BITS - 1)) - 1
_LEADS_BY_NAME = {lead.lower(): lead for lead in LEADS}
_INDEX_COLUMNS = {"t", "time", "timestamp", "ms", "us", "s", "millis", "micros", "sample", "index"}
_INDEX_COLUMNS |= {"time_ms", "time_us", "time_s", "sample_index", "n"}


class CsvDecoder:
    """Decodes CSV lines. Holds one unfinished line.

    The complete lines of one `receive_data` call become one Samples event (more where the lead-off mask
    changes), after one StreamInfo at the start and at each header that names other leads.
    """

    def __init__(
        self,
        leads: Sequence[str] = ("II", "V1", "V5"),
        sampling_hz: float = 250.0,
        millivolts_per_unit: float = 1.0,
    ) -> None:
        """Expect the columns `leads` until a header line names others.

        A value of 1 is `millivolts_per_unit` millivolts, rounded to 100 nV and clipped to the rails.
        Raises SourceSpecError for unknown or repeated leads and for a rate or unit not above zero.
        """
        self._leads = _lead_names(leads)
        for name, value in (("rate", sampling_hz), ("unit", millivolts_per_unit)):
            if not (math.isfinite(value) and value > 0):
                raise SourceSpecError(f"CSV {name} of {value:g}: give a number above 0")
        self._sampling_hz = sampling_hz
        self._counts_per_unit = millivolts_per_unit * 1e6 / NANOVOLTS_PER_LSB
        self._splitter = Splitter(b"\n", MAX_LINE_BYTES, "line")
        self._skip_columns = 0
        self._config_id = 0
        self._told_info = False
        self._first_line = True
        self._n_samples = 0
        self._lead_off = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished line, at most MAX_LINE_BYTES."""
        return self._splitter.held_bytes

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        events: list[Event] = []
        rows: list[list[int]] = []
        for line in self._splitter.receive_data(data):
            if isinstance(line, Corrupt):
                self._first_line = False
                events.append(line)
                continue
            text = line.strip()
            if not text:
                continue
            try:
                if not self._read_header(text, rows, events):
                    self._read_numbers(text, rows, events)
            except FrameError as error:
                events.append(Corrupt(str(error), len(line)))
            self._first_line = False
        self._flush(rows, events)
        return events

    def _read_header(self, text: bytes, rows: list[list[int]], events: list[Event]) -> bool:
        names = [name.strip().strip('"').lower() for name in text.decode("latin-1").split(",")]
        skip = 1 if names[0] in _INDEX_COLUMNS else 0
        columns = names[skip:]
        if not columns or any(name not in _LEADS_BY_NAME for name in columns):
            return False
        if len(columns) > MAX_CHANNELS or len(set(columns)) != len(columns):
            raise FrameError(f"a header of {len(columns)} leads, some twice or more than 8")
        leads = tuple(_LEADS_BY_NAME[name] for name in columns)
        self._skip_columns = skip
        if leads != self._leads:
            self._flush(rows, events)
            self._leads = leads
            self._config_id = (self._config_id + 1) % 256
            self._told_info = False
        return True

    def _read_numbers(self, text: bytes, rows: list[list[int]], events: list[Event]) -> None:
        fields = text.split(b",")
        expected = len(self._leads) + self._skip_columns
        if len(fields) != expected:
            raise FrameError(
                f"{len(fields)} columns and {expected} expected: name the columns in a header line"
            )
        counts = []
        lead_off = 0
        for channel, field in enumerate(fields[self._skip_columns :]):
            value = _number(field)
            if math.isnan(value):
                lead_off |= 1 << channel
                counts.append(0)
            else:
                scaled = max(-_RAIL - 1.0, min(float(_RAIL), value * self._counts_per_unit))
                counts.append(round(scaled))
        if self._first_line:  # "3,0.1,0.2" may be the tail of "0.123,0.1,0.2"
            raise FrameError("the first line may be half a line")
        if not self._told_info:
            self._told_info = True
            events.append(self._stream_info())
        if lead_off != self._lead_off:
            self._flush(rows, events)
            self._lead_off = lead_off
            events.append(LeadOffChanged(self._n_samples, lead_off))
        rows.append(counts)

    def _stream_info(self) -> StreamInfo:
        return StreamInfo(
            leads=self._leads,
            sampling_hz=self._sampling_hz,
            nanovolts_per_lsb=NANOVOLTS_PER_LSB,
            sample_bits=SAMPLE_BITS,
            config_id=self._config_id,
            device="CSV lines",
        )

    def _flush(self, rows: list[list[int]], events: list[Event]) -> None:
        """Turn the rows so far into one Samples event."""
        if not rows:
            return
        counts = np.ascontiguousarray(np.array(rows, np.int32).T)
        events.append(
            Samples(self._n_samples, counts, lead_off=self._lead_off, config_id=self._config_id)
        )
        self._n_samples += len(rows)
        rows.clear()


def _lead_names(leads: Sequence[str]) -> tuple[str, ...]:
    unknown = [lead for lead in leads if lead.lower() not in _LEADS_BY_NAME]
    if unknown:
        raise SourceSpecError(f"unknown lead {unknown[0]!r}: use names from {', '.join(LEADS)}")
    names = tuple(_LEADS_BY_NAME[lead.lower()] for lead in leads)
    if not 1 <= len(names) <= MAX_CHANNELS or len(set(names)) != len(names):
        raise SourceSpecError(f"leads {','.join(names)}: name 1 to {MAX_CHANNELS} leads, each once")
    return names


def _number(field: bytes) -> float:
    """The number in a field, NaN if it is empty. Raises FrameError for anything else."""
    if not field.strip():
        return math.nan
    try:
        value = float(field)
    except ValueError:
        value = math.inf
    if math.isinf(value) or b"_" in field:  # Python reads 1_0 as ten
        raise FrameError("a line that is not numbers between commas")
    return value
