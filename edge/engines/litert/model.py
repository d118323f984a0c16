"""A bundle's decoder as a .tflite model of one hop: the integers of `edge.c_export`, front and head in float.

Every code is ONNX Runtime's: the kernels of XNNPACK with scales per channel multiply sums by (x * w) / y in
float32 and round half to even, which `proof` holds them to. The front keeps ONNX Runtime's order of
operations: products are added up in fours, and divided by the scale before they are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.c_export.network import HIGHEST, Layer, Network, Seen, network_of
from edge.c_export.onnx_graph import read_graph
from edge.c_export.residual_add import float_add
from edge.engines.litert.flatbuffer import RELU, ModelWriter

FOURS = 4  # rows that ONNX Runtime adds up before it goes on
ONE = np.float32(1)
LOWEST, BRANCHES = -128, 256  # codes of a branch


class Dense(NamedTuple):
    """An integer layer and the scales of its input, its weights and its output."""

    layer: Layer
    x: np.float32
    weights: NDArray[np.float32]
    """(outputs,)"""
    y: np.float32
    relu: bool


class Sum(NamedTuple):
    """The residual add of a block: scales of what it adds and of what it gives."""

    name: str
    skip: np.float32
    branch: np.float32
    out: np.float32
    table: bool = False
    """LiteRT's own add rounds a pair of codes otherwise: its result is looked up."""


@dataclass(frozen=True)
class Decoder:
    """What the model is made of."""

    network: Network
    stem: Dense
    dilated: tuple[Dense, ...]
    pointwise: tuple[Dense, ...]
    sums: tuple[Sum, ...]
    head_weight: NDArray[np.float32]
    """(outputs, channels)"""

    @property
    def dense(self) -> tuple[Dense, ...]:
        """All integer layers."""
        return (self.stem, *self.dilated, *self.pointwise)


def decoder_of(bundle: Bundle) -> Decoder:
    """Raises EngineBuildError, with the layer's name, for a bundle whose graph is not known."""
    network, constants = network_of(bundle), read_graph(bundle.data).constants

    def scale(name: str) -> np.float32:
        return np.float32(constants[f"{name}_scale"])

    def dense(layer: Layer, x: np.float32, y: np.float32, *, relu: bool) -> Dense:
        return Dense(layer, x, constants[f"{layer.name}_weight_scale"], y, relu)

    before = scale("stem_out")
    # What is seen was divided by its scale, so the codes are whole numbers and the weights have the step.
    step = network.seen.scale * constants["stem_weight_scale"]
    stem = Dense(stem_of_codes(network), ONE, step, before, relu=True)
    dilated, pointwise, sums = [], [], []
    for i, block in enumerate(network.blocks):
        inner, branch, out = (scale(f"block_{i}_{what}") for what in ("inner", "branch", "out"))
        dilated.append(dense(block.dilated, before, inner, relu=True))
        pointwise.append(dense(block.pointwise, inner, branch, relu=False))
        sums.append(Sum(f"block_{i}_sum", before, branch, out))
        before = out
    head = constants["head_weight"][:, :, 0, 0]
    return Decoder(network, stem, tuple(dilated), tuple(pointwise), tuple(sums), head)


def padded_rows(network: Network) -> int:
    """Rows of the model's `ecg` and `anchor`: whole fours, the last of them zero."""
    return -(-len(network.rows) // FOURS) * FOURS


def tflite_model(decoder: Decoder) -> bytes:
    """The model of one hop.

    Inputs: `ecg` (1, fours, 4, hop), `mask` (1, rows), `anchor` (outputs, fours, 4, 1) float32, and of each
    block `past_0` .. (1, (taps - 1) * channels): codes of the frames that its taps read, the oldest first.
    Outputs: `ecg_mv` (1, outputs * hop), `log_sigma` (1, sigmas * hop), and of each block `new_0` ..
    (1, channels): the codes that join its history.
    """
    network, write = decoder.network, ModelWriter()
    channels, taps, hop = network.channels, network.taps, network.hop
    fours, outputs = padded_rows(network) // FOURS, len(network.outputs)

    def numbers(name: str, *shape: int) -> int:
        return write.tensor(name, shape, np.float32)

    def codes(name: str, n: int, scale: np.float32) -> int:
        return write.tensor(name, (1, n), np.int8, scale)

    def flat(x: int, name: str, n: int) -> int:
        shape = write.constant(f"{name}_shape", np.array([1, n], np.int32))
        return write.apply("RESHAPE", [x, shape], numbers(name, 1, n), newShape=[1, n])

    def sum_of(x: int, axis: int, name: str, *shape: int) -> int:
        along = write.constant(f"{name}_axis", np.array([axis], np.int32))
        return write.apply("SUM", [x, along], numbers(name, *shape))

    def joined(inputs: list[int], output: int) -> int:
        return write.apply("CONCATENATION", inputs, output, axis=1)

    ecg, mask = numbers("ecg", 1, fours, FOURS, hop), numbers("mask", 1, len(network.rows))
    anchor = numbers("anchor", outputs, fours, FOURS, 1)
    terms = write.apply("MUL", [anchor, ecg], numbers("terms", outputs, fours, FOURS, hop))
    parts = sum_of(terms, 2, "parts", outputs, fours, hop)
    predicted = flat(sum_of(parts, 1, "sums", outputs, hop), "predicted", outputs * hop)
    wide = padded_rows(network) * hop
    n_leads, n_masks = wide + outputs * hop, len(network.rows)
    leads = joined([flat(ecg, "ecg_row", wide), predicted], numbers("leads", 1, n_leads))
    x = write_codes(write, leads, n_leads, mask, n_masks, network.seen)
    x = write_dense(write, x, decoder.stem, decoder.stem.layer.weight)

    past, new = [], []
    for i, (dilated, pointwise, add) in enumerate(
        zip(decoder.dilated, decoder.pointwise, decoder.sums, strict=True)
    ):
        past.append(codes(f"past_{i}", (taps - 1) * channels, add.skip))
        new.append(x)
        history = joined([past[-1], x], codes(f"history_{i}", taps * channels, add.skip))
        inner = write_dense(write, history, dilated, dilated.layer.weight)
        branch = write_dense(write, inner, pointwise, pointwise.layer.weight)
        x = write_sum(write, x, branch, add, channels)

    steps_out = write.apply("DEQUANTIZE", [x], numbers("head_in", 1, channels))
    n = outputs * hop

    def head(name: str, rows: slice) -> int:
        weight, bias = decoder.head_weight[rows], network.head_bias[rows]
        inputs = [
            steps_out,
            write.constant(f"{name}_weight", weight),
            write.constant(f"{name}_bias", bias),
        ]
        return write.apply("FULLY_CONNECTED", inputs, numbers(name, 1, len(weight)))

    residual, log_sigma = head("residual", slice(n)), head("log_sigma", slice(n, None))
    ecg_mv = write.apply("ADD", [predicted, residual], numbers("ecg_mv", 1, n))
    return write.finish([ecg, mask, anchor, *past], [ecg_mv, log_sigma, *new])


def stem_of_codes(network: Network) -> Layer:
    """The stem on the codes of `write_codes`; its weights are zero for the rows that fill the last four."""
    stem, rows, hop = network.stem, len(network.rows), network.hop
    extra = (padded_rows(network) - rows) * hop
    ecg, predicted, mask = np.split(stem.weight, [rows * hop, -rows], 1)
    above = np.concatenate([np.pad(ecg, ((0, 0), (0, extra))), predicted], 1)
    leads = [above, -above] if network.seen.twice else [above]
    return stem._replace(weight=np.concatenate([*leads, mask], 1))


def write_codes(
    write: ModelWriter, leads: int, n_leads: int, mask: int, n_masks: int, how: Seen
) -> int:
    """The codes of leads in mV, above zero and below where these are apart, and of masks."""

    def numbers(name: str, n: int) -> int:
        return write.tensor(name, (1, n), np.float32)

    halves, n = [leads], n_leads * (1 + how.twice) + n_masks
    if how.twice:
        halves.append(write.apply("NEG", [leads], numbers("minus", n_leads)))
    seen = write.apply("CONCATENATION", [*halves, mask], numbers("seen", n), axis=1)
    unit = write.constant("seen_scale", np.array([how.scale], np.float32))
    steps = write.apply("DIV", [seen, unit], numbers("seen_steps", n))
    zero = -128 if how.twice else 0  # 0 to 255 as int8
    return write.apply("QUANTIZE", [steps], write.tensor("seen_codes", (1, n), np.int8, ONE, zero))


def write_dense(write: ModelWriter, x: int, dense: Dense, weight: NDArray[Any]) -> int:
    """An integer layer on the tensor `x`; the tensor that it makes."""
    name, bias = dense.layer.name, dense.layer.bias
    inputs = [
        x,
        write.constant(f"{name}_weight", weight, dense.weights),
        write.constant(f"{name}_bias", bias, dense.x * dense.weights),
    ]
    output = write.tensor(name, (1, len(weight)), np.int8, dense.y)
    activation = RELU if dense.relu else 0
    return write.apply("FULLY_CONNECTED", inputs, output, fusedActivationFunction=activation)


def write_sum(write: ModelWriter, skip: int, branch: int, add: Sum, n: int) -> int:
    """A residual add of `n` codes and its ReLU; the tensor that it makes."""
    output = write.tensor(add.name, (1, n), np.int8, add.out)
    if not add.table:
        return write.apply("ADD", [skip, branch], output, fusedActivationFunction=RELU)
    integer, code = write.type_of(np.int32), write.type_of(np.int8)

    def whole(what: str) -> int:
        return write.tensor(f"{add.name}_{what}", (1, n), np.int32)

    def number(what: str, value: int) -> int:
        return write.constant(f"{add.name}_{what}", np.array([value], np.int32))

    rows, columns = (
        write.apply("CAST", [x], whole(what), inDataType=code, outDataType=integer)
        for x, what in ((skip, "row"), (branch, "column"))
    )
    first = write.apply("MUL", [rows, number("columns", BRANCHES)], whole("first"))
    places = write.apply("ADD", [first, columns], whole("place"))
    places = write.apply("ADD", [places, number("zero", -LOWEST)], whole("place_of"))
    table = write.constant(f"{add.name}_table", float_sums(add).astype(np.int8), add.out)
    return write.apply("GATHER", [table, places], output, axis=0)


def pairs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All codes of `skip` and `branch` that can meet."""
    skip, branch = np.meshgrid(
        np.arange(HIGHEST + 1), np.arange(LOWEST, LOWEST + BRANCHES), indexing="ij"
    )
    return skip.ravel(), branch.ravel()


def float_sums(add: Sum) -> NDArray[np.int64]:
    """What ONNX Runtime makes of `pairs`."""
    return float_add(*pairs(), add.skip, add.branch, add.out)
