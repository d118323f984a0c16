"""Any-lead training: stopped or not the same, cooled and gone on with, in files that are never pickled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

from quantize.any_leads import train as module
from quantize.any_leads.checkpoint import keep, load_checkpoint, write_mean
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.int8 import QAT, quantised
from quantize.any_leads.sampling import Sampling
from quantize.any_leads.train import (
    COOLDOWN,
    LAST,
    AnySchedule,
    Experiment,
    cool,
    rate_at,
    train_any,
)
from quantize.augment import Augmentation
from quantize.errors import QuantizeError
from quantize.student import Student, StudentConfig
from quantize.train import step_loss

SCHEDULE = AnySchedule(steps=6, batch=2, crop_s=2.0, warm_up=2, average=0.5)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    monkeypatch.setattr(module, "SAY_EVERY", 3)


def silent(_: str) -> None:
    pass


def same(a: Path, b: Path) -> bool:
    one, other = load_checkpoint(a).tensors, load_checkpoint(b).tensors
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if '"step": 3,' in line:
            raise KeyboardInterrupt

    def trained(folder: str, **more: object) -> Student:
        how = {"say": silent, "schedule": SCHEDULE, **more}
        return train_any(lambda: Student(small), experiment, folder=tmp_path / folder, **how)

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("stopped", say=stop)
    said: list[str] = []
    trained("stopped", say=said.append)
    assert said[0] == "going on after step 2"
    assert same(tmp_path / "whole" / LAST, tmp_path / "stopped" / LAST)
    # In another folder, from a checkpoint that was carried there, the schedule longer than it was.
    trained("short", schedule=replace(SCHEDULE, steps=4))
    trained("carried", start=tmp_path / "short" / LAST)
    assert same(tmp_path / "whole" / LAST, tmp_path / "carried" / LAST)
    trained("other", schedule=replace(SCHEDULE, seed=1))
    assert not same(tmp_path / "whole" / LAST, tmp_path / "other" / LAST)
    stored = load_checkpoint(tmp_path / "whole" / LAST).student().state_dict()
    assert all(torch.equal(value, stored[name]) for name, value in whole.state_dict().items())


def test_a_run_is_cooled_and_stays_where_it_was(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    def make() -> Student:
        return Student(small)

    train_any(make, experiment, SCHEDULE, tmp_path, silent)
    before = (tmp_path / LAST).read_bytes()
    cool(make, experiment, SCHEDULE, tmp_path, 4, silent)
    assert (tmp_path / LAST).read_bytes() == before
    about = load_checkpoint(tmp_path / COOLDOWN).about
    assert (about["step"], about["cooled_from"], about["cooled_to"]) == (10, 6, 10)
    assert about["moments"] == [[1.0]]
    whole = (tmp_path / COOLDOWN).read_bytes()

    (tmp_path / COOLDOWN).unlink()

    def stop(line: str) -> None:
        if '"step": 9,' in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cool(make, experiment, SCHEDULE, tmp_path, 4, stop)
    said: list[str] = []
    cool(make, experiment, SCHEDULE, tmp_path, 4, said.append)
    assert said[0] == "going on after step 8"
    assert (tmp_path / COOLDOWN).read_bytes() == whole
    said.clear()
    # Another cooldown begins where the run stands.
    cool(make, experiment, SCHEDULE, tmp_path, 6, said.append)
    assert said[0] == "going on after step 6"


def test_what_is_learned_last_is_the_record_as_it_is(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    """The same steps twice with other augmentation and dropout: cooled, they end the same."""
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path / "one", silent)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / LAST).write_bytes((tmp_path / "one" / LAST).read_bytes())
    loud = replace(experiment, augmentation=Augmentation(rotation_deg=9.0, white_noise=1.0))
    for folder, how, dropout in (("one", experiment, 0.1), ("two", loud, 0.5)):
        config = replace(small, dropout=dropout)
        cool(lambda config=config: Student(config), how, SCHEDULE, tmp_path / folder, 2, silent)  # type: ignore[misc]
    assert same(tmp_path / "one" / COOLDOWN, tmp_path / "two" / COOLDOWN)


def test_the_rate_warms_up_stays_and_falls_to_nothing() -> None:
    schedule = AnySchedule(rate=1.0, warm_up=4)
    assert [rate_at(step, schedule) for step in (0, 1, 3, 4, 9999)] == [0.25, 0.5, 1, 1, 1]
    cooled = range(100, 110)
    assert rate_at(100, schedule, cooled) == 1.0
    assert rate_at(109, schedule, cooled) == pytest.approx(0.1)


def test_the_log_has_what_was_looked_at(
    experiment: Experiment, small: StudentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VALIDATE_EVERY", 3)
    looking = replace(experiment, validate=lambda student: {"training": student.training})
    train_any(lambda: Student(small), looking, SCHEDULE, tmp_path, silent)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert all(row["rmse_uv"] > 0 and "validation" in row for row in rows)


def test_what_is_measured_counts_for_nothing(
    experiment: Experiment, small: StudentConfig, feed: AnyFeed
) -> None:
    """Whatever the heads say of a measured lead, residual or sigma, the loss is the same."""
    batch = next(
        iter(
            feed.batches(
                experiment.mixture, 4, experiment.augmentation, Sampling(), 500, 0, range(1)
            )
        )
    )
    student = Student(small).eval()
    before = step_loss(student, batch)
    said = student.forward

    def louder(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        residual, log_sigma = said(*given)
        measured = batch.mask[:, :, None, :]
        assert batch.projection is not None
        heard = torch.eye(8) - batch.projection
        noise = torch.einsum("bij,bjhf->bihf", heard, torch.randn(residual.shape))
        return residual + noise, log_sigma - 3 * measured

    student.forward = louder  # type: ignore[method-assign]
    after = step_loss(student, batch)
    assert after.total.item() == pytest.approx(before.total.item(), rel=1e-4)
    assert after.nll == pytest.approx(before.nll, rel=1e-4)


def test_half_the_bits_are_near_and_leave_the_heads_whole(small: StudentConfig) -> None:
    torch.manual_seed(0)
    student = Student(small).eval()
    torch.nn.init.normal_(student.residual_head.conv.weight, std=0.1)
    given = torch.randn(2, 12, 4, 30), torch.ones(2, 12, 30), 0.1 * torch.randn(2, 8, 12)
    whole = student(*given)
    student.trunk_bfloat16 = True
    half = student(*given)
    assert [x.shape[1] for x in half] == [8, 12]
    assert half[0].dtype == torch.float32
    assert not torch.equal(whole[0], half[0])
    torch.testing.assert_close(half[0], whole[0], rtol=0.1, atol=0.05)


def test_what_is_kept_goes_on_and_scores(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    def make() -> Student:
        return Student(small)

    train_any(make, experiment, SCHEDULE, tmp_path, silent)
    cooled = cool(make, experiment, SCHEDULE, tmp_path, 2, silent)
    kept = tmp_path / "kept"
    keep(kept, tmp_path / LAST, tmp_path / COOLDOWN)
    assert (kept / "run.safetensors").read_bytes() == (tmp_path / LAST).read_bytes()
    read = load_checkpoint(kept / "student.safetensors").student()
    for name, value in read.state_dict().items():
        assert value.dtype == cooled.state_dict()[name].dtype
        torch.testing.assert_close(value, cooled.state_dict()[name], rtol=1e-3, atol=1e-6)
    longer, said = replace(SCHEDULE, steps=7), []
    run = kept / "run.safetensors"
    train_any(make, experiment, longer, tmp_path / "later", said.append, run)
    assert said[0] == "going on after step 6"


@pytest.mark.parametrize("what", ["missing", "other", "text"])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path, what: str) -> None:
    from safetensors.numpy import save_file

    file = tmp_path / "run.safetensors"
    if what == "other":
        save_file({"x": np.zeros(3)}, file)
    elif what == "text":
        file.write_text("nothing")
    said = "python -m quantize any-leads" if what == "missing" else "is no checkpoint"
    with pytest.raises(QuantizeError, match=said):
        load_checkpoint(file)


def test_a_network_of_another_shape_does_not_go_on(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, silent)
    wider = replace(small, channels=9)
    with pytest.raises(QuantizeError, match="take another --run"):
        train_any(lambda: Student(wider), experiment, SCHEDULE, tmp_path, silent)
    said: list[str] = []
    steadier = replace(small, dropout=0.0)
    train_any(lambda: Student(steadier), experiment, SCHEDULE, tmp_path, said.append)
    assert said[0] == "going on after step 6"


def test_the_mean_of_cooled_networks_is_a_network_that_int8_training_takes(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    train_any(lambda: Student(small), experiment, SCHEDULE, tmp_path, silent)
    files = []
    for steps in (2, 4):
        cool(lambda: Student(small), experiment, SCHEDULE, tmp_path, steps, silent)
        files.append((tmp_path / COOLDOWN).rename(tmp_path / f"{steps}.safetensors"))
    write_mean(files, tmp_path / "mean.safetensors")
    found = load_checkpoint(tmp_path / "mean.safetensors")
    assert found.about["mean_of"] == [8, 10]
    one, other = (load_checkpoint(file).student().state_dict() for file in files)
    for name, value in found.student().state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (one[name] + other[name]) / 2)
    # A network alone: no step is left at 10, one is at 11, and then the optimiser begins anew.
    for steps, folder in ((10, "same"), (11, "on")):
        schedule, file = replace(SCHEDULE, steps=steps), tmp_path / "mean.safetensors"
        to = tmp_path / folder
        got = train_any(lambda: Student(small), experiment, schedule, to, silent, start=file)
        same = [
            torch.equal(value, found.student().state_dict()[name])
            for name, value in got.state_dict().items()
            if name.endswith("conv.weight")
        ]
        assert all(same) == (steps == 10)
    int8 = tmp_path / "int8"
    quantised(experiment, SCHEDULE, tmp_path / "mean.safetensors", int8, 1, silent)
    write_mean([int8 / QAT], int8 / "alone.safetensors")
    with pytest.raises(QuantizeError, match="trained for INT8"):
        train_any(
            lambda: Student(small), experiment, SCHEDULE, int8, silent, int8 / "alone.safetensors"
        )
    write_mean(files[:1], files[1])
    assert load_checkpoint(files[1]).about["mean_of"] == [8]


def test_a_mean_of_networks_of_different_shapes_is_refused(
    experiment: Experiment, small: StudentConfig, tmp_path: Path
) -> None:
    wide = replace(small, channels=small.channels * 2)
    for config, name in ((small, "small"), (wide, "wide")):
        train_any(lambda c=config: Student(c), experiment, SCHEDULE, tmp_path / name, silent)  # type: ignore[misc]
    with pytest.raises(QuantizeError, match="different shapes"):
        write_mean([tmp_path / name / LAST for name in ("small", "wide")], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
