"""Training: seeded, the same after an interruption, averaged weights that forget the start."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.signal.conditioning import Conditioning
from quantize.augment import Augmentation
from quantize.feed import Feed
from quantize.network import Network
from quantize.prepared import Prepared, prepare
from quantize.student import Student, StudentConfig
from quantize.train import Averager, Schedule, step_loss, train, validate
from tests.benchmarks.synthetic import simulated_records

CONFIG = StudentConfig(channels=8, kernel=3, dilations=(1, 2))
SCHEDULE = Schedule(epochs=3, batch=2, crop_s=2.0, average=0.5)


@pytest.fixture(scope="module")
def records() -> Prepared:
    return prepare(simulated_records(6, seconds=4.0), Conditioning(), 4, (0.9, 1.0, 1.1))


@pytest.fixture
def feed(moments: np.ndarray) -> Feed:
    return Feed(Conditioning(), moments)


def trained(
    records: Prepared, feed: Feed, folder: Path, schedule: Schedule = SCHEDULE, **more: object
) -> Student:
    more = {"say": lambda _: None, **more}
    return train(
        lambda: Student(CONFIG), records, None, feed, Augmentation(), schedule, folder, **more
    )


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    records: Prepared, feed: Feed, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if '"epoch": 2,' in line:
            raise KeyboardInterrupt

    whole = trained(records, feed, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(records, feed, tmp_path / "stopped", say=stop)
    # The line of the second epoch was said before its checkpoint was written.
    said: list[str] = []
    resumed = trained(records, feed, tmp_path / "stopped", say=said.append)
    assert said[0] == "resuming after epoch 1 from last.pt"
    assert same(whole, resumed)
    other = trained(records, feed, tmp_path / "other", replace(SCHEDULE, seed=1))
    assert not same(whole, other)


def test_the_log_has_a_line_an_epoch(records: Prepared, feed: Feed, tmp_path: Path) -> None:
    trained(records, feed, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["rmse_uv"] > 0 for row in rows)


def test_lessons_are_followed(records: Prepared, feed: Feed, tmp_path: Path) -> None:
    silent = tuple(np.zeros_like(signals[:, 0, :5]) for signals in records.signals)
    taught = trained(replace(records, taught=silent), feed, tmp_path / "taught")
    assert not same(taught, trained(records, feed, tmp_path / "alone"))
    rows = (tmp_path / "taught" / "log.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["teacher_uv"] > 0


def test_validation_leaves_the_network_as_it_was(records: Prepared, feed: Feed) -> None:
    student = Student(CONFIG)
    whole = prepare(simulated_records(3), Conditioning(), 4, (1.0,))
    before = {name: value.clone() for name, value in student.state_dict().items()}
    scores = validate(student, whole, feed)
    assert scores["rmse_uv"] > 0
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_an_average_forgets_the_start_and_then_follows_slowly() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 100.0)
    averager = Averager(network, 0.99)
    torch.nn.init.constant_(network.weight, 1.0)
    averager.update(network)
    assert averager.averaged.weight.item() == 1.0
    for _ in range(2000):
        averager.update(network)
    torch.nn.init.constant_(network.weight, 2.0)
    averager.update(network)
    assert averager.averaged.weight.item() == pytest.approx(1.01, abs=1e-4)
    last = Averager(network, 0.0)
    torch.nn.init.constant_(network.weight, 7.0)
    last.update(network)
    assert last.averaged.weight.item() == 7.0


@pytest.mark.parametrize("late_samples", [0, 8])
def test_a_late_answer_is_held_against_what_it_answers(
    records: Prepared, feed: Feed, late_samples: int
) -> None:
    batch = next(iter(feed.batches(records, 2, Augmentation.none(), None, seed=0)))

    class Knows(Network):
        """Says the target, so many samples after it was."""

        late_by = 8

        @property
        def late_samples(self) -> int:
            return late_samples

        def forward(self, ecg: object, mask: object, anchor: object) -> tuple[torch.Tensor, ...]:
            said = torch.roll(batch.target, self.late_by, -1)
            framed = said.unflatten(2, (-1, 4)).transpose(2, 3)
            return framed, torch.zeros_like(framed)

    loss = step_loss(Knows(), batch, scored_s=(1.0, 3.0))
    assert (loss.rmse_uv < 5) == (late_samples == Knows.late_by)
