"""TensorRT-RTX for tests: it parses and builds on a CPU. And graphs, spoiled in one way each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge.engines.trt.library import TensorRtLibrary, library_from_module

DEVICE = "8.6"  # one that TensorRT-RTX builds for without its being here


def rtx_library() -> TensorRtLibrary:
    """The library, or a skip that names what is missing."""
    module = pytest.importorskip(
        "tensorrt_rtx_bindings", reason="building needs TensorRT-RTX: install '.[trt-rtx]'"
    )
    return library_from_module(module, "tensorrt_rtx")


def spoiled(graph: bytes, change: Callable[[Any], None]) -> bytes:
    """A serialised ONNX model after `change` was done to it."""
    import onnx

    model = onnx.load_from_string(graph)
    change(model.graph)
    spoilt: bytes = model.SerializeToString(deterministic=True)
    return spoilt


def node_of(graph: Any, output: str) -> Any:
    """The node that makes a tensor."""
    return next(node for node in graph.node if output in node.output)


def constant_of(graph: Any, name: str) -> np.ndarray:
    """The value of a constant."""
    from onnx import numpy_helper

    value: np.ndarray = numpy_helper.to_array(next(c for c in graph.initializer if c.name == name))
    return value


def set_constant(graph: Any, name: str, value: np.ndarray) -> None:
    """Add a constant, or change it."""
    from onnx import numpy_helper

    for constant in [c for c in graph.initializer if c.name == name]:
        graph.initializer.remove(constant)
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def insert_before(
    graph: Any, reader: str, op: str, inputs: list[str], output: str, **more: Any
) -> None:
    """A node right before the one that makes `reader`."""
    from onnx import helper

    at = next(i for i, node in enumerate(graph.node) if reader in node.output)
    graph.node.insert(at, helper.make_node(op, inputs, [output], name=output, **more))
