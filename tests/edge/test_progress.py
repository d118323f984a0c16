"""How far long work is: what is said of it, where it is drawn, and that nothing of it remains."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.notices import QUIET, reported, shown
from edge.progress import Progress, clock, followed, progress

WORK = """
import sys
import edge.progress
from edge.errors import InputError
from edge.notices import reported
edge.progress.PATIENCE_S = 0.0
edge.progress.DRAW_EVERY_S = edge.progress.LINE_EVERY_S = 0.01

def work():
    for i in edge.progress.followed(range(4), "counting", calm=sys.argv[1] == "calm"):
        print(i, flush=True)
        if i == 1:
            sys.stdin.readline()  # until it was seen
            if sys.argv[1] == "fail":
                raise InputError("no more numbers")
    return 0

sys.exit(reported("test", work))
"""


@contextmanager
def counting(how: str, stderr: int) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", WORK, how]
    child = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=stderr, env=environment, text=True
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def read_until(fd: int, wanted: str) -> str:
    said = ""
    while wanted not in said:
        data = os.read(fd, 4096)
        assert data, f"it ended with {said!r}"
        said += data.decode()
    return said


def rest_of(fd: int) -> str:
    said = b""
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:  # Linux: the other end of a pseudo-terminal is closed
            return said.decode()
        if not data:
            return said.decode()
        said += data


@pytest.mark.parametrize(
    ("done", "total", "passed", "says"),
    [
        (25, 100, 10, "25%, 0:00:30 left"),
        (0, 100, 10, "0%, 0:00:10 so far"),
        (100, 100, 10, "100%, 0:00:00 left"),
        (120, 100, 10, "100%, 0:00:00 left"),  # a file that grew
        (3, None, 75, "0:01:15 so far"),
        (3, 0, 75, "0:01:15 so far"),
    ],
)
def test_the_time_left_is_that_of_the_pace_so_far(
    done: float, total: float | None, passed: float, says: str
) -> None:
    begun = time.monotonic()
    work = Progress("x", total)
    work.advance(done)
    assert work.says(begun + passed) == says


def test_what_was_done_before_tells_no_pace() -> None:
    begun = time.monotonic()
    work = Progress("x", 100, skipped=50)
    assert work.says(begun + 10) == "50%, 0:00:10 so far"
    work.advance(10)
    assert work.says(begun + 10) == "60%, 0:00:40 left"


def test_a_wait_goes_by_the_clock() -> None:
    begun = time.monotonic()
    assert Progress("x", 4.0, by_clock=True).says(begun + 1) == "25%, 0:00:03 left"


def test_hours_are_hours() -> None:
    assert (clock(59.6), clock(86_399), clock(-1)) == ("0:01:00", "23:59:59", "0:00:00")


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "progress"]


def test_nothing_is_shown_outside_a_command_or_with_quiet() -> None:
    with progress("x"):
        assert not threads()
    with shown(QUIET), progress("x"):
        assert not threads()
    with shown(), progress("x"):
        assert threads()
        with progress("within"):
            assert len(threads()) == 1
    assert not threads()


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported("test", lambda: len(list(followed([1, 2], "x")))) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["well", "fail", "interrupt"])
def test_a_bar_on_a_terminal_goes_however_it_ends(how: str) -> None:
    screen, stderr = pty.openpty()
    with counting(how, stderr) as child:
        os.close(stderr)
        said = read_until(screen, "25%")
        assert "counting" in said and " left" in said
        assert said.count("\n") <= 2, "a bar stays on its line"
        if how == "interrupt":
            child.send_signal(signal.SIGINT)
        else:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        after = rest_of(screen)
        assert child.stdout is not None
        printed = child.stdout.read().split()
        code = child.wait()
    os.close(screen)
    left = re.split(r"\x1b\[2K", said + after)[-1]
    left = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", left).strip()
    ends = {"well": "", "fail": "test: no more numbers", "interrupt": "test: interrupted"}
    assert left == ends[how]
    assert code == (how != "well")
    assert printed == (["0", "1", "2", "3"] if how == "well" else ["0", "1"]), (
        "results stay on stdout"
    )
    assert (said + after).rfind("\x1b[?25h") > (said + after).rfind("\x1b[?25l"), (
        "the cursor is back"
    )


@pytest.mark.parametrize(("how", "terminal"), [("well", False), ("calm", False), ("calm", True)])
def test_lines_in_a_pipe_and_while_time_is_measured(how: str, terminal: bool) -> None:
    reader, writer = pty.openpty() if terminal else os.pipe()
    with counting(how, writer) as child:
        os.close(writer)
        said = read_until(reader, " left")
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        said += rest_of(reader)
    os.close(reader)
    assert re.match(r"test: counting: \d+%, \d:\d\d:\d\d (left|so far)\r?\n", said)
    assert "\x1b" not in said


def test_an_error_within_a_loop_ends_the_bar_before_it_is_said() -> None:
    def work() -> int:
        numbers = followed([1, 2], "x")  # a name of it lives on in the traceback
        for _ in numbers:
            raise KeyboardInterrupt
        return 0

    assert reported("test", work) == 1
    assert not threads()


def test_no_command_draws_a_bar_of_its_own() -> None:
    root = Path(__file__).resolve().parents[2]
    for package in ("edge", "quantize", "benchmarks", "firmware_bridge"):
        for file in (root / package).rglob("*.py"):
            if file != root / "edge" / "progress.py":
                assert "rich.progress" not in file.read_text(encoding="utf-8"), file
