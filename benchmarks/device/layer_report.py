"""What TensorRT made of a graph: the parsed network layer by layer, its faults, and the built engine.

TensorRT runs a convolution in INT8 when both its inputs come straight from a DequantizeLinear of int8
codes. Anything in between (a shuffle, a cast, a second scale) silently costs the fusion: a slower layer, in
float. `ParsedLayers.faults` says in words what would be lost, before a device is at hand to measure it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engines.trt.library import TensorRtLibrary
from edge.errors import EngineBuildError

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
LEADS = ("minus", "seen_moved")
"""Layers that make leads ready for their codes, in float: what is below zero, and less 128."""
STATE_PREFIX = "state_"
SHOWN_LINES = 4  # of a log in one error

TOUCHED = (
    "ElementWiseOperation.SUM",
    "EngineInspector.get_engine_information",
    "IConstantLayer.weights",
    "ICudaEngine.create_engine_inspector",
    "IElementWiseLayer.op",
    "ILayer.get_input",
    "ILayer.get_output",
    "ILayer.name",
    "ILayer.num_inputs",
    "ILayer.num_outputs",
    "ILayer.type",
    "INetworkDefinition.get_layer",
    "INetworkDefinition.get_output",
    "INetworkDefinition.num_layers",
    "INetworkDefinition.num_outputs",
    "ITensor.dtype",
    "LayerInformationFormat.JSON",
    "Runtime.deserialize_cuda_engine",
)
"""What is used here of every generation: a test holds the list to the real bindings."""


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
class LayerTensor:
    """A tensor between layers, or an end of the network."""

    name: str
    dtype: str
    """`int8`, `float`, `int64` ..."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A layer of the parsed network with what the report asks of it."""

    name: str
    type: str
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]
    adds: bool = False
    """An ELEMENTWISE that sums."""
    value: NDArray[Any] | None = field(default=None, compare=False)
    """Of a constant scale."""


@dataclass(frozen=True)
class ParsedLayers:
    """The parsed network as plain values; it outlives the network."""

    nodes: tuple[Node, ...]
    inputs: tuple[LayerTensor, ...]
    outputs: tuple[LayerTensor, ...]

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

    def _dequantised(self, tensor: LayerTensor) -> Node | None:
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

    def _why_not_dequantised(self, what: str, tensor: LayerTensor) -> str:
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
            if not node.adds or node.name in LEADS:
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
            if node.type not in EXPECTED and node.name not in LEADS:
                yield f"{node.name}: a {node.type} layer has no place in a decoder"
            elif node.type == "ELEMENTWISE" and dtypes & {"int32", "int64"}:
                yield f"{node.name}: ELEMENTWISE on {node.inputs[0].dtype} is shape arithmetic"
            elif node.type == "SLICE" and len(node.inputs) > 1:
                yield f"{node.name}: its bounds are tensors, not constants"
            elif node.type in ("SHUFFLE", "UNSQUEEZE") and "int8" in dtypes:
                yield f"{node.name}: {node.type} on int8 codes is a copy"


def parsed_layers(network: Any, module: Any) -> ParsedLayers:
    """Walk a parsed network of this library's module; whoever owns the network keeps it alive meanwhile."""
    return ParsedLayers(
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
        value = contiguous(layer.weights)
    return Node(
        name, kind, tuple(_tensor(tensor) for tensor in inputs if tensor), outputs, adds, value
    )


def contiguous(weights: NDArray[Any]) -> NDArray[Any]:
    """A copy of what the bindings give for Weights, which lie one after the other.

    TensorRT 10.3's bindings give an array of stride 0 under NumPy 2: the strides are not to be trusted.
    """
    return np.lib.stride_tricks.as_strided(weights, strides=(weights.itemsize,)).copy()


def _tensor(tensor: Any) -> LayerTensor:
    return LayerTensor(
        str(tensor.name), str(tensor.dtype.name).lower(), tuple(int(n) for n in tensor.shape)
    )


class PlanRefusedError(EngineBuildError):
    """An engine that the runtime does not take."""


def inspect_plan(data: bytes, library: TensorRtLibrary) -> tuple[Layer, ...]:
    """`inspect` of a serialised engine, in the caller's CUDA context, where all that it makes is gone again.

    Raises PlanRefusedError when the runtime does not take it, EngineBuildError.
    """
    with library.collected() as lines:
        runtime = library.module.Runtime(library.logger)
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            said = "; ".join(" ".join(line.text.split()) for line in lines[-SHOWN_LINES:])
            raise PlanRefusedError(said or "its log says nothing")
        return inspect(engine, library)


def inspect(engine: Any, library: TensorRtLibrary) -> tuple[Layer, ...]:
    """The layers of a deserialised engine, fused as they will run; needs the GPU that it was built for.

    Raises EngineBuildError when the library tells nothing of them.
    """
    with library.collected():
        inspector = engine.create_engine_inspector()
        text = inspector and inspector.get_engine_information(
            library.module.LayerInformationFormat.JSON
        )
        if not text:
            raise EngineBuildError(
                f"{library.name} {library.version}: its inspector says nothing of the engine"
            )
    return layers_from_inspector(text)


def layers_from_inspector(text: str) -> tuple[Layer, ...]:
    """Layers from the inspector's JSON; an engine built with less than detailed verbosity has names alone.

    Raises EngineBuildError for text that is no such JSON.
    """
    try:
        entries = json.loads(text)["Layers"]
        return tuple(_inspected(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineBuildError(
            f"the engine inspector's answer does not parse: {error!r}"
        ) from error


def _inspected(entry: dict[str, Any] | str) -> Layer:
    if isinstance(entry, str):
        return Layer(entry, "", "", (), ())
    inputs, outputs = entry.get("Inputs", []), entry.get("Outputs", [])
    kind = str(entry.get("ParameterType", entry["LayerType"]))
    is_convolution = "conv" in kind.lower() or "conv" in str(entry["LayerType"]).lower()
    reads = [_datatype(tensor) for tensor in inputs]
    precision = reads[0] if reads else _datatype(outputs[0]) if outputs else ""
    return Layer(
        str(entry["Name"]),
        str(entry["LayerType"]),
        precision,
        tuple(str(tensor["Name"]) for tensor in inputs),
        tuple(str(tensor["Name"]) for tensor in outputs),
        is_convolution,
        is_convolution and precision == "int8",
    )


def _datatype(tensor: dict[str, Any]) -> str:
    """`int8`, `fp16`, `fp32` ... out of a sentence like `Thirty-two wide ... Int8 format`."""
    said = " ".join(
        str(v) for k, v in tensor.items() if "format" in k.lower() or "type" in k.lower()
    )
    found = re.search(r"int8|int32|int64|fp8|fp16|bf16|fp32|half|float|bool", said.lower())
    return found.group() if found else said
