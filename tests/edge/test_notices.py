"""Notices, warnings and errors on stderr: their text, and how much of it is shown."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import InputError
from edge.notices import JSON, LOG, NORMAL, QUIET, VERBOSE, reported, say, shown

LIBRARY = logging.getLogger("some.library")


def tell_everything() -> None:
    LOG.debug("detail")
    say("notice")
    say("warning: doubt")
    LOG.error("it failed")
    LIBRARY.debug("chatter")
    LIBRARY.info("connected")
    LIBRARY.warning("lost")


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        (QUIET, ["warning: doubt", "error: it failed", "warning: some.library: lost"]),
        (NORMAL, ["notice", "warning: doubt", "error: it failed", "warning: some.library: lost"]),
        (
            VERBOSE,
            [
                "debug: detail",
                "notice",
                "warning: doubt",
                "error: it failed",
                "some.library: connected",
                "warning: some.library: lost",
            ],
        ),
    ],
)
def test_a_line_each_on_stderr(
    level: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(level):
        tell_everything()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"leadlift: {line}" for line in lines]


def test_an_object_each_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(log_format=JSON):
        say("warning: two\nlines", "bed 3")
        LOG.error('"quoted"')
        LIBRARY.warning("lost")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    times = [datetime.fromisoformat(line.pop("time")) for line in lines]
    assert times == sorted(times)
    assert all(time.utcoffset() == timedelta(0) for time in times)
    assert lines == [
        {"level": "warning", "message": "two\nlines", "source": "bed 3"},
        {"level": "error", "message": '"quoted"'},
        {"level": "warning", "message": "lost", "library": "some.library"},
    ]


@pytest.mark.parametrize("before", [["--log-format", "json", "run"], ["run", "--log-format=json"]])
def test_an_error_of_a_command_is_an_object(
    before: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*before, "--source", "replay:nowhere", "--sink", "terminal:"]) == 1
    [line] = map(json.loads, capsys.readouterr().err.splitlines())
    assert line["level"] == "error"
    assert "nowhere" in line["message"]


def test_nothing_of_the_logging_of_others_is_changed_for_good() -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers), LOG.level
    with shown(VERBOSE):
        pass
    assert (root.level, list(root.handlers), LOG.level) == before


def test_a_library_user_hears_by_logging_alone(capsys: pytest.CaptureFixture[str]) -> None:
    say("notice")
    assert capsys.readouterr().err == ""


def test_a_stderr_that_takes_nothing_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    with shown():
        say("notice")


def test_a_failure_is_one_line_with_the_name_of_the_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise InputError("no such thing")

    assert reported("quantize data", fail) == 1
    assert capsys.readouterr().err == "quantize data: no such thing\n"


SIM = ["--source", "sim:", "--seconds", "1", "--report", "r.json"]


@pytest.mark.parametrize("before", [["--quiet", "run"], ["run", "-q"]])
def test_quiet_anywhere_hides_notices(
    before: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*before, *SIM, "--sink", "file:a.npz"]) == 0
    assert main([*before, *SIM, "--sink", "file:b.npz", "--leads", "V3"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["run", *SIM, "--sink", "file:c.npz", "-v"]) == 0
    said = capsys.readouterr().err
    assert "leadlift: the report r.json exists: the new one replaces it once it is whole" in said
    assert "leadlift: debug: engine " in said and "leadlift: debug: model " in said


def test_what_is_told_goes_through_logging() -> None:
    """Else --quiet would not hide it, and a line would break the bar on the screen."""
    root = Path(__file__).resolve().parents[2]
    before_logging = {root / "edge" / name for name in ("cli.py", "damaged.py", "notices.py")}
    packages = ("edge", "quantize", "benchmarks")
    files = {file for package in packages for file in (root / package).rglob("*.py")}
    for file in files - before_logging:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                to = [ast.unparse(k.value) for k in node.keywords if k.arg == "file"]
                assert to != ["sys.stderr"], f"{file}: use edge.notices"
