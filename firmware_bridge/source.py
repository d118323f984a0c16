"""A source: transport plus decoder as one async stream of events, with watchdog, capture and reconnect.

    sim:[?hr=72&rate=250&...]          a simulated wearable in this process
    replay:FILE[?speed=1|inf]          a capture of `CaptureWriter`
    serial:PORT[?device=wire&baud=115200]

SCHEMES and DEVICES are registries: a module that adds a scheme or a device format adds an entry.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from firmware_bridge.devices.csv_lines import CsvDecoder
from firmware_bridge.errors import (
    BridgeError,
    PeerError,
    SourceSpecError,
    StallError,
    TransportError,
    TransportLost,
)
from firmware_bridge.events import Corrupt, Decoder, Event
from firmware_bridge.source_spec import Options, parse_spec
from firmware_bridge.transports.base import Received, Transport
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.replay import CaptureWriter, ReplayTransport, read_header
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import FrameType

STALL_S = 5.0  # five stream infos of a device that says one every second
PEER_S = 3.0  # three of them, and a bootloader's chatter is over
RECONNECT_EVERY_S = 0.25  # a USB port takes about a second to come back; more often only costs
IDENTIFY = encode_frame(Command(FrameType.IDENTIFY))


@dataclass(frozen=True, slots=True)
class Timed:
    """An event and when the last byte of its frame was read."""

    event: Event
    arrival_ns: int
    """`time.monotonic_ns()`."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a spec stands for: how to reach the device, and how to understand it."""

    transport: Transport
    decoder: Decoder
    device: str
    """Name of the decoder in DEVICES."""
    device_options: dict[str, str] = field(default_factory=dict)
    """What the decoder was made with; a capture remembers it."""
    hello: bytes = b""
    """Sent after each opening."""
    live: bool = True
    """Whether silence means that something is wrong: not so for a recording."""


def _wire(options: Options) -> Decoder:
    return WireDecoder()


def _csv(options: Options) -> Decoder:
    leads = options.text("leads", "II,V1,V5").split(",")
    return CsvDecoder(leads, options.number("rate", 250.0), options.number("unit_mv", 1.0))


DEVICES: dict[str, Callable[[Options], Decoder]] = {"csv": _csv, "wire": _wire}
"""Decoder for each `device=`, made from its options."""

_HELLOS = {"wire": IDENTIFY}


def _decoder(options: Options) -> tuple[str, Decoder, dict[str, str]]:
    """Take `device=` and the device's own options out of `options`."""
    device = options.choice("device", DEVICES, "wire")
    before = options.left()
    decoder = DEVICES[device](options)
    used = {name: value for name, value in before.items() if name not in options.left()}
    return device, decoder, used


def _serial(port: str, options: Options) -> Link:
    from firmware_bridge.transports.serial_port import SerialTransport

    if not port:
        raise SourceSpecError("serial: needs a port, such as serial:/dev/ttyACM0")
    device, decoder, used = _decoder(options)
    transport = SerialTransport(port, options.integer("baud", 115200))
    return Link(transport, decoder, device, used, _HELLOS.get(device, b""))


def _replay(path: str, options: Options) -> Link:
    if not path:
        raise SourceSpecError("replay: needs a file, such as replay:session.capture")
    transport = ReplayTransport(path, options.number("speed", 1.0))
    header = read_header(path)
    recorded = header.get("options")
    if isinstance(recorded, dict):
        options.add_defaults({str(name): str(value) for name, value in recorded.items()})
    options.add_defaults({"device": str(header["device"])})
    device, decoder, used = _decoder(options)
    return Link(transport, decoder, device, used, live=False)


def _sim(name: str, options: Options) -> Link:
    from firmware_bridge.simulators.ecg import EcgSimulator
    from firmware_bridge.simulators.in_process import SimTransport
    from firmware_bridge.simulators.wearable import VirtualWearable

    if name:
        raise SourceSpecError(f"sim:{name}: the simulator takes options only, such as sim:?hr=72")
    rate = options.number("rate", 250.0)
    heart_rate = options.number("hr", 60.0)
    territory = options.text("territory", "anterior")
    seed = options.integer("seed", 0)
    numbers = {
        "variability": options.number("variability", 0.03),
        "pvc_share": options.number("pvc", 0.0),
        "st_shift_mv": options.number("st", 0.0),
        "baseline_mv": options.number("baseline", 0.02),
        "mains_mv": options.number("mains", 0.0),
        "muscle_mv": options.number("muscle", 0.005),
    }
    clock_ppm = options.number("ppm", 0.0)

    def make() -> VirtualWearable:
        signal = EcgSimulator(rate, heart_rate, st_territory=territory, seed=seed, **numbers)
        return VirtualWearable(signal, clock_ppm=clock_ppm)

    make()  # says now, not when the source opens, what is wrong with an option
    return Link(SimTransport(make), WireDecoder(), "wire", hello=IDENTIFY)


SCHEMES: dict[str, Callable[[str, Options], Link]] = {
    "replay": _replay,
    "serial": _serial,
    "sim": _sim,
}
"""What makes the link for each `scheme:rest?options`."""


def open_source(
    spec: str,
    *,
    capture: str | Path | None = None,
    stall_s: float = STALL_S,
    peer_s: float = PEER_S,
    reconnect_s: float = 0.0,
) -> Source:
    """The source that `spec` names, to be entered as an async context manager.

    `capture` records the byte stream to a file that `replay:` plays. The device may be silent for
    `stall_s`, may send nonsense for `peer_s` at first, and may be gone for `reconnect_s`.

    Raises SourceSpecError for a scheme, option or value that is not accepted, naming those that are;
    CaptureError for a replay file that is none.
    """
    scheme, rest, options = parse_spec(spec, SCHEMES)
    link = SCHEMES[scheme](rest, options)
    options.refuse_unknown()
    for name, bound in (("stall_s", stall_s), ("peer_s", peer_s)):
        if not bound > 0:
            raise SourceSpecError(f"{name} is {bound:g}: every wait has a bound above 0 s")
    return Source(
        link, name=spec, capture=capture, stall_s=stall_s, peer_s=peer_s, reconnect_s=reconnect_s
    )


class Source:
    """An async context manager, and an async iterator of `Timed` events, in the order they happened.

    Entering opens the link and raises what its transport does. Iterating raises StallError when a live
    device is silent for too long, PeerError when its bytes never make a valid frame, TransportLost when
    the link goes and does not come back, CaptureError where a capture is damaged. It ends with the
    stream.
    """

    def __init__(
        self,
        link: Link,
        *,
        name: str,
        capture: str | Path | None = None,
        stall_s: float = STALL_S,
        peer_s: float = PEER_S,
        reconnect_s: float = 0.0,
    ) -> None:
        self.name = name
        self.link = link
        self.n_bytes = 0
        """Bytes received so far."""
        self.reconnects = 0
        """Times the link was lost and came back."""
        self._capture_path = capture
        self._capture: CaptureWriter | None = None
        self._stall_s = stall_s
        self._peer_s = peer_s
        self._reconnect_s = reconnect_s
        self._ready: deque[Timed] = deque()
        self._understood = False
        # Time spent waiting for the device (not in the consumer) since its first bytes, later since
        # its last valid frame.
        self._waited_s = 0.0
        self._bytes_since_valid = 0

    async def __aenter__(self) -> Source:
        if self._capture_path is not None:
            header = {
                "device": self.link.device,
                "options": self.link.device_options,
                "source": self.name,
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
            self._capture = CaptureWriter(self._capture_path, header)
        try:
            await self._open()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.link.transport.close()
        if self._capture is not None:
            self._capture.close()

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> Timed:
        while not self._ready:
            try:
                received = await self._read()
            except TransportLost as lost:
                await self._reconnect(lost)
                continue
            if not received.data:
                if self.n_bytes and not self._understood:
                    raise self._peer_error()
                raise StopAsyncIteration
            self._take(received)
        return self._ready.popleft()

    async def _open(self) -> None:
        await self.link.transport.open()
        if self.link.hello:
            await self.link.transport.write(self.link.hello)
        self._waited_s = 0.0

    async def _read(self) -> Received:
        if not self.link.live:
            return await self.link.transport.read()
        start_s = time.monotonic()
        try:
            return await bounded(self.link.transport.read(), self._stall_s)
        except asyncio.TimeoutError as error:
            raise self._stall_error() from error
        finally:
            self._waited_s += time.monotonic() - start_s

    def _take(self, received: Received) -> None:
        if self._capture is not None:
            self._capture.write(received)
        if not self.n_bytes:
            self._waited_s = 0.0
        self.n_bytes += len(received.data)
        self._bytes_since_valid += len(received.data)
        events = self.link.decoder.receive_data(received.data)
        self._ready.extend(Timed(event, received.arrival_ns) for event in events)
        if any(not isinstance(event, Corrupt) for event in events):
            self._understood = True
            self._waited_s = 0.0
            self._bytes_since_valid = 0
        elif self._waited_s > (self._stall_s if self._understood else self._peer_s):
            raise self._stall_error()

    async def _reconnect(self, lost: TransportLost) -> None:
        """Open the link anew, as often as it takes within the bound; the decoder sees the gap."""
        deadline_s = time.monotonic() + self._reconnect_s
        while time.monotonic() < deadline_s:
            await self.link.transport.close()
            try:
                await self._open()
            except TransportError:
                await asyncio.sleep(RECONNECT_EVERY_S)
            else:
                self.reconnects += 1
                return
        raise lost

    def _stall_error(self) -> BridgeError:
        if self._bytes_since_valid and not self._understood:
            return self._peer_error()
        seen = f"{self._bytes_since_valid:,} bytes but no valid frame"
        return StallError(
            f"{self.name}: {seen if self._bytes_since_valid else 'silent'} for {self._stall_s:g} s; "
            "check that the device is on and sends"
        )

    def _peer_error(self) -> PeerError:
        return PeerError(
            f"{self.name}: received {self.n_bytes:,} bytes but no valid frame; "
            f"check device= ({self.link.device} here) and baud="
        )
