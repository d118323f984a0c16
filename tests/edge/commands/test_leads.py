"""`leadlift leads`: what the card says of each set, best first, in 80 columns; and how electrodes count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main
from edge.commands.leads import BEST, PRACTICAL
from edge.electrodes import sets_of
from edge.lead_subsets import N_CLASSES, known, label
from edge.leads import LEADS
from tests.edge.cards import write_carded


def every_set() -> dict[str, Any]:
    """A card of all sets: 10 uV times one more than its row for each lead that is unknown, at r .9."""
    rmse_uv, r = {}, {}
    for which in range(1, N_CLASSES):
        open_rows = [(row, not one) for row, one in enumerate(known(which))]
        rmse_uv[label(which)] = [10 * (row + 1) * unknown for row, unknown in open_rows]
        r[label(which)] = [0.9 if unknown else None for _, unknown in open_rows]
    return {"folds": "some records", "records": 12, "rmse_uv": rmse_uv, "r": r}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_carded(tmp_path_factory.mktemp("models") / "carded.onnx", every_set()))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["leads", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def rows(lines: list[str]) -> list[list[str]]:
    """The first line of each set, in its words."""
    return [line.split() for line in lines if line.split(" ")[0].split(",")[0] in LEADS]


def test_practical_sets_best_first_in_80_columns(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "--model", model)
    assert max(map(len, lines)) <= 80
    assert "some records, 12 records" in lines[0]
    found = [words[0] for words in rows(lines)]
    assert sorted(found) == sorted(",".join(leads) for leads in PRACTICAL)
    assert found[0] == "V1,V2,V3,V4,V5,V6"  # of this card, where later leads cost more
    assert any(line.strip().startswith("watch") for line in lines)
    at = next(i for i, line in enumerate(lines) if line.startswith("I,II,V1,V3,V5"))
    assert lines[at].split()[:4] == ["I,II,V1,V3,V5", "6", "fair", "100"]
    assert lines[at].split()[4:] == [*"......", ".", "80", ".", "100", ".", "120", "25"]
    assert lines[at + 1].split() == [".90", ".90", ".90", ".90"]


def test_columns_stand_under_their_leads(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--model", model, "--leads", "I,II")
    head = next(line for line in lines if line.startswith("measured"))
    uv = next(line for line in lines if line.startswith("I,II "))
    for row, lead in enumerate(LEADS[6:], 6):
        end = head.index(lead) + len(lead)
        assert uv[:end].endswith(str(10 * (row + 1)))


def test_sets_that_are_asked_for(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(
        capsys, "--model", model, "--leads", "avf", "v1,II", "--leads", "II,V1", "V6", "I+V3"
    )
    assert {words[0] for words in rows(lines)} == {"aVF", "V1,II", "II,V1", "V6", "I,V3"}


@pytest.mark.parametrize(
    ("n", "without", "with_drive"), [(2, 3, 0), (4, 6, 1), (5, 15, 6), (10, 0, 1)]
)
def test_electrodes_with_and_without_a_right_leg_drive(
    n: int, without: int, with_drive: int, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads("\n".join(said(capsys, "--model", model, "--electrodes", str(n), "--json")))
    assert [len(group["sets"]) for group in found["groups"]] == [without, with_drive]
    for group, measure in zip(found["groups"], (n, n - 1), strict=True):
        assert all(len(one["electrodes"]) == measure for one in group["sets"])
        errors = [one["expected"]["twelve_rmse_uv"] for one in group["sets"]]
        assert errors == sorted(errors)
    lines = said(capsys, "--model", model, "--electrodes", str(n))
    assert len(rows(lines)) == min(BEST, without) + min(BEST, with_drive)
    assert max(map(len, lines)) <= 80
    if without > BEST:
        assert f"and {without - BEST} more, worse" in lines


def test_the_best_of_four_electrodes_leaves_the_least(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "--model", model, "--electrodes", "4")
    assert rows(lines)[0][0] == "I,II,V6"  # of this card
    assert len(sets_of(4)) == 6


def test_a_set_that_was_not_scored_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_carded(tmp_path / "few.onnx"))
    lines = said(capsys, "--model", model, "--leads", "V3", "I")
    found = rows(lines)
    assert found[0][:3] == ["I", "2", "rough"] and found[1] == ["V3", "4", "not", "measured"]
    assert main(["leads", "--model", model, "--leads", "V3", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group["sets"][0]["expected"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--leads", "II,V9"], 2, "unknown lead 'V9'"),
        (["--leads", "II,II"], 2, "given twice"),
        (["--electrodes", "1"], 2, "a lead is a difference of two"),
        (["--electrodes", "11"], 2, "to 10"),
        (["--model", "nowhere.onnx"], 1, "cannot read the model nowhere.onnx"),
    ],
)
def test_what_cannot_be_answered_is_one_line(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leads", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_model_without_a_card_was_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leads", "--model", str(write_carded(tmp_path / "none.onnx", {}))]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "not measured" in line and "use the model that ships" in line


def test_the_help_says_how_electrodes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["leads", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("Wilson's terminal", "right-leg drive", "close: r from 0.95, at most 50 uV"):
        assert words in text
