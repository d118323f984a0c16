"""What TensorRT's parser made of a graph, layer by layer, and where it will not fuse into INT8.

TensorRT runs a convolution in INT8 when both its inputs come straight from a DequantizeLinear of int8
codes. Anything in between (a shuffle, a cast, a second scale) silently costs the fusion: a slower layer, in
float. `Census.faults` says in words what would be lost, before a device is at hand to measure it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONVOLUTIONS = ("CONVOLUTION", "DECONVOLUTION")
PASSED_THROUGH = (
    "SHUFFLE",
    "UNSQUEEZE",
    "SQUEEZE",
    "CAST",
    "IDENTITY",
)  # moves or retypes, no more
EXPECTED = (
    "ACTIVATION", "CONCATENATION", "CONSTANT", "CONVOLUTION", "DEQUANTIZE", "ELEMENTWISE", "QUANTIZE",
    "REDUCE", "SHUFFLE", "SLICE", "UNSQUEEZE",
)  # fmt: skip
"""The layers of a decoder: any other is shape arithmetic, or an operator that was not meant."""
STATE_PREFIX = "state_"


@dataclass(frozen=True)
class Layer:
    """One layer, of the parsed network or of a built engine."""

    name: str
    type: str
    """`CONVOLUTION` ... of a parsed network; what the inspector calls it of an engine."""
    precision: str
    """`int8`, `float`, ...: what it computes in; of a parsed network, what it will where it fuses."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_convolution: bool = False
    is_int8_convolution: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor between layers, or an end of the network."""

    name: str
    dtype: str
    """`int8`, `float`, `int64` ..."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A layer of the parsed network with what the census asks of it."""

    name: str
    type: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    adds: bool = False
    """An ELEMENTWISE that sums."""
    value: NDArray[Any] | None = field(default=None, compare=False)
    """Of a constant scale."""


@dataclass(frozen=True)
class Census:
    """The parsed network as plain values; it outlives the network."""

    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Layers by type."""
        return dict(sorted(Counter(node.type for node in self.nodes).items()))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer but the constants."""
        return tuple(self._layer(node) for node in self.nodes if node.type != "CONSTANT")

    def faults(self) -> list[str]:
        """What keeps the graph from fusing into INT8, a line each; empty when nothing does."""
        return [
            *self._convolution_faults(),
            *self._state_faults(),
            *self._add_faults(),
            *self._layer_faults(),
        ]

    @cached_property
    def _producer(self) -> dict[str, Node]:
        return {tensor.name: node for node in self.nodes for tensor in node.outputs}

    @cached_property
    def _readers(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                found.setdefault(tensor.name, []).append(node)
        return found

    def _layer(self, node: Node) -> Layer:
        is_convolution = node.type in CONVOLUTIONS
        is_int8 = is_convolution and not any(self._faults_of_convolution(node))
        # A layer between quantised tensors runs on their codes; else it is what it puts out.
        dequantised = [self._dequantised(tensor) for tensor in node.inputs]
        fused = is_int8 or (node.adds and all(dequantised))
        precision = "int8" if fused else node.outputs[0].dtype if node.outputs else ""
        return Layer(
            node.name,
            node.type,
            precision,
            tuple(tensor.name for tensor in node.inputs),
            tuple(tensor.name for tensor in node.outputs),
            is_convolution,
            is_int8,
        )

    def _dequantised(self, tensor: Tensor) -> Node | None:
        """The DEQUANTIZE of int8 codes that makes this tensor, if one does."""
        node = self._producer.get(tensor.name)
        fits = node and node.type == "DEQUANTIZE" and node.inputs[0].dtype == "int8"
        return node if fits else None

    def _scale(self, node: Node) -> NDArray[Any] | None:
        """The scale of a QUANTIZE or DEQUANTIZE."""
        constant = self._producer.get(node.inputs[1].name)
        return constant.value if constant else None

    def _convolution_faults(self) -> Iterator[str]:
        for node in self.nodes:
            if node.type in CONVOLUTIONS:
                yield from self._faults_of_convolution(node)

    def _faults_of_convolution(self, node: Node) -> Iterator[str]:
        if len(node.inputs) < 2:
            yield f"{node.name}: its weight is float, not int8 codes behind a DequantizeLinear"
        for what, tensor in zip(("input", "weight"), node.inputs, strict=False):
            dequantise = self._dequantised(tensor)
            if dequantise is None:
                yield f"{node.name}: {self._why_not_dequantised(what, tensor)}"
                continue
            scale = self._scale(dequantise)
            if what == "input" and (scale is None or scale.size != 1):
                yield f"{node.name}: its input is not in one constant scale"
            if what == "weight":
                source = self._producer.get(dequantise.inputs[0].name)
                if source is None or source.type != "CONSTANT":
                    yield f"{node.name}: its weight's codes are not constant"
                if scale is None or scale.size not in (1, tensor.shape[0]):
                    yield f"{node.name}: its weight's scale is not one per output channel"

    def _why_not_dequantised(self, what: str, tensor: Tensor) -> str:
        between = []
        producer = self._producer.get(tensor.name)
        while producer and producer.type in PASSED_THROUGH:
            between.append(producer)
            producer = self._producer.get(producer.inputs[0].name)
        if between and producer and producer.type == "DEQUANTIZE":
            moves = ", ".join(f"{node.type} {node.name}" for node in between)
            return f"{moves} stands between its {what} and the DequantizeLinear"
        return f"its {what} is {tensor.dtype}, not from a DequantizeLinear of int8 codes"

    def _state_faults(self) -> Iterator[str]:
        for state in self.inputs:
            if not state.name.startswith(STATE_PREFIX):
                continue
            if state.dtype != "int8":
                yield f"{state.name}: it is {state.dtype}, not int8"
            readers = self._readers.get(state.name, [])
            if [node.type for node in readers] != ["CONCATENATION"]:
                types = ", ".join(f"{node.type} {node.name}" for node in readers) or "nothing"
                yield f"{state.name}: {types} reads it, not one CONCATENATION"
                continue
            yield from self._faults_of_concat(readers[0])
        for tensor in self.outputs:
            if tensor.name.startswith(STATE_PREFIX) and tensor.dtype != "int8":
                yield f"{tensor.name}: it is {tensor.dtype}, not int8"

    def _faults_of_concat(self, concat: Node) -> Iterator[str]:
        joined = concat.outputs[0]
        if joined.dtype != "int8":
            yield f"{concat.name}: it joins a state in {joined.dtype}, not int8"
            return
        scales = []
        for tensor in concat.inputs:
            node = self._producer.get(tensor.name)
            if node is None:
                continue  # the state itself: codes in whatever scale the others have
            if node.type == "QUANTIZE":
                scales.append(self._scale(node))
            else:
                yield f"{concat.name}: {node.type} {node.name} stands between it and the QuantizeLinear"
        readers = self._readers.get(joined.name, [])
        scales += [self._scale(node) for node in readers if node.type == "DEQUANTIZE"]
        for node in readers:
            if node.type not in ("DEQUANTIZE", "SLICE"):
                yield f"{concat.name}: {node.type} {node.name} reads it, not a DequantizeLinear"
        values = {None if scale is None else float(scale.flat[0]) for scale in scales}
        if len(values) > 1:
            yield f"{concat.name}: the codes it joins have {len(values)} scales, not one"

    def _add_faults(self) -> Iterator[str]:
        for node in self.nodes:
            if not node.adds:
                continue
            dequantised = [self._dequantised(tensor) for tensor in node.inputs]
            if (any(dequantised) or self._is_quantised(node)) and not all(dequantised):
                plain = [
                    t.name for t, by in zip(node.inputs, dequantised, strict=True) if by is None
                ]
                yield f"{node.name}: it adds {', '.join(plain)} without a DequantizeLinear"

    def _is_quantised(self, node: Node) -> bool:
        """Whether a QUANTIZE reads what this layer makes, past its activation."""
        readers = self._readers.get(node.outputs[0].name, [])
        return any(
            reader.type == "QUANTIZE"
            or (reader.type == "ACTIVATION" and self._is_quantised(reader))
            for reader in readers
        )

    def _layer_faults(self) -> Iterator[str]:
        for node in self.nodes:
            dtypes = {tensor.dtype for tensor in node.inputs}
            if node.type not in EXPECTED:
                yield f"{node.name}: a {node.type} layer has no place in a decoder"
            elif node.type == "ELEMENTWISE" and dtypes & {"int32", "int64"}:
                yield f"{node.name}: ELEMENTWISE on {node.inputs[0].dtype} is shape arithmetic"
            elif node.type == "SLICE" and len(node.inputs) > 1:
                yield f"{node.name}: its bounds are tensors, not constants"
            elif node.type in ("SHUFFLE", "UNSQUEEZE") and "int8" in dtypes:
                yield f"{node.name}: {node.type} on int8 codes is a copy"


def census_of(network: Any, module: Any) -> Census:
    """Walk a parsed network of this library's module; whoever owns the network keeps it alive meanwhile."""
    return Census(
        tuple(_node(network.get_layer(i), module) for i in range(network.num_layers)),
        tuple(_tensor(network.get_input(i)) for i in range(network.num_inputs)),
        tuple(_tensor(network.get_output(i)) for i in range(network.num_outputs)),
    )


def _node(layer: Any, module: Any) -> Node:
    inputs = [layer.get_input(i) for i in range(layer.num_inputs)]
    name, kind = str(layer.name), str(layer.type.name)
    adds, value = False, None
    outputs = tuple(_tensor(layer.get_output(i)) for i in range(layer.num_outputs))
    # The bindings give every layer as ILayer: its own class is assigned to reach what it alone has.
    if kind == "ELEMENTWISE":
        layer.__class__ = module.IElementWiseLayer
        adds = layer.op == module.ElementWiseOperation.SUM
    elif kind == "CONSTANT" and outputs[0].dtype == "float":
        layer.__class__ = module.IConstantLayer
        value = np.array(layer.weights, copy=True)
    return Node(
        name, kind, tuple(_tensor(tensor) for tensor in inputs if tensor), outputs, adds, value
    )


def _tensor(tensor: Any) -> Tensor:
    return Tensor(
        str(tensor.name), str(tensor.dtype.name).lower(), tuple(int(n) for n in tensor.shape)
    )
