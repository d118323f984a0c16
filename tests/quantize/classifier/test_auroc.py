"""Areas under the ROC curve: pairs counted one by one, weights as repetitions, the curve's own area."""

from __future__ import annotations

import numpy as np
import pytest

from quantize.classifier.auroc import auroc, roc

RNG = np.random.default_rng(0)
SAYS = RNG.integers(0, 8, 60).astype(np.float64)  # with ties
IS_SO = RNG.random(60) < 0.4


def by_pairs(says: np.ndarray, is_so: np.ndarray) -> float:
    return float((1 + np.sign(says[is_so][:, None] - says[~is_so][None]).mean()) / 2)


def test_it_is_the_share_of_pairs_in_order() -> None:
    assert float(auroc(SAYS, IS_SO)) == pytest.approx(by_pairs(SAYS, IS_SO))
    assert float(auroc(IS_SO.astype(float), IS_SO)) == 1
    assert float(auroc(-IS_SO.astype(float), IS_SO)) == 0
    assert float(auroc(np.zeros(60), IS_SO)) == 0.5


def test_a_weight_is_a_repetition() -> None:
    weights = RNG.integers(0, 4, (5, 60))
    repeated = [by_pairs(np.repeat(SAYS, one), np.repeat(IS_SO, one)) for one in weights]
    np.testing.assert_allclose(auroc(SAYS, IS_SO, weights.astype(float)), repeated)


def test_one_kind_alone_has_no_area() -> None:
    assert np.isnan(auroc(SAYS, np.ones(60, bool)))
    assert np.isnan(auroc(SAYS, IS_SO, IS_SO[None].astype(float))).all()


def test_the_curve_has_that_area_below_it() -> None:
    x, y = roc(SAYS, IS_SO)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)) == pytest.approx(
        float(auroc(SAYS, IS_SO))
    )
