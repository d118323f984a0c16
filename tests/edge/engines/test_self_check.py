"""An engine is taken only if it computes what the bundle says: right ones pass, each wrong one is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines import registry
from edge.engines.base import Array, Engine
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.self_check import STEPS, check_finite, made_up_streams, self_check
from edge.errors import BundleError, EngineError

Break = Callable[["BrokenEngine", Array], Array]


class BrokenEngine(OnnxRuntimeEngine):
    """Fake: a right engine whose results are spoiled."""

    name = "broken"

    def __init__(self, bundle: Bundle, spoil: Break) -> None:
        super().__init__(bundle)
        self.spoil = spoil
        self.steps = 0

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        ecg_mv, log_sigma = super().step(ecg, mask, anchor)
        self.steps += 1
        return self.spoil(self, ecg_mv), log_sigma


def forgets_the_stream(engine: BrokenEngine, ecg_mv: Array) -> Array:
    engine.reset()
    return ecg_mv


def is_late(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return np.roll(ecg_mv, 1, axis=1)


def is_not_a_number(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return ecg_mv * np.float32(np.nan)


def swaps_leads(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return ecg_mv[::-1]


def fails_in_blocks(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return ecg_mv if ecg_mv.shape[-1] == 1 else ecg_mv * 0


def fails_every_other_turn(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return ecg_mv if engine.steps % 2 else ecg_mv + np.float32(0.01)


def test_a_right_engine_agrees_and_is_reset(any_bundle: Bundle) -> None:
    with OnnxRuntimeEngine(any_bundle) as engine, OnnxRuntimeEngine(any_bundle) as reference:
        assert self_check(engine, reference) == 0.0
        assert all(not codes.any() for codes in engine.state().values())


def test_torch_agrees(shipped_bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="the torch engine needs torch: install '.[test]'")
    from edge.engines.torch_engine import TorchEngine

    with TorchEngine(shipped_bundle) as engine, OnnxRuntimeEngine(shipped_bundle) as reference:
        assert 0.0 < self_check(engine, reference) < 0.5


def saturates_elsewhere(engine: BrokenEngine, ecg_mv: Array) -> Array:
    return ecg_mv * np.float32(0.99 if np.abs(ecg_mv).max() > 8 else 1)


@pytest.mark.parametrize(
    "spoil",
    [
        saturates_elsewhere,
        forgets_the_stream,
        is_late,
        is_not_a_number,
        swaps_leads,
        fails_in_blocks,
        fails_every_other_turn,
    ],
)
def test_a_wrong_engine_is_refused(shipped_bundle: Bundle, spoil: Break) -> None:
    engine = BrokenEngine(shipped_bundle, spoil)
    refused = pytest.raises(EngineError, match=r"^the broken engine does not compute what onnx")
    with OnnxRuntimeEngine(shipped_bundle) as reference, refused:
        self_check(engine, reference)


def test_the_streams_move_what_they_must(shipped_bundle: Bundle) -> None:
    """Both turns of the states, a step of a block, codes in every state; in the second many saturate."""
    ecg, fault = made_up_streams(shipped_bundle.manifest)
    assert len(STEPS) > 30 and max(STEPS) > 32
    assert 0.1 < np.abs(ecg.ecg).max() < 4
    assert 30 < np.abs(fault.ecg).max() < 40
    with OnnxRuntimeEngine(shipped_bundle) as engine:
        at_rail = []
        for stream in (ecg, fault):
            engine.reset()
            engine.step(stream.ecg, stream.mask, stream.anchor)
            assert all(codes.any() for codes in engine.state().values())
            at_rail.append(np.mean([(codes == 127).mean() for codes in engine.state().values()]))
    assert at_rail[0] < 1e-3 < 1e-2 < at_rail[1]


@pytest.mark.parametrize("weight", [np.nan, np.inf, 1e38])
def test_weights_that_give_no_numbers_are_refused(shipped_bundle: Bundle, weight: float) -> None:
    onnx = pytest.importorskip("onnx", reason="a graph is damaged with onnx: '.[test]'")
    model = onnx.load_from_string(shipped_bundle.data)
    for constant in model.graph.initializer:
        if constant.name == "head_weight":
            value = np.full_like(onnx.numpy_helper.to_array(constant), weight)
            constant.CopyFrom(onnx.numpy_helper.from_array(value, constant.name))
    damaged = Bundle(model.SerializeToString(), shipped_bundle.manifest)
    for name in ("onnxruntime", "auto"):
        with pytest.raises(BundleError, match="gives values that are no numbers"):
            registry.open_engine(damaged, name)
    with OnnxRuntimeEngine(shipped_bundle) as sound:
        check_finite(sound)


def test_the_registry_checks_every_engine_but_the_reference(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Engine] = []

    def open_broken(bundle: Bundle, say: object = None) -> Engine:
        engine = BrokenEngine(bundle, is_late)
        monkeypatch.setattr(engine, "close", lambda: closed.append(engine))
        return engine

    others = [name for name in registry.MAKERS if name != registry.REFERENCE]
    for name in others:
        monkeypatch.setitem(registry.MAKERS, name, open_broken)
        with pytest.raises(EngineError, match="does not compute"):
            registry.open_engine(shipped_bundle, name)
    choice = registry.open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert "does not compute" in choice.skipped["tensorrt"]
    assert {engine.name for engine in closed} == {"broken"}
    assert len(closed) == len(others) + len(registry.AUTO) - 1
