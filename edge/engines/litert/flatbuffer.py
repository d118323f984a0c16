"""Writes a .tflite model table by table, with the schema that LiteRT brings and without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.engines.litert.library import imported

SCHEMA_VERSION, IDENTIFIER = 3, b"TFL3"
RELU = 1
# Operator -> its options, and the version that has what is asked of it: int8, scales per channel.
OPERATORS = {
    "ADD": ("AddOptions", 2),
    "CAST": ("CastOptions", 1),
    "CONCATENATION": ("ConcatenationOptions", 2),
    "DEQUANTIZE": ("DequantizeOptions", 2),
    "DIV": ("DivOptions", 1),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 12),
    "GATHER": ("GatherOptions", 2),
    "MUL": ("MulOptions", 1),
    "NEG": ("NegOptions", 1),
    "QUANTIZE": ("QuantizeOptions", 1),
    "RESHAPE": ("ReshapeOptions", 1),
    "SUM": ("ReducerOptions", 1),
}


class ModelWriter:
    """One subgraph. Tensors are numbers, as in the file."""

    def __init__(self) -> None:
        schema = self._schema = imported("ai_edge_litert.schema_py_generated")
        self._buffers = [schema.BufferT()]  # the first is empty: of tensors without data
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, Any] = {}
        self._room = 1 << 16

    def type_of(self, dtype: type[np.generic]) -> int:
        """Its number in the file."""
        return int(getattr(self._schema.TensorType, np.dtype(dtype).name.upper()))

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: type[np.generic],
        scale: Any = None,
        zero: int = 0,
    ) -> int:
        """A tensor without data. `scale` is one number, or one for each of its first axis; `zero` is the
        code of 0."""
        made = self._schema.TensorT()
        made.name, made.shape, made.buffer = name, list(shape), 0
        made.type = self.type_of(dtype)
        if scale is not None:
            made.quantization = self._schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            made.quantization.zeroPoint = np.full(np.size(scale), zero, np.int64)
            made.quantization.quantizedDimension = 0
            self._room += 12 * np.size(scale)
        self._tensors.append(made)
        return len(self._tensors) - 1

    def constant(self, name: str, value: NDArray[Any], scale: Any = None) -> int:
        """A tensor with data."""
        made = self.tensor(name, value.shape, value.dtype.type, scale)
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self._buffers.append(buffer)
        self._room += value.nbytes + 64
        self._tensors[made].buffer = len(self._buffers) - 1
        return made

    def apply(
        self, operator: str, inputs: Sequence[int], output: int, **options: int | list[int]
    ) -> int:
        """An operator that makes the tensor `output`, which is returned."""
        name, version = OPERATORS[operator]
        if operator not in self._codes:
            code = self._schema.OperatorCodeT()
            code.builtinCode = getattr(self._schema.BuiltinOperator, operator)
            code.deprecatedBuiltinCode, code.version = code.builtinCode, version
            self._codes[operator] = code
        made = self._schema.OperatorT()
        made.opcodeIndex = list(self._codes).index(operator)
        made.inputs, made.outputs = list(inputs), [output]
        made.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
        made.builtinOptions = getattr(self._schema, f"{name}T")()
        for option, value in options.items():
            assert hasattr(made.builtinOptions, option)
            setattr(made.builtinOptions, option, value)
        self._operators.append(made)
        return output

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        flatbuffers = imported("flatbuffers")
        graph, model = self._schema.SubGraphT(), self._schema.ModelT()
        graph.name, graph.tensors, graph.operators = "main", self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version, model.description, model.subgraphs = SCHEMA_VERSION, "leadlift", [graph]
        model.operatorCodes, model.buffers = list(self._codes.values()), self._buffers
        builder = flatbuffers.Builder(self._room)  # to grow would copy all, many times
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())
