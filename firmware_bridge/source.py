"""A source: transport plus decoder as one async stream of events, with watchdog, capture and reconnect.

    sim:[?hr=72&leads=I,II&rate=250&...]  a simulated wearable in this process
    replay:FILE[?speed=1|inf]          a capture of `CaptureWriter`
    serial:PORT[?device=wire|csv|cyton|openview&baud=115200&reconnect=60]
    ble:[NAME-OR-ADDRESS][?device=wire|ganglion&adapter=hci0&notify=start|acquire&pair=0|1&scan=10&reconnect=300]
    tcp:HOST:PORT[?device=...&reconnect=60]      connects to a board, or a server before its serial port
    udp:[HOST:]PORT[?device=...&reconnect=60]    listens at 127.0.0.1; at 0.0.0.0 for boards on the network
    lsl:[NAME][?type=ECG&source_id=...&host=...&leads=II=CH1&unit=uV&rate=250&resolve=5&reconnect=60]

and of any device `missing=V5`: leads that it does not measure and that are masked (`devices.lead_map`);
and of any source `markers=NAME`: markers that another program sends over the Lab Streaming Layer.

`firmware_bridge.links` has what stands behind each.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from firmware_bridge.errors import SourceSpecError, StallError, TransportLost
from firmware_bridge.events import (
    ArrivalDecoder,
    Corrupt,
    Event,
    HostedDecoder,
    Notice,
    StreamInfo,
)
from firmware_bridge.links import SCHEMES, Link
from firmware_bridge.reconnect import Supervisor
from firmware_bridge.source_spec import parse_spec
from firmware_bridge.transports.base import Received
from firmware_bridge.transports.bounded import bounded
from firmware_bridge.transports.lsl_library import Selection
from firmware_bridge.transports.lsl_markers import LslMarkers
from firmware_bridge.transports.replay import Capture
from firmware_bridge.wall_time import arrival_time
from firmware_bridge.watchdog import AWAKE_S, LATE_S, Watchdog

STALL_S = 5.0  # five stream infos of a device that says one every second
PEER_S = 3.0  # three of them, and a bootloader's chatter is over


@dataclass(frozen=True, slots=True)
class Timed:
    """An event and when the last byte of its frame was read."""

    event: Event
    arrival_ns: int
    """`time.monotonic_ns()`."""


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
    markers = options.text("markers", "") if options.has("markers") else None
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
        markers=markers,
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
        markers: str | None = None,
    ) -> None:
        self.name = name
        self.link = link
        self.reconnects = 0
        """Times the link was lost, or stalled, and was opened again."""
        self._say = say or (lambda line: None)
        self._markers = None if markers is None else LslMarkers(Selection(markers), self._say)
        self._capture: Capture | None = None
        if capture is not None:
            header = {
                "device": link.device,
                "options": link.device_options,
                "source": name,
                "simulated": link.simulated,
            }
            when = partial(arrival_time, link.transport)
            self._capture = Capture(capture, header, when, overwrite=overwrite)
        self._watchdog = Watchdog(name, link.device, stall_s, peer_s)
        self._supervisor = Supervisor(
            self._open,
            link.transport.close,
            link.reconnect_s if reconnect_s is None else reconnect_s,
        )
        self._ready: deque[Timed] = deque()
        self._valid_ns = 0  # when the last valid frame arrived
        self._says_simulated = False
        decoder = link.decoder
        self._hosted = decoder if isinstance(decoder, HostedDecoder) else None
        self._timed = decoder if isinstance(decoder, ArrivalDecoder) else None

    async def __aenter__(self) -> Source:
        try:
            await self._open()
            if self._markers is not None:
                await asyncio.to_thread(self._markers.start)
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
        if self._markers is not None:
            await asyncio.to_thread(self._markers.close)
        if self._capture is not None:
            self._capture.close()

    def __aiter__(self) -> Source:
        return self

    @property
    def n_bytes(self) -> int:
        """Bytes received so far."""
        return self._watchdog.n_bytes

    @property
    def simulated(self) -> bool:
        """Whether what comes is known to be nobody's heart; StreamInfo says the same."""
        return self.link.simulated or self._says_simulated

    @property
    def in_outage(self) -> bool:
        """Whether the link is lost at the moment, or back without a valid frame yet."""
        return self._supervisor.in_outage

    async def __anext__(self) -> Timed:
        while not self._ready:
            try:
                received = await self._read()
                if not received.data and not received.reopened:
                    self._end(received)
                    continue
                self._take(received)
                await self._answer()
            except (TransportLost, StallError) as error:
                await self._reconnect(error)
        return self._ready.popleft()

    def _end(self, received: Received) -> None:
        """The stream has ended: say what the decoder held back, or that it never made sense."""
        if self._timed is not None and (events := self._timed.ended()):
            self._queue(events, received.arrival_ns)
            self._watchdog.blames(_reason(events))
            return
        if self.n_bytes and not self._watchdog.understood:
            raise self._watchdog.peer_error()
        raise StopAsyncIteration

    async def _open(self) -> None:
        await self.link.transport.open()
        if self.link.hello:
            await self.link.transport.write(self.link.hello)
        self._greet()
        await self._answer()
        self._watchdog.opened()

    def _greet(self) -> None:
        if self._hosted is not None:
            self._hosted.opened()

    async def _answer(self) -> None:
        """Send the device what its decoder has for it."""
        if self._hosted is not None and (data := self._hosted.data_to_send()):
            await self.link.transport.write(data)

    async def _read(self) -> Received:
        if not self.link.live:
            return await self.link.transport.read()
        try:
            return await self._within(self._watchdog.stall_s)
        except asyncio.TimeoutError as error:
            raise self._watchdog.error() from error

    async def _within(self, seconds: float, again: bool = False) -> Received:
        """What comes in so many seconds in which this host is awake; asyncio.TimeoutError without any."""
        clock = asyncio.get_running_loop().time
        start_s = clock()
        try:
            return await bounded(self.link.transport.read(), seconds)
        except asyncio.TimeoutError:
            if again or clock() - start_s < seconds + LATE_S:
                raise
        finally:
            self._watchdog.waited(clock() - start_s)
        # The host slept: what came meanwhile has yet to reach the transport.
        return await self._within(AWAKE_S, again=True)

    def _take(self, received: Received) -> None:
        if self._capture is not None:
            self._capture.write(received)
        if received.reopened:
            self._greet()
            return
        self._watchdog.heard(len(received.data))
        if self._hosted is not None and self._valid_ns:
            self._hosted.silent((received.arrival_ns - self._valid_ns) * 1e-9)
        n_held = 0
        if self._timed is not None:
            self._timed.arrived(received.arrival_ns)
            n_held = self._timed.held_samples
        events = self.link.decoder.receive_data(received.data)
        if self._markers is not None:
            self._queue(list(self._markers.take()), received.arrival_ns)
        holds_more = self._timed is not None and self._timed.held_samples > n_held
        self._queue(events, received.arrival_ns)
        if holds_more or any(not isinstance(event, Corrupt | Notice) for event in events):
            self._valid_ns = received.arrival_ns
            if self.in_outage:
                self._say(f"{self.name} is back")
            self._supervisor.recovered()
            self._watchdog.understands()
            return
        self._watchdog.doubts(_reason(events))

    def _queue(self, events: list[Event], arrival_ns: int) -> None:
        for event in events:
            if isinstance(event, StreamInfo):
                self._says_simulated |= event.simulated
                if self.link.simulated:
                    event = replace(event, simulated=True)
            self._ready.append(Timed(event, arrival_ns))

    async def _reconnect(self, error: TransportLost | StallError) -> None:
        if isinstance(error, StallError) and not self._watchdog.understood:
            raise error  # it never spoke: asking again is no remedy
        if self._supervisor.within_s > 0 and not self.in_outage:
            self._say(f"{error}; waiting for it, {self._supervisor.within_s:g} s at most")
        await self._supervisor.reopen(error)
        self.reconnects += 1
        if self._capture is not None:
            self._capture.write(Received(b"", time.monotonic_ns(), reopened=True))
        if self.link.resync:
            self._take(Received(self.link.resync, time.monotonic_ns()))
            self._watchdog.opened()  # the device has not said any of them


def _reason(events: list[Event]) -> str | None:
    """Why bytes were no frame, if they were not."""
    return next((event.reason for event in events if isinstance(event, Corrupt)), None)
