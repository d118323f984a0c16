"""The short way of a hop at which nothing is the matter: the same bits as the general one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.registry import open_engine
from edge.leads import LEADS
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator


@pytest.fixture(scope="module")
def engine(shipped_bundle: Bundle) -> Iterator[Engine]:
    with open_engine(shipped_bundle, "onnxruntime").engine as opened:
        yield opened


@pytest.mark.parametrize("leads", [("II", "V1", "V5"), ("aVL", "III"), ("I",)])
@settings(max_examples=15, deadline=None)
@given(faults=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1590), st.integers(0, 5))))
def test_a_hop_that_is_well_is_treated_as_any_other(
    engine: Engine, leads: tuple[str, ...], faults: list[tuple[int, int, int]]
) -> None:
    """The short way of a hop gives the bits of the general one, which `valid` asks for."""
    x = EcgSimulator(250.0, 75, baseline_mv=0.1, seed=len(faults)).read(1600)
    x = x[[LEADS.index(lead) for lead in leads]]
    rng = np.random.default_rng(3)
    for lead, at, kind in faults:
        row = x[lead % len(x)]
        if kind == 0:
            row[at : at + 40] = np.nan
        elif kind == 1:
            row[at : at + 700] = row[at]  # flat for longer than a heart is
        elif kind == 2:
            row[at:] += 300.0
        elif kind == 3:
            row[at : at + 500] += rng.normal(0, 0.5, len(row[at : at + 500]))
        else:
            row[at : at + 40] = np.round(row[at : at + 40], 1)  # few codes: constant now and then
    r = Reconstructor(engine, leads=leads)
    short = [r.push(x[:, at : at + r.hop]) for at in range(0, x.shape[1], r.hop)]
    r.reset()
    valid = np.ones((len(leads), r.hop), bool)
    for at, block in zip(range(0, x.shape[1], r.hop), short, strict=True):
        other = r.push(x[:, at : at + r.hop], valid)
        assert block.first_sample == other.first_sample
        for one, same in zip(
            (block.ecg_mv, block.sigma_mv, block.quality),
            (other.ecg_mv, other.sigma_mv, other.quality),
            strict=True,
        ):
            assert one.tobytes() == same.tobytes()
