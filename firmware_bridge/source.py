"""A source: transport plus decoder as one async stream of events, with watchdog, capture and reconnect.

    sim:[?hr=72&rate=250&...]          a simulated wearable in this process
    replay:FILE[?speed=1|inf]          a capture of `CaptureWriter`
    serial:PORT[?device=wire|csv|cyton|openview&baud=115200&reconnect=60]
    ble:[NAME-OR-ADDRESS][?device=wire|ganglion&adapter=hci0&notify=start|acquire&pair=0|1&scan=10&reconnect=300]

and of any device `missing=V5`: leads that it does not measure and that are masked (`devices.lead_map`).

SCHEMES is a registry, as `devices.registry` is for device formats: a module that adds one adds an entry.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from firmware_bridge.devices.registry import BAUDS, PROFILES, make_decoder
from firmware_bridge.errors import (
    BridgeError,
    PeerError,
    SourceSpecError,
    StallError,
    TransportLost,
)
from firmware_bridge.events import Corrupt, Decoder, Event, HostedDecoder, StreamInfo
from firmware_bridge.reconnect import Supervisor
from firmware_bridge.source_spec import Options, parse_spec
from firmware_bridge.transports.base import Received, Transport
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.replay import Capture, ReplayTransport, read_header
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.packets import Command, encode_frame
from firmware_bridge.wire.spec import DELIMITER, FrameType

STALL_S = 5.0  # five stream infos of a device that says one every second
PEER_S = 3.0  # three of them, and a bootloader's chatter is over
BLE_RECONNECT_S = 300.0  # a walk out of the radio's reach and back
SERIAL_RECONNECT_S = 60.0  # a cable that is pulled and found and plugged in again
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
    """Name of the decoder in `devices.registry.DEVICES`."""
    device_options: dict[str, str] = field(default_factory=dict)
    """What the decoder was made with; a capture remembers it."""
    hello: bytes = b""
    """Sent after each opening."""
    resync: bytes = b""
    """Given to the decoder after each reopening: ends the frame that the loss of the link cut."""
    reconnect_s: float = 0.0
    """How long the link may be gone where the caller does not say."""
    live: bool = True
    """Whether silence means that something is wrong: not so for a recording."""
    simulated: bool = False
    """A simulator in this process, or the capture of one, whatever the stream itself says."""


# Gone is gone: the number of one that was closed goes to the next, which may be somebody's shell.
_PSEUDO_TERMINAL = re.compile(r"/dev/(pts/|ttys)\d+")

_HELLOS = {"wire": IDENTIFY}
_RESYNCS = {"wire": DELIMITER}


def _serial(port: str, options: Options) -> Link:
    from firmware_bridge.transports.serial_port import SerialTransport

    if not port:
        raise SourceSpecError("serial: needs a port, such as serial:/dev/ttyACM0")
    device, decoder, used = make_decoder(options, "serial")
    transport = SerialTransport(port, options.integer("baud", BAUDS.get(device, 115200)))
    reconnect_s = 0.0 if _PSEUDO_TERMINAL.fullmatch(port) else SERIAL_RECONNECT_S
    return _live(transport, device, decoder, used, options.number("reconnect", reconnect_s))


def _ble(target: str, options: Options) -> Link:
    from firmware_bridge.transports.ble import SCAN_S, BleTransport

    device, decoder, used = make_decoder(options, "ble")
    transport = BleTransport(
        target,
        PROFILES[device],
        adapter=options.text("adapter", "") or None,
        use_start_notify=options.choice("notify", ("start", "acquire"), "start") == "start",
        pair=options.choice("pair", ("0", "1"), "0") == "1",
        scan_s=options.number("scan", SCAN_S),
    )
    return _live(transport, device, decoder, used, options.number("reconnect", BLE_RECONNECT_S))


def _live(
    transport: Transport, device: str, decoder: Decoder, used: dict[str, str], reconnect_s: float
) -> Link:
    hello, resync = _HELLOS.get(device, b""), _RESYNCS.get(device, b"")
    return Link(transport, decoder, device, used, hello, resync, reconnect_s)


def _replay(path: str, options: Options) -> Link:
    if not path:
        raise SourceSpecError("replay: needs a file, such as replay:session.capture")
    transport = ReplayTransport(path, options.number("speed", 1.0))
    header = read_header(path)
    recorded = header.get("options")
    if isinstance(recorded, dict):
        options.add_defaults({str(name): str(value) for name, value in recorded.items()})
    options.add_defaults({"device": str(header["device"])})
    device, decoder, used = make_decoder(options)
    simulated = header.get("simulated") is True
    return Link(transport, decoder, device, used, live=False, simulated=simulated)


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

    def signal_at(rate_hz: float) -> EcgSimulator:
        return EcgSimulator(rate_hz, heart_rate, st_territory=territory, seed=seed, **numbers)

    def make() -> VirtualWearable:
        return VirtualWearable(signal_at(rate), clock_ppm=clock_ppm, signal_at=signal_at)

    make()  # says now, not when the source opens, what is wrong with an option
    return Link(SimTransport(make), WireDecoder(), "wire", hello=IDENTIFY, simulated=True)


SCHEMES: dict[str, Callable[[str, Options], Link]] = {
    "ble": _ble,
    "replay": _replay,
    "serial": _serial,
    "sim": _sim,
}
"""What makes the link for each `scheme:rest?options`."""


def open_source(
    spec: str,
    *,
    capture: str | Path | None = None,
    overwrite: bool = False,
    stall_s: float = STALL_S,
    peer_s: float = PEER_S,
    reconnect_s: float | None = None,
    say: Callable[[str], object] | None = None,
) -> Source:
    """The source that `spec` names, to be entered as an async context manager.

    `capture` records the byte stream to a new file that `replay:` plays, made when the first bytes come;
    one that exists is refused, or with `overwrite` replaced at the end. The device may be silent for
    `stall_s`, may send nonsense for `peer_s` at first, and may be gone for `reconnect_s` (by default what
    `reconnect=` in the name says, else 60 s for a serial port, 0 s for a pseudo-terminal, 300 s over BLE).
    `say` is called with a line when the link is lost and waited for, and when it is back.

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
        link,
        name=spec,
        capture=capture,
        overwrite=overwrite,
        stall_s=stall_s,
        peer_s=peer_s,
        reconnect_s=reconnect_s,
        say=say,
    )


class Source:
    """An async context manager, and an async iterator of `Timed` events, in the order they happened.

    Entering opens the link and raises what its transport does. Iterating raises StallError when a live
    device is silent for too long, PeerError when its bytes never make a valid frame, TransportLost when
    the link goes and does not come back, CaptureError where a capture is damaged. It ends with the
    stream. A link that is lost, or a device that made sense and falls silent, is opened anew for as long
    as `reconnect_s` lasts; the frames that follow tell the gap.
    """

    def __init__(
        self,
        link: Link,
        *,
        name: str,
        capture: str | Path | None = None,
        overwrite: bool = False,
        stall_s: float = STALL_S,
        peer_s: float = PEER_S,
        reconnect_s: float | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self.name = name
        self.link = link
        self.n_bytes = 0
        """Bytes received so far."""
        self.reconnects = 0
        """Times the link was lost, or stalled, and was opened again."""
        self._say = say or (lambda line: None)
        self._capture: Capture | None = None
        if capture is not None:
            header = {
                "device": link.device,
                "options": link.device_options,
                "source": name,
                "simulated": link.simulated,
            }
            self._capture = Capture(capture, header, overwrite=overwrite)
        self._stall_s = stall_s
        self._peer_s = peer_s
        self._supervisor = Supervisor(
            self._open,
            link.transport.close,
            link.reconnect_s if reconnect_s is None else reconnect_s,
        )
        self._ready: deque[Timed] = deque()
        self._understood = False
        # Time spent waiting for the device (not in the consumer) since its first bytes, later since
        # its last valid frame.
        self._waited_s = 0.0
        self._bytes_since_valid = 0
        self._valid_ns = 0  # when the last valid frame arrived
        self._why = ""  # what the last bytes that were none were
        decoder = link.decoder
        self._hosted = decoder if isinstance(decoder, HostedDecoder) else None

    async def __aenter__(self) -> Source:
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

    @property
    def in_outage(self) -> bool:
        """Whether the link is lost at the moment, or back without a valid frame yet."""
        return self._supervisor.in_outage

    async def __anext__(self) -> Timed:
        while not self._ready:
            try:
                received = await self._read()
                if not received.data and not received.reopened:
                    if self.n_bytes and not self._understood:
                        raise self._peer_error()
                    raise StopAsyncIteration
                self._take(received)
                await self._answer()
            except (TransportLost, StallError) as error:
                await self._reconnect(error)
        return self._ready.popleft()

    async def _open(self) -> None:
        await self.link.transport.open()
        if self.link.hello:
            await self.link.transport.write(self.link.hello)
        self._greet()
        await self._answer()
        self._waited_s = 0.0
        self._bytes_since_valid = 0

    def _greet(self) -> None:
        if self._hosted is not None:
            self._hosted.opened()

    async def _answer(self) -> None:
        """Tell the device what its decoder wants it to be told."""
        if self._hosted is not None and (data := self._hosted.data_to_send()):
            await self.link.transport.write(data)

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
        if received.reopened:
            self._greet()
            return
        if not self.n_bytes:
            self._waited_s = 0.0
        self.n_bytes += len(received.data)
        self._bytes_since_valid += len(received.data)
        if self._hosted is not None and self._valid_ns:
            self._hosted.silent((received.arrival_ns - self._valid_ns) * 1e-9)
        events = self.link.decoder.receive_data(received.data)
        if self.link.simulated:
            events = [
                replace(e, simulated=True) if isinstance(e, StreamInfo) else e for e in events
            ]
        self._ready.extend(Timed(event, received.arrival_ns) for event in events)
        if any(not isinstance(event, Corrupt) for event in events):
            self._understood = True
            self._valid_ns = received.arrival_ns
            if self.in_outage:
                self._say(f"{self.name} is back")
            self._supervisor.recovered()
            self._waited_s = 0.0
            self._bytes_since_valid = 0
            return
        self._why = next((f" ({e.reason})" for e in events if isinstance(e, Corrupt)), self._why)
        if self._waited_s > (self._stall_s if self._understood else self._peer_s):
            raise self._stall_error()

    async def _reconnect(self, error: TransportLost | StallError) -> None:
        if isinstance(error, StallError) and not self._understood:
            raise error  # it never spoke: asking again is no remedy
        if self._supervisor.within_s > 0 and not self.in_outage:
            self._say(f"{error}; waiting for it, {self._supervisor.within_s:g} s at most")
        await self._supervisor.reopen(error)
        self.reconnects += 1
        if self._capture is not None:
            self._capture.write(Received(b"", time.monotonic_ns(), reopened=True))
        if self.link.resync:
            self._take(Received(self.link.resync, time.monotonic_ns()))
            self._bytes_since_valid = 0  # the device has not said any of them

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
            f"{self.name}: received {self.n_bytes:,} bytes but no valid frame{self._why}; "
            f"check device= ({self.link.device} here) and baud="
        )
