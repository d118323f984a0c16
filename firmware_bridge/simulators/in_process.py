"""The transport of `sim:`: a virtual wearable in a thread of this process, paced in real time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.transports.memory import MemoryTransport


class SimTransport(MemoryTransport):
    """A `Transport` to a virtual wearable that boots when the transport opens.

    `make` makes the wearable anew at each opening. Frames that a host leaves unread beyond the pipe's
    capacity are dropped and counted in `frames_dropped`.
    """

    def __init__(self, make: Callable[[], VirtualWearable]) -> None:
        # Commands go through a queue that is also the device's alarm clock; None switches it off.
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        super().__init__(on_write=lambda data: self._inbox.put(data))
        self._make = make
        self._thread: threading.Thread | None = None
        self.frames_dropped = 0

    async def open(self) -> None:
        """Boot the wearable. Raises SourceSpecError where it cannot be made as asked."""
        await self.close()
        wearable = self._make()
        await super().open()
        self._inbox = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, args=(wearable,), name="virtual wearable", daemon=True
        )
        self._thread.start()

    async def close(self) -> None:
        """Switch the wearable off."""
        if self._thread is not None:
            self._inbox.put(None)
            self._thread.join()  # it wakes at once
            self._thread = None
        await super().close()

    def _run(self, wearable: VirtualWearable) -> None:
        start_ns = time.monotonic_ns()
        while (due_s := wearable.next_due_s()) is not None:
            due_ns = start_ns + round(due_s * 1e9)
            while (wait_s := (due_ns - time.monotonic_ns()) / 1e9) > 0:
                try:
                    command = self._inbox.get(timeout=wait_s)
                except queue.Empty:
                    break
                if command is None:
                    return
                self.feed(wearable.receive(command))
            if wearable.next_due_s() != due_s:
                continue  # the host said what changes it
            frame = wearable.next_frame()
            if frame is not None and not self.feed(frame.data):
                self.frames_dropped += 1
        self.end()
