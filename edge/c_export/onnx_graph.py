"""Nodes and constants of an ONNX graph, read with NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineBuildError
from edge.protobuf import fields

# Field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto.
_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_INPUT, _OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5
_NAME, _INT, _INTS = 1, 3, 8
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9
TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}


@dataclass(frozen=True)
class Node:
    """An operator: what it reads and makes by name, and its whole-number attributes."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """The nodes in their order, and the constants by name."""

    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]]


def read_graph(model: bytes) -> Graph:
    """The graph of a serialised model. Raises EngineBuildError for bytes that are none."""
    try:
        nodes, constants = [], {}
        for number, part in _parts(dict(_parts(model))[_GRAPH]):
            if number == _NODE:
                nodes.append(_node(part))
            elif number == _INITIALIZER:
                name, value = _constant(part)
                constants[name] = value
        return Graph(tuple(nodes), constants)
    except (IndexError, KeyError, ValueError) as error:
        raise EngineBuildError(
            f"the graph of the model cannot be read ({type(error).__name__}: {error}): export it again"
        ) from error


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    return [(number, value) for number, value in fields(data) if isinstance(value, bytes)]


def _node(data: bytes) -> Node:
    found = _parts(data)

    def names(which: int) -> tuple[str, ...]:
        return tuple(value.decode() for number, value in found if number == which)

    attributes = dict(_attribute(value) for number, value in found if number == _ATTRIBUTE)
    (op,) = names(_OP_TYPE)
    return Node(op, names(_INPUT), names(_OUTPUT), attributes)


def _attribute(data: bytes) -> tuple[str, tuple[int, ...]]:
    name, values = "", []
    for number, value in fields(data):
        if number == _NAME and isinstance(value, bytes):
            name = value.decode()
        elif number in (_INT, _INTS):
            values += _integers(value)
    return name, tuple(values)


def _constant(data: bytes) -> tuple[str, NDArray[Any]]:
    shape: list[int] = []
    kind, name, raw = 0, "", b""
    for number, value in fields(data):
        if number == _DIMS:
            shape += _integers(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == _TENSOR_NAME and isinstance(value, bytes):
            name = value.decode()
        elif number == _RAW_DATA and isinstance(value, bytes):
            raw = value
    return name, np.frombuffer(raw, TYPES[kind]).reshape(shape)


def _integers(value: int | bytes) -> list[int]:
    """One or, packed, several int64."""
    numbers = [value] if isinstance(value, int) else _varints(value)
    return [n - (1 << 64) if n >> 63 else n for n in numbers]


def _varints(data: bytes) -> list[int]:
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    return numbers
