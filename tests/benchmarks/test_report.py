"""Percentiles that the samples allow, targets, JSON and Markdown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.errors import BenchmarkError
from benchmarks.report import (
    Result,
    Table,
    Target,
    percentiles,
    print_tables,
    read_json,
    samples_needed,
    target_table,
    write_json,
)


@pytest.mark.parametrize(("percentile", "floor"), [(90, 64), (99, 662), (99.9, 6636)])
def test_the_floors_are_those_of_early_stopping(percentile: float, floor: int) -> None:
    assert samples_needed(percentile) == floor
    beyond = 1 - percentile / 100
    assert binom.cdf(1, floor, beyond) <= 0.01 < binom.cdf(1, floor - 1, beyond)


@pytest.mark.parametrize("percentile", [0, 100, -5])
def test_a_percentile_lies_between_0_and_100(percentile: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        samples_needed(percentile)


def test_a_percentile_of_too_few_samples_is_not_told() -> None:
    few = percentiles(np.arange(661))
    assert few["p99"] is None
    assert few["p90"] == np.percentile(np.arange(661), 90)
    assert percentiles(np.arange(662))["p99"] == np.percentile(np.arange(662), 99)
    assert (few["n"], few["min"], few["max"]) == (661, 0, 660)


def test_no_samples_tell_nothing() -> None:
    assert set(percentiles([]).values()) == {0, None}


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(1.0, False, True), (1.01, False, False), (1.0, True, True), (0.99, True, False)],
)
def test_a_bound_is_part_of_what_is_allowed(measured: float, at_least: bool, met: bool) -> None:
    row = Target("t", "a/b", 1.0, "us", at_least).judge({"a": {"b": measured}})
    assert row["met"] is met
    assert row["measured"] == measured
    assert not row["undecided"]


def test_a_target_without_a_figure_is_open_and_says_why() -> None:
    target = Target("t", "a/b/p99", 1.0)
    assert target.judge({})["met"] is None
    assert not target.judge({})["undecided"]
    assert target.judge({"a": {"b": {"p99": None}}})["undecided"]
    assert target.judge({"a": 3})["undecided"]


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_json(file, {"results": {"a": np.float64(1.5), "b": float("nan"), "c": np.arange(2)}})
    assert read_json(file)["results"] == {"a": 1.5, "b": None, "c": [0, 1]}


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot read"), ("{", "no JSON"), ("[]", "no report"), ("{}", "no report")],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "report.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        read_json(file)


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="choose another place"):
        write_json(tmp_path / "none" / "report.json", {"results": {}})


def test_tables_are_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("Title", ("name", "value"))
    table.add("a|b", 0.123456)
    table.add("none", None)
    table.add("many", 1234567)
    print_tables([table])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["name", "value"]
    assert set("".join(cells[1])) == {"-"}
    assert cells[2:] == [["a/b", "0.1235"], ["none", "-"], ["many", "1,234,567"]]


def test_the_target_table_gives_a_verdict_each() -> None:
    targets = [Target("low", "a", 1), Target("high", "a", 1, "uV", True), Target("none", "b", 1)]
    judged = Result({"a": 2.0}, [], targets).judged()
    rows = target_table(judged).rows
    assert [row[-1] for row in rows] == ["missed", "met", "not measured"]
    assert [row[2] for row in rows] == ["<= 1", ">= 1", "<= 1"]
    json.dumps(judged)
