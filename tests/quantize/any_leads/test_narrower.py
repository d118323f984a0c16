"""A narrower network begins as channels of a wide one: the same where none that counts is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

from quantize.any_leads.narrower import narrowed
from quantize.any_leads.train import AnySchedule, Experiment, train_any
from quantize.errors import QuantizeError
from quantize.feed import Batch
from quantize.student import Student, StudentConfig

SCHEDULE = AnySchedule(steps=3, batch=2, crop_s=2.0, warm_up=0, average=0.5)


@pytest.fixture
def batches(experiment: Experiment) -> list[Batch]:
    return list(experiment.batches(SCHEDULE, 1, range(2)))


@pytest.fixture
def wide(experiment: Experiment, small: StudentConfig, tmp_path: Path) -> Student:
    """After some steps: its statistics and heads are its own."""
    return train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)


def made(network: Student, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(network.eval()(batch.ecg, batch.mask, batch.anchor), 1)


def test_with_all_channels_it_is_the_same(wide: Student, batches: list[Batch]) -> None:
    same = narrowed(wide, replace(wide.config, dropout=0.0), batches)
    assert same.config.dropout == 0
    assert torch.equal(made(same, batches[0]), made(wide, batches[0]))


def test_a_channel_that_nobody_reads_is_left_out_first(wide: Student, batches: list[Batch]) -> None:
    with torch.no_grad():
        for block in wide.blocks:
            block.dilated.conv.weight[:, 5] = 0
            block.pointwise.conv.weight[:, 2] = 0
        wide.residual_head.conv.weight[:, 5] = 0
        wide.sigma_head.conv.weight[:, 5] = 0
    narrow = narrowed(wide, replace(wide.config, channels=7), batches)
    assert narrow.stem.conv.weight.shape[0] == narrow.blocks[0].dilated.conv.weight.shape[0] == 7
    torch.testing.assert_close(made(narrow, batches[0]), made(wide, batches[0]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channels": 9}, "by channels that are left out"),
        ({"channels": 4, "dilations": (1, 4)}, "by channels that are left out"),
    ],
)
def test_what_is_no_part_of_it_is_refused(
    wide: Student, batches: list[Batch], change: dict[str, object], said: str
) -> None:
    with pytest.raises(QuantizeError, match=said):
        narrowed(wide, replace(wide.config, **change), batches)


def test_one_of_int8_is_refused(wide: Student, batches: list[Batch]) -> None:
    with pytest.raises(QuantizeError, match="give one in float32"):
        narrowed(wide.fold(), replace(wide.config, channels=4), batches)
