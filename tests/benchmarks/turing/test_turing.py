"""The Turing kit: nothing but the waveform tells which sheet is which; answers are scored against the key."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the kit needs scipy: install '.[test]'")
pytest.importorskip("matplotlib", reason="sheets need matplotlib: install '.[plot]'")

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.turing.answers import read_answers, read_key, score
from benchmarks.turing.sheets import (
    LOWPASS_HZ,
    NOT_TOLD,
    REAL,
    RECONSTRUCTED,
    draw,
    drawn_lots,
    excerpts,
)
from edge.bundle import load_bundle
from edge.sheet.drawing import DPI, HEIGHT, PAPER
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

KEY = {f"sheet_{i}": (REAL, RECONSTRUCTED)[i % 2] for i in range(8)}


def test_half_of_each_kind_and_no_patient_twice() -> None:
    records = simulated_records(12)
    lots = drawn_lots(records, 9, seed=3)
    kinds = [kind for kind, _ in lots]
    assert sorted(kinds) == [REAL] * 5 + [RECONSTRUCTED] * 4
    assert len({row for _, row in lots}) == 9
    assert lots == drawn_lots(records, 9, seed=3) != drawn_lots(records, 9, seed=4)
    with pytest.raises(BenchmarkError, match="12 patients do not fill 13 sheets"):
        drawn_lots(records, 13, seed=0)


def test_a_sheet_differs_in_its_waveform_alone(tmp_path: Path) -> None:
    """The same record as both kinds: every pixel outside the paper is the same, and so are name and words."""
    import matplotlib.image

    lots = [(REAL, 0), (RECONSTRUCTED, 0)]
    records = simulated_records(1)
    both = list(excerpts(load_bundle(), records, lots))
    real, made = both
    for one in both:
        assert {trace.provenance for trace in one.traces.values()} == {NOT_TOLD}
        assert all(
            trace.sigma_mv is None and not trace.is_estimate for trace in one.traces.values()
        )
        power = np.abs(np.fft.rfft(one.traces["V3"].ecg_mv)) ** 2
        hz = np.fft.rfftfreq(one.n_samples, 1 / one.sampling_hz)
        assert power[hz > 1.5 * LOWPASS_HZ].sum() < 1e-3 * power.sum()
    # What is measured is the same in both, what is not is not.
    for lead, same in (("II", True), ("V1", True), ("V5", True), ("V3", False), ("I", False)):
        pair = real.traces[lead].ecg_mv, made.traces[lead].ecg_mv
        assert np.allclose(*pair, atol=3e-3) == same, lead
    for i, one in enumerate(both):
        draw(tmp_path / str(i), ["sheet_1"], iter([one]))
    files = [(tmp_path / str(i) / "sheet_1.png").read_bytes() for i in range(2)]
    images = [matplotlib.image.imread(io.BytesIO(data)) for data in files]
    differ = np.argwhere((images[0] != images[1]).any(-1))
    assert len(differ)
    rows = differ[:, 0] * 25.4 / DPI
    columns = differ[:, 1] * 25.4 / DPI
    left, bottom, right, top = PAPER
    assert HEIGHT - top - 1 < rows.min() and rows.max() < HEIGHT - bottom + 1
    assert left - 1 < columns.min() and columns.max() < right + 1


@pytest.mark.parametrize(
    "text",
    [
        "sheet,answer,confidence\nsheet_0,Real,5\nsheet_1, RECONSTRUCTED ,\nsheet_2,,\n",
        "\ufeffsheet;answer;confidence\r\nsheet_0;r;\r\nsheet_1.png;made;3\r\nsheet_2;?;\r\n",
        "Sheet\tAnswer\nsheet_0\ttrue\n\nsheet_1\tsynthetic\n",
    ],
    ids=["as it is", "of a spreadsheet", "tabs"],
)
def test_answers_as_people_write_them(text: str, tmp_path: Path) -> None:
    file = tmp_path / "reader.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert read_answers(file, KEY) == {"sheet_0": REAL, "sheet_1": RECONSTRUCTED}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sheet,answer\nsheet_0,maybe\n", "sheet_0: 'maybe' is no answer"),
        ("sheet,answer\nsheet_99,real\n", "no sheet 'sheet_99'"),
        ("sheet,answer\nsheet_0,real\nsheet_0,real\n", "answered twice"),
        ("", "no column named sheet"),
        ("a,b\n1,2\n", "no column named sheet"),
    ],
)
def test_what_cannot_be_scored_is_said(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "reader.csv"
    file.write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        read_answers(file, KEY)
    with pytest.raises(BenchmarkError, match="cannot read"):
        read_answers(tmp_path / "none.csv", KEY)


def test_a_key_is_no_answer_sheet(tmp_path: Path) -> None:
    file = tmp_path / "key.csv"
    file.write_text("# bundle: x\nsheet,kind,record_id\nsheet_0,real,1\n")
    assert read_key(file) == {"sheet_0": REAL}
    file.write_text("sheet,answer\nsheet_0,real\n")
    with pytest.raises(BenchmarkError, match="is no key"):
        read_key(file)


def test_scores_have_binomial_intervals() -> None:
    right = score(dict(KEY), KEY)
    assert right["accuracy"] == 1 and right["p_of_guessing"] == pytest.approx(2 / 2**8)
    assert right["accuracy_95"] == [pytest.approx(0.025 ** (1 / 8)), 1.0]
    always_real = score(dict.fromkeys(KEY, REAL), KEY)
    assert always_real["accuracy"] == 0.5 and always_real["p_of_guessing"] == 1
    assert always_real["right_of"] == {REAL: 1, RECONSTRUCTED: 0}
    few = score({"sheet_0": REAL}, KEY)
    assert few["answered"] == 1 and few["not_answered"] == 7
    assert few["right_of"][RECONSTRUCTED] is None
    assert score({}, KEY)["accuracy"] is None


def test_the_kit_and_its_scorer(
    ptbxl_fold10: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit, report = tmp_path / "kit", tmp_path / "report.json"
    assert main(["turing", str(kit), "--sheets", "2"]) == 0
    names = {file.name for file in kit.iterdir()}
    assert names == {"sheet_1.png", "sheet_2.png", "answers.csv", "HOW.txt"}
    key = read_key(tmp_path / "kit-key.csv")
    assert sorted(key.values()) == [REAL, RECONSTRUCTED]
    for file in (kit / "answers.csv", kit / "HOW.txt"):
        assert "seed" not in file.read_text() and "ptbxl" not in file.read_text()
    with (kit / "answers.csv").open(newline="") as sheet:
        rows = [{**row, "answer": REAL} for row in csv.DictReader(sheet)]
    with (tmp_path / "anna.csv").open("w", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    scored = ["turing", str(kit), "--answers", str(tmp_path / "anna.csv"), "--json", str(report)]
    assert main(scored) == 0
    found = json.loads(report.read_text())["results"]
    assert found["readers"]["anna"]["accuracy"] == found["mean_accuracy"] == 0.5
    assert "50.0% [1.3%-98.7%]" in capsys.readouterr().out
    assert main(["turing", str(kit)]) == 1
    assert "holds a kit" in capsys.readouterr().err
    assert main(["turing", str(tmp_path / "new"), "--key", str(tmp_path / "new" / "k.csv")]) == 1
    assert "in what the readers get" in capsys.readouterr().err
