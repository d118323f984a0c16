"""Electrodes are counted as the leads are wired: limb leads in pairs, V leads against Wilson's terminal."""

from __future__ import annotations

import pytest

from edge.electrodes import MOST_ELECTRODES, electrodes_of, sets_of
from edge.errors import InputError
from edge.lead_subsets import class_of as the_class_of
from edge.lead_subsets import every_subset, known
from edge.leads import LEADS


@pytest.mark.parametrize(
    ("leads", "electrodes"),
    [
        ("I", "RA LA"),
        ("II", "RA LL"),
        ("III", "LA LL"),
        ("aVF", "RA LA LL"),
        ("I II", "RA LA LL"),
        ("aVR aVL aVF", "RA LA LL"),
        ("V5", "RA LA LL V5"),
        ("V5 II V1", "RA LA LL V1 V5"),
        ("", ""),
    ],
)
def test_what_each_set_needs(leads: str, electrodes: str) -> None:
    assert electrodes_of(leads.split()) == tuple(electrodes.split())


def test_so_many_electrodes_give_the_most_that_they_can() -> None:
    """Of every subset that N electrodes measure one of `sets_of(N)` knows all of it, and more or as much."""
    of_number = {n: [known(the_class_of(s)) for s in sets_of(n)] for n in range(2, 10)}
    for present in every_subset():
        leads = [lead for lead, there in zip(LEADS, present, strict=True) if there]
        if leads in (["aVR"], ["aVL"], ["aVF"]):
            continue  # three electrodes that measure all six
        needed = len(electrodes_of(leads))
        certain = known(the_class_of(leads))
        assert any((certain <= more).all() for more in of_number[needed]), leads


@pytest.mark.parametrize(
    ("n", "n_sets"), [(0, 0), (1, 0), (2, 3), (3, 1), (4, 6), (5, 15), (6, 20), (9, 1), (10, 0)]
)
def test_sets_need_just_as_many(n: int, n_sets: int) -> None:
    found = sets_of(n)
    assert len(found) == len(set(found)) == n_sets
    assert all(len(electrodes_of(leads)) == n for leads in found)


def test_nine_measure_all_twelve() -> None:
    ((*leads,),) = sets_of(MOST_ELECTRODES)
    assert known(the_class_of(leads)).all()


@pytest.mark.parametrize("leads", [["V9"], ["I", "I"]])
def test_what_is_no_lead_is_refused(leads: list[str]) -> None:
    with pytest.raises(InputError):
        electrodes_of(leads)
