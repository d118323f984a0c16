"""Markers by keys: in a run without a screen, and on the screen of `terminal:`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.commands.marker_keys import MarkerKeys
from edge.files.records import open_record
from edge.sinks.note import Note

pytest.importorskip("fcntl", reason="pseudo-terminals are POSIX's")
from tests.edge.sinks.test_terminal import Screen, pseudo_terminal


def typed(keys: str) -> Note | None:
    note = Note.begun(keys[0], 7)
    for key in keys[1:]:
        assert note is not None
        note = note.press(key)
    return note


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("mstands up\r", "stands up"),
        ("mq l +-m\n", "q l +-m"),
        ("mabc\x7f\x7f\x08Ü😀\r", "Ü😀"),
        ("m\r", "marker"),
        ("m  \r", "marker"),
        ("m\x7f\x7fx\r", "x"),
        ("ma\x00\x1fb\u202e\r", "ab"),
        ("m" + "x" * 500 + "\r", "x" * 238),
        ("5", "5"),
    ],
)
def test_what_is_typed_is_the_text_at_the_time_of_the_first_key(keys: str, text: str) -> None:
    note = typed(keys)
    assert note is not None
    assert (note.text, note.at_ns, note.is_whole) == (text, 7, True)


@pytest.mark.parametrize("keys", ["mabc\x1b", "m\x1b", "m\x03", "x", "q", " ", "0"])
def test_what_is_given_up_or_begins_none(keys: str) -> None:
    assert typed(keys) is None


@pytest.mark.realtime
@pytest.mark.parametrize("sinks", [[], ["terminal:"]])
def test_a_key_marks_its_moment_and_not_that_of_enter(tmp_path: Path, sinks: list[str]) -> None:
    out = tmp_path / "out.edf"
    command = [sys.executable, "-m", "edge.cli", "run", "--source", "sim:?hr=70", "--sink"]
    with pseudo_terminal(100, 30) as (master, stream):
        screen = Screen(master)
        run = subprocess.Popen(
            [*command, f"file:{out}", *sinks],
            stdin=stream,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
        )
        try:
            screen.wait_for("m marker" if sinks else "keys: m and a text")
            wait_for_samples(out)
            os.write(master, b"m")
            screen.wait_for("Enter records it")
            for letter in "stands up ü":
                os.write(master, letter.encode())
            screen.wait_for("up ü_")
            time.sleep(1.0)
            os.write(master, b"\r")
            screen.clear()
            os.write(master, b"7mgiven up\x1bq")
            assert run.wait(timeout=30) == 0
        finally:
            run.kill()
            run.wait()
    with open_record(out) as record:
        first, second = record.read_markers()
        assert (first.text, second.text) == ("stands up ü", "7")
        assert second.sample - first.sample >= 240  # 1 s of typing
        assert record.n_samples - second.sample < 250


def test_a_terminal_that_takes_nothing_does_not_keep_the_keys_from_closing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import termios

    marked = threading.Event()
    with pseudo_terminal(100, 30) as (master, stream):
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        termios.tcflow(stream.fileno(), termios.TCOOFF)
        keys = MarkerKeys(lambda *_, **__: marked.set(), lambda: None)
        os.write(master, b"7\n")
        assert marked.wait(30)
        keys.close()
        termios.tcflow(stream.fileno(), termios.TCOON)


def wait_for_samples(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < 12_000:
        assert time.monotonic() < end
        time.sleep(0.05)
