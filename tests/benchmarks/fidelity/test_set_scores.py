"""Scores of a set of leads: the default set as before, any other by hand, kept and found."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import edge
from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.method_scores import lead_scores
from benchmarks.fidelity.methods import Method, linear_predictions, predict, truth_mv
from benchmarks.fidelity.scores import scored, sigma_factor
from benchmarks.fidelity.set_scores import (
    N_BINS,
    N_PLACES,
    OF_IMAGE,
    OF_MAP,
    SetScores,
    Truth,
    score_set,
)
from benchmarks.fidelity.set_summaries import covered, per_record, sigma_factor_of
from benchmarks.fidelity.tables import NOT_MEASURED
from edge.bundle import load_bundle
from edge.engines.registry import open_engine
from edge.lead_subsets import TWELVE
from edge.leads import INPUT_LEADS, LEADS, lead_indices
from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

BUNDLE = load_bundle()
METHOD = Method("shipped", "", BUNDLE, "onnxruntime")
HOLTER = ("V1", "V5", "aVF")


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(2)


@pytest.fixture(scope="module")
def engine() -> edge.Engine:
    return open_engine(BUNDLE, "onnxruntime").engine


def scores_of(
    engine: edge.Engine, records: Records, leads: tuple[str, ...] = HOLTER, **options: bool | Path
) -> SetScores:
    return score_set(METHOD, engine, leads, Truth(records, 4), **options)  # type: ignore[arg-type]


def test_the_default_leads_score_as_they_do_beside_the_other_methods(
    engine: edge.Engine, records: Records
) -> None:
    found = scores_of(engine, records, INPUT_LEADS)
    made = predict(METHOD, records)
    rows = lead_indices(NOT_MEASURED)
    for ours, theirs in ((found.ours, made), (found.linear, linear_predictions(BUNDLE, made))):
        expected = lead_scores(theirs, records, None)
        for name in OF_MAP:
            assert ours[name][:, rows] == pytest.approx(expected[name], rel=1e-3, abs=1e-3), name
            assert np.isnan(ours[name][:, lead_indices(INPUT_LEADS)]).all()
    five = found.ours["r"][:, rows[:5]].mean(1)
    assert per_record(found.ours["r"]) == pytest.approx(five)


def test_any_leads_by_hand(engine: edge.Engine, records: Records) -> None:
    found = scores_of(engine, records, images=True)
    truth = truth_mv(records, 2500)
    rows = lead_indices(HOLTER)
    made = np.stack([edge.reconstruct(one[rows], 250.0, HOLTER) for one in truth])
    real, shown = scored(truth, 250.0), scored(made, 250.0)
    measure = TWELVE[rows]
    moments = BUNDLE.manifest.moments
    least_squares = TWELVE @ moments @ measure.T @ np.linalg.inv(measure @ moments @ measure.T)
    mapped = least_squares @ shown[:, rows]
    unknown = [i for i in range(12) if i not in rows]
    for ours, expected in ((found.ours, shown), (found.linear, mapped)):
        for i in unknown:
            r = np.corrcoef(real[1, i], expected[1, i])[0, 1]
            assert ours["r"][1, i] == pytest.approx(r, abs=1e-4)
    error = shown - real
    error[:, rows] = 0
    assert found.twelve_uv == pytest.approx(1e3 * np.sqrt((error**2).mean(-1)).mean(1), rel=1e-3)
    for name in OF_IMAGE:
        assert np.isfinite(found.ours[name]).all()  # of the known leads too
    assert (found.ours["ssim"][:, rows] > found.ours["ssim"][:, unknown].mean()).all()
    assert not found.missing.any()


def test_hop_by_hop_is_whole(engine: edge.Engine, records: Records) -> None:
    whole, hops = (scores_of(engine, records, hop_by_hop=h) for h in (False, True))
    for name in OF_MAP:
        assert hops.ours[name] == pytest.approx(whole.ours[name], rel=1e-3, nan_ok=True)


def test_errors_are_counted_by_their_sigmas(engine: edge.Engine, records: Records) -> None:
    found = scores_of(engine, records)
    n_scored = round(7.92 * 250)
    assert found.errors.shape == (2, N_PLACES, N_BINS)
    assert (found.errors.sum((1, 2)) == 6 * n_scored).all()  # six of the eight are unknown
    by_lead = found.errors_by_lead.sum((1, 2))
    assert by_lead.tolist() == [0 if lead in HOLTER else 2 * n_scored for lead in LEADS]


def test_the_factor_and_the_coverage_of_counts_are_those_of_the_samples() -> None:
    rng = np.random.default_rng(3)
    errors, sigma = rng.normal(size=50_000), rng.uniform(0.5, 1, 50_000)
    counts = np.histogram(np.abs(errors) / sigma, np.arange(N_BINS + 1) / 50)[0]
    k = sigma_factor_of(counts)
    assert k == pytest.approx(sigma_factor(errors, sigma), abs=2e-3)
    assert covered(counts, k) / counts.sum() == pytest.approx(0.9, abs=1e-3)
    assert covered(counts, 1e9) == counts[:-1].sum()  # of the last no k covers any


def test_scores_are_kept_and_taken_again(
    engine: edge.Engine, records: Records, tmp_path: Path
) -> None:
    made = scores_of(engine, records, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    again = scores_of(engine, records, folder=tmp_path)
    for name in OF_MAP:
        np.testing.assert_array_equal(again.ours[name], made.ours[name])
        np.testing.assert_array_equal(again.linear[name], made.linear[name])
    np.testing.assert_array_equal(again.errors, made.errors)
    with np.load(file) as stored:
        arrays = dict(stored)
    np.savez(file, **arrays | {"twelve_uv": arrays["twelve_uv"] + 1})
    assert (scores_of(engine, records, folder=tmp_path).twelve_uv == made.twelve_uv + 1).all()
    scores_of(engine, records, ("II",), folder=tmp_path)
    scores_of(engine, records, images=True, folder=tmp_path)
    scores_of(engine, records, hop_by_hop=True, folder=tmp_path)
    scores_of(engine, records.take(1), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


def test_a_calibration_is_scored_after_its_reference(engine: edge.Engine, records: Records) -> None:
    records = dataclasses.replace(records, ecg_uv=records.ecg_uv.copy())
    records.ecg_uv[0, 4, :500] = 0  # V3 off while the reference is taken
    own = dataclasses.replace(METHOD, calibration_s=3.0)
    truth = Truth(records, 4, 3.0)
    found, plain = (score_set(one, engine, ("I", "II"), truth) for one in (own, METHOD))
    assert truth.eight_mv.shape[-1] == round(6.92 * 250)
    assert found.refused.tolist() == [True, False]
    ours, theirs = (per_record(one.ours["rmse_uv"]) for one in (found, plain))
    assert ours[0] == theirs[0]
    assert ours[1] < 0.7 * theirs[1]


def test_a_shorter_record_is_scored_to_its_own_end(records: Records) -> None:
    cut = dataclasses.replace(records, ecg_uv=records.ecg_uv[..., :2450])
    assert Truth(cut, 4).counts == slice(500, 2430)
    assert Truth(records, 4).counts == slice(500, 2480)


def test_what_is_off_scores_as_a_flat_line(engine: edge.Engine, records: Records) -> None:
    dead = dataclasses.replace(records, ecg_uv=records.ecg_uv * np.int16(0))
    found = scores_of(engine, dead)
    assert (found.missing > 0.5).all()
    assert (per_record(found.ours["rmse_uv"]) < 2).all()  # what the decoder said before it was seen
    assert np.isnan(per_record(found.ours["in_sigmas"])).all()  # no sigma, no share of it


def test_records_of_another_rate_are_refused(engine: edge.Engine, records: Records) -> None:
    with pytest.raises(BenchmarkError, match="500 Hz"):
        scores_of(engine, dataclasses.replace(records, sampling_hz=500.0))
