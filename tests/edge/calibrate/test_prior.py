"""The prior of a patient's map: there for every set, a Gaussian, and kept as it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.calibrate import prior as module
from edge.calibrate.prior import Features, Prior, open_classes, packed, prior_of, write_priors
from edge.lead_subsets import class_of, classes_of, every_subset
from edge.leads import LEADS
from edge.patient.patient import TAPS


def mean_of(prior: Prior) -> NDArray[np.float64]:
    """(n_outputs, n)."""
    return np.asarray(np.linalg.solve(prior.precision, prior.linear[..., None])[..., 0])


def test_every_set_that_leaves_a_lead_open_has_one() -> None:
    classes = open_classes()
    assert len(classes) == 510
    assert set(classes_of(every_subset()).tolist()) - set(classes) == {class_of(LEADS)}
    for which in classes:
        features, prior = Features.of(which), prior_of(which)
        n, n_outputs = len(TAPS) * len(features), len(features.open)
        assert prior.precision.shape == (n_outputs, n, n)
        assert prior.linear.shape == (n_outputs, n)
        assert np.isfinite(prior.linear).all()
        assert np.linalg.eigvalsh(prior.precision).min() > 0
        assert np.abs(mean_of(prior)).max() < 5


@pytest.mark.parametrize(
    ("leads", "known", "open_leads"),
    [
        (("II", "V1", "V5"), ("II", "V1", "V5"), ("I", "V2", "V3", "V4", "V6")),
        (("aVF",), ("aVF",), ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")),
        (("III", "aVR", "V1"), ("I", "II", "V1"), ("V2", "V3", "V4", "V5", "V6")),
    ],
    ids=str,
)
def test_features_are_independent_leads(
    leads: tuple[str, ...], known: tuple[str, ...], open_leads: tuple[str, ...]
) -> None:
    features = Features.of(class_of(leads))
    assert (features.known, features.open) == (known, open_leads)


def test_without_a_prediction_is_the_gaussian_given_that_it_weighs_nothing() -> None:
    features = Features.of(class_of(("II", "V5")))
    prior = prior_of(class_of(("II", "V5")))
    outputs = ("V1", "V2", "V3", "V4", "V6")  # I is a limb lead of the set, and off
    some = prior.without(features, outputs)
    gone = np.tile([lead == "I" for lead in features.known + features.open], len(TAPS))
    means, precisions = mean_of(prior)[1:], prior.precision[1:]  # of I, the first, nothing is asked
    for one, left, mean, precision in zip(
        some.precision, mean_of(some), means, precisions, strict=True
    ):
        covariance = np.linalg.inv(precision)
        between = covariance[np.ix_(~gone, gone)] @ np.linalg.inv(covariance[np.ix_(gone, gone)])
        expected = covariance[np.ix_(~gone, ~gone)] - between @ covariance[np.ix_(gone, ~gone)]
        np.testing.assert_allclose(np.linalg.inv(one), expected, atol=1e-8)
        np.testing.assert_allclose(left, mean[~gone] - between @ mean[gone], atol=1e-8)


def test_what_is_written_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    made = {}
    for leads in (("I", "II", "V1", "V2", "V3", "V5"), ("II", "V1", "V2", "V3", "V5", "V6")):
        features = Features.of(class_of(leads))
        shape = 400, len(features.open), len(TAPS) * len(features)
        spread = np.linspace(0.05, 0.15, shape[1])[:, None]  # each output has its own
        made[class_of(leads)] = spread * rng.standard_normal(shape) + 0.2
    file = tmp_path / "prior.npz"
    write_priors(file, {which: packed(weights) for which, weights in made.items()})
    monkeypatch.setattr(module, "FILE", file)
    module._stored.cache_clear()
    try:
        for which, weights in made.items():
            prior = prior_of(which)
            np.testing.assert_allclose(mean_of(prior), weights.mean(0), atol=1e-3)
            variance = np.linalg.inv(prior.precision).diagonal(0, 1, 2)
            wanted = np.square(np.linspace(0.05, 0.15, len(variance)))
            np.testing.assert_allclose(variance.mean(1), wanted, rtol=0.1)
    finally:
        module._stored.cache_clear()
