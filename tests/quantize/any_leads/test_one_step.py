"""A step on a GPU, captured, learns what a step on the CPU learns. Needs a GPU; CI has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install '.[test]'")

from edge.signal.conditioning import Conditioning
from quantize.any_leads.drawn import Mixture
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.train import AnySchedule, Experiment, train_any
from quantize.augment import Augmentation, Noise
from quantize.student import Student, StudentConfig

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
SCHEDULE = AnySchedule(steps=12, batch=8, crop_s=2.0, warm_up=0, average=0.5)


@pytest.fixture
def whole_float32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def on(device: str, experiment: Experiment, moments: np.ndarray) -> Experiment:
    recorded = np.random.default_rng(1).standard_normal((6, 5000)).astype(np.float32)
    feed = AnyFeed(moments, noise=Noise(recorded, Conditioning(), 4), device=torch.device(device))
    return replace(experiment, feed=feed, augmentation=Augmentation(noise=0.5, own_anchor=0.5))


def test_a_batch_is_the_same_on_a_gpu(
    experiment: Experiment, moments: np.ndarray, mixture: Mixture, whole_float32: None
) -> None:
    here, there = (
        list(on(device, experiment, moments).batches(SCHEDULE, 3, range(4)))
        for device in ("cpu", "cuda")
    )
    for one, other in zip(here, there, strict=True):
        for name in ("ecg", "mask", "anchor", "target", "truth", "projection"):
            torch.testing.assert_close(
                getattr(one, name), getattr(other, name).cpu(), rtol=1e-4, atol=1e-4
            )


def test_captured_steps_learn_what_others_learn(
    experiment: Experiment,
    moments: np.ndarray,
    small: StudentConfig,
    tmp_path: Path,
    whole_float32: None,
) -> None:
    said: dict[str, list[str]] = {"cpu": [], "cuda": []}
    config = replace(small, dropout=0.0)
    found = {
        device: train_any(
            lambda: Student(config),
            on(device, experiment, moments),
            SCHEDULE,
            tmp_path / device,
            said[device].append,
        )
        for device in ("cpu", "cuda")
    }
    begun = Student(config).state_dict()
    for name, value in found["cpu"].state_dict().items():
        other = found["cuda"].state_dict()[name].cpu()
        torch.testing.assert_close(value, other, rtol=0.02, atol=0.02, msg=name)
        if name.endswith("conv.weight"):
            assert not torch.equal(value, begun[name])
    on_from = train_any(
        lambda: Student(config),
        on("cuda", experiment, moments),
        replace(SCHEDULE, steps=14),
        tmp_path / "cpu",
        said["cuda"].append,
    )
    assert next(on_from.parameters()).is_cuda
