"""Whether LiteRT on this machine computes ONNX Runtime's codes for every sum that a layer can have.

It picks its kernels by the processor. The code of a sum never falls as the sum grows, so a layer is right
everywhere if it is right on both sides of each border between two codes. A residual add has 32,768 pairs;
where LiteRT's fixed point rounds one of them otherwise, the model looks them up. The stem's input is compared
where it is a whole number of steps, or lies exactly half-way between two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.c_export.network import EXACT, HIGHEST, Seen
from edge.engines.litert.flatbuffer import ModelWriter
from edge.engines.litert.library import Model
from edge.engines.litert.model import (
    LOWEST,
    Decoder,
    Dense,
    Sum,
    float_sums,
    pairs,
    write_codes,
    write_dense,
    write_sum,
)
from edge.errors import EngineBuildError

IDLE = 4  # inputs of a layer whose weights are 0: the sum is the bias


def proved(decoder: Decoder) -> tuple[Decoder, int]:
    """The decoder, with a table for each residual add that needs one, and how many codes were compared.

    Raises EngineBuildError with the name of a layer that differs.
    """
    leads, codes = beside_codes(decoder.network.seen)
    if differ := np.count_nonzero(_codes_of_seen(decoder.network.seen, leads) != codes):
        raise _otherwise("seen", int(differ), len(codes))
    compared = len(codes)
    for dense in decoder.dense:
        given, expected = beside_borders(dense)
        if differ := np.count_nonzero(_codes_of_sums(dense, given) != expected):
            raise _otherwise(dense.layer.name, int(differ), len(given))
        compared += len(given)
    sums = tuple(proved_sum(add) for add in decoder.sums)
    return replace(decoder, sums=sums), compared + len(sums) * len(pairs()[0])


def proved_sum(add: Sum) -> Sum:
    """A residual add, with a table where it needs one. Raises EngineBuildError where it differs even so."""
    expected = float_sums(add)
    for one in (add, add._replace(table=True)):
        differ = np.count_nonzero(_codes_of_pairs(one) != expected)
        if not differ:
            return one
    raise _otherwise(add.name, int(differ), len(expected))


def beside_codes(seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Leads on every code and half-way between two, to twice the range, and their codes."""
    steps = np.arange(-4 * seen.largest, 4 * seen.largest) / 2
    leads = steps.astype(np.float32) * seen.scale
    return leads, seen.codes(leads)


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


def _codes_of_seen(seen: Seen, leads: NDArray[np.float32]) -> NDArray[np.int64]:
    """What LiteRT makes of leads, of the two codes of one the difference."""
    write, n = ModelWriter(), len(leads)
    x, mask = (write.tensor(name, (1, m), np.float32) for name, m in (("leads", n), ("mask", 1)))
    model = Model(write.finish([x, mask], [write_codes(write, x, n, mask, 1, seen)]))
    model.inputs["leads"][:], model.inputs["mask"][:] = leads, 0
    codes = _result(model)[:-1].astype(np.int64)
    return codes[:n] - codes[n:] if seen.twice else codes


def _codes_of_sums(dense: Dense, sums: NDArray[np.int32]) -> NDArray[np.int8]:
    """What LiteRT makes of sums, as many of each channel: weights are 0, so the bias is the sum."""
    write = ModelWriter()
    rows = np.repeat(np.arange(len(dense.weights)), len(sums) // len(dense.weights))
    idle = dense._replace(layer=dense.layer._replace(bias=sums), weights=dense.weights[rows])
    x = write.tensor("idle", (1, IDLE), np.int8, dense.x)
    output = write_dense(write, x, idle, np.zeros((len(sums), IDLE), np.int8))
    return _result(Model(write.finish([x], [output])))


def _codes_of_pairs(add: Sum) -> NDArray[np.int8]:
    """What LiteRT makes of `pairs`."""
    write, given = ModelWriter(), pairs()
    n = len(given[0])
    inputs = [
        write.tensor(name, (1, n), np.int8, scale)
        for name, scale in (("skip", add.skip), ("branch", add.branch))
    ]
    model = Model(write.finish(inputs, [write_sum(write, inputs[0], inputs[1], add, n)]))
    for name, codes in zip(("skip", "branch"), given, strict=True):
        model.inputs[name][:] = codes
    return _result(model)


def _result(model: Model) -> NDArray[Any]:
    model.run()
    (found,) = model.outputs.values()
    return found.ravel()


def _otherwise(name: str, differ: int, of: int) -> EngineBuildError:
    return EngineBuildError(
        f"LiteRT rounds the layer {name} otherwise than ONNX Runtime on this machine ({differ} of {of}"
        " codes): use --engine onnxruntime"
    )
