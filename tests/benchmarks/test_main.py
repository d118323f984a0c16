"""Exit codes of the command."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.__main__ import main, measure
from benchmarks.report import Result, Target


@pytest.mark.parametrize(
    ("measured", "check", "code"),
    [
        (1.0, True, 0),
        (3.0, True, 1),
        (3.0, False, 0),
        (None, True, 1),
        (None, False, 0),
    ],
)
def test_a_missed_target_fails_only_a_check(
    measured: float | None, check: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result({"part": {"p99": measured}}, [], [Target("t", "part/p99", 2.0)])
    arguments = argparse.Namespace(
        benchmark="latency",
        measure=lambda _: result,
        model=None,
        engine="auto",
        json=None,
        check=check,
    )
    assert measure(arguments) == code
    assert "Targets" in capsys.readouterr().out


def test_a_part_that_was_not_asked_for_does_not_fail_a_check() -> None:
    result = Result({}, [], [Target("t", "part/p99", 2.0)])
    arguments = argparse.Namespace(
        benchmark="x", measure=lambda _: result, model=None, engine=None, json=None, check=True
    )
    assert measure(arguments) == 0


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", "--model", str(tmp_path / "none.onnx")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("benchmarks latency: ")
