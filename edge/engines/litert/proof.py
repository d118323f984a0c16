"""Whether LiteRT on this machine computes ONNX Runtime's codes for every sum that a layer can have.

It picks its kernels by the processor. Between two neighbouring sums with different codes all are on one side,
so a layer is right everywhere if it is right beside each of its borders; a residual add has 32,768 pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.c_export.network import EXACT, HIGHEST
from edge.c_export.residual_add import float_add
from edge.engines.litert.flatbuffer import ModelWriter
from edge.engines.litert.library import Model
from edge.engines.litert.model import Decoder, Dense, write_dense, write_sum
from edge.errors import EngineBuildError

LOWEST = -128
IDLE = 4  # inputs of a layer whose weights are 0: the sum is the bias


def prove(decoder: Decoder) -> int:
    """How many codes were compared. Raises EngineBuildError with the name of a layer that differs."""
    compared = 0
    for dense in decoder.dense:
        sums, expected = beside_borders(dense)
        write = ModelWriter()
        idle = write.tensor("idle", (1, IDLE), np.int8, dense.x)
        rows = np.repeat(np.arange(len(dense.weights)), len(sums) // len(dense.weights))
        layer = dense.layer._replace(bias=sums)
        output = write_dense(
            write,
            idle,
            dense._replace(layer=layer, weights=dense.weights[rows]),
            np.zeros((len(sums), IDLE), np.int8),
        )
        _compare(write.finish([idle], [output]), [], expected, dense.layer.name)
        compared += len(sums)
    skip, branch = (
        codes.ravel()
        for codes in np.meshgrid(np.arange(HIGHEST + 1), np.arange(-128, 128), indexing="ij")
    )
    for add in decoder.sums:
        write = ModelWriter()
        inputs = [
            write.tensor(name, (1, skip.size), np.int8, scale)
            for name, scale in (("skip", add.skip), ("branch", add.branch))
        ]
        output = write_sum(write, inputs[0], inputs[1], add, skip.size)
        expected = float_add(skip, branch, add.skip, add.branch, add.out)
        _compare(write.finish(inputs, [output]), [skip, branch], expected, add.name)
        compared += skip.size
    return compared


def beside_borders(dense: Dense) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Sums on both sides of every border between two codes, channel by channel, and their codes."""
    lowest = 0 if dense.relu else LOWEST
    scale = dense.layer.scale[:, None, None]
    below = np.arange(lowest, HIGHEST)[None, :, None]
    near = np.floor((below + 0.5) / scale.astype(np.float64)) + np.arange(-1, 3)

    def code(sums: NDArray[Any]) -> NDArray[np.int64]:
        codes: NDArray[np.int64] = np.clip(
            np.rint(sums.astype(np.float32) * scale), lowest, HIGHEST
        ).astype(np.int64)
        return codes

    first = np.argmax(code(near) > below, -1)[..., None]
    border = np.take_along_axis(near, first, -1)
    sums = np.concatenate([border - 1, border], -1)
    sums = np.where(np.abs(sums) < EXACT, sums, 0)  # no input reaches the others
    return sums.astype(np.int32).ravel(), code(sums).ravel()


def _compare(
    model: bytes, inputs: list[NDArray[Any]], expected: NDArray[np.int64], name: str
) -> None:
    loaded = Model(model)
    for into, codes in zip(loaded.inputs.values(), inputs, strict=False):
        into[:] = codes
    loaded.run()
    (found,) = loaded.outputs.values()
    if differ := int(np.count_nonzero(found.ravel() != expected)):
        raise EngineBuildError(
            f"LiteRT rounds the layer {name} otherwise than ONNX Runtime on this machine ({differ} of"
            f" {expected.size} codes): use --engine onnxruntime"
        )
