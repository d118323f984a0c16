"""The graph whose streams are rows of one image: the bits of each stream alone."""

from __future__ import annotations

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.batch_graph import AS_ROWS, batch_graph
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine, open_session
from tests.edge.engines.given import given_from_leads
from tests.edge.signals import three_leads

SLOTS = 6


@pytest.mark.parametrize("frames", [1, 3])
def test_rows_have_the_bits_of_a_stream_alone(shipped_bundle: Bundle, frames: int) -> None:
    m = shipped_bundle.manifest
    every = [
        given_from_leads(m, three_leads(12 * m.hop, seed), (True, seed % 2 == 0, True))
        for seed in range(SLOTS)
    ]
    steps = [slice(at, at + frames) for at in range(0, 12, frames)]
    together = [np.concatenate(part) for part in zip(*every, strict=True)]
    with OnnxRuntimeEngine(shipped_bundle) as engine, OnnxRuntimeEngine(shipped_bundle) as alone:
        batch = engine.open_batch(SLOTS)
        ecg, mask, anchor = together
        made = [
            [a.copy() for a in batch.step([*range(SLOTS)], ecg[..., at], mask[..., at], anchor)]
            for at in steps
        ]
        for slot, (ecg, mask, anchor) in enumerate(every):
            alone.reset()
            for at, ours in zip(steps, made, strict=True):
                theirs = alone.step(ecg[..., at], mask[..., at], anchor)
                for one, other in zip(ours, theirs, strict=True):
                    assert one[slot].tobytes() == other.tobytes()
            for name, codes in alone.state().items():
                np.testing.assert_array_equal(batch.state(slot)[name], codes)


def test_the_shipped_graph_is_rewritten_and_an_unknown_one_is_left(shipped_bundle: Bundle) -> None:
    n = len(shipped_bundle.manifest.states)
    graph = batch_graph(shipped_bundle.data, n)
    assert graph is not None and AS_ROWS.encode() in graph
    open_session(graph)
    assert batch_graph(shipped_bundle.data, n + 1) is None
    assert batch_graph(shipped_bundle.data.replace(b"head_in", b"head_on"), n) is None
