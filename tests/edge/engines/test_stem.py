"""The stem of 9 bits, and of 8: ONNX Runtime's codes wherever its input is rounded or cut off."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.c_export.network import Seen, network_of
from edge.engines.base import Engine
from edge.engines.c.engine import CEngine
from edge.engines.litert.engine import LiteRtEngine
from edge.engines.litert.proof import beside_codes
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.errors import EngineMissingError
from tests.edge.engines.given import Given, eight_bit_stem, given_from_leads

Engines = tuple[Engine, OnnxRuntimeEngine]
FRAMES = 200


@pytest.fixture(params=["nine_bits", "eight_bits", "shipped"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    kind: str = request.param
    if kind == "shipped":
        shipped: Bundle = request.getfixturevalue("shipped_bundle")
        return shipped
    tiny: Bundle = request.getfixturevalue("tiny_bundle")
    found = eight_bit_stem(tiny) if kind == "eight_bits" else tiny
    assert network_of(found).seen.twice == (kind == "nine_bits")
    return found


@pytest.fixture(params=[CEngine, LiteRtEngine], ids=lambda made: made.name)
def engines(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[Engines]:
    try:
        opened = request.param(bundle)
    except EngineMissingError as error:
        pytest.skip(str(error))
    with opened, OnnxRuntimeEngine(bundle) as reference:
        yield opened, reference


def assert_same_codes(engines: Engines, given: Given) -> None:
    """After each hop: the newest codes of the first state are the stem's."""
    ecg, mask, anchor = given
    for frame in range(ecg.shape[-1]):
        at = slice(frame, frame + 1)
        for engine in engines:
            engine.step(ecg[..., at], mask[..., at], anchor)
        ours, theirs = (engine.state() for engine in engines)
        for name, codes in theirs.items():
            assert np.array_equal(ours[name], codes), (frame, name)


def made_of(bundle: Bundle, values: np.ndarray) -> Given:
    """Rows in mV, all known, and an anchor that gives halves and sums of them."""
    m = bundle.manifest
    ecg = values.astype(np.float32).reshape(1, len(m.input_leads), m.hop, -1)
    parts = np.random.default_rng(1).choice(
        [0, 0, 0.5, -0.5, 1], (1, len(m.output_leads), len(m.input_leads), 1, 1)
    )
    return ecg, np.ones_like(ecg), parts.astype(np.float32)


def test_values_half_way_between_two_codes(bundle: Bundle, engines: Engines) -> None:
    """Rounded to the even one, of either sign."""
    seen, m = network_of(bundle).seen, bundle.manifest
    shape = len(m.input_leads) * m.hop * FRAMES
    steps = np.random.default_rng(2).integers(-seen.largest // 2, seen.largest // 2, shape) + 0.5
    assert_same_codes(engines, made_of(bundle, steps.astype(np.float32) * seen.scale))


@pytest.mark.parametrize("mv", [9.0, 32.0])
def test_electrode_faults_beyond_the_range(bundle: Bundle, engines: Engines, mv: float) -> None:
    rng, m = np.random.default_rng(3), bundle.manifest
    levels = np.repeat(rng.uniform(-mv, mv, (3, FRAMES * m.hop // 8)), 8, axis=1)
    assert_same_codes(engines, given_from_leads(m, levels.astype(np.float32)))
    for engine in engines:
        engine.reset()
    shape = len(m.input_leads) * m.hop * FRAMES
    assert_same_codes(engines, made_of(bundle, rng.uniform(-mv, mv, shape)))


@pytest.mark.parametrize(
    "seen", [Seen(np.float32(2**-6), -255, 255), Seen(np.float32(4 / 127), -128, 127)]
)
def test_every_code_and_every_half_is_compared(seen: Seen) -> None:
    leads, codes = beside_codes(seen)
    assert np.array_equal(np.unique(codes), np.arange(seen.lowest, seen.highest + 1))
    inside = np.abs(leads / seen.scale) < seen.highest
    apart = np.abs(leads / seen.scale - codes)[inside]
    assert apart.max() <= 0.5
    assert (apart > 0.49).sum() >= 2 * seen.highest - 2
