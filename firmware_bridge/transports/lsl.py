"""A stream of the Lab Streaming Layer as a transport: what liblsl hands out, in frames of `lsl_stream`.

liblsl's calls block, so a thread makes them. Its own recovery is off: a stream that is lost is found anew by
the source's supervisor, as any other link is, and its user is told.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from firmware_bridge.devices.lsl_stream import clock_frame, description_frame, samples_frame
from firmware_bridge.errors import NotFoundError, PeerError, TransportError
from firmware_bridge.transports.lsl_library import Found, Selection, find, library, listed
from firmware_bridge.transports.memory import MemoryTransport

RESOLVE_S = 5.0  # for a stream to be found; multicast answers within a second
WAVE_S = 1.0  # of one question to the network: all streams of a network answer within
CONNECT_S = 5.0
CLOCK_S = 5.0  # how often the sender's clock is compared; liblsl measures every other second
BUFFERED_S = 60  # liblsl keeps so much for a reader that is late
PULL_S = 0.1  # longest wait for a sample; a stop is noticed within it
CHUNK_BYTES = 32_768  # of one frame, at most
CAPACITY_BYTES = 1 << 20  # a capture's longest record
MAX_DESCRIPTION_BYTES = 1 << 19


class LslTransport(MemoryTransport):
    """A `Transport` to the one stream that fits a selection."""

    def __init__(
        self,
        selection: Selection,
        check: Callable[[str], object] = lambda xml: None,
        resolve_s: float = RESOLVE_S,
    ) -> None:
        """`check` is called with the description of the stream, and raises for one that cannot be read."""
        super().__init__(capacity_bytes=CAPACITY_BYTES)
        self.selection = selection
        self._check = check
        self._resolve_s = resolve_s
        self._source_id = ""  # of the stream that was open: the one to come back to
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    async def open(self) -> None:
        """Find the stream and subscribe.

        Raises NotFoundError for none, TransportError for several that fit and where LSL cannot be had, and
        PeerError for a stream that cannot be read.
        """
        await self.close()
        self._lost = None
        stop = self._stop = threading.Event()
        try:
            inlet, description = await asyncio.to_thread(self._connect, stop)
        except asyncio.CancelledError:
            stop.set()
            raise
        await super().open()
        self._thread = threading.Thread(
            target=self._pull, args=(inlet, description, stop), name="LSL inlet", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """Unsubscribe."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)  # it wakes within PULL_S
        await super().close()

    def _connect(self, stop: threading.Event) -> tuple[Any, bytes]:
        """The inlet, and what is fed before its first samples."""
        found = self._resolve(stop)
        lsl = library()
        inlet = lsl.StreamInlet(found.handle, max_buffered=BUFFERED_S, recover=False)
        try:
            inlet.open_stream(timeout=CONNECT_S)
            xml = inlet.get_sinfo(timeout=CONNECT_S).as_xml
            clock = clock_frame(_correction_s(lsl, inlet, CONNECT_S))
        except (TimeoutError, RuntimeError) as error:
            raise TransportError(
                f"{self._name} was found and does not answer ({error}): check the firewall of {found.host}, "
                "TCP and UDP ports 16572 to 16604"
            ) from error
        if len(xml) > MAX_DESCRIPTION_BYTES:
            raise PeerError(f"{self._name}: a description of {len(xml):,} bytes is no ECG's")
        self._check(xml)
        self._source_id = found.source_id
        return inlet, description_frame(xml) + clock

    def _resolve(self, stop: threading.Event) -> Found:
        until = time.monotonic() + self._resolve_s
        while True:
            everything = find(min(WAVE_S, max(0.1, self._resolve_s)))
            fitting = [one for one in everything if self.selection.fits(one) and not one.is_text]
            known = [one for one in fitting if self._source_id and one.source_id == self._source_id]
            if len(known) == 1:
                return known[0]
            if not (self.selection.name or self.selection.source_id or self.selection.stype):
                fitting = [one for one in fitting if one.stype.lower() in ("ecg", "ekg")]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise TransportError(
                    f"{self._name}: {len(fitting)} streams fit: {listed(fitting)}; say which with a name, "
                    "type=, source_id= or host="
                )
            if stop.is_set() or time.monotonic() >= until:
                there = listed([one for one in everything if not one.is_text])
                has = f"there is {there}" if there else "there is none on this network"
                raise NotFoundError(
                    f"{self._name}: no such stream within {self._resolve_s:g} s; {has}: start the program "
                    "that sends it, or check the firewall and lsl_api.cfg"
                )

    def _pull(self, inlet: Any, heading: bytes, stop: threading.Event) -> None:
        """The thread: samples as they come, the description and the clock before the first of them."""
        lsl = library()
        most = max(1, CHUNK_BYTES // (8 * (inlet.n_channels + 1)))
        due_s = time.monotonic() + CLOCK_S
        try:
            while not stop.is_set():
                values, stamp_s = inlet.pull_sample(timeout=PULL_S)
                if stamp_s is not None:
                    frames = samples_frame(np.array([stamp_s]), values[None].copy())
                    more, stamps_s = inlet.pull_chunk(timeout=0.0, max_samples=most)
                    if len(stamps_s):
                        frames += samples_frame(stamps_s, more)
                    self._feed(heading + frames, stop)
                    heading = b""
                if time.monotonic() >= due_s and not heading:
                    due_s = time.monotonic() + CLOCK_S
                    self._feed(clock_frame(_correction_s(lsl, inlet, PULL_S)), stop)
        except TimeoutError:
            self.lose(f"{self._name}: its sender does not answer any more")
        except RuntimeError as error:
            self.lose(f"{self._name} is gone ({error})")
        finally:
            del inlet  # unsubscribes

    def _feed(self, data: bytes, stop: threading.Event) -> None:
        """Wait for a reader that is late: liblsl keeps what comes meanwhile."""
        while not self.feed(data) and not stop.wait(PULL_S):
            pass

    @property
    def _name(self) -> str:
        return self.selection.in_words()


def _correction_s(lsl: Any, inlet: Any, timeout_s: float) -> float:
    """Seconds to be added to a time stamp for `time.monotonic()`; raises TimeoutError, RuntimeError."""
    here_s: float = time.monotonic() - lsl.local_clock()
    there_s: float = inlet.time_correction(timeout=timeout_s)
    return there_s + here_s
