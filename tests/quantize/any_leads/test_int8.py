"""INT8 for any leads: from the network that was cooled, which stays; rounded where it is read again."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

from quantize.any_leads import int8
from quantize.any_leads import train as train_module
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.int8 import QAT, Taught, quantised
from quantize.any_leads.scales import _cost, refine_scales
from quantize.any_leads.train import LAST, AnySchedule, Experiment, train_any
from quantize.errors import QuantizeError
from quantize.feed import samples_from_frames
from quantize.objective import zero_phase
from quantize.qat import calibrate
from quantize.student import INPUT_STEP_MV, Student, StudentConfig
from quantize.train import SAMPLING_HZ, step_loss

SCHEDULE = AnySchedule(steps=3, batch=2, crop_s=2.0, warm_up=0, average=0.5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "CALIBRATION_STEPS", 3)
    monkeypatch.setattr(int8, "REFINE_STEPS", 1)
    monkeypatch.setattr(train_module, "SAVE_EVERY", 2)
    monkeypatch.setattr(train_module, "SAY_EVERY", 3)


def test_numbers_are_rounded_and_the_source_stays(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)
    source = tmp_path / LAST
    before = source.read_bytes()

    def stop(line: str) -> None:
        if '"step": 3,' in line:
            raise KeyboardInterrupt

    quantised(experiment, SCHEDULE, source, tmp_path / "whole", 4, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        quantised(experiment, SCHEDULE, source, tmp_path, 4, stop)
    said: list[str] = []
    made = quantised(experiment, SCHEDULE, source, tmp_path, 4, said.append)
    assert said[0] == "going on after step 2"
    assert source.read_bytes() == before
    assert (tmp_path / QAT).read_bytes() == (tmp_path / "whole" / QAT).read_bytes()

    read = load_checkpoint(tmp_path / QAT).student()
    given = experiment.feed.whole(experiment.mixture.sources[1].records.signals[0], 64)
    for network in (made, read):
        assert all(quantizer.mode == "quantize" for quantizer in network.quantizers())
    outputs = [network(given.ecg, given.mask, given.anchor)[0] for network in (made, read)]
    assert torch.equal(*outputs)
    codes = read.features(given.ecg, given.mask, given.anchor) / read.blocks[-1].out.scale
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)
    # Another length is another run.
    said.clear()
    quantised(experiment, SCHEDULE, source, tmp_path, 3, said.append)
    assert not said[0].startswith("going on")


def test_it_begins_near_the_network_in_float32(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)
    whole = load_checkpoint(tmp_path / LAST).student()
    rounded = quantised(experiment, SCHEDULE, tmp_path / LAST, tmp_path, 1, lambda _: None)
    batch = next(experiment.batches(SCHEDULE, 9, range(1)))
    with torch.no_grad():
        a, b = (network(batch.ecg, batch.mask, batch.anchor)[0] for network in (whole, rounded))
    assert (a - b).abs().max() < 0.1


def test_each_batch_holds_what_the_network_in_float32_makes_of_it(
    experiment: Experiment, small: StudentConfig
) -> None:
    teacher = Student(small).eval()
    torch.nn.init.normal_(teacher.residual_head.conv.weight, std=0.1)
    how = experiment.mixture, experiment.feed, experiment.augmentation, experiment.sampling
    taught = next(Taught(*how, teacher=teacher).batches(SCHEDULE, 0, range(1)))
    plain = next(experiment.batches(SCHEDULE, 0, range(1)))
    assert plain.taught is None
    assert torch.equal(plain.ecg, taught.ecg)
    with torch.no_grad():
        given = teacher(taught.ecg, taught.mask, taught.anchor)[0]
        made = zero_phase(taught.projection @ samples_from_frames(given), SAMPLING_HZ)
    assert made.abs().max() > 0.01
    assert torch.equal(taught.taught, made)
    assert step_loss(teacher, taught).teacher_uv == pytest.approx(
        1.0, abs=0.01
    )  # the least there is


def test_without_a_source_it_says_so(experiment: Experiment, tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="is missing"):
        quantised(experiment, SCHEDULE, tmp_path / LAST, tmp_path, 4)


@pytest.mark.parametrize("float32", [False, True])
def test_its_graph_is_today_s_with_wider_ends(
    experiment: Experiment, small: StudentConfig, tmp_path: Path, float32: bool
) -> None:
    """Leads, mask and anchor in; anchor times leads plus residual and twelve log sigmas out."""
    pytest.importorskip("onnx", reason="export needs onnx: install '.[test]'")
    onnxruntime = pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")
    from quantize.export import graph_from_student

    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)
    if float32:
        student = load_checkpoint(tmp_path / LAST).student().fold().set_mode("off")
    else:
        student = quantised(experiment, SCHEDULE, tmp_path / LAST, tmp_path, 2, lambda _: None)
    graph, states = graph_from_student(student, float32=float32)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    batch = next(experiment.batches(SCHEDULE, 9, range(1)))
    frames = batch.ecg.shape[-1]
    given = {
        "ecg": batch.ecg.numpy(),
        "mask": batch.mask[:, :, None].expand(-1, -1, 4, -1).contiguous().numpy(),
        "anchor": batch.anchor[:, :, :, None, None].numpy(),
    }
    empty = {s.input: np.zeros((len(batch.ecg), *s.shape), s.dtype) for s in states}
    ecg_mv, log_sigma = session.run(["ecg_mv", "log_sigma"], {**given, **empty})
    with torch.no_grad():
        residual, expected_sigma = student(batch.ecg, batch.mask, batch.anchor)
        expected = residual + torch.einsum("boi,bint->bont", batch.anchor, batch.ecg)
    assert ecg_mv.shape == (2, 8, 4, frames) and log_sigma.shape == (2, 12, 4, frames)
    np.testing.assert_allclose(ecg_mv, expected.numpy(), atol=2e-3)
    np.testing.assert_allclose(log_sigma, expected_sigma.numpy(), atol=2e-2)


def test_a_scale_that_costs_too_much_is_made_finer_and_the_cost_falls(
    experiment: Experiment, small: StudentConfig
) -> None:
    torch.manual_seed(0)
    teacher = Student(small).eval()
    torch.nn.init.normal_(teacher.residual_head.conv.weight, std=0.1)
    how = experiment.mixture, experiment.feed, experiment.augmentation, experiment.sampling
    batches = list(Taught(*how, teacher=teacher).batches(SCHEDULE, 0, range(4)))
    student = deepcopy(teacher)
    student.input.scale.fill_(4 / 127)  # of a checkpoint of 0.2
    calibrate(student, batches)
    last = student.blocks[-1].out
    last.scale *= 16
    before, coarse = _cost(student, batches), last.scale.item()
    refine_scales(student, batches)
    assert last.scale.item() < coarse
    assert student.input.scale.item() == INPUT_STEP_MV
    assert _cost(student, batches) < before
    assert all(quantizer.mode == "quantize" for quantizer in student.quantizers())


def test_headroom_is_for_codes_after_a_relu(experiment: Experiment, small: StudentConfig) -> None:
    scales = []
    for headroom in (1.0, 2.0):
        torch.manual_seed(0)
        student = calibrate(Student(small), experiment.batches(SCHEDULE, 0, range(2)), headroom)
        scales.append([(q.signed, q.scale.item()) for q in student.quantizers()])
    for (signed, tight), (_, wide) in zip(*scales, strict=True):
        assert wide == pytest.approx(tight * (1 if signed else 2))


class Late(torch.nn.Module):
    """A teacher that knows the targets, and says them so many samples late."""

    late_samples = 8

    def __init__(self, target: torch.Tensor) -> None:
        super().__init__()
        self.target = target

    def forward(self, ecg: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, None]:
        late = torch.nn.functional.pad(self.target, (self.late_samples, -self.late_samples))
        return late.unflatten(-1, (-1, ecg.shape[2])).transpose(2, 3), None


def test_what_a_teacher_says_late_is_taught_in_its_place(experiment: Experiment) -> None:
    (plain,) = experiment.batches(SCHEDULE, 0, range(1))
    teacher = Late(plain.target)
    (batch,) = Taught.of(experiment, teacher).batches(SCHEDULE, 0, range(1))  # type: ignore[arg-type]
    assert plain.projection is not None and batch.taught is not None
    heard = plain.target.shape[-1] - teacher.late_samples
    expected = plain.target.clone()
    expected[..., :heard] = (plain.projection @ plain.target)[..., :heard]
    torch.testing.assert_close(batch.taught, zero_phase(expected, SAMPLING_HZ))
