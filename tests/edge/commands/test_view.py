"""`leadlift demo` and `leadlift run` with the live view: the address is said, and the page is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands.browser import has_browser

pytest.importorskip("uvicorn", reason="the view needs '.[view]'")

pytestmark = pytest.mark.realtime


@contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[str]:
    """A live run in a process of its own; the address that it says."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edge.cli", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        said = []
        for line in child.stdout:
            said.append(line)
            if found := re.search(r"view +(http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(said))
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    "command", [["demo"], ["run", "--source", "sim:", "--sink", "view:0"]], ids=["demo", "run"]
)
def test_the_address_that_is_said_has_the_page(command: list[str], tmp_path: Path) -> None:
    with running(*command, cwd=tmp_path) as address, urllib.request.urlopen(address) as page:
        assert b"research use only" in page.read()


def test_other_machines_get_an_address_with_a_token(tmp_path: Path) -> None:
    command = ["run", "--source", "sim:", "--sink", "view:0", "--view-host", "0.0.0.0"]
    with running(*command, cwd=tmp_path) as address:
        assert re.fullmatch(r"http://[^/]+:\d+/\?token=[\w-]{32,}", address)
        assert "0.0.0.0" not in address


@pytest.mark.parametrize("missing", [True, False])
def test_without_the_libraries_or_headless_the_demo_serves_nothing(
    missing: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if missing:
        monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["demo", "--seconds", "1", *([] if missing else ["--headless"])]) == 0
    said = capsys.readouterr()
    assert "http://" not in said.out
    assert ("pip install '.[view]'" in said.err) is missing


def test_a_port_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--source", "sim:", "--sink", "view:http"]) == 2
    assert "takes a port" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a screen")
@pytest.mark.parametrize("environment", [{}, {"DISPLAY": ":0", "SSH_CONNECTION": "a 1 b 2"}])
def test_no_browser_is_opened_where_nobody_sits(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not has_browser()
