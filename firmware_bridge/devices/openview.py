"""ProtoCentral's OpenView frames from an ADS1293 board: three channels, no counter, no CRC, no time.

    0A FA | length u16 | type 02 | 3 channels x int32 little-endian [| heart rate i16] | [00] 0B

Sources: protocentral_openview (docs/ARCHITECTURE.md, packet_framer_v3.dart, ads1293_decoders.dart) and
protocentral-ads1293-arduino (Example-3: 57600 baud, 100 samples per second, no commands). The scale is the
ADS1293's own (datasheet SNAS602C, equation 13 and tables 8 to 11): code = (3.5 V / 4.8 V + 1/2) ADCMAX, so
zero volts are ADCMAX / 2, which the sketch sends sign-extended as if it were two's complement. ADCMAX
depends on the decimation: 0x800000 for that sketch (R2 = 4, R3 = 64).

*As shipped* the board measures I, II and V1, the latter without Wilson's terminal: no V5. With firmware
of one's own (IN1 RA, IN2 LA, IN3 LL, IN4 V1, IN5 V5, terminal to IN6) it measures II, V1 and V5.

*What a format without a counter costs.* Lost frames are estimated, from the bytes that were no frame and
from silence; a damaged value is noticed only where its bits beyond the converter's range change; a frame that
comes twice is told by its bytes (`devices.repeats`), frames that were swapped by nothing. The
sketch reads when it can, and its rate is the nominal one.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from firmware_bridge.devices.device import Device, wired
from firmware_bridge.devices.lead_map import RAIL, LeadMap
from firmware_bridge.devices.repeats import Repeats
from firmware_bridge.devices.silence import Silence
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Corrupt, Duplicate, Event, Gap, Samples, StreamInfo
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.spec import REPORT_BYTES

CHANNELS = 3
SAMPLING_HZ = 100.0
ADC_MAX = 0x800000
MILLIVOLTS_AT_FULL_CODE = 2 * 2.4e3 / 3.5  # of ADCMAX: 2 VREF over the fixed gain
START, END, PAD = b"\x0a\xfa", 0x0B, 0x00
SAMPLES_TYPE = 2
PAYLOADS = (12, 14)  # without and with the heart rate
HEADER_BYTES = 5
FRAME_BYTES = HEADER_BYTES + 12 + 2  # what the sketch sends
MAX_PAYLOAD_BYTES = 64  # HealthyPi's, 50, is the longest of an ECG board
_VALUES = struct.Struct("<3i")
_NO_FRAME = "no OpenView frame from 0A FA to 0B: wrong baud rate or other device?"


class OpenViewDecoder:
    """Decodes what an ADS1293 board says. Holds one unfinished frame.

    Frames that follow each other in one `receive_data` call become one Samples event.
    """

    def __init__(
        self, lead_map: LeadMap, sampling_hz: float = SAMPLING_HZ, adc_max: int = ADC_MAX
    ) -> None:
        """Raises SourceSpecError for a rate not above zero, or an ADCMAX beyond 24 bits."""
        if not (math.isfinite(sampling_hz) and sampling_hz > 0):
            raise SourceSpecError(f"rate={sampling_hz:g}: give the board's rate, above 0 Hz")
        if not 0x8000 <= adc_max < 1 << 24:
            raise SourceSpecError(f"adcmax={adc_max:#x}: the ADS1293 has 0x8000 to 0xffffff")
        self._map = lead_map
        self._sampling_hz = sampling_hz
        self._adc_max = adc_max
        self._held = b""
        self._silence = Silence(sampling_hz)
        self._repeats = Repeats()
        self._garbage = 0  # bytes since the last frame that were none, and not yet reported
        self._unheard = 0  # the same, those reported among them
        self._next_sample = 0
        self._told_info = False

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished frame, at most 70."""
        return len(self._held)

    def opened(self) -> None:
        """The link was opened: a frame that was begun will not be ended."""
        self._held = b""
        self._garbage = self._unheard = 0
        self._repeats.clear()

    def silent(self, seconds: float) -> None:
        """So long before the bytes that follow, the last frame arrived."""
        self._silence.seconds = seconds

    def data_to_send(self) -> bytes:
        """Nothing: the board takes no commands."""
        return b""

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        events: list[Event] = []
        rows: list[tuple[int, ...]] = []
        held = self._held + data
        place = 0
        while True:
            at = held.find(START, place)
            if at < 0:
                at = len(held) - held.endswith(START[:1])
            self._skip(at - place, rows, events)
            place = at
            size, payload = _frame(held, place)
            if size == 0:
                break
            if payload is None:
                self._skip(1, rows, events)
                place += 1
                continue
            codes = self._codes(payload)
            if codes is None:
                self._skip(size, rows, events)
            else:
                self._take(held[place : place + size], codes, len(held) - place, rows, events)
            place += size
        self._held = held[place:]
        self._flush(rows, events)
        return events

    def _take(
        self,
        frame: bytes,
        codes: tuple[int, ...],
        n_held: int,
        rows: list[tuple[int, ...]],
        events: list[Event],
    ) -> None:
        """Take a frame that is valid, unless it is the last one again; `n_held` bytes begin with it."""
        if self._silence.is_long or self._unheard:
            self._repeats.clear()
        n_samples = self._repeats.samples(frame)
        if n_samples == 0:
            self._flush(rows, events)
            events.append(Duplicate(0))
            return
        self._before(n_held // FRAME_BYTES, rows, events)
        rows += [codes] * n_samples

    def _codes(self, frame: bytes) -> tuple[int, ...] | None:
        """The converter codes of a frame, None if it is no sample frame of an ADS1293."""
        if frame[4] != SAMPLES_TYPE or len(frame) - HEADER_BYTES not in PAYLOADS:
            return None
        values = _VALUES.unpack_from(frame, HEADER_BYTES)
        # Sign-extended from 24 bits, else it is damaged, or no 24-bit converter.
        if any(not -RAIL - 1 <= value <= RAIL for value in values):
            return None
        codes = tuple(value & 0xFFFFFF for value in values)
        return codes if max(codes) <= self._adc_max else None

    def _skip(self, n_bytes: int, rows: list[tuple[int, ...]], events: list[Event]) -> None:
        self._garbage += n_bytes
        self._unheard += n_bytes
        while self._garbage >= REPORT_BYTES:
            self._flush(rows, events)
            self._garbage -= REPORT_BYTES
            events.append(Corrupt(_NO_FRAME, REPORT_BYTES))

    def _before(self, n_waiting: int, rows: list[tuple[int, ...]], events: list[Event]) -> None:
        """Tell, in front of a frame, what went wrong since the last."""
        missed = self._silence.wrapped(0, 1, n_waiting)
        if not (self._unheard or missed):
            return
        self._flush(rows, events)
        if self._garbage:
            events.append(Corrupt(_NO_FRAME, self._garbage))
        lost = max(missed, round(self._unheard / FRAME_BYTES))
        self._garbage = self._unheard = 0
        if lost and self._told_info:
            events.append(Gap(self._next_sample, lost, lost))
            self._next_sample += lost

    def _flush(self, rows: list[tuple[int, ...]], events: list[Event]) -> None:
        """Turn the frames so far into one Samples event."""
        if not rows:
            return
        if not self._told_info:
            self._told_info = True
            events.append(self._stream_info())
        codes = np.array(rows, np.int32).T
        counts = codes - self._adc_max // 2
        counts[codes <= 0] = -RAIL - 1
        counts[codes >= self._adc_max] = RAIL
        events.append(Samples(self._next_sample, self._map.apply(counts)))
        self._next_sample += len(rows)
        rows.clear()

    def _stream_info(self) -> StreamInfo:
        return StreamInfo(
            leads=self._map.leads,
            sampling_hz=self._sampling_hz,
            nanovolts_per_lsb=MILLIVOLTS_AT_FULL_CODE / self._adc_max * 1e6,
            sample_bits=24,
            config_id=0,
            device="ProtoCentral ADS1293",
        )


def _frame(held: bytes, place: int) -> tuple[int, bytes | None]:
    """Size and content of the frame that begins at `place`: size 0 to wait, content None if none does."""
    if len(held) - place < HEADER_BYTES:
        return 0, None
    length = int.from_bytes(held[place + 2 : place + 4], "little")
    if not 0 < length <= MAX_PAYLOAD_BYTES:
        return 1, None
    end = place + HEADER_BYTES + length
    tail = held[end : end + 2]
    if tail[:1] == bytes([END]):
        return end + 1 - place, held[place:end]
    if tail[:1] in (b"", bytes([PAD])) and len(tail) < 2:
        return 0, None
    if tail == bytes([PAD, END]):
        return end + 2 - place, held[place:end]
    return 1, None


def _make(options: Options) -> OpenViewDecoder:
    lead_map = wired(options, "openview", CHANNELS, "1:I,2:II,3:V1")
    rate = options.number("rate", SAMPLING_HZ)
    text = options.text("adcmax", hex(ADC_MAX))
    try:
        adc_max = int(text, 0)
    except ValueError:
        raise SourceSpecError(f"adcmax={text}: use a whole number such as 0xF30000") from None
    return OpenViewDecoder(lead_map, rate, adc_max)


DEVICE = Device(
    "openview",
    "ProtoCentral ADS1293",
    _make,
    "firmware_bridge.simulators.openview:twin",
    baud=57600,
    is_wired=True,
    takes_rate=True,
    nominal_hz=SAMPLING_HZ,
)
