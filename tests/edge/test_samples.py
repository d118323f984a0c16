"""Blocks: a hop's is made the short way, and is what the constructor makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from edge.leads import INPUT_LEADS, provenance
from edge.samples import TwelveLeadBlock, block_of


def test_a_block_made_the_short_way_is_one_like_any_other() -> None:
    ecg, flags = np.zeros((12, 4), np.float32), np.zeros((12, 4), np.uint8)
    given = (ecg, ecg + 1, flags, 8, 250.0, provenance(INPUT_LEADS))
    short, other = block_of(*given), TwelveLeadBlock(*given)
    assert type(short) is TwelveLeadBlock
    for field in fields(TwelveLeadBlock):
        assert getattr(short, field.name) is getattr(other, field.name)
    assert repr(short) == repr(other) and replace(short, first_sample=9).first_sample == 9
    with pytest.raises(FrozenInstanceError):
        short.first_sample = 1  # type: ignore[misc]
