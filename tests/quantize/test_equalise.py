"""Levelled channels: the network computes what it did, and loses less when its numbers are rounded."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from quantize.equalise import equalise
from quantize.feed import Batch
from quantize.qat import calibrate
from quantize.student import Block, Student, StudentConfig

CONFIG = StudentConfig(channels=16, dilations=(1, 4), dropout=0.0)


def batch(seed: int) -> Batch:
    """Random leads of 64 frames."""
    torch.manual_seed(seed)
    open_leads = torch.zeros(8, CONFIG.n_outputs, 64 * CONFIG.hop)
    ecg = 0.5 * torch.randn(8, CONFIG.n_inputs, CONFIG.hop, 64)
    anchor = torch.randn(8, CONFIG.n_outputs, CONFIG.n_inputs)
    return Batch(ecg, torch.ones(8, CONFIG.n_inputs, 64), anchor, open_leads, open_leads)


def given(student: Student, one: Batch) -> Tensor:
    with torch.no_grad():
        return torch.cat([part.flatten(1) for part in student(one.ecg, one.mask, one.anchor)], 1)


@pytest.fixture
def uneven() -> Student:
    """Folded; some channels speak a hundred times as loud as others."""
    torch.manual_seed(1)
    student = Student(CONFIG)
    for head in (student.residual_head, student.sigma_head):
        torch.nn.init.normal_(head.conv.weight, std=0.1)
    student.eval().fold()
    loud = torch.logspace(-1, 1, CONFIG.channels)
    for block in student.blocks:
        assert isinstance(block, Block)
        block.dilated.conv.weight.data *= loud[:, None, None]
        block.pointwise.conv.weight.data /= loud[None, :, None]
    return student


def test_the_network_computes_what_it_did(uneven: Student) -> None:
    before = given(uneven, batch(2))
    weights = deepcopy(uneven.state_dict())
    equalise(uneven, [batch(3)])
    assert torch.allclose(given(uneven, batch(2)), before, atol=1e-4 * float(before.abs().max()))
    assert not torch.equal(uneven.stem.conv.weight, weights["stem.conv.weight"])


def test_rounding_costs_less(uneven: Student) -> None:
    before = given(uneven, batch(2))

    def lost(student: Student) -> float:
        rounded = calibrate(deepcopy(student), [batch(3)], 1.3, 0.9999)
        return float((given(rounded, batch(2)) - before).square().mean())

    uneven_lost = lost(uneven)
    assert lost(equalise(uneven, [batch(3)])) < 0.8 * uneven_lost
