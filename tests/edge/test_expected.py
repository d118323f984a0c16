"""What is expected of a set: the card's figures, whatever the order of the leads; nothing is made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.errors import InputError
from edge.expected import Expected, card_of, expected, in_a_word, short_r
from edge.leads import LEADS
from tests.edge.cards import DEFAULT, card, carded


def of(*leads: str, sets: object = None) -> Expected:
    found = expected(carded(sets), leads)
    assert found is not None
    return found


def test_means_are_over_the_unknown_independent_leads() -> None:
    found = of("II", "V1", "V5")
    assert found.unknown == ("I", "V2", "V3", "V4", "V6")
    assert found.mean_r == pytest.approx(np.mean([0.91, 0.9, 0.88, 0.95, 0.96]))
    assert found.mean_uv == pytest.approx((59 + 119 + 127 + 82 + 43) / 5)
    assert found.twelve_uv == pytest.approx((59 * 3 + 30 * 2 + 119 + 127 + 82 + 43) / 12)
    assert found.in_words() == ("expects r .92, 86 uV over I, V2, V3, V4, V6 (PTB-XL fold 9): fair")
    assert found.of_lead("V3") == "V3 r .88, 127 uV"


def test_each_lead_has_its_word() -> None:
    found = of("II", "V1", "V5")
    words = {lead: found.word_of(lead) for lead in LEADS}
    assert words == {
        **dict.fromkeys(("II", "V1", "V5"), "known"),
        **dict.fromkeys(("aVR", "V6"), "close"),
        **dict.fromkeys(("I", "aVF", "V4"), "fair"),
        **dict.fromkeys(("III", "V2", "V3"), "rough"),
        "aVL": "poor",
    }
    assert found.leads_that_are("poor") == ("aVL",)
    assert of("I").word == "rough" and of("I").leads_that_are("poor") == ("V2",)


@pytest.mark.parametrize(
    ("r", "uv", "word"),
    [
        (0.95, 50, "close"),
        (0.949, 50, "fair"),
        (0.99, 50.1, "fair"),
        (0.9, 100, "fair"),
        (0.899, 10, "rough"),
        (0.7, 150, "rough"),
        (0.99, 150.1, "poor"),
        (0.699, 10, "poor"),
        (-0.5, 10, "poor"),
        (None, 10, "poor"),
    ],
)
def test_a_word_needs_both_its_r_and_its_microvolts(r: float | None, uv: float, word: str) -> None:
    assert in_a_word(r, uv) == word


@pytest.mark.parametrize("leads", [("V5", "II", "V1"), ("II", "V1", "V5")])
def test_order_does_not_matter(leads: tuple[str, ...]) -> None:
    assert of(*leads).leads == leads
    assert of(*leads).rmse_uv == of("II", "V1", "V5").rmse_uv


@pytest.mark.parametrize("leads", [("I", "II"), ("aVF", "aVR"), LEADS[:6], ("III", "aVL", "I")])
def test_two_limb_leads_are_all_six(leads: tuple[str, ...]) -> None:
    assert of(*leads).rmse_uv == of("I", "II").rmse_uv
    assert of(*leads).known == (True,) * 6 + (False,) * 6


def test_a_lead_without_r_is_poor_and_in_no_mean() -> None:
    found = of("I", "II")
    assert found.r[LEADS.index("V6")] is None and found.word_of("V6") == "poor"
    assert found.mean_r == pytest.approx(0.6)
    assert found.of_lead("V6") == "V6 r -, 160 uV"


def test_where_all_is_known_nothing_is_expected() -> None:
    for leads in (LEADS, ("II", "aVR", *LEADS[6:])):
        found = of(*leads)
        assert (found.word, found.mean_r, found.mean_uv, found.twelve_uv) == ("known", None, 0, 0)
        assert found.in_words() == "expects nothing: all twelve leads are measured or follow"


def test_what_is_known_is_0_whatever_the_card_says() -> None:
    everything = card()
    everything["rmse_uv"][DEFAULT] = [7] * 12
    everything["r"][DEFAULT] = [0.5] * 12
    found = of("II", "V1", "V5", sets=everything)
    assert found.rmse_uv[LEADS.index("V1")] == 0 and found.r[LEADS.index("V1")] is None
    assert found.twelve_uv == pytest.approx(7 * 9 / 12)


@pytest.mark.parametrize(
    "sets",
    [
        {},
        [],
        7,
        "none",
        {"folds": "PTB-XL fold 9", "records": 329},
        card(folds="PTB-XL\nfold 9"),
        card(records=0),
        card(rmse_uv=[1] * 12),
    ],
)
def test_a_card_that_is_missing_or_damaged_is_none(sets: object) -> None:
    assert card_of(carded(sets)) is None
    assert expected(carded(sets).manifest, ("I",)) is None


def test_the_bundle_without_any_fidelity_was_not_measured() -> None:
    from dataclasses import replace

    assert expected(replace(carded().manifest, fidelity={}), ("II", "V1", "V5")) is None


@pytest.mark.parametrize(
    "values",
    [None, [], [1] * 11, "x" * 12, ["1"] * 12, [float("nan")] * 12, [-1] * 12, [True] * 12],
)
def test_a_set_whose_figures_cannot_be_was_not_measured(values: Any) -> None:
    everything = card()
    everything["rmse_uv"]["I"] = values
    assert expected(carded(everything), ("I",)) is None
    assert expected(carded(everything), ("II", "V1", "V5")) is not None


def test_a_set_that_was_not_scored_is_none() -> None:
    assert expected(carded(), ("V3",)) is None
    assert expected(carded(), ()) is None


@pytest.mark.parametrize(("leads", "says"), [(("V9",), "V9"), (("I", "I"), "twice")])
def test_leads_that_are_none_are_the_callers_fault(leads: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        expected(carded(), leads)


def test_as_plain_values() -> None:
    import json

    found = json.loads(json.dumps(of("II", "V1", "V5").as_dict()))
    assert found["word"] == "fair" and found["over"] == ["I", "V2", "V3", "V4", "V6"]
    assert found["by_lead"]["V3"] == {"word": "rough", "r": 0.88, "rmse_uv": 127}
    assert found["by_lead"]["II"] == {"word": "known", "r": None, "rmse_uv": 0}


@pytest.mark.parametrize(
    ("r", "text"),
    [(0.899, ".89"), (0.9, ".90"), (1.0, "1.00"), (-0.123, "-.13"), (0, ".00"), (None, "-")],
)
def test_r_in_two_digits_rounded_down(r: float | None, text: str) -> None:
    assert short_r(r) == text
