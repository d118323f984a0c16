"""The full-precision reference: the bundle's own graph, node by node, in torch's float arithmetic.

Quantisers round as the graph says; convolutions add up in float64, where sums of codes are exact: what an
engine that fuses into integer kernels must agree with. It knows the operators of a bundle and no others.
Needs torch and onnx.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines.base import Array, Engine
from edge.errors import EngineError
from firmware_bridge.extras import install_extra

if TYPE_CHECKING:
    import torch


class TorchEngine(Engine):
    """Torch on the CPU, one operator at a time."""

    name = "torch"

    def __init__(self, bundle: Bundle, exact: bool = True) -> None:
        """Without `exact`, convolutions add up in float32: as fast as torch is, for benchmarks."""
        super().__init__(bundle)
        try:
            import onnx
            import torch
            from onnx import helper, numpy_helper
        except ImportError as error:
            raise EngineError(
                f"the torch engine needs torch and onnx ({error}): {install_extra('train')}"
            ) from error
        self._torch = torch
        graph = onnx.load_from_string(bundle.data).graph
        operators = _operators(exact)
        unknown = {node.op_type for node in graph.node} - set(operators)
        if unknown:
            raise EngineError(
                f"the torch engine has no operator {', '.join(sorted(unknown))}: use onnxruntime"
            )
        self._constants = {
            c.name: torch.from_numpy(numpy_helper.to_array(c).copy()) for c in graph.initializer
        }
        self._nodes = [
            (
                operators[node.op_type],
                list(node.input),
                list(node.output),
                {a.name: helper.get_attribute_value(a) for a in node.attribute},
            )
            for node in graph.node
        ]
        self._state = self.zero_state()

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream; see Engine."""
        values = self.trace(ecg, mask, anchor)
        return values["ecg_mv"].numpy()[0], values["log_sigma"].numpy()[0]

    def trace(self, ecg: Array, mask: Array, anchor: Array) -> dict[str, torch.Tensor]:
        """The same step, with every tensor of the graph by name."""
        mask = np.broadcast_to(mask, ecg.shape).astype(np.float32)
        given = {"ecg": ecg, "mask": mask, "anchor": anchor, **self._state}
        values = {name: self._torch.from_numpy(np.array(a)) for name, a in given.items()}
        values.update(self._constants)  # an input that is left out has the empty name, and is None
        with self._torch.no_grad():
            for operator, inputs, outputs, attributes in self._nodes:
                results = operator([values.get(name) for name in inputs], attributes)
                values.update(zip(outputs, results, strict=True))
        self._state = {s.input: values[s.output].numpy() for s in self.manifest.states}
        return values

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the state tensors; see Engine."""
        return {name: array.copy() for name, array in self._state.items()}

    def set_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from these state tensors; see Engine."""
        self.check_state(state)
        self._state = {name: array.copy() for name, array in state.items()}


Operator = Callable[[list[Any], dict[str, Any]], "list[torch.Tensor] | tuple[torch.Tensor, ...]"]


def _operators(exact: bool) -> dict[str, Operator]:
    """ONNX operator -> (inputs, attributes) -> outputs, as far as bundles use them."""
    import torch
    from torch.nn import functional

    def clip(x: list[Any], _: dict[str, Any]) -> list[torch.Tensor]:
        value, least, largest = x
        return [value.clamp(least, largest)]

    def quantize(x: list[Any], _: dict[str, Any]) -> list[torch.Tensor]:
        value, scale, zero = x
        limits = torch.iinfo(zero.dtype)
        codes = torch.round(value / scale) + zero
        return [codes.clamp(limits.min, limits.max).to(zero.dtype)]

    def dequantize(x: list[Any], attributes: dict[str, Any]) -> list[torch.Tensor]:
        codes, scale, zero = x
        shape = [1] * codes.ndim
        if scale.ndim:
            shape[attributes.get("axis", 1)] = -1
        return [(codes.float() - zero.float().reshape(shape)) * scale.reshape(shape)]

    def convolve(x: list[Any], attributes: dict[str, Any]) -> list[torch.Tensor]:
        value, weight, bias = (tensor.double() if exact else tensor for tensor in x)
        return [
            functional.conv2d(value, weight, bias, dilation=tuple(attributes["dilations"])).float()
        ]

    def slice_(x: list[Any], _: dict[str, Any]) -> list[torch.Tensor]:
        value, first, last, axis = (x[0], *(int(v) for v in x[1:4]))
        return [value[(slice(None),) * axis + (slice(first, last),)].contiguous()]

    def reshape(x: list[Any], _: dict[str, Any]) -> list[torch.Tensor]:
        shape = [x[0].shape[i] if n == 0 else int(n) for i, n in enumerate(x[1])]
        return [x[0].reshape(shape)]

    return {
        "Add": lambda x, _: [x[0] + x[1]],
        "Clip": clip,
        "Concat": lambda x, a: [torch.cat(x, a["axis"])],
        "Conv": convolve,
        "DequantizeLinear": dequantize,
        "Mul": lambda x, _: [x[0] * x[1]],
        "Neg": lambda x, _: [-x[0]],
        "QuantizeLinear": quantize,
        "ReduceSum": lambda x, _: [x[0].sum(int(x[1]))],
        "Relu": lambda x, _: [torch.relu(x[0])],
        "Reshape": reshape,
        "Slice": slice_,
        "Split": lambda x, a: (
            x[0].split(x[1].tolist(), a["axis"]) if len(x) > 1 else x[0].chunk(2, a["axis"])
        ),
        "Transpose": lambda x, a: [x[0].permute(a["perm"]).contiguous()],
        "Unsqueeze": lambda x, _: [x[0].unsqueeze(int(x[1]))],
    }
