"""What all sets tell together, on scores made up so that the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fidelity.every_set import OPEN_CLASSES, Collected, by_number, leads_of
from benchmarks.fidelity.scores import Bootstrap
from benchmarks.fidelity.set_scores import N_BINS, N_PLACES, OF_MAP, SetScores
from edge.lead_subsets import class_of, classes_of, every_subset, known, label

pytest.importorskip("torch", reason="the comparison of sets comes from quantize: '.[test]'")
N_RECORDS = 3
BOOTSTRAP = Bootstrap(["a", "b", "c"])


def made_up(
    which: int, *, r: float = 0.9, rmse_uv: float = 80.0, twelve_uv: float = 50.0
) -> SetScores:
    """The linear map has .8 and 100 uV, SSIM is .6 of unknown leads, every error half a sigma."""
    unknown = np.where(known(which), np.nan, 1.0) * np.ones((N_RECORDS, 1))
    ours = {**dict.fromkeys((*OF_MAP, "sigma_uv"), unknown), "in_sigmas": 0.5 * unknown}
    linear = dict.fromkeys(OF_MAP, unknown)
    ours |= {"r": r * unknown, "rmse_uv": rmse_uv * unknown}
    linear |= {"r": 0.8 * unknown, "rmse_uv": 100 * unknown}
    image = np.where(known(which), 1.0, 0.6) * np.ones((N_RECORDS, 1))
    for of in (ours, linear):
        of |= {"ssim": image, "relative_mse": image}
    errors = np.zeros((N_RECORDS, N_PLACES, N_BINS), np.uint16)
    errors[:, :, 25] = 10
    return SetScores(
        leads_of(which),
        ours,
        linear,
        np.full(N_RECORDS, twelve_uv),
        np.full(N_RECORDS, 60.0),
        errors,
        np.ones((12, N_PLACES, N_BINS), np.int64),
        np.zeros(N_RECORDS),
        np.zeros(N_RECORDS, bool),
    )


def everything(**odd: SetScores) -> Collected:
    collected = Collected()
    for which in OPEN_CLASSES:
        collected.add(odd.get(label(which), made_up(which)))
    return collected


def test_every_class_has_leads_that_give_it() -> None:
    assert len(OPEN_CLASSES) == 510
    assert all(class_of(leads_of(which)) == which for which in OPEN_CLASSES)


def test_a_good_decoder_is_found_good() -> None:
    collected = everything()
    assert collected.is_every()
    found = collected.every(BOOTSTRAP)
    assert found["n_classes"] == 510
    for name in ("worse_than_linear_in_rmse", "worse_than_linear_in_r", "costly_leads"):
        assert found[name]["n"] == 0
    assert [one["mean"] for one in found["gain_in_r"].values()] == pytest.approx([0.1] * 7)
    assert list(found["gain_in_r"]) == list("1234567")
    area = found["aup_s"]["shipped"]
    assert area["unknown"]["mean"] == pytest.approx(0.6)
    assert area["with_derivable"]["mean"] > 0.6
    assert "uniform window of 51" in found["aup_s"]["definition"]


def test_what_is_worse_is_named_with_how_much() -> None:
    bad, dear = class_of(("I", "V2")), class_of(("II", "V2"))
    found = everything(
        **{
            label(bad): made_up(bad, r=0.7, rmse_uv=101.0),
            label(dear): made_up(dear, twelve_uv=50.7),
        }
    ).every(BOOTSTRAP)
    assert found["worse_than_linear_in_r"]["sets"] == {"I+V2": pytest.approx(-0.1)}
    assert found["worse_than_linear_in_rmse"]["sets"] == {"I+V2": pytest.approx(1.0)}
    # From II, or from V2, to II and V2.
    worst = {(one["set"], one["lead"]): one["uv"] for one in found["costly_leads"]["worst"]}
    assert worst == {("II", "V2"): pytest.approx(0.7), ("V2", "II"): pytest.approx(0.7)}
    assert found["costly_leads"]["n"] == 2


def test_the_gain_is_the_mean_over_subsets_not_over_classes() -> None:
    which = class_of(("I", "II"))  # any two to six limb leads are this class
    found = everything(**{label(which): made_up(which, r=0.8)}).every(BOOTSTRAP)
    subsets = every_subset()
    for n in (1, 2, 4):
        of_n = classes_of(subsets[subsets.sum(1) == n])
        expected = 0.1 * (of_n != which).mean()
        assert found["gain_in_r"][str(n)]["mean"] == pytest.approx(expected)


def test_sigma_by_number_of_leads_has_one_factor_from_fold_9() -> None:
    one, other = Collected(), Collected()
    for leads in (("I",), ("II",), ("I", "V2")):
        one.add(made_up(class_of(leads)))
    wide = made_up(class_of(("I",)))
    wide.errors[:] = np.roll(wide.errors, 50, axis=-1)  # a sigma farther
    other.add(wide)
    found = by_number({"validation": one, "test": other})
    assert list(found["validation"]) == ["1", "2"]
    assert found["validation"]["1"]["n_sets"] == 2
    assert 0.5 < found["k"] <= 0.52
    assert found["validation"]["1"]["covered"] == pytest.approx(0.9, abs=0.01)
    assert found["test"]["1"]["covered"] == 0
    assert found["test"]["1"]["in_sigmas"] == pytest.approx(0.5)
    assert by_number({"test": other})["test"]["1"]["covered"] is None


def test_the_card_has_nothing_of_what_is_known() -> None:
    collected = Collected()
    collected.add(made_up(class_of(("I", "II"))))
    card = collected.card(N_RECORDS)
    assert (card["folds"], card["records"]) == ("PTB-XL fold 9", N_RECORDS)
    assert card["rmse_uv"] == {"I+II": [0] * 6 + [80] * 6}
    assert card["r"] == {"I+II": [None] * 6 + [0.9] * 6}
