"""What the classifier takes: labels of either spelling, 100 Hz, above 0.5 Hz, only what has a diagnosis."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.leads import LEADS
from quantize.classifier.records import (
    SUPERCLASSES,
    at_classifier_rate,
    diagnosed,
    joined,
    superclasses,
)
from quantize.data import Records
from quantize.errors import QuantizeError
from tests.benchmarks.synthetic import simulated_records

NAMED = ("NORM", "MI|STTC", "CD+HYP", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "ptbxl.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("record_id", "superclass"))
        writer.writerows((str(i), name) for i, name in enumerate(NAMED))
    return tmp_path


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(4, seconds=4.0)


def test_labels_of_either_spelling(records: Records, folder: Path) -> None:
    labels = superclasses(records, folder)
    named = [
        {name for name, so in zip(SUPERCLASSES, row, strict=True) if so} for row in labels.tolist()
    ]
    assert named == [{"NORM"}, {"MI", "STTC"}, {"CD", "HYP"}, set()]


def test_records_without_labels_are_refused(records: Records, folder: Path) -> None:
    with pytest.raises(QuantizeError, match="no superclasses"):
        superclasses(replace(records, name="mobile"), folder)
    with pytest.raises(QuantizeError, match="does not name '9'"):
        superclasses(replace(records, record_id=["0", "1", "2", "9"]), folder)


def test_a_sine_keeps_its_height_and_place_at_100_hz() -> None:
    at_250, at_100 = np.arange(1000) / 250, np.arange(400) / 100
    made = at_classifier_rate(np.sin(2 * np.pi * 11 * at_250), 250.0)
    np.testing.assert_allclose(made[50:-50], np.sin(2 * np.pi * 11 * at_100)[50:-50], atol=0.01)
    assert np.array_equal(at_classifier_rate(at_100, 100.0), at_100.astype(np.float32))


def test_what_trains_is_labelled_above_half_a_hertz_and_of_the_leads_asked_for(
    records: Records, folder: Path
) -> None:
    offset = replace(records, ecg_uv=records.ecg_uv + np.int16(5000))
    twelve = diagnosed(offset, LEADS, folder)
    assert twelve.ecg_mv.shape == (3, 12, 400) and len(twelve) == 3
    assert np.abs(twelve.ecg_mv.mean(-1)).max() < 0.05
    three = diagnosed(offset, ("II", "V1", "aVF"), folder)
    rows = [LEADS.index(lead) for lead in ("II", "V1", "aVF")]
    assert np.array_equal(three.ecg_mv, twelve.ecg_mv[:, rows])
    shorter = replace(three, ecg_mv=three.ecg_mv[..., :390])
    assert joined(three, shorter).ecg_mv.shape == (6, 3, 390)
