"""A screen as a shell's job: background, Ctrl-Z, SIGTERM and a crash leave the terminal usable."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.edge.sinks.test_terminal import Screen

pytestmark = pytest.mark.realtime

WAIT_S = 30.0
PROGRAM = """
import signal, sys, threading
from edge.files.recording import Metadata
from edge.sinks.terminal import TerminalSink
from tests.edge.sinks.blocks import block, ecg

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
sink = TerminalSink(250.0, Metadata(), stop=stop.set)
at = 0
while not stop.wait(0.02):
    sink.write(block(ecg(4, at), at))
    at += 4
    if "say" in sys.argv and at == 200:
        print("written", flush=True)
    if "crash" in sys.argv and at > 200:
        raise RuntimeError("crash")
sink.close()
print("ended well", flush=True)
"""
# A session leader with the terminal as its own, as a shell is; the program is a job of its own.
SHELL = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def in_a_group_of_its_own():
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
job = subprocess.Popen(
    [sys.executable, "-c", sys.argv[1], *sys.argv[3:]], preexec_fn=in_a_group_of_its_own
)
if sys.argv[2] == "fg":
    os.tcsetpgrp(0, job.pid)
print("job", job.pid, flush=True)
while True:
    _, status = os.waitpid(job.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.tcsetpgrp(0, os.getpgrp())
        print("stopped", flush=True)
        sys.stdin.readline()
        print("continued", flush=True)
        os.tcsetpgrp(0, job.pid)
        os.killpg(job.pid, signal.SIGCONT)
        continue
    os.tcsetpgrp(0, os.getpgrp())
    print("status", os.waitstatus_to_exitcode(status), flush=True)
    sys.stdin.readline()
    break
"""


@contextmanager
def job(where: str, *arguments: str) -> Iterator[tuple[int, int, Screen, int]]:
    """(terminal, its other end, what was written, the job's process id)."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = Screen(master)
    shell = subprocess.Popen(
        [sys.executable, "-c", SHELL, PROGRAM, where, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=os.environ
        | {"TERM": "xterm", "PYTHONPATH": str(Path.cwd()), "PYTHONIOENCODING": "utf-8"},
    )
    try:
        number = int(screen.wait_for("job ").split("job ")[1].split()[0])
        yield master, slave, screen, number
    finally:
        with suppress(ProcessLookupError, UnboundLocalError):
            os.kill(number, signal.SIGKILL)
        shell.kill()
        shell.wait()
        os.close(slave)
        os.close(master)


def modes(slave: int) -> int:
    return int(termios.tcgetattr(slave)[3]) & (termios.ICANON | termios.ECHO)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("how", "said"), [("q", "ended well"), ("term", "ended well"), ("crash", "RuntimeError: crash")]
)
def test_the_terminal_is_given_back_however_it_ends(how: str, said: str) -> None:
    with job("fg", how) as (master, slave, screen, number):
        screen.wait_for("V2 r")
        if how != "crash":
            assert modes(slave) == 0
        if how == "q":
            os.write(master, b"q")
        elif how == "term":
            os.kill(number, signal.SIGTERM)
        screen.wait_for(said)
        screen.wait_for("status")
        assert modes(slave) == termios.ICANON | termios.ECHO
        seen = screen.wait_for("\x1b[?1049l")
        assert seen.rindex("\x1b[?1049l") > seen.rindex("\x1b[?1049h")
        assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def test_ctrl_z_leaves_the_screen_and_fg_draws_again() -> None:
    with job("fg") as (master, slave, screen, _):
        screen.wait_for("space freeze")
        os.write(master, b"\x1a")
        seen = screen.wait_for("stopped")
        assert "\x1b[?1049l" in seen
        assert modes(slave) == termios.ICANON | termios.ECHO
        screen.clear()
        os.write(master, b"fg\n")
        screen.wait_for("\x1b[?1049h")
        screen.wait_for("V2 r")
        until(lambda: modes(slave) == 0)
        os.write(master, b"q")
        screen.wait_for("ended well")
        screen.wait_for("status 0")
        assert modes(slave) == termios.ICANON | termios.ECHO


def test_a_job_in_the_background_neither_stops_nor_draws() -> None:
    with job("bg", "say") as (_, slave, screen, number):
        screen.wait_for("written")  # of a second: it would have drawn ten times by now
        os.kill(number, signal.SIGTERM)
        seen = screen.wait_for("status")
        assert "ended well" in seen
        assert "stopped" not in seen and "\x1b" not in seen
        assert modes(slave) == termios.ICANON | termios.ECHO
