"""A virtual device on a real pseudo-terminal: paced in real time, seen by hosts as a serial port."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
import time
import tty
from collections import deque
from pathlib import Path
from types import TracebackType

from firmware_bridge.errors import BridgeError
from firmware_bridge.new_file import NewFile
from firmware_bridge.simulators.twins import Twin
from firmware_bridge.simulators.wearable import DueFrame

WRITE_TIMES = 4096  # the last 160 s of 25 frames/s; a log file keeps them all
HOST_CHECK_S = 0.02  # how soon a host that opens or closes the port is noticed: half a frame
HOST_GRACE_S = 1.0  # with `wait_for_host`: how long a host that says nothing is waited for
DRAIN_QUIET_S = (
    0.05  # bytes on their way through the kernel count nowhere; it passes them on sooner
)
DRAIN_S = 2.0  # a host that has not read by then does not read
COMMAND_BYTES = 4096


class PtyWearable:
    """Runs `wearable` on a pseudo-terminal whose name is `port`; a context manager runs it in a thread.

    While no host has the port open nothing is sent (`frames_unheard`). A host that does not read fills
    the port's buffer: whole frames are then dropped, as a device does, and counted (`frames_dropped`).

    `wait_for_host` puts off sample 0 until the host's first byte, or for a host that says nothing until
    1 s after it opened the port. The new file `write_log` gets a line `first_sample,monotonic_ns` per frame
    sent; one that exists is replaced with `overwrite`. Raises BridgeError where it cannot be made.
    """

    def __init__(
        self,
        wearable: Twin,
        *,
        wait_for_host: bool = False,
        write_log: str | Path | None = None,
        overwrite: bool = False,
    ) -> None:
        self._wearable = wearable
        self._wait_for_host = wait_for_host
        self._new_log = None if write_log is None else NewFile(write_log, overwrite=overwrite)
        try:
            self._log = None if self._new_log is None else self._new_log.create()
        except OSError as error:
            raise BridgeError(f"cannot write the times {write_log}: {error.strerror}") from error
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        os.close(slave)  # so that the master hangs up when the host closes the port
        os.set_blocking(self._master, False)
        self._stop_read, self._stop_write = os.pipe()
        self._thread: threading.Thread | None = None
        self._pending = b""
        self._pending_sample = 0
        self._host_spoke = False
        self.frames_sent = 0
        self.frames_dropped = 0
        self.frames_unheard = 0
        self.write_times: deque[tuple[int, int]] = deque(maxlen=WRITE_TIMES)
        """(first_sample, `time.monotonic_ns()` after the write of the frame's last byte), the latest."""

    def run(self, seconds: float | None = None) -> None:
        """Stream until `stop`, the end of the signal, or for `seconds` from the first sample."""
        if self._wait_for_host and not self._wait():
            return
        start_ns = time.monotonic_ns()
        end_ns = None if seconds is None else start_ns + round(seconds * 1e9)
        while (due_s := self._wearable.next_due_s()) is not None:
            # Due times count from the start, so lateness of one frame never moves the next.
            due_ns = start_ns + round(due_s * 1e9)
            if end_ns is not None and due_ns > end_ns:
                self._serve_until(end_ns)
                return
            if not self._serve_until(due_ns):
                return
            if self._wearable.next_due_s() != due_s:
                continue  # the host said what changes it
            frame = self._wearable.next_frame()
            if frame is not None:
                self._send(frame)

    def stop(self) -> None:
        """Make `run` return soon; safe from any thread and from a signal handler."""
        if self._master >= 0:
            os.write(self._stop_write, b"x")

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="virtual wearable", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread to end by itself; whether it has."""
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def drain(self) -> bool:
        """Wait until the host has read what was sent, at most 2 s; whether it has. Not while running."""
        deadline_s = time.monotonic() + DRAIN_S
        slave = os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            quiet_s = time.monotonic()
            while time.monotonic() < quiet_s + DRAIN_QUIET_S:
                if time.monotonic() > deadline_s:
                    return False
                if self._pending:
                    self._write_pending()
                if self._pending or _unread_bytes(slave):
                    quiet_s = time.monotonic()
                time.sleep(0.005)  # a pty tells when it can be written to, never that it was read
        finally:
            os.close(slave)
        return True

    def close(self) -> None:
        """Stop, and unplug the port: a host that has it open loses it. Closing twice is fine."""
        if self._master < 0:
            return
        self.stop()
        self.join()
        for fd in (self._master, self._stop_read, self._stop_write):
            os.close(fd)
        self._master = -1
        if self._log is not None and self._new_log is not None:
            self._log.close()
            self._new_log.keep()

    def __enter__(self) -> PtyWearable:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _wait(self) -> bool:
        """Serve until the host is ready for sample 0; False when stopped."""
        opened_ns: int | None = None
        while not self._host_spoke:
            now_ns = time.monotonic_ns()
            if not self._host_present():
                opened_ns = None
            elif opened_ns is None:
                opened_ns = now_ns
            elif now_ns - opened_ns > HOST_GRACE_S * 1e9:
                return True
            if not self._serve_until(now_ns + round(HOST_CHECK_S * 1e9), wake_on_host=True):
                return False
        return True

    def _serve_until(self, due_ns: int, *, wake_on_host: bool = False) -> bool:
        """Answer the host and send what is pending until `due_ns`; False when stopped."""
        while True:
            wait_s = (due_ns - time.monotonic_ns()) / 1e9
            present = self._host_present()
            if not present:
                self._pending = b""
                wait_s = min(
                    wait_s, HOST_CHECK_S
                )  # a hung-up master is always readable: not watched
            readers = [self._stop_read, self._master] if present else [self._stop_read]
            writers = [self._master] if self._pending else []
            ready, writable, _ = select.select(readers, writers, [], max(0.0, wait_s))
            if self._stop_read in ready:
                return False
            if writable:
                self._write_pending()
            if self._master in ready:
                self._answer()
                if wake_on_host and self._host_spoke:
                    return True
            if time.monotonic_ns() >= due_ns:
                return True

    def _answer(self) -> None:
        # EIO: the host closed the port between the check and the read.
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._master, COMMAND_BYTES)
            self._host_spoke = self._host_spoke or bool(data)
            answer = self._wearable.receive(data)
            # An answer that meets a full buffer is dropped: stream info comes every second anyway.
            if answer and not self._pending:
                self._pending = answer
                self._pending_sample = -1
                self._write_pending()

    def _send(self, frame: DueFrame) -> None:
        if not frame.data:
            return
        if not self._host_present():
            self.frames_unheard += 1
            return
        if self._pending:
            self._write_pending()
        if self._pending:
            self.frames_dropped += 1
            return
        self._pending = frame.data
        self._pending_sample = frame.first_sample if frame.n_samples else -1
        self._write_pending()

    def _write_pending(self) -> None:
        try:
            self._pending = self._pending[os.write(self._master, self._pending) :]
        except BlockingIOError:
            return
        written_ns = time.monotonic_ns()
        if self._pending or self._pending_sample < 0:
            return
        self.frames_sent += 1
        self.write_times.append((self._pending_sample, written_ns))
        if self._log is not None:
            self._log.write(f"{self._pending_sample},{written_ns}\n".encode())

    def _host_present(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)  # hang-ups are always reported
        return not poll.poll(0)


def _unread_bytes(slave: int) -> int:
    (n_bytes,) = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))
    return int(n_bytes)
