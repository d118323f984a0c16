"""Scores by set: those of PROTOCOL.md, and of an untrained network those of the linear map."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from benchmarks.fidelity.scores import record_scores, scored
from edge.lead_subsets import INDEPENDENT_ROWS, N_CLASSES, class_of, known
from edge.leads import (
    INDEPENDENT_LEADS,
    INPUT_LEADS,
    LEADS,
    RECONSTRUCTED_LEADS,
    lead_indices,
)
from edge.signal.conditioning import Conditioner, Conditioning
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.sampling import NAMED_SETS
from quantize.any_leads.scores import (
    costly_leads,
    gain_by_number,
    r_and_rmse,
    reconstructed,
    score_sets,
    scored_signals,
)
from quantize.data import Records
from quantize.feed import ALL_ON, Feed
from quantize.network import FIRST_LOG_SIGMA
from quantize.student import Student, StudentConfig
from tests.benchmarks.synthetic import simulated_records


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(3)


def test_an_untrained_network_scores_as_the_linear_map(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    classes = [class_of(leads) for leads in NAMED_SETS]
    scores = list(score_sets(Student(small), records, feed, classes))
    assert scores[0].leads == "II+V1+V5" and len(scores) == len(NAMED_SETS)
    for score in scores:
        assert score.r == pytest.approx(score.linear_r, abs=1e-5)
        assert score.rmse_uv == pytest.approx(score.linear_rmse_uv, abs=1e-2)
        assert score.leads in score.line()


def test_the_linear_score_is_that_of_the_benchmarks(
    feed: AnyFeed, small: StudentConfig, records: Records, moments: np.ndarray
) -> None:
    (ours,) = score_sets(Student(small), records, feed, [class_of(INPUT_LEADS)])
    inputs, outputs = (
        lead_indices(leads, INDEPENDENT_LEADS) for leads in (INPUT_LEADS, RECONSTRUCTED_LEADS)
    )
    ecg_mv = records.millivolts()
    anchor = Feed(Conditioning(), moments).anchors[ALL_ON]
    predicted = [
        anchor @ Conditioner(Conditioning(), 250.0, 3, 4).push(one[inputs])[0] for one in ecg_mv
    ]
    theirs = record_scores(scored(ecg_mv[:, outputs], 250.0), scored(np.stack(predicted), 250.0))
    assert ours.linear_r == pytest.approx(theirs["r"].mean(), abs=1e-4)
    assert ours.linear_rmse_uv == pytest.approx(theirs["rmse_uv"].mean(), rel=1e-3)


def test_shorter_records_are_scored_to_where_they_are_right(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    """2,450 samples count to 2,430: what comes after changes nothing, what comes before does."""
    ecg = records.ecg_uv[..., :2450].copy()
    short = Records("short", ecg, 250.0, records.record_id, records.patient_id)
    (before,) = score_sets(Student(small), short, feed, [class_of(("I", "II"))])
    spikes = np.int16(3000) * np.array(
        [1, -1] * 4, np.int16
    )  # without a drift that would leak back
    ecg[..., 2430:2438] += spikes
    (after,) = score_sets(Student(small), short, feed, [class_of(("I", "II"))])
    assert after.rmse_uv == pytest.approx(before.rmse_uv, abs=1.0)
    ecg[..., 2422:2430] += spikes
    (within,) = score_sets(Student(small), short, feed, [class_of(("I", "II"))])
    assert within.rmse_uv > before.rmse_uv + 20


def test_r_and_rmse_of_what_is_known() -> None:
    t = np.sin(np.arange(1000) / 10)
    r, rmse = r_and_rmse(np.stack([t, t, 0 * t]), np.stack([t + 1, -t, t]))
    assert r[:2] == pytest.approx([1, -1]) and np.isnan(r[2])
    assert rmse[0] == pytest.approx(1)


def test_variance_and_the_error_over_all_twelve(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    """Less is open, less is wrong; and what is wrong of I and II is wrong of the four that follow."""
    sets = [("V1",), ("I", "V1"), ("I", "II", "V1"), LEADS[:11]]
    scores = list(score_sets(Student(small), records, feed, [class_of(leads) for leads in sets]))
    errors = [score.twelve_uv for score in scores]
    assert errors == sorted(errors, reverse=True)
    assert scores[-1].twelve_uv == pytest.approx(scores[-1].rmse_uv / 12)
    assert all(0 < score.variance_ratio < 1.5 for score in scores)


@pytest.mark.parametrize(
    "leads", [("V1",), ("aVF",), ("II", "V1"), ("I", "II", "V1"), LEADS[:11]], ids="+".join
)
def test_by_lead_what_is_known_is_0_and_the_rest_makes_up_the_means(
    leads: tuple[str, ...], feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    which = class_of(leads)
    (score,) = score_sets(Student(small), records, feed, [which])
    assert [uv == 0 for uv in score.lead_rmse_uv] == known(which).tolist()
    assert [r is None for r in score.lead_r] == known(which).tolist()
    unknown = [row for row in INDEPENDENT_ROWS if not known(which)[row]]
    assert np.mean([score.lead_rmse_uv[row] for row in unknown]) == pytest.approx(score.rmse_uv)
    assert np.mean([score.lead_r[row] for row in unknown]) == pytest.approx(score.r)
    assert np.mean(score.lead_rmse_uv) == pytest.approx(score.twelve_uv)


def test_by_lead_a_derived_one_has_the_error_of_what_it_rests_on(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    """With II measured: III = II - I is as wrong as I, aVF = II - I/2 half as much."""
    (score,) = score_sets(Student(small), records, feed, [class_of(("II", "V1"))])
    by_lead = dict(zip(LEADS, score.lead_rmse_uv, strict=True))
    assert by_lead["III"] == pytest.approx(by_lead["I"], rel=0.05)
    assert by_lead["aVF"] == pytest.approx(by_lead["I"] / 2, rel=0.05)


def test_scoring_leaves_the_network_as_it_was(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    student = Student(small).train()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    list(score_sets(student, records, feed, [class_of(("I",))]))
    after = student.state_dict()
    assert student.training and before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_lead_that_is_flat_in_every_record_has_no_r(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    ecg = records.ecg_uv.copy()
    ecg[:, INDEPENDENT_LEADS.index("V6")] = 0
    flat = Records("flat", ecg, 250.0, records.record_id, records.patient_id)
    (score,) = score_sets(Student(small), flat, feed, [class_of(("I", "II"))])
    assert score.lead_r[LEADS.index("V6")] is None and score.lead_r[LEADS.index("V5")] is not None
    assert score.lead_rmse_uv[LEADS.index("V6")] > 0 and np.isfinite(score.r)


def test_sigma_is_honest_where_error_over_sigma_is_one(
    feed: AnyFeed, small: StudentConfig, records: Records
) -> None:
    """Of an untrained network all twelve are FIRST_LOG_SIGMA: what is measured must not count."""
    which = class_of(
        ("II", "V1", "V2", "V3", "V4", "V5", "V6")
    )  # I is open, and what follows from it
    (score,) = score_sets(Student(small), records, feed, [which])
    quarter = Student(small)
    assert quarter.sigma_head.conv.bias is not None
    torch.nn.init.constant_(quarter.sigma_head.conv.bias, FIRST_LOG_SIGMA - math.log(4))
    (smaller,) = score_sets(quarter, records, feed, [which])
    assert smaller.error_in_sigmas == pytest.approx(4 * score.error_in_sigmas, rel=1e-4)
    # III and aVL are as wrong as I, aVR and aVF half as much.
    mean_square = (3 + 2 / 4) / 5 * (score.rmse_uv / 1000) ** 2
    sigmas = math.sqrt(mean_square) / math.exp(FIRST_LOG_SIGMA)
    assert score.error_in_sigmas == pytest.approx(
        sigmas, rel=0.2
    )  # r.m.s. here, a mean of r.m.s. there


def test_a_lead_that_makes_a_set_worse_is_named() -> None:
    errors = {("I",): 90.0, ("I", "II"): 60.0, ("I", "V1"): 91.5, ("I", "II", "V1"): 60.2}
    costly = costly_leads({class_of(leads): uv for leads, uv in errors.items()})
    assert costly == {("I", "V1"): pytest.approx(1.5), ("I+II", "V1"): pytest.approx(0.2)}
    assert list(costly) == [("I", "V1"), ("I+II", "V1")]


def test_gains_are_averaged_over_subsets_not_classes() -> None:
    """Of 66 pairs 15 are of two limb leads: one class."""
    gains = dict.fromkeys(range(1, N_CLASSES), 0.0)
    gains[class_of(("I", "II"))] = 1.0
    by_number = gain_by_number(gains)
    assert list(by_number) == [1, 2, 3, 4, 5, 6, 7]
    assert by_number[1] == 0 and by_number[7] == 0
    assert by_number[2] == pytest.approx(15 / 66)
    assert by_number[6] == pytest.approx(1 / 924)


class Late(torch.nn.Module):
    """Knows the targets, and says them two hops late; after the end of the record, too."""

    late_samples = 8
    config = SimpleNamespace(lookahead=2)

    def __init__(self, target: torch.Tensor) -> None:
        super().__init__()
        self.target = target

    def forward(self, ecg: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        late = torch.nn.functional.pad(self.target, (self.late_samples, 0))
        framed = late.unflatten(-1, (-1, ecg.shape[2])).transpose(2, 3)
        assert framed.shape[-1] == ecg.shape[-1]
        return framed, torch.zeros(len(ecg), len(LEADS), *ecg.shape[2:])


def test_what_a_network_says_late_is_scored_in_its_place(feed: AnyFeed, records: Records) -> None:
    which = class_of(INPUT_LEADS)
    signals = scored_signals(records, Conditioning(), 4)
    whole = feed.whole(signals.signals, which)
    rows = ~known(which)[INDEPENDENT_ROWS]
    network = Late(whole.target)
    linear, shown, _ = reconstructed(network, feed, signals, slice(3), which)  # type: ignore[arg-type]
    missed, left = (np.square(signals.truth - one)[:, rows].mean() for one in (linear, shown))
    assert left < 0.01 * missed
