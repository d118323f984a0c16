"""Adversarial training: weight 0 changes nothing, the discriminator reaches the decoder, runs resume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

from edge.lead_subsets import TWELVE
from quantize.__main__ import main
from quantize.any_leads import train as train_module
from quantize.any_leads.adversarial import (
    ADVERSARIAL,
    DISCRIMINATOR,
    RATE,
    WARM_UP,
    Adversary,
    adversarial,
)
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.train import (
    COOLDOWN_AVERAGE,
    LAST,
    AnySchedule,
    Experiment,
    run_steps,
    train_any,
    without_dropout,
)
from quantize.errors import QuantizeError
from quantize.feed import Batch, samples_from_frames
from quantize.student import Student, StudentConfig
from quantize.train import step_loss

SCHEDULE = AnySchedule(steps=3, batch=4, crop_s=2.0, warm_up=0, average=0.5)
STEPS = 4


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "SAVE_EVERY", 2)
    monkeypatch.setattr(train_module, "SAY_EVERY", 3)


@pytest.fixture
def source(experiment: Experiment, small: StudentConfig, tmp_path: Path) -> Path:
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, lambda _: None)
    return tmp_path / LAST


def weights(file: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(file).under("network")


def batch_of(experiment: Experiment) -> Batch:
    return next(iter(experiment.batches(SCHEDULE, 7, range(1))))


def test_weight_0_is_the_plain_continuation_to_the_bit(
    experiment: Experiment, source: Path, tmp_path: Path
) -> None:
    calm = replace(experiment, augmentation=experiment.augmentation.calm())
    plain = tmp_path / "plain" / ADVERSARIAL
    run_steps(
        lambda: without_dropout(load_checkpoint(source).student()),
        calm,
        replace(SCHEDULE, rate=RATE, warm_up=WARM_UP),
        range(STEPS),
        None,
        plain,
        COOLDOWN_AVERAGE,
        lambda _: None,
        cooled=True,
    )
    ends = {}
    for weight in (0.0, 1e-12, 1.0):  # next to nothing: all of the machinery, and no effect
        folder = tmp_path / str(weight)
        adversarial(experiment, SCHEDULE, source, folder, weight, STEPS, lambda _: None)
        ends[weight] = weights(folder / ADVERSARIAL)
    for name, value in weights(plain).items():
        assert torch.equal(value, ends[0.0][name])
        torch.testing.assert_close(value, ends[1e-12][name])
    assert any(not torch.equal(ends[0.0][name], value) for name, value in ends[1.0].items())
    assert not load_checkpoint(tmp_path / "0.0" / ADVERSARIAL).under(DISCRIMINATOR)


def test_the_discriminator_reaches_the_decoder_and_learns_from_it(
    experiment: Experiment, source: Path
) -> None:
    batch, student = batch_of(experiment), load_checkpoint(source).student()
    adversary = Adversary(1.0, 0)
    before = {k: v.clone() for k, v in adversary.discriminator.state_dict().items()}
    assert batch.projection is not None
    framed, _ = student(batch.ecg, batch.mask, batch.anchor)
    adversary.term(batch.projection @ samples_from_frames(framed), batch).backward()
    grad = student.residual_head.conv.weight.grad
    assert grad is not None and grad.abs().max() > 0
    assert all(p.grad is None for p in adversary.discriminator.parameters())
    adversary.learn()
    after = adversary.discriminator.state_dict()
    moved = [k for k, v in before.items() if k.endswith("bias") and not torch.equal(v, after[k])]
    assert len(moved) == 5

    total = step_loss(student, batch).total
    more = step_loss(student, batch, term=adversary.term).total
    assert float(more.detach()) > float(total.detach())


def test_the_hop_has_no_fixed_place_in_a_patch(experiment: Experiment) -> None:
    """Over many steps no sample of a hop is pushed more than another: else each hop gets a pattern."""
    batch, adversary = batch_of(experiment), Adversary(1.0, 0)
    torch.manual_seed(0)
    pushed = []
    for _ in range(64):
        residual = torch.zeros_like(batch.target).requires_grad_()
        adversary.term(residual, batch).backward()
        assert residual.grad is not None
        pushed.append(residual.grad.sum((0, 1)).unflatten(0, (-1, 4)).sum(0))
    pattern = torch.stack(pushed)
    pattern = pattern - pattern.mean(1, keepdim=True)
    assert pattern.mean(0).abs().max() < 0.3 * pattern.abs().mean()


def test_it_learns_to_tell_the_linear_map_from_the_truth(experiment: Experiment) -> None:
    """And cannot where there is nothing to tell: measured leads pass through in both."""
    batch = batch_of(experiment)
    for residual, least, most in (
        (torch.zeros_like(batch.target), 0.2, 1.5),
        (batch.projection @ batch.target, -0.05, 0.05),
    ):
        adversary = Adversary(1.0, 0)
        for _ in range(80):
            adversary.term(residual, batch)
            told = adversary.learn()
        assert least < told < most


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    experiment: Experiment, source: Path, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if '"step": 3,' in line:
            raise KeyboardInterrupt

    before = source.read_bytes()
    given = experiment, SCHEDULE, source
    adversarial(*given, tmp_path / "whole", 0.5, STEPS, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        adversarial(*given, tmp_path, 0.5, STEPS, stop)
    said: list[str] = []
    adversarial(*given, tmp_path, 0.5, STEPS, said.append)
    assert said[0] == "going on after step 2"
    assert source.read_bytes() == before
    one, other = (
        load_checkpoint(folder / ADVERSARIAL) for folder in (tmp_path, tmp_path / "whole")
    )
    assert one.under(DISCRIMINATOR) and one.about == other.about
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    # Another weight is another run.
    said.clear()
    adversarial(*given, tmp_path, 0.25, STEPS, said.append)
    assert not said[0].startswith("going on")


def test_a_source_of_int8_is_one_line(
    experiment: Experiment, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantize.any_leads import int8

    monkeypatch.setattr(int8, "CALIBRATION_STEPS", 2)
    int8.quantised(experiment, SCHEDULE, source, tmp_path, 2, lambda _: None)
    with pytest.raises(QuantizeError, match="start from what was cooled in float32"):
        adversarial(experiment, SCHEDULE, tmp_path / int8.QAT, tmp_path, 1.0, 2, lambda _: None)


def test_measured_leads_are_never_changed(
    experiment: Experiment, source: Path, tmp_path: Path
) -> None:
    """Neither in what the discriminator sees nor in what was trained with it gives."""
    student = adversarial(experiment, SCHEDULE, source, tmp_path, 5.0, STEPS, lambda _: None)
    twelve = torch.from_numpy(TWELVE).float()
    moved = 0.0
    for step in range(12):  # 48 draws of leads
        batch = next(iter(experiment.batches(SCHEDULE, 7, range(step, step + 1))))
        adversary = Adversary(1.0, 0)
        assert batch.projection is not None
        known = batch.mask[:, :, 0] > 0
        residual = batch.projection @ samples_from_frames(
            student(batch.ecg, batch.mask, batch.anchor)[0]
        )
        assert (twelve @ residual)[known].abs().max() < 1e-6
        step_loss(student, batch, term=adversary.term)
        assert adversary._pair is not None
        true, made = (twelve @ one for one in adversary._pair[:2])
        assert (true - made)[known].abs().max() < 1e-5
        moved = max(moved, float((true - made)[~known].abs().max()))
    assert moved > 1e-3


def test_int8_starts_from_it_and_says_so(
    experiment: Experiment, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantize.any_leads import int8

    monkeypatch.setattr(int8, "CALIBRATION_STEPS", 2)
    for weight in (0.0, 0.5):  # of as many steps: the other is not gone on from
        adversarial(experiment, SCHEDULE, source, tmp_path, weight, STEPS, lambda _: None)
        said: list[str] = []
        int8.quantised(experiment, SCHEDULE, tmp_path / ADVERSARIAL, tmp_path, 2, said.append)
        assert not said[0].startswith("going on")
        about = load_checkpoint(tmp_path / int8.QAT).about
        assert about["adversarial_weight"] == weight and about["adversarial_steps"] == STEPS


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_a_weight_that_is_none_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["any-leads", f"--adversarial={value}"])
    assert "give a number, 0 at least" in capsys.readouterr().err


def test_options_that_do_not_go_together_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["any-leads", "--adversarial=1", "--qat=5"])
    assert "not allowed with argument" in capsys.readouterr().err
    assert main(["any-leads", "--adversarial-steps", "5", "--run", str(tmp_path)]) == 1
    assert "give both" in capsys.readouterr().err


def test_from_the_command_line(
    ptbxl_fold10: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, report = tmp_path / "run", tmp_path / "realism.json"
    train = ["any-leads", "--quick", "--run", str(run)]
    assert main([*train, "--adversarial", "0.3", "--adversarial-steps", "3"]) == 1
    assert "cooldown.safetensors is missing" in capsys.readouterr().err
    assert main([*train, "--steps", "6"]) == 0
    assert main([*train, "--cooldown", "3"]) == 0
    assert main([*train, "--adversarial", "0.3", "--adversarial-steps", "3"]) == 0
    assert "told_apart" in capsys.readouterr().out
    score = ["any-leads-scores", "--run", str(run), "--realism"]
    assert main([*score, "--records", "12", "--json", str(report)]) == 0
    assert "adversarial.safetensors: step 3" in capsys.readouterr().out
    found = json.loads(report.read_text())
    assert "Preliminary" in found["preliminary"] and found["sets"][0]["auroc_floor"].keys() == {
        "I",
        "V3",
        "all unknown",
    }
    assert main([*score, "--larger"]) == 1
    assert "--larger has not" in capsys.readouterr().err
    missing = ["any-leads", "--quick", "--run", str(run), "--qat", "2", "--start", "nowhere"]
    assert main(missing) == 1  # of the run's own there is one
    assert "nowhere is missing" in capsys.readouterr().err
