"""Lessons: what a teacher makes of whole records, kept beside the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="a teacher needs torch: install '.[test]'")
pytest.importorskip("safetensors", reason="a teacher needs safetensors: install '.[test]'")

from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioning
from quantize.augment import Augmentation
from quantize.data import zero_phase_highpass
from quantize.feed import ALL_ON, Feed, samples_from_frames
from quantize.lessons import with_lessons
from quantize.prepared import SEEN, Prepared, prepare
from quantize.teacher import Member, Teacher, TeacherConfig
from tests.benchmarks.synthetic import simulated_records

CONFIG = TeacherConfig(channels=8, kernel=3, dilations=(1, 2))
INPUTS = [INDEPENDENT_LEADS.index(lead) for lead in INPUT_LEADS]
OUTPUTS = [INDEPENDENT_LEADS.index(lead) for lead in RECONSTRUCTED_LEADS]


@pytest.fixture(scope="module")
def records() -> Prepared:
    return prepare(simulated_records(3, seconds=4.0), Conditioning(), 4, (0.9, 1.0))


@pytest.fixture
def feed(moments: np.ndarray) -> Feed:
    return Feed(Conditioning(), moments)


def teacher(seed: int = 0) -> Teacher:
    torch.manual_seed(seed)
    member = Member(CONFIG)
    torch.nn.init.normal_(member.residual_head.weight, std=0.02)
    return Teacher([member])


def test_a_teacher_that_adds_nothing_teaches_the_linear_map(records: Prepared, feed: Feed) -> None:
    taught = with_lessons(records, Teacher([Member(CONFIG)]), "a", feed).taught
    assert [lesson.shape for lesson in taught] == [(3, 5, s.shape[-1]) for s in records.signals]
    for lesson, signals in zip(taught, records.signals, strict=True):
        seen = signals[:, SEEN].astype(np.float32)[:, INPUTS]
        np.testing.assert_allclose(lesson, feed.anchors[ALL_ON] @ seen, atol=2e-3)


def test_a_lesson_is_anchor_and_residual_as_they_are_scored(records: Prepared, feed: Feed) -> None:
    made = teacher()
    lesson = with_lessons(records, made, "a", feed).taught[1][2]
    of = feed.whole(records.signals[1])
    with torch.no_grad():
        residual = samples_from_frames(made(of.ecg, of.mask, of.anchor)[0])[2].numpy()
    seen = records.signals[1][2, SEEN].astype(np.float32)[INPUTS]
    whole = feed.anchors[ALL_ON] @ seen + zero_phase_highpass(residual, 250.0)
    inside = slice(250, -250)  # the ends of a record are filtered in two ways
    np.testing.assert_allclose(lesson[:, inside], whole[:, inside], atol=5e-3)
    assert np.abs(residual).max() > 0.02


def test_no_lead_that_is_to_be_learned_reaches_a_lesson(records: Prepared, feed: Feed) -> None:
    changed = [signals.copy() for signals in records.signals]
    for signals in changed:
        signals[:, :, OUTPUTS] = np.nan
    blind = Prepared(tuple(changed), records.moments)
    for a, b in zip(
        with_lessons(records, teacher(), "a", feed).taught,
        with_lessons(blind, teacher(), "a", feed).taught,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_lessons_are_kept_by_teacher(records: Prepared, feed: Feed, tmp_path: Path) -> None:
    first = with_lessons(records, teacher(), "a", feed, tmp_path)
    stamps = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(stamps) == 2
    again = with_lessons(records, teacher(1), "a", feed, tmp_path)  # the name decides
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == stamps
    np.testing.assert_array_equal(first.taught[0], again.taught[0])
    other = with_lessons(records, teacher(1), "b", feed, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    assert not np.array_equal(first.taught[0], other.taught[0])


def test_a_student_draws_them(records: Prepared, feed: Feed) -> None:
    taught = with_lessons(records, teacher(), "a", feed)
    batch = next(iter(feed.batches(taught, 3, Augmentation(), 500, seed=0)))
    assert batch.taught is not None
    assert batch.taught.shape == batch.target.shape
    assert torch.isfinite(batch.taught).all()
