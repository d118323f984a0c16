"""A bundle's graph for a batch: its streams lie side by side as the rows of one image.

ONNX Runtime convolves the images of a batch one after another and reads the weights for each. A convolution
whose kernel has a height of 1 gives the same sums for N images as for one of N rows, and there it is one
matrix product. So a Reshape before each history, and one behind, make (N, 1, frames, channels) into
(1, N, frames, channels) and back: it moves nothing. What is not in integers, the two ends, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge.protobuf import encoded, fields

# Field numbers of onnx.proto.
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_INPUT, _OUTPUT, _NAME, _OP_TYPE, _ATTRIBUTE = 1, 2, 3, 4, 5
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA, _INT64 = 1, 2, 8, 9, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_INTS, _ATTRIBUTE_TYPE, _INTS = 1, 8, 20, 7
AS_ROWS, AS_IMAGES = "images_as_rows", "rows_as_images"
_SHAPES = {AS_ROWS: (1, -1, 0, 0), AS_IMAGES: (-1, 1, 0, 0)}  # 0: as it was
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Channels last, or first."""
_STEM, _HEAD = "stem_out_saturated", "head_in"


def batch_graph(model: bytes, n_blocks: int) -> bytes | None:
    """The model rewritten; the same codes and floats for every stream.

    None for one that `quantize.export` did not write, or wrote otherwise.
    """
    changed = 0
    parts = []
    for number, value in fields(model):
        if number == _GRAPH and isinstance(value, bytes):
            graph = []
            for which, part in fields(value):
                nodes = [*_instead(part)] if which == _NODE and isinstance(part, bytes) else []
                changed += len(nodes) > 1
                graph += [encoded(_NODE, node) for node in nodes] or [encoded(which, part)]
            graph += [encoded(_INITIALIZER, _shape(*item)) for item in _SHAPES.items()]
            value = b"".join(graph)
        parts.append(encoded(number, value))
    return b"".join(parts) if changed == 2 * n_blocks + 2 else None


def _instead(node: bytes) -> Iterator[bytes]:
    """The nodes to put in a node's place; nothing where it stays."""
    found = [*fields(node)]
    inputs, outputs = (
        [value.decode() for number, value in found if number == which and isinstance(value, bytes)]
        for which in (_INPUT, _OUTPUT)
    )
    made = outputs[0]
    if made == _STEM:
        yield _with(node, _OUTPUT, f"{made}_each")
        yield _node("Transpose", [f"{made}_each"], f"{made}_last", LAST)
        yield _node("Reshape", [f"{made}_last", AS_ROWS], f"{made}_rows")
        yield _node("Transpose", [f"{made}_rows"], made, FIRST)
    elif made == _HEAD:
        yield _node("Transpose", inputs[:1], f"{made}_rows", LAST)
        yield _node("Reshape", [f"{made}_rows", AS_IMAGES], f"{made}_last")
        yield _node("Transpose", [f"{made}_last"], f"{made}_each", FIRST)
        yield _with(node, _INPUT, f"{made}_each")
    elif made.startswith("rows_") and made[5:].isdigit():
        yield _with(node, _OUTPUT, f"{made}_side_by_side")
        yield _node("Reshape", [f"{made}_side_by_side", AS_IMAGES], made)
    elif made.startswith("history_"):
        yield _node("Reshape", [inputs[0], AS_ROWS], f"{made}_side_by_side")
        yield _with(node, _INPUT, f"{made}_side_by_side")


def _with(node: bytes, which: int, name: str) -> bytes:
    """The node with another first input or output."""
    parts, renamed = [], False
    for number, value in fields(node):
        if number == which and not renamed:
            value, renamed = name.encode(), True
        parts.append(encoded(number, value))
    return b"".join(parts)


def _node(op: str, inputs: list[str], output: str, perm: tuple[int, ...] = ()) -> bytes:
    parts = [encoded(_INPUT, name.encode()) for name in inputs]
    parts += [encoded(_OUTPUT, output.encode()), encoded(_NAME, f"{op}_{output}".encode())]
    parts.append(encoded(_OP_TYPE, op.encode()))
    if perm:
        ints = b"".join(encoded(_ATTRIBUTE_INTS, axis) for axis in perm)
        attribute = encoded(_ATTRIBUTE_NAME, b"perm") + ints + encoded(_ATTRIBUTE_TYPE, _INTS)
        parts.append(encoded(_ATTRIBUTE, attribute))
    return b"".join(parts)


def _shape(name: str, shape: tuple[int, ...]) -> bytes:
    return (
        encoded(_DIMS, len(shape))
        + encoded(_DATA_TYPE, _INT64)
        + encoded(_TENSOR_NAME, name.encode())
        + encoded(_RAW_DATA, np.array(shape, "<i8").tobytes())
    )
