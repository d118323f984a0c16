"""OpenBCI Cyton: 33-byte packets at 250 Hz over the serial port of its radio dongle (115200 baud).

    0xA0 | counter u8 | 8 channels x int24 big-endian | 6 bytes aux | 0xC0 + what aux holds, 0 to 6

Sources: OpenBCI's Cyton Data Format page (docs.openbci.com/Cyton/CytonDataFormat), the firmware
OpenBCI_Cyton_Library (OpenBCI_32bit_Library.cpp: sendChannelDataSerial, boardReset, removeDaisy) and the
radio firmware OpenBCI_Radios. Commands are ASCII: `s` stop, `v` reset (answered by a banner), `c` eight
channels, `x1060110X` settings of a channel, `1` to `8` channel off, `b` start. Answers end in `$$$`; stop,
off and start have none.

*The counter* is all that the format has: no CRC, no time. It wraps after 256 packets, 1.024 s. A jump of it
is believed when the packet after goes on from it, else that one byte was damaged. Outages of more than half
a wrap are told by the host's clock, unless a backlog shows that it was the host who was late. A damaged
channel value cannot be known: between the board and the dongle the radio's CRC guards it, over USB nothing.

*Order.* A packet that comes twice is dropped; two neighbours that were swapped are put in order.

*Wiring.* `srb2` is how a reset leaves the board: each channel is SRB2 less its N pin, all P pins joined to
SRB2. An electrode on an N pin is then measured upside down, which the lead map says (`1:-LL&reference=RA`).
Without it a channel is P less N, each pin for itself. Channels that no lead needs are switched off, since
open inputs would disturb the bias drive.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.devices.device import Device, wired
from firmware_bridge.devices.lead_map import LeadMap
from firmware_bridge.devices.recent import RECENT_PACKETS, Recent
from firmware_bridge.devices.silence import Silence
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import (
    Corrupt,
    Duplicate,
    Event,
    Gap,
    Notice,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.spec import REPORT_BYTES

CHANNELS = 8
SAMPLING_HZ = 250.0
GAINS = (1, 2, 4, 6, 8, 12, 24)  # of the ADS1299, in the order of their codes
DEFAULT_GAIN = 24  # what a reset leaves; +-187.5 mV
MICROVOLTS_AT_GAIN_1 = 4.5e6 / (2**23 - 1)
PACKET_BYTES = 33
START, END, LAST_END = 0xA0, 0xC0, 0xC6
EOT = b"$$$"
KNOWN_FIRMWARE = ("1", "2", "3")
WRAP = 256
ANSWER_PACKETS = 500  # 2 s: a board that is to answer its reset has stopped sending long before
_START = bytes([START])
_TEXT_BYTES = 1024  # a banner has about 150; the tail of longer answers is kept
_TEXT = re.compile(rb"[\t\n\r -~]*\Z")
_MARKERS = f"no packet of {PACKET_BYTES} bytes from A0 to C0: wrong baud rate or other device?"
_BOARD_OFF = (
    "the dongle answers and the board does not: switch the board on, to PC, and check its channel"
)


class CytonDecoder:
    """Decodes what a Cyton says, and says what starts it. Holds less than two packets and one answer.

    Packets that follow each other in one `receive_data` call become one Samples event.
    """

    def __init__(self, lead_map: LeadMap, gain: int = DEFAULT_GAIN, *, srb2: bool = True) -> None:
        """Raises SourceSpecError for a gain that the ADS1299 does not have."""
        if gain not in GAINS:
            raise SourceSpecError(f"gain={gain}: the Cyton has {', '.join(map(str, GAINS))}")
        self._map = lead_map
        self._gain = gain
        self._srb2 = srb2
        self._held = b""
        self._locked = False
        self._counter: int | None = None  # of the last packet, taken or known lost
        self._next_sample = 0
        self._lost = 0  # samples known lost, and not yet told in a Gap
        self._silence = Silence(SAMPLING_HZ)
        self._recent = Recent()
        self._session = 0
        self._told_info = False
        self._firmware = ""
        self._unanswered = False  # whether the board has yet to answer its reset
        self._n_unanswered = 0  # packets that came meanwhile
        self._garbage = 0  # bytes skipped, not in `_text` and not yet reported
        self._text = b""
        self._to_send = b""
        self._commands: list[bytes] = []  # to be sent one by one, each after the answer to the last

    @property
    def held_bytes(self) -> int:
        """Bytes of unfinished packets and answers, below 1,100."""
        return len(self._held) + len(self._text)

    def opened(self) -> None:
        """The link was opened: stop the board, whatever it does, and reset it."""
        self._held, self._text, self._locked = b"", b"", False
        self._commands = []
        self._unanswered, self._n_unanswered = True, 0
        self._to_send = b"sv"

    def silent(self, seconds: float) -> None:
        """So long before the bytes that follow, the last packet arrived."""
        self._silence.seconds = seconds

    def data_to_send(self) -> bytes:
        """What the board has to be told now."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        events: list[Event] = []
        held = self._held + data
        place = 0
        while True:
            step = self._packets(held, place, events) if self._locked else None
            if step is None:
                step = self._search(held, place, events)
            if not step:
                break
            place += step
        self._held = held[place:]
        return events

    def _packets(self, held: bytes, place: int, events: list[Event]) -> int | None:
        """Take the packets that stand at `place`: bytes taken, 0 to wait, None where there is none."""
        n = (len(held) - place) // PACKET_BYTES
        if n == 0:
            # What cannot become a packet is not waited for: it may be an answer.
            self._locked = held[place : place + 1] in (b"", _START)
            return 0 if self._locked else None
        rows = np.frombuffer(held, np.uint8, n * PACKET_BYTES, place).reshape(n, PACKET_BYTES)
        whole = _leading((rows[:, 0] == START) & (rows[:, -1] >= END) & (rows[:, -1] <= LAST_END))
        if whole == 0:
            self._locked = False
            return None
        counters = rows[:whole, 1]
        if self._counter is None:
            self._counter = (int(counters[0]) - 1) % WRAP
        expected = (self._counter + 1 + np.arange(whole)) % WRAP
        good = _leading(counters == expected)
        if good:
            missed = self._silence.wrapped(0, WRAP, n)
            self._deliver(rows[:good], missed, events)
            return good * PACKET_BYTES
        packet = rows[0].tobytes()
        is_again = packet in self._recent and not self._silence.is_long
        if is_again or (whole > 1 and packet == rows[1].tobytes()):
            events.append(Duplicate(packet[1]))
            return PACKET_BYTES
        if n == 1:
            return 0  # the next packet tells whether this counter is true
        first, then = int(counters[0]), int(counters[1]) if whole > 1 else -1
        if (then, first) == ((self._counter + 1) % WRAP, (self._counter + 2) % WRAP):
            self._deliver(rows[[1, 0]], 0, events)  # they were swapped
            return 2 * PACKET_BYTES
        ahead = (first - self._counter - 1) % WRAP
        if then == (first + 1) % WRAP:
            self._lost += ahead + self._silence.wrapped(ahead, WRAP, n)
            self._counter = (first - 1) % WRAP
            return self._packets(held, place, events)
        if then == (self._counter + 2) % WRAP:
            self._lost += 1
            self._counter = (self._counter + 1) % WRAP
        events.append(Corrupt("its counter does not fit the packets around it", PACKET_BYTES))
        return PACKET_BYTES

    def _deliver(self, rows: NDArray[np.uint8], missed: int, events: list[Event]) -> None:
        garbage, self._garbage, self._text = self._garbage + len(self._text), 0, b""
        if garbage:
            events.append(Corrupt(_MARKERS, garbage))
        n = len(rows)
        self._counter = int(rows[-1, 1])
        for row in rows[-RECENT_PACKETS:]:
            self._recent.add(row.tobytes())
        self._without_banner(n, events)
        self._lost += missed
        if not self._told_info:
            self._told_info = True
            self._lost = 0
            events.append(self._stream_info())
        if self._lost:
            events.append(Gap(self._next_sample, self._lost, self._lost))
            self._next_sample += self._lost
            self._lost = 0
        counts = self._map.apply(_int24_big_endian(rows[:, 2:26]))
        sequence = int(rows[0, 1])
        events.append(Samples(self._next_sample, counts, sequence=sequence, session=self._session))
        self._next_sample += n

    def _stream_info(self) -> StreamInfo:
        return StreamInfo(
            leads=self._map.leads,
            sampling_hz=SAMPLING_HZ,
            nanovolts_per_lsb=MICROVOLTS_AT_GAIN_1 / self._gain * 1e3,
            sample_bits=24,
            config_id=0,
            session=self._session,
            device="OpenBCI Cyton",
            firmware=self._firmware,
        )

    def _search(self, held: bytes, place: int, events: list[Event]) -> int:
        """Skip to where a packet and the start of the next one stand: bytes taken, 0 to wait."""
        at = place
        while True:
            at = held.find(START, at)
            if at < 0 or len(held) - at <= PACKET_BYTES:
                at = len(held) if at < 0 else at
                break
            if END <= held[at + PACKET_BYTES - 1] <= LAST_END and held[at + PACKET_BYTES] == START:
                self._locked = True
                break
            at += 1
        if at > place:
            self._skip(held[place:at], events)
            return at - place
        return (self._packets(held, at, events) or 0) if self._locked else 0

    def _skip(self, data: bytes, events: list[Event]) -> None:
        """Take bytes that are no packet: answers of the board, or garbage."""
        *answers, rest = (self._text + data).split(EOT)
        for answer in answers:
            text = _TEXT.search(answer[-_TEXT_BYTES:])[0]  # type: ignore[index]  # matches nothing too
            self._garbage += len(answer) - len(text)
            self._answered(text.decode(), events)
        self._text = rest[-_TEXT_BYTES:]
        self._garbage += len(rest) - len(self._text)
        while self._garbage >= REPORT_BYTES:
            self._garbage -= REPORT_BYTES
            events.append(Corrupt(_MARKERS, REPORT_BYTES))

    def _without_banner(self, n_packets: int, events: list[Event]) -> None:
        """Say that the board sends and does not answer, once it has had the time to."""
        before = self._n_unanswered
        self._n_unanswered += n_packets if self._unanswered else 0
        if before < ANSWER_PACKETS <= self._n_unanswered:
            events.append(
                Notice(
                    "this Cyton sends without answering its reset: its packets are read with "
                    f"gain={self._gain} and srb2={self._srb2:d}, whatever it was set to"
                )
            )

    def _answered(self, text: str, events: list[Event]) -> None:
        if "Failure" in text:
            what = (
                _BOARD_OFF if "poll" in text else "the board refused a setting: check its firmware"
            )
            events.append(Corrupt(what, len(text)))
        elif self._unanswered or "Firmware:" in text or "OpenBCI V" in text:
            self._was_reset(text, events)
        if self._commands:
            self._to_send += self._commands.pop(0)

    def _was_reset(self, banner: str, events: list[Event]) -> None:
        version = re.search(r"Firmware: v(\d+)\S*", banner)
        self._unanswered = False
        self._firmware = version[0].removeprefix("Firmware: v") if version else ""
        if not version and "OpenBCI V" in banner:
            self._firmware = "1"  # which does not tell
        self._counter, self._lost, self._next_sample = None, 0, 0
        self._recent.clear()
        if self._told_info:
            self._told_info = False
            self._session = (self._session + 1) % 256
            events.append(Restarted(self._session))
        if self._firmware.partition(".")[0] not in KNOWN_FIRMWARE:
            what = f"firmware v{self._firmware}" if version else f"banner {_shown(banner)}"
            events.append(
                Notice(
                    f"this Cyton's {what} is not known (known are firmware "
                    f"{', '.join(KNOWN_FIRMWARE)}): its packets are read as theirs; compare an amplitude"
                )
            )
        # A Daisy halves the rate of every channel; this reads the first eight at full rate.
        self._commands = [b"c"] if "On Daisy" in banner else []
        used = self._map.weights.any(axis=0)
        if self._gain != DEFAULT_GAIN or not self._srb2:
            settings = f"0{GAINS.index(self._gain)}01{self._srb2:d}0X"
            self._commands += [f"x{i + 1}{settings}".encode() for i in np.flatnonzero(used)]
        # Switching off has no answer, as starting has none.
        unused = "".join(str(i + 1) for i in np.flatnonzero(~used))
        self._commands.append(unused.encode() + b"b")


def _shown(banner: str) -> str:
    text = " ".join(banner.split())
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _leading(good: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(good) if good.all() else int(good.argmin())


def _int24_big_endian(rows: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(n, 3 c) bytes to (c, n) counts."""
    wide = np.zeros((len(rows), rows.shape[1] // 3, 4), np.uint8)
    wide[:, :, :3] = rows.reshape(len(rows), -1, 3)
    return (wide.view(">i4")[:, :, 0] >> 8).astype(np.int32).T


def _make(options: Options) -> CytonDecoder:
    lead_map = wired(options, "cyton", CHANNELS)
    gain = options.integer("gain", DEFAULT_GAIN)
    srb2 = options.choice("srb2", ("0", "1"), "1" if lead_map.reference else "0")
    return CytonDecoder(lead_map, gain, srb2=srb2 == "1")


DEVICE = Device(
    "cyton",
    "OpenBCI Cyton",
    _make,
    "firmware_bridge.simulators.cyton:twin",
    is_wired=True,
    nominal_hz=SAMPLING_HZ,
    usual="device=cyton&leads=1:II,2:V1,3:V5",
    usb_names={"openbci": "OpenBCI board"},
    usb_chips={(0x0403, 0x6015): "FTDI FT231X serial adapter, maybe OpenBCI's dongle"},
)
