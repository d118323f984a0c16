"""TensorRT's inspector, and what the bindings give for weights, read as plain values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.device.layer_report import contiguous, inspect, layers_from_inspector
from edge.engines.trt.library import TensorRtLibrary
from edge.errors import EngineBuildError

INSPECTED = """{"Layers": [
{"Name": "stem + stem_relu", "LayerType": "CaskConvolution", "ParameterType": "Convolution",
 "Inputs": [{"Name": "stem_in", "Dimensions": [1, 11, 4, 1],
             "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
 "Outputs": [{"Name": "stem_out_codes", "Dimensions": [1, 128, 1, 1],
              "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}],
 "Weights": {"Type": "Int8", "Count": 5632}, "TacticName": "sm80_xmma_fprop_i8i8"},
{"Name": "head", "LayerType": "CaskGemmConvolution", "ParameterType": "Convolution",
 "Inputs": [{"Name": "x", "Format/Datatype": "Row major linear FP32"}],
 "Outputs": [{"Name": "y", "Format/Datatype": "Row major linear FP32"}]},
{"Name": "constant", "LayerType": "Constant", "Inputs": [],
 "Outputs": [{"Name": "k", "Format": "Row major linear", "Datatype": "FP16"}]}],
"Bindings": ["ecg", "ecg_mv"]}"""


def test_layers_of_an_engine_are_read_from_the_inspectors_json() -> None:
    """In the form that its documentation shows: no engine was inspected here."""
    stem, head, constant = layers_from_inspector(INSPECTED)
    assert (stem.name, stem.type, stem.precision) == ("stem + stem_relu", "CaskConvolution", "int8")
    assert (stem.inputs, stem.outputs) == (("stem_in",), ("stem_out_codes",))
    assert stem.is_int8_convolution
    assert head.is_convolution and not head.is_int8_convolution
    assert head.precision == "fp32"
    assert (constant.precision, constant.is_convolution) == ("fp16", False)
    assert [layer.name for layer in layers_from_inspector('{"Layers": ["a", "b"]}')] == ["a", "b"]


@pytest.mark.parametrize("text", ["", "[]", '{"Layers": [{}]}', '{"Layers": [3]}', "{"])
def test_an_answer_of_the_inspector_that_does_not_parse(text: str) -> None:
    with pytest.raises(EngineBuildError, match="the engine inspector's answer does not parse"):
        layers_from_inspector(text)


def test_the_inspector_is_asked_for_json_and_may_say_nothing() -> None:
    module = SimpleNamespace(LayerInformationFormat=SimpleNamespace(JSON=1))
    library = TensorRtLibrary(module, "tensorrt", "10.3.0", None)
    asked = []

    def engine_that_says(text: str | None) -> Any:
        inspector = SimpleNamespace(get_engine_information=lambda how: asked.append(how) or text)
        return SimpleNamespace(create_engine_inspector=lambda: inspector)

    assert len(inspect(engine_that_says(INSPECTED), library)) == 3
    assert asked == [1]
    for silent in (engine_that_says(None), SimpleNamespace(create_engine_inspector=lambda: None)):
        with pytest.raises(EngineBuildError, match="its inspector says nothing of the engine"):
            inspect(silent, library)


def test_weights_are_read_whatever_their_strides_say() -> None:
    """TensorRT 10.3's bindings give stride 0 under NumPy 2."""
    stored = np.arange(6, dtype=np.float32) + 0.5
    wrong = np.lib.stride_tricks.as_strided(stored, strides=(0,))
    assert (wrong == stored[0]).all()
    assert np.array_equal(contiguous(wrong), stored)
    assert np.array_equal(contiguous(stored), stored)
