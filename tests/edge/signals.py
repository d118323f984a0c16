"""Signals that several tests read: simulated leads with noise, and ways to cut a stream."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.leads import INPUT_LEADS, LEADS
from edge.samples import TwelveLeadBlock
from firmware_bridge.simulators.ecg import EcgSimulator

ROWS = [LEADS.index(name) for name in INPUT_LEADS]


def three_leads(n_samples: int, seed: int = 0, sampling_hz: float = 250.0) -> NDArray[np.float32]:
    """II, V1, V5 of the simulator with wander, hum and muscle noise, (3, n_samples) mV."""
    simulator = EcgSimulator(
        sampling_hz, 75, baseline_mv=0.1, mains_mv=0.02, muscle_mv=0.01, seed=seed
    )
    return simulator.read(n_samples)[ROWS]


def cuts(n_samples: int, most: int = 8) -> st.SearchStrategy[list[int]]:
    """Where to cut a stream of `n_samples`: few or many pieces, empty ones among them."""
    return st.one_of(
        st.lists(st.integers(0, n_samples), max_size=most).map(sorted),
        st.sampled_from([1, 2, 3, 4, 5, 7, 36]).map(lambda step: [*range(0, n_samples, step)]),
    )


def pieces(n_samples: int, at: Sequence[int]) -> list[slice]:
    """The pieces between the cuts, end to end."""
    edges = [0, *at, n_samples]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def joined(blocks: Sequence[TwelveLeadBlock]) -> TwelveLeadBlock:
    """Contiguous blocks as one; asserts that they are contiguous."""
    at = blocks[0].first_sample
    for block in blocks:
        assert block.first_sample == at
        at += block.n_samples
    return TwelveLeadBlock(
        np.concatenate([b.ecg_mv for b in blocks], 1),
        np.concatenate([b.sigma_mv for b in blocks], 1),
        np.concatenate([b.quality for b in blocks], 1),
        blocks[0].first_sample,
        blocks[0].sampling_hz,
        blocks[0].provenance,
    )
