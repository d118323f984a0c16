"""The kept reports: pages and tables are what the command makes of them, and the page stands alone."""

from __future__ import annotations

import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy", reason="benchmarks need '.[test]'")
pytest.importorskip("torch", reason="benchmarks of other networks need '.[test]'")

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.latency.engines import fastest
from benchmarks.report import Table
from benchmarks.reports import page, plots
from benchmarks.reports.axes import Scale, decades, log_scale, microseconds
from benchmarks.reports.blocks import PAGES, block, is_busy, updated
from benchmarks.reports.kept import COMMANDS, FOLDER, ROOT, TIMED, read
from benchmarks.reports.musts import MUSTS, Must, fraction, in_a_sentence, musts_table
from benchmarks.reports.slim import without_paths
from edge.errors import LeadliftError

KEPT = read()


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_those_of_the_kept_reports(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- report: " in text
    assert text == updated(text, KEPT), "run `python -m benchmarks report --only`"


@pytest.mark.parametrize(("file", "make"), [("report.html", page.html), ("README.md", page.text)])
def test_pages_are_those_of_the_kept_reports(file: str, make: Any) -> None:
    kept = (FOLDER / file).read_text(encoding="utf-8")
    assert kept == make(KEPT), "run `python -m benchmarks report --only`"


def test_every_report_is_kept_and_they_are_small() -> None:
    assert set(TIMED) <= set(KEPT) <= set(COMMANDS)
    assert sum(file.stat().st_size for file in FOLDER.glob("*.*")) < 900_000
    for report in KEPT.values():
        assert not report["arguments"]["quick"]


def test_every_must_finds_its_figure() -> None:
    for must in MUSTS:
        found = must.found(KEPT)
        assert found is not None, must.what
        assert found["ratio"] > 0


def test_what_is_missed_or_absent_is_named_in_a_sentence() -> None:
    multi = json.loads(json.dumps(KEPT["multi"]))
    multi["results"]["cost"]["64"]["ratio"] = 0.3
    said = in_a_sentence({**KEPT, "multi": multi, "peers": {"results": {}}})
    assert "missed: a patient of 64 / one Reconstructor" in said
    assert "not measured: ring, push / nearest peer at any rate; ring, read of 10 s" in said
    assert escape(in_a_sentence(KEPT)) in page.html(KEPT)
    assert in_a_sentence(KEPT) in page.text(KEPT)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [(name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_asks_nobody_and_is_well_formed() -> None:
    text = page.html(KEPT)
    parsed = _Page()
    parsed.feed(text)
    assert parsed.open == []
    assert not {name for name, _ in parsed.ids} & {"src", "href", "srcset", "onload"}
    assert not re.search(r"url\(|@import|<script|<link|<img|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert text.count("<svg") == len(page.PLOTS)


def test_the_small_model_is_in_the_plot_and_its_table_and_is_no_fastest_engine() -> None:
    latency = json.loads(json.dumps(KEPT["latency"]))
    of = latency["results"]["engines"]["engines"]
    of["c, small model"] = {**of["onnxruntime"], "p50": 1.5, "ratio": 0.01}
    r = {"mean": 0.7654, "mean_95": [0.76, 0.77]}
    small = {"results": {"test": {"sets": {"II+V1+V5": {"shipped": {"r": r}}}}}}
    reports = {"latency": latency, "fidelity": KEPT["fidelity"], "small": small}
    rows = [row for row in page.methods_table(reports).rows if "small" in str(row[0])]
    assert ("leadlift small INT8, c", "1.5 µs", "0.765", "0.760 to 0.770") in rows
    assert "leadlift small INT8, c" in plots.fidelity(reports)
    assert "small" not in plots.ecdf(reports)
    assert (
        fastest(of)["engine"] == fastest(KEPT["latency"]["results"]["engines"]["engines"])["engine"]
    )
    without = page.methods_table({"latency": latency, "fidelity": KEPT["fidelity"]})
    assert without.rows and not any("small" in str(row[0]) for row in without.rows)


def test_what_is_not_there_is_said_and_not_drawn() -> None:
    assert [draw({}) for _, draw, _ in page.PLOTS] == [""] * len(page.PLOTS)
    assert block("engines", {}) == ["Not measured yet."]
    assert {row[-2] for row in musts_table({}).rows} == {"not measured"}
    with pytest.raises(BenchmarkError, match="no block else"):
        updated("<!-- report: else -->\n<!-- /report -->", {})


def test_a_block_is_put_in_its_place_and_nothing_else_moves() -> None:
    table, within = (
        "<!-- report: engines -->\nold\nold\n<!-- /report -->",
        "<!-- report: musts -->x<!-- /report -->",
    )
    text = f"a\n{table}\nb {within} c"
    assert updated(text, {}).startswith(f"a\n{table}\nb <!--")  # without its report it stays
    new = updated(text, KEPT)
    assert "old" not in new
    assert new.startswith("a\n<!-- report: engines -->\n| engine ")
    assert new.endswith("<!-- /report --> c")
    assert updated(new, KEPT) == new


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(0.1, "met, stretch too"), (0.2, "met"), (0.21, "missed"), (None, "not measured")],
)
def test_a_verdict(ratio: float | None, verdict: str) -> None:
    must = Must("x", "r", lambda results: results["x"], 0.2, 0.1)
    found = must.found({"r": {"results": {"x": {"ratio": ratio}}}})
    assert must.verdict(found) == verdict


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1 / 5.44, "1/5.44"), (1 / 15695, "1/15,695"), (1.083, "1.08"), (0.9, "0.9")],
)
def test_a_ratio_is_said_as_its_bound_is(ratio: float, said: str) -> None:
    assert fraction(ratio) == said


def test_scales() -> None:
    scale = log_scale([3.0, 70.0], 0, 100)
    assert (scale.low, round(scale.high)) == (1.0, 100)
    assert scale.at(10.0) == 50
    assert scale.at(0.0) == 0  # beyond: on the edge
    assert scale.at(1e9) == 100
    assert decades(scale) == [1, 2, 5, 10, 20, 50, 100]
    assert Scale(0, 2, 300, 100).at(1) == 200
    assert [microseconds(v) for v in (0.5, 20, 2000, 3e6)] == ["500 ns", "20 µs", "2 ms", "3 s"]


def test_text_from_a_report_is_no_markup() -> None:
    table = Table("<b>", ("<i>",))
    table.add("<script>")
    assert "<script>" not in page._table(table)


@pytest.mark.parametrize(
    ("first", "later", "busy"), [(0.1, 1.1, False), (0.1, 3.0, True), (0.9, 0.9, True)]
)
def test_others_on_the_machine_are_said(first: float, later: float, busy: bool) -> None:
    def report(date: str, load: float) -> dict[str, Any]:
        return {"environment": {"date": date, "load_before": [load, 0, 0]}}

    reports = {"multi": report("2026-11-29T13", later), "latency": report("2026-11-29T12", first)}
    assert is_busy(reports) is busy
    assert is_busy({**reports, "sets": report("2026-11-29T14", 9.0)}) is busy  # of recordings
    latency = {**KEPT["latency"], "environment": KEPT["latency"]["environment"]}
    latency["environment"] = {
        **latency["environment"],
        **report("2026-11-29T12", first)["environment"],
    }
    (said,) = block("speed", {"latency": latency})
    assert ("us (p50)" in said) is (first < 0.5)  # no absolute time of a machine that others use


def test_the_command_makes_pages_of_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latency.json").write_text(json.dumps(KEPT["latency"]))
    assert main(["report", "--only", "--out", str(tmp_path)]) == 0
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "not measured" in capsys.readouterr().out  # the others are not there
    missed = {must.verdict(must.found({"latency": KEPT["latency"]})) for must in MUSTS}
    assert main(["report", "--only", "--check", "--out", str(tmp_path)]) == ("missed" in missed)


def test_a_benchmark_that_fails_is_named_and_its_earlier_report_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADLIFT_DATA", str(tmp_path))  # without recordings
    (tmp_path / "fidelity.json").write_text(json.dumps(KEPT["fidelity"]))
    assert main(["report", "--only", "fidelity", "--quick", "--out", str(tmp_path)]) == 1
    assert "python -m benchmarks fidelity failed: " in capsys.readouterr().err
    assert read(tmp_path)["fidelity"] == KEPT["fidelity"]


@pytest.mark.parametrize("few", [["--quick"], ["--limit", "3"]])
def test_a_report_of_few_is_never_kept(few: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--fidelity", *few]) == 1
    assert "give another folder with --out" in capsys.readouterr().err
    assert issubclass(BenchmarkError, LeadliftError)


def test_stages_add_up_to_the_push() -> None:
    for found in KEPT["latency"]["results"]["stages"].values():
        assert sum(found["stages"].values()) == pytest.approx(found["push"])
    assert "filters" in plots.stages(KEPT)


def test_no_kept_report_names_a_folder_of_the_machine() -> None:
    found = without_paths({"engines": [{"cache": "/home/me/.cache/x.engine", "p50": 1.0}]})
    assert found == {"engines": [{"cache": "x.engine", "p50": 1.0}]}
