"""Blocks of reports of recordings: figures stand where they belong, and no report means no block."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("scipy", reason="benchmarks need '.[test]'")
pytest.importorskip("torch", reason="benchmarks of other networks need '.[test]'")

from benchmarks.reports.blocks import block
from benchmarks.reports.fidelity_blocks import NATIVE
from benchmarks.reports.kept import FIDELITY
from benchmarks.reports.slim import slim


def around(mean: float, reach: float = 0.01) -> dict[str, Any]:
    return {"mean": mean, "mean_95": [mean - reach, mean + reach]}


def scores(r: float) -> dict[str, Any]:
    return {"r": around(r), "rmse_uv": around(100 * (1 - r), 5)}


def methods(r: float) -> dict[str, Any]:
    of = {"linear": r - 0.1, "shipped": r, "calibrated": r + 0.05}
    return {name: {"n_records": 7, "headline": scores(one)} for name, one in of.items()}


def set_of(r: float) -> dict[str, Any]:
    shipped = {**scores(r), "linear": scores(r - 0.2)}
    return {"shipped": shipped, "calibrated": scores(r + 0.05)}


REPORTS: dict[str, Any] = {
    "fidelity": {"results": {name: methods(0.9 - i / 10) for i, name in enumerate(NATIVE)}},
    "sets": {
        "results": {name: {"sets": {"I+II": set_of(0.8), "I": set_of(0.7)}} for name in NATIVE}
    },
    "small": {"results": {name: {"sets": {"I+II": set_of(0.79)}} for name in NATIVE}},
}


def test_the_readme_has_what_is_worn_most() -> None:
    lines = block("headline", REPORTS)
    assert "7 records of patients it never saw" in lines[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[1:] for row in rows] == [
        ["0.800, 20 uV", "**0.900, 10 uV**", "0.950, 5 uV"],
        ["0.600, 40 uV", "**0.800, 20 uV**", "0.850, 15 uV"],
        ["0.500, 50 uV", "**0.700, 30 uV**", "0.750, 25 uV"],
    ]
    assert [row[0].split(" measured")[0] for row in rows] == [
        "II, V1, V5",
        "I and II",
        "lead I alone, as on a watch",
    ]
    assert block("elsewhere", REPORTS)[0].endswith("0.800 and 0.700")


def test_the_small_model_stands_beside_the_default() -> None:
    (row,) = block("small", REPORTS)[2:]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["I, II", "0.790 [0.780-0.800], 21 uV [16-26]", "0.010"]
    assert cells[-2:] == ["0.790, 21", "0.010"]


@pytest.mark.parametrize("name", NATIVE)
def test_what_was_not_measured_whole_changes_no_page(name: str) -> None:
    found = {k: v for k, v in REPORTS["fidelity"]["results"].items() if k != name}
    reports = {**REPORTS, "fidelity": {"results": found}}
    assert block("headline", reports, "as it was\n") == ["as it was"]
    assert block("headline", reports) == ["Not measured yet."]


def test_a_card_is_of_one_decoder() -> None:
    def report(sha256: str) -> dict[str, Any]:
        about = {"bundle": "decoder", "bundle_sha256": sha256, "date": "2026-11-29T17:00"}
        return {"environment": about}

    reports = {name: report("b" if name == "small" else "a") for name in FIDELITY}
    assert block("made-of", reports) == ["`decoder.onnx`, SHA-256 `a`, measured on 2026-11-29."]
    assert block("made-of", {**reports, "realism": report("c")}, "as it was") == ["as it was"]


@pytest.mark.parametrize(("most", "said"), [(0.019, "**Non-inferior.**"), (0.021, "**Not non")])
def test_non_inferiority_is_said_as_it_was_found(most: float, said: str) -> None:
    pairs = ("shipped", "linear", "calibrated", "three leads")
    of = {
        "n_records": 9,
        "differences": {
            f"{a} - {b}": {"macro": around(0.01)} for a in ("real", *pairs) for b in pairs
        },
        "non_inferiority": {"margin": 0.02, "lost_at_most": most, "non_inferior": most < 0.02},
    }
    domains = ("test", "test_100", "validation_100")
    (line,) = block("lost", {"diagnosis": {"results": dict.fromkeys(domains, of)}})
    assert line.startswith(said)
    assert "cost 0.0100 [0.0000 to 0.0200] of macro AUROC" in line
    assert line.endswith(
        "better than the one of twelve leads that is shown reconstructed ones by"
        " -0.0100 [-0.0200 to -0.0000]."
    )


def test_every_bound_is_told_met_or_missed() -> None:
    def target(name: str, met: bool | None) -> dict[str, Any]:
        row = {"name": name, "measured": 0.5, "bound": 0.4, "unit": "", "at_least": True}
        return {**row, "met": met}

    judged = (
        "misplacement",
        "morphology",
        "realism",
        "robustness",
        "diagnosis",
        "fidelity",
        "sets",
    )
    reports: dict[str, Any] = {name: {"targets": []} for name in judged}
    flagged = [target("test: as named", True), target("test: II is inverted", False)]
    reports["misplacement"] = {"targets": [{**flagged[0], "at_least": False}, flagged[1]]}
    reports["realism"] = {"targets": [target("a", True), target("b", False)]}
    costs = [target(f"float32 - INT8, I, {name}, r", name == "test") for name in ("test", "mobile")]
    costs[1]["measured"] = 0.6
    reports["sets"] = {
        "targets": [target("c", True), target("d", False), target("e", None), *costs]
    }
    *rows, _, last = block("fidelity-musts", reports)[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [(one[0], one[-1]) for one in cells] == [
        ("electrodes flagged for nothing within 4 s: the worst of 1", "met by all"),
        (
            "electrodes exchanged or inverted, flagged within 4 s: the worst of 1",
            "**missed** by 1 of 1",
        ),
        ("a", "met"),
        ("b", "**missed**"),
        ("d", "**missed**"),
        (
            "float32 - INT8, r, sets of leads: the worst, I on mobile-phone ECG",
            "**missed** by 1 of 2",
        ),
    ]
    assert last.startswith(
        "Of 4 more bounds, on r, RMSE, amplitude, sigma and sets of leads, 2 are"
    )


def test_a_kept_report_is_small_and_its_figures_are_the_same() -> None:
    given = {
        "arguments": {"limit": None, "cache": "/home/me", "json": "/home/me/x.json"},
        "environment": {"seed": 0},
        "results": {
            "test": {"r": {"n": 3, "mean": 0.123456789, "mean_95": [0.1, 0.2], "median": 0.1}}
        },
    }
    kept = slim(given, "morphology")
    assert kept["arguments"] == {"limit": None}
    assert kept["results"] == {"test": {"r": {"mean": 0.12346, "mean_95": [0.1, 0.2]}}}
    assert slim(given)["results"] == given["results"]  # of times: all of it


def test_all_sets_on_data_that_chose_nothing() -> None:
    def every(worse: int) -> dict[str, Any]:
        found = {f"worse_than_linear_in_{one}": {"n": worse} for one in ("rmse", "r")}
        areas = {name: {"unknown": around(0.6)} for name in ("shipped", "linear")}
        gains = {str(n): around(0.1 * n) for n in (1, 2)}
        return {**found, "costly_leads": {"n": 4}, "gain_in_r": gains, "aup_s": areas}

    results = {name: {"every": every(i)} for i, name in enumerate(NATIVE)}
    counts = {"records_per_domain": dict.fromkeys(NATIVE, 9)}
    lines = block("every-elsewhere", {"every": {"results": results, "protocol": counts}})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[1:] for row in rows] == [
        ["9", str(i), str(i), "4", "0.100 0.200", "0.600 (0.600)"] for i in range(len(NATIVE))
    ]


def test_sigma_by_number_of_leads() -> None:
    def of(share: float) -> dict[str, Any]:
        return {"covered": share, "by_segment": {"QRS": share - 0.05}}

    domains = ("validation", *NATIVE)
    results = {
        one: {"by_number": {"k": 1.3, "1": of(0.8 + i / 100), "2": of(0.9 + i / 100)}}
        for i, one in enumerate(domains)
    }
    lines = block("sigma-by-number", {"every": {"results": results}})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert rows == [
        ["1", "80.0%, 75.0%", "81.0%, 76.0%", "82.0%, 77.0%", "83.0%, 78.0%"],
        ["2", "90.0%, 85.0%", "91.0%, 86.0%", "92.0%, 87.0%", "93.0%, 88.0%"],
    ]
