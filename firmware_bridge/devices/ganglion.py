"""OpenBCI Ganglion: four channels at 200 Hz, two samples in each 20-byte notification.

    firmware 2   id 0            4 x int24 big-endian, as measured
                 id 1 - 100      8 x 18 bits, each the sample before less this one; acceleration
                 id 101 - 200    8 x 19 bits, the same
    firmware 3   id 0 - 99       8 x the upper 18 bits of a sample; acceleration
                 id 100 - 199    8 x the upper 19 bits; 3.0 sends 200 too
    both         id 201 - 205    impedance, 206 and 207 text

Bits run from the most significant on, channel by channel, the earlier sample first; the lowest bit of a
value is its sign. Packet k after the first of a cycle (id 0, 100) holds samples 2k - 1 and 2k; the first
one only its later sample. A cycle has 201 samples, or 200 where a firmware 3 has no id 200.

Sources: OpenBCI's Ganglion Data Format page (docs.openbci.com/Ganglion/GanglionDataFormat, before and since
firmware 3), the firmware OpenBCI_Ganglion_Library (compressData18, compressData19, processData; its pull
request 31 on the 201 samples) and brainflow's ganglion_native_v2.cpp and ganglion_native_v3.cpp. GATT:
service FE84; the board resets when it is connected to, `b` starts it, `s` stops it.

*Losses.* The id wraps after 1.005 s; longer outages are told by the host's clock, unless many packets come at
once: then it was the host who was late. With firmware 2 a lost
packet makes all that follow unreadable until the next id 0, at most a second later: a gap too.

*Order.* A notification that comes twice is dropped. One that comes too early waits for the next, so that two
that were swapped are put in order; one that comes later than that is dropped, and costs only itself.
"""

from __future__ import annotations

import numpy as np

from firmware_bridge.devices.device import Device, wired
from firmware_bridge.devices.lead_map import RAIL, LeadMap
from firmware_bridge.devices.recent import RECENT_PACKETS, Recent
from firmware_bridge.devices.silence import Silence
from firmware_bridge.events import (
    Corrupt,
    Duplicate,
    Event,
    Gap,
    Late,
    Notice,
    Restarted,
    Samples,
    StreamInfo,
)
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.gatt import GattProfile, short_uuid

CHANNELS = 4
SAMPLING_HZ = 200.0
NANOVOLTS_PER_LSB = 15686e3 / 8388607  # +-15.686 mV, fixed in the hardware
NOTIFICATION_BYTES = 20
CYCLE, SHORT_CYCLE = 201, 200  # samples from one first packet to the next
FIRST_19, LAST_19 = 100, 200
LAST_K = 100  # packets in a long cycle, less one
TEXT, TEXT_END = 206, 207
BACKLOG_PACKETS = 10  # and one more, at once after a silence: more than a connection event carries
TOGETHER_S = 0.02
FIRMWARE = ("auto", "2", "3")
_UUID = "2d30c0{}-f39f-4ce6-923f-3484ea480596"
PROFILE = GattProfile(
    "OpenBCI Ganglion",
    short_uuid(0xFE84),
    _UUID.format("82"),
    _UUID.format("83"),
    notification_bytes=NOTIFICATION_BYTES,
)
_TEXT_BYTES = 256


class GanglionDecoder:
    """Decodes what a Ganglion notifies, and says what starts it.

    The format has no frames but notifications: give each `receive_data` call one of them, or several
    whole ones of 20 bytes. `firmware` is "2", "3", or "auto", which waits for the first packet of a cycle.
    """

    def __init__(self, lead_map: LeadMap, firmware: str = "auto") -> None:
        self._map = lead_map
        self._asked = firmware
        self._silence = Silence(SAMPLING_HZ)
        self._session = 0
        self._told_info = False
        self._restarted = False
        self._to_send = b""
        self._begin()

    def _begin(self) -> None:
        self._firmware = ""  # as the first packet of a cycle tells it
        self._contradicted = ""  # the firmware that it tells, where another was asked for
        self._cycle = CYCLE
        self._wraps_without_200 = 0
        self._last: tuple[int, int] | None = None  # bits and number of the last packet in its cycle
        self._recent = Recent()
        self._waiting: list[bytes] = []  # came after a silence; the next tell whose it was
        self._silent_s = 0.0  # that silence
        self._n_waiting = 2  # samples that came at once
        self._early: bytes | None = (
            None  # came before its time: the next may be the one it overtook
        )
        self._values: list[int] | None = None  # what a delta is taken from
        self._next_sample = 0
        self._undelivered = 0  # samples passed since the last Samples event
        self._text = b""

    @property
    def held_bytes(self) -> int:
        """Bytes of unfinished text and of packets that wait, below 512."""
        return len(self._text) + NOTIFICATION_BYTES * len(self._waiting)

    def opened(self) -> None:
        """The link was opened: the board has reset itself, and waits."""
        if self._told_info:
            self._session = (self._session + 1) % 256
            self._told_info = False
            self._restarted = True
        self._begin()
        self._to_send = b"b"

    def silent(self, seconds: float) -> None:
        """So long before the bytes that follow, the last packet arrived."""
        self._silence.seconds = seconds

    def data_to_send(self) -> bytes:
        """What the board has to be told now."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Take one notification, or several of 20 bytes, and say what they carried."""
        events: list[Event] = []
        if len(data) % NOTIFICATION_BYTES == 0:
            for start in range(0, len(data), NOTIFICATION_BYTES):
                self._notified(data[start : start + NOTIFICATION_BYTES], events)
        elif data:
            self._notified(data, events)
        return events

    def _notified(self, data: bytes, events: list[Event]) -> None:
        number = data[0]
        if number in (TEXT, TEXT_END):
            self._take_text(data, events)
        elif number > TEXT_END or (number <= LAST_19 and len(data) != NOTIFICATION_BYTES):
            reason = f"a notification of {len(data)} bytes with id {number}: is it no Ganglion?"
            events.append(Corrupt(reason, len(data)))
        elif (
            number <= LAST_19 and self._last is not None and self._waits_after_silence(data, events)
        ):
            self._waiting.append(data)
        elif number <= LAST_19:
            self._taken(data, events)
        # 201 to 205 are impedances, which nobody asked for.

    def _waits_after_silence(self, data: bytes, events: list[Event]) -> bool:
        """Whether a packet waits for what comes with it: of many at once, the host was late."""
        seconds = self._silence.seconds
        if not self._waiting:
            self._silent_s = seconds
            return self._silence.is_long
        together = 0 <= seconds - self._silent_s < TOGETHER_S
        if together and len(self._waiting) < BACKLOG_PACKETS:
            return True
        waiting, self._waiting = self._waiting, []
        self._n_waiting = 2 * (len(waiting) + together)
        self._silence.seconds = self._silent_s
        for packet in waiting:
            self._taken(packet, events)
            self._silence.seconds = 0.0
        self._n_waiting = 2
        if not together:  # since the last of those, which a source does not know when they wait
            self._silence.seconds = seconds - (self._silent_s if seconds >= self._silent_s else 0.0)
        return False

    def _taken(self, data: bytes, events: list[Event]) -> None:
        if data in self._recent and not self._silence.is_long:
            events.append(Duplicate(data[0]))
        elif self._understood(data[0], data, events):
            self._recent.add(data)
            self._in_order(data, events)

    def _in_order(self, data: bytes, events: list[Event]) -> None:
        """Deliver a packet, after the one that it overtook if that comes next; drop what comes too late."""
        early, self._early = self._early, None
        if self._last is None or self._silence.is_long:
            for packet in filter(None, (early, data)):
                self._samples(packet, events)
            return
        ahead = self._missing_before(data)
        if ahead > self._cycle - 2 * RECENT_PACKETS - 2:
            self._early = early
            place = self._next_sample + self._undelivered + ahead - self._cycle
            events.append(Late(data[0], max(0, place), 2))
        elif early is None and ahead:
            self._early = data
        elif early is None:
            self._samples(data, events)
        elif ahead >= self._missing_before(early):
            self._samples(early, events)  # what it overtook is lost
            self._in_order(data, events)
        else:
            self._samples(data, events)
            if self._missing_before(early):
                self._early = early
            else:
                self._samples(early, events)

    def _take_text(self, data: bytes, events: list[Event]) -> None:
        self._text = (self._text + data[1:])[-_TEXT_BYTES:]
        if data[0] == TEXT_END:
            text, self._text = self._text.decode("ascii", "replace"), b""
            _, known, version = text.partition("Ganglion v")
            if known and version[:1].isdecimal() and version[0] not in FIRMWARE:
                reason = f"Ganglion firmware {version.split()[0]}, and known are 2 and 3"
                events.append(Notice(f"{reason}: it is read as these"))

    def _understood(self, number: int, data: bytes, events: list[Event]) -> bool:
        """Whether the firmware, and so the meaning of `number`, is known."""
        told = {0: "2", FIRST_19: "3"}.get(number)
        if number < FIRST_19 and (number or self._firmware == "3") and self._asked == "auto":
            reason = "packets with acceleration do not tell their firmware: say firmware=2 or 3"
            events.append(Corrupt(reason, len(data)))
            return False
        if self._firmware:
            return True
        if told == self._asked or (told and self._asked == "auto"):
            self._firmware = told
        elif told:  # or the 18-bit cycle of the firmware that was asked for
            self._contradicted = told
        elif number < FIRST_19:
            self._firmware = self._asked
        elif self._contradicted:
            reason = f"firmware {self._contradicted}, not {self._asked}: correct firmware="
            events.append(Corrupt(reason, len(data)))
        return bool(self._firmware)

    def _samples(self, data: bytes, events: list[Event]) -> None:
        bits, k = self._place(data[0])
        ahead = self._ahead(bits, k)
        if self._firmware == "2" and k == 0:
            rows = [[_int24(data[1 + 3 * i : 4 + 3 * i]) for i in range(CHANNELS)]]
        elif self._firmware == "2":
            if ahead or self._values is None:
                self._values = None
                self._undelivered += ahead + 2
                return
            rows = self._summed(_unpack(data, bits))
        else:
            flat = [value << (24 - bits) for value in _unpack(data, bits)]
            rows = [flat[:CHANNELS], flat[CHANNELS:]]
            if k == 0 and self._cycle == CYCLE:
                del rows[0]  # left over from the cycle before
            if not all(-RAIL - 1 <= value <= RAIL for row in rows for value in row):
                # The highest bit and the sign in the lowest contradict each other.
                events.append(Corrupt("a value beyond 24 bits", len(data)))
                self._undelivered += ahead + len(rows)
                return
        self._values = rows[-1]
        self._deliver(rows, ahead, events)

    def _place(self, number: int) -> tuple[int, int]:
        """Bits per value, and number in the cycle."""
        # What the 18-bit cycles of firmware 2 and 3.0 end with is what the 19-bit ones of 3 begin with.
        ends_18 = number == FIRST_19 and (self._firmware == "2" or self._last == (18, FIRST_19 - 1))
        if number < FIRST_19 or ends_18:
            return 18, number
        return 19, number - FIRST_19

    def _ahead(self, bits: int, k: int) -> int:
        """Samples lost between the last packet and this one."""
        last, self._last = self._last, (bits, k)
        if last is None:
            self._silence.seconds = 0.0
            return 0
        before = last[1]
        if k == LAST_K:
            self._wraps_without_200, self._cycle = 0, CYCLE
        elif k == 0 and before == LAST_K - 1:
            # Once, the last packet of the cycle was lost; twice, this firmware sends none.
            self._wraps_without_200 += 1
            if self._firmware == "3" and self._wraps_without_200 > 1:
                self._cycle = SHORT_CYCLE
        ahead = self._between(before, k)
        return ahead + self._silence.wrapped(ahead, self._cycle, self._n_waiting)

    def _missing_before(self, data: bytes) -> int:
        """Samples between the last packet and `data`, less than a cycle; nothing is changed by asking."""
        _, k = self._place(data[0])
        return 0 if self._last is None else self._between(self._last[1], k)

    def _between(self, before: int, k: int) -> int:
        first = 0 if k == 0 and self._cycle == CYCLE else 2 * k - 1
        return (first - 2 * before - 1) % self._cycle

    def _summed(self, deltas: list[int]) -> list[list[int]]:
        """Two samples from their differences: a difference is the sample before less the one after."""
        rows = []
        values = self._values or []
        for start in (0, CHANNELS):
            steps = deltas[start : start + CHANNELS]
            values = [value - step for value, step in zip(values, steps, strict=True)]
            rows.append(values)
        return rows

    def _deliver(self, rows: list[list[int]], ahead: int, events: list[Event]) -> None:
        if not self._told_info:
            self._told_info = True
            self._undelivered = ahead = 0
            if self._restarted:
                self._restarted = False
                events.append(Restarted(self._session))
            events.append(self._stream_info())
        lost = self._undelivered + ahead
        self._undelivered = 0
        if lost:
            events.append(Gap(self._next_sample, lost, (lost + 1) // 2))
            self._next_sample += lost
        counts = np.clip(np.array(rows, np.int64).T, -RAIL - 1, RAIL).astype(np.int32)
        events.append(Samples(self._next_sample, self._map.apply(counts), session=self._session))
        self._next_sample += len(rows)

    def _stream_info(self) -> StreamInfo:
        return StreamInfo(
            leads=self._map.leads,
            sampling_hz=SAMPLING_HZ,
            nanovolts_per_lsb=NANOVOLTS_PER_LSB,
            sample_bits=24,
            config_id=0,
            session=self._session,
            device="OpenBCI Ganglion",
            firmware=self._firmware,
        )


def _int24(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _unpack(data: bytes, bits: int) -> list[int]:
    """Eight values of `bits` bits after the id; the lowest bit of each is its sign."""
    packed = int.from_bytes(data[1:], "big")
    n_bits = (NOTIFICATION_BYTES - 1) * 8
    values = []
    for i in range(1, 2 * CHANNELS + 1):
        value = packed >> (n_bits - i * bits) & ((1 << bits) - 1)
        values.append(value - (1 << bits) if value & 1 else value)
    return values


def _make(options: Options) -> GanglionDecoder:
    lead_map = wired(options, "ganglion", CHANNELS)
    return GanglionDecoder(lead_map, options.choice("firmware", FIRMWARE, "auto"))


DEVICE = Device(
    "ganglion",
    PROFILE.title,
    _make,
    "firmware_bridge.simulators.ganglion:twin",
    on_serial=False,
    profile=PROFILE,
    is_wired=True,
    nominal_hz=SAMPLING_HZ,
    usual="device=ganglion&leads=1:II,2:V1,3:V5",
    ble_name="Ganglion-",
)
