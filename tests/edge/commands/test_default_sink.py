"""`leadlift run` without `--sink`: the view, else the terminal, else a line; and without a source."""

from __future__ import annotations

import importlib.util
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from edge.cli import main

pytestmark = pytest.mark.realtime

NO_VIEW = """
import sys
for name in ("starlette", "uvicorn", "websockets"):
    sys.modules[name] = None
from edge.cli import main
sys.exit(main())
"""
HAS_VIEW = all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn", "websockets"))


@pytest.mark.skipif(not HAS_VIEW, reason="the view needs '.[view]'")
def test_the_view_where_its_libraries_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--source", "sim:", "--seconds", "1"]) == 0
    out, err = capsys.readouterr()
    assert "view       http://127.0.0.1:" in out and "outputs    view:" in out
    assert "view: shows it and nothing is recorded; to record give --sink file:{time}.edf" in err


@pytest.mark.skipif(not HAS_VIEW, reason="the view needs '.[view]'")
def test_a_source_that_does_not_open_is_all_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "--source", "serial:/dev/nowhere"]) == 1
    out, err = capsys.readouterr()
    assert "http://" not in out
    (line,) = err.splitlines()
    assert line.startswith("leadlift: error: no serial port /dev/nowhere")


def test_the_terminal_where_there_is_one_and_no_view() -> None:
    screen, stdout = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", NO_VIEW, "run", "--source", "sim:", "--seconds", "1"],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
        text=True,
    )
    os.close(stdout)
    drawn = b""
    with suppress(OSError):  # Linux: the program has closed its end
        while data := os.read(screen, 4096):
            drawn += data
    os.close(screen)
    err = child.communicate()[1]
    assert child.returncode == 0, err
    assert b"outputs    terminal:" in drawn
    assert "leadlift: terminal: shows it and nothing is recorded" in err


def test_a_line_where_nothing_would_show_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("starlette", "uvicorn", "websockets"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["run", "--source", "sim:"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "give --sink file:{time}.edf" in err and "pip install '.[view]'" in err


def test_a_source_is_asked_for(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", "--sink", f"file:{tmp_path / 'o.edf'}"]) == 2
    assert capsys.readouterr().err.startswith("leadlift: error: no source: give --source")
    assert not list(tmp_path.iterdir())
