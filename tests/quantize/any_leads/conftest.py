"""What the tests of any-lead training share: simulated records, a mixture of two kinds, a small network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from quantize.data import Records
from tests.benchmarks.synthetic import simulated_records

if TYPE_CHECKING:
    from quantize.any_leads.drawn import Mixture
    from quantize.any_leads.feed import AnyFeed
    from quantize.any_leads.train import Experiment
    from quantize.student import StudentConfig


@pytest.fixture(scope="session")
def simulated() -> Records:
    return simulated_records(6, seconds=6.0)


@pytest.fixture(scope="session")
def mixture(simulated: Records) -> Mixture:
    """Four records of 6 s at three paces, two of 4 s at one: the shorter ones as often as the longer."""
    pytest.importorskip("torch", reason="training needs torch: install '.[test]'")
    pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
    from edge.signal.conditioning import Conditioning
    from quantize.any_leads.drawn import Mixture, Source
    from quantize.hundred_hz import rows_of
    from quantize.prepared import prepare

    shorter = simulated_records(2, seconds=4.0)
    return Mixture(
        Source(
            prepare(rows_of(simulated, [0, 1, 2, 3]), Conditioning(), 4, (0.9, 1.0, 1.1)),
            np.arange(4),
            0.5,
        ),
        Source(prepare(shorter, Conditioning(), 4, (1.0,)), np.arange(2), 0.5),
    )


@pytest.fixture
def feed(moments: np.ndarray) -> AnyFeed:
    from quantize.any_leads.feed import AnyFeed

    return AnyFeed(moments)


@pytest.fixture
def experiment(mixture: Mixture, feed: AnyFeed) -> Experiment:
    from quantize.any_leads.sampling import Sampling
    from quantize.any_leads.train import Experiment
    from quantize.augment import Augmentation

    return Experiment(
        mixture, feed, Augmentation(white_noise=0.5), Sampling(), about={"moments": [[1.0]]}
    )


@pytest.fixture
def small() -> StudentConfig:
    from quantize.student import StudentConfig

    return StudentConfig(
        channels=8, kernel=3, dilations=(1, 2), n_inputs=12, n_outputs=8, n_sigmas=12, dropout=0.1
    )
