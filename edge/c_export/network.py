"""A bundle's graph as the integers that its decoder computes with.

Only the graph that `quantize.export` writes is known, node by node; any other is refused by the node's name.
What ONNX Runtime derives from it is derived here in the same float32 steps, so that all codes are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.c_export.onnx_graph import Graph, Node, read_graph
from edge.c_export.residual_add import Add, integer_add
from edge.engines.graph_rewrites import codes_of
from edge.errors import EngineBuildError, InputError

HIGHEST = 127  # code after a ReLU; the graph's Clips hold it there
EXACT = 1 << 24  # float32 holds every whole number below it
LANES = 16  # channels that a kernel takes at once
F = np.float32

# Operator, what it reads, what it makes, attributes; `-` is an input left out, `*` any value.
_FIRST = """
Unsqueeze ecg axis_1 > ecg_row
Mul anchor ecg_row > terms
ReduceSum terms axis_2 > predicted keepdims=0
"""
_SEEN = """
Concat ecg predicted > leads axis=1
Neg leads > minus
Concat leads minus mask > seen axis=1
"""
_SEEN_8_BITS = """
Concat ecg predicted mask > seen axis=1
"""  # of bundles up to 0.2
_STEM = """
QuantizeLinear seen seen_scale seen_zero > seen_codes
DequantizeLinear seen_codes seen_scale seen_zero > stem_in
DequantizeLinear stem_weight_codes stem_weight_scale stem_weight_zero > stem_weight axis=0
Conv stem_in stem_weight stem_bias > stem dilations=1,1 kernel_shape=*
Relu stem > stem_relu
QuantizeLinear stem_relu stem_out_scale stem_out_zero > stem_out_codes
Clip stem_out_codes - stem_out_largest > stem_out_saturated
"""
_BLOCK = """
Transpose {x}_saturated > rows_{i} perm=0,2,3,1
Concat state_{i} rows_{i} > rows_history_{i} axis=2
Slice rows_history_{i} rows_history_{i}_from rows_history_{i}_to rows_history_{i}_axis > state_{i}_out
Transpose rows_history_{i} > history_{i} perm=0,3,1,2
DequantizeLinear history_{i} {x}_scale {x}_zero > {b}_in
DequantizeLinear {d}_weight_codes {d}_weight_scale {d}_weight_zero > {d}_weight axis=0
Conv {b}_in {b}_dilated_weight {b}_dilated_bias > {b}_dilated dilations=* kernel_shape=*
Relu {b}_dilated > {b}_relu
QuantizeLinear {b}_relu {b}_inner_scale {b}_inner_zero > {b}_inner_codes
Clip {b}_inner_codes - {b}_inner_largest > {b}_inner_saturated
DequantizeLinear {b}_inner_saturated {b}_inner_scale {b}_inner_zero > {b}_mid
DequantizeLinear {p}_weight_codes {p}_weight_scale {p}_weight_zero > {p}_weight axis=0
Conv {b}_mid {b}_pointwise_weight {b}_pointwise_bias > {b}_pointwise dilations=1,1 kernel_shape=*
QuantizeLinear {b}_pointwise {b}_branch_scale {b}_branch_zero > {b}_branch_codes
DequantizeLinear {x}_saturated {x}_scale {x}_zero > {b}_skip
DequantizeLinear {b}_branch_codes {b}_branch_scale {b}_branch_zero > {b}_add
Add {b}_skip {b}_add > {b}_sum
Relu {b}_sum > {b}_sum_relu
QuantizeLinear {b}_sum_relu {b}_out_scale {b}_out_zero > {b}_out_codes
Clip {b}_out_codes - {b}_out_largest > {b}_out_saturated
"""
_LAST = """
DequantizeLinear {x}_saturated {x}_scale {x}_zero > head_in
Conv head_in head_weight head_bias > head dilations=1,1 kernel_shape=*
Reshape head head_shape > head_leads
Split head_leads {sizes} > residual log_sigma axis=1
Add predicted residual > ecg_mv
"""


class Layer(NamedTuple):
    """A layer's integers."""

    name: str
    weight: NDArray[np.int8]
    """(outputs, inputs) codes, -127..127."""
    bias: NDArray[np.int32]
    """(outputs,) in steps of the sum."""
    scale: NDArray[np.float32]
    """(outputs,) what one step of the sum is worth in codes of the next layer; of the head in mV."""


class Seen(NamedTuple):
    """How the stem's input becomes codes: rounded half to even, then cut off."""

    scale: np.float32
    """mV a code."""
    lowest: int
    highest: int

    @property
    def twice(self) -> bool:
        """The graph has two codes of uint8 of a lead, of what is above zero and of what is below."""
        return self.highest > HIGHEST

    @property
    def largest(self) -> int:
        """Absolute value of a code at most."""
        return max(-self.lowest, self.highest)

    def codes(self, mv: NDArray[np.float32] | np.float32) -> NDArray[np.int64]:
        """The codes of values."""
        rounded = np.rint(mv / self.scale)
        return np.clip(rounded, self.lowest, self.highest).astype(np.int64)


class Block(NamedTuple):
    """A residual block."""

    dilated: Layer
    pointwise: Layer
    add: Add
    dilation: int


@dataclass(frozen=True)
class Network:
    """All that the C decoder is made of."""

    rows: tuple[str, ...]
    """Leads of the rows of `ecg`, in their order."""
    outputs: tuple[str, ...]
    sigmas: tuple[str, ...]
    hop: int
    masked: bool
    """The mask is an input; else it is in the stem's bias."""
    seen: Seen
    stem: Layer
    blocks: tuple[Block, ...]
    head: Layer
    head_bias: NDArray[np.float32]

    @property
    def channels(self) -> int:
        """Of each hidden layer."""
        return len(self.stem.bias)

    @property
    def taps(self) -> int:
        """Frames that a dilated convolution reads."""
        return int(self.blocks[0].dilated.weight.shape[1]) // self.channels


def network_of(bundle: Bundle) -> Network:
    """The integers of a bundle. Raises EngineBuildError, with the layer's name, for what is not known."""
    graph, m = read_graph(bundle.data), bundle.manifest
    _check_nodes(graph, len(m.states))
    reader = _Reader(graph.constants)
    rows, outputs, sigmas, hop = len(m.input_leads), len(m.output_leads), len(m.sigma_leads), m.hop
    seen = reader.seen()
    stem_weight = reader.codes("stem")
    channels, n_leads = len(stem_weight), (rows + outputs) * (1 + seen.twice)
    if stem_weight.shape != (channels, n_leads + rows, hop, 1):
        raise _unknown("stem", f"its weights are {stem_weight.shape}")
    if channels % LANES:
        raise _unknown(
            "stem", f"it has {channels} channels, and the kernels take multiples of {LANES}"
        )
    if stem_weight[:, n_leads:, 1:].any():
        raise _unknown("stem", "the mask has weights beyond a hop's first sample")
    leads, below, mask = np.split(stem_weight[..., 0], [rows + outputs, n_leads], 1)
    if seen.twice and (leads != -below).any():
        raise _unknown("stem", "it weighs what is below zero otherwise than what is above")
    flat = np.concatenate([leads.reshape(channels, -1), mask[:, :, 0]], 1)
    before = reader.scale("stem_out")
    stem = reader.layer("stem", flat, seen.scale, before, seen.largest)
    blocks = []
    for i, state in enumerate(m.states):
        name = f"block_{i}"
        wide = reader.codes(f"{name}_dilated")
        taps = wide.shape[-1]
        if wide.shape != (channels, channels, 1, taps) or taps < 2:
            raise _unknown(f"{name}_dilated", f"its weights are {wide.shape}")
        dilation = _attribute(graph, f"{name}_dilated", "dilations")[-1]
        frames = -int(reader.constant(f"rows_history_{i}_from")[0])
        if frames != dilation * (taps - 1) or state.shape != (1, frames, channels):
            raise _unknown(
                f"{name}_dilated", f"its history has {frames} frames, its state {state.shape}"
            )
        narrow = reader.codes(f"{name}_pointwise")
        if narrow.shape != (channels, channels, 1, 1):
            raise _unknown(f"{name}_pointwise", f"its weights are {narrow.shape}")
        inner, out = reader.scale(f"{name}_inner"), reader.scale(f"{name}_out")
        branch = reader.scale(f"{name}_branch", signed=True)
        by_frame = wide[:, :, 0].transpose(0, 2, 1).reshape(channels, -1)
        dilated = reader.layer(f"{name}_dilated", by_frame, before, inner)
        pointwise = reader.layer(f"{name}_pointwise", narrow[:, :, 0, 0], inner, branch)
        add = integer_add(before, branch, out)
        if add is None:
            raise _unknown(f"{name}_sum", "no 32-bit integers give its sums")
        blocks.append(Block(dilated, pointwise, add, dilation))
        before = out
    if len({len(block.dilated.weight[0]) for block in blocks}) > 1:
        raise _unknown("block_1_dilated", "its kernel is not as long as that of the first")
    head, head_bias = reader.head(before, channels, (outputs + sigmas) * hop)
    return Network(
        m.input_leads, m.output_leads, m.sigma_leads, hop, True, seen, stem, tuple(blocks), head, head_bias
    )  # fmt: skip


def for_leads(network: Network, known: Sequence[str]) -> Network:
    """The decoder of streams whose `known` rows are on at all times, the others never.

    Rows that are always 0 are left out, the codes of the mask go into the stem's bias: the same sums.
    Raises InputError for rows that the network does not have.
    """
    missing = [lead for lead in known if lead not in network.rows]
    if missing or not known:
        raise InputError(f"the decoder has no row of {', '.join(missing) or 'no lead'}")
    on = np.array([lead in known for lead in network.rows])
    n, hop = len(network.rows), network.hop
    kept = np.concatenate([np.repeat(on, hop), np.ones(len(network.outputs) * hop, bool)])
    leads, mask = np.split(network.stem.weight, [-n], 1)
    bias = network.stem.bias + int(network.seen.codes(F(1))) * mask[:, on].sum(1, dtype=np.int32)
    stem = network.stem._replace(weight=np.ascontiguousarray(leads[:, kept]), bias=bias)
    _check_reach(stem.name, stem.weight, bias, network.seen.largest)
    return replace(
        network, rows=tuple(np.array(network.rows)[on].tolist()), masked=False, stem=stem
    )


class _Reader:
    """Constants as layers. Every method raises EngineBuildError, with the layer's name."""

    def __init__(self, constants: dict[str, NDArray[Any]]) -> None:
        self._constants = constants

    def constant(self, name: str) -> NDArray[Any]:
        """A constant that must be there."""
        if name not in self._constants:
            raise _unknown(name, "it is no constant")
        return self._constants[name]

    def scale(self, name: str, *, signed: bool = False) -> np.float32:
        """The scale of a quantiser whose zero point is 0, and whose codes end where ours do."""
        found = self._scale_of(name, np.int8 if signed else np.uint8)
        if not signed and self.constant(f"{name}_largest") != HIGHEST:
            raise _unknown(name, f"its codes do not end at {HIGHEST}")
        return found

    def _scale_of(self, name: str, dtype: type[np.generic]) -> np.float32:
        zero, scale = self.constant(f"{name}_zero"), self.constant(f"{name}_scale")
        if zero.dtype != dtype or zero.any() or scale.shape != ():
            raise _unknown(name, f"its zero point is {zero.dtype} {zero}, its scale {scale.shape}")
        if not (np.isfinite(scale) and scale > 0):
            raise _unknown(name, f"its scale is {scale}")
        return F(scale)

    def seen(self) -> Seen:
        """How the stem's input becomes codes."""
        twice = self.constant("seen_zero").dtype == np.uint8
        scale = self._scale_of("seen", np.uint8 if twice else np.int8)
        return Seen(scale, -255, 255) if twice else Seen(scale, -128, 127)

    def codes(self, name: str) -> NDArray[np.int8]:
        """A convolution's weights, (outputs, inputs, height, width)."""
        codes, zero = self.constant(f"{name}_weight_codes"), self.constant(f"{name}_weight_zero")
        if codes.dtype != np.int8 or zero.any() or codes.ndim != 4 or (codes == -128).any():
            raise _unknown(name, "its weights are no codes of -127 to 127")
        return codes

    def layer(
        self,
        name: str,
        weight: NDArray[np.int8],
        x: np.float32,
        y: np.float32,
        largest: int = HIGHEST,
    ) -> Layer:
        """A layer between quantisers of scales `x` and `y`, whose inputs are at most `largest`."""
        scale = self.constant(f"{name}_weight_scale")
        bias = self.constant(f"{name}_bias")
        if scale.shape != (len(weight),) or bias.shape != (len(weight),):
            raise _unknown(
                name, f"it has {len(weight)} rows, {scale.shape} scales, {bias.shape} biases"
            )
        if not (np.isfinite(scale).all() and (scale > 0).all() and np.isfinite(bias).all()):
            raise _unknown(name, "its scales or biases are no positive numbers")
        step = x * scale  # in float32, as ONNX Runtime multiplies
        codes = np.rint(bias.astype(np.float64) / step.astype(np.float64))
        _check_reach(name, weight, codes, largest)
        return Layer(name, weight, codes.astype(np.int32), (step / y).astype(F))

    def head(self, x: np.float32, channels: int, outputs: int) -> tuple[Layer, NDArray[np.float32]]:
        """The head, whose weights are stored as code times scale, and its bias in mV."""
        stored, bias = self.constant("head_weight"), self.constant("head_bias")
        if stored.shape != (outputs, channels, 1, 1) or bias.shape != (outputs,):
            raise _unknown("head", f"its weights are {stored.shape}")
        if not (np.isfinite(stored).all() and np.isfinite(bias).all()):
            raise _unknown("head", "its weights are no numbers")
        codes, scale = codes_of(stored, "head")
        weight = codes[:, :, 0, 0]
        _check_reach("head", weight, np.zeros(outputs), HIGHEST)
        return Layer("head", weight, np.zeros(outputs, np.int32), (scale * x).astype(F)), bias


def _check_reach(name: str, weight: NDArray[Any], bias: NDArray[Any], largest: int) -> None:
    """Raise EngineBuildError where a sum could reach 2^24: float32 would round it."""
    sums = np.abs(weight.astype(np.int64)).sum(1) * largest + np.abs(bias)
    if sums.max() >= EXACT:
        raise _unknown(
            name, f"its sums may reach {sums.max():.0f}, and float32 rounds them from 2^24"
        )


def _unknown(name: str, why: str) -> EngineBuildError:
    return EngineBuildError(
        f"unknown layer {name}: {why}; export the model again with"
        " `python -m quantize export`, or run it with --engine onnxruntime"
    )


def _check_nodes(graph: Graph, blocks: int) -> None:
    """Raise EngineBuildError for the first node that is not the one that the exporter writes there."""
    twice = any(node.op == "Neg" for node in graph.nodes)
    expected = list(_expected(blocks, twice, "head_leads_sizes" in graph.constants))
    for node, line in zip(graph.nodes, expected, strict=False):
        if not _fits(node, line):
            found = f"{node.op} of {', '.join(filter(None, node.inputs))}"
            raise _unknown(", ".join(node.outputs), f"it is {found}, not {line.partition(' >')[0]}")
    if len(graph.nodes) != len(expected):
        last = ", ".join(graph.nodes[min(len(graph.nodes) - 1, len(expected))].outputs)
        raise _unknown(last, f"the graph has {len(graph.nodes)} nodes, not {len(expected)}")


def _expected(blocks: int, twice: bool, sizes: bool) -> Iterator[str]:
    first = _FIRST + (_SEEN if twice else _SEEN_8_BITS) + _STEM
    yield from filter(None, first.split("\n"))
    x = "stem_out"
    for i in range(blocks):
        b = f"block_{i}"
        names = {"i": i, "b": b, "d": f"{b}_dilated", "p": f"{b}_pointwise", "x": x}
        yield from _BLOCK.format(**names).split("\n")[1:-1]
        x = f"{b}_out"
    named = _LAST.format(x=x, sizes="head_leads_sizes" if sizes else "")
    yield from (" ".join(line.split()) for line in named.split("\n")[1:-1])


def _fits(node: Node, line: str) -> bool:
    reads, _, rest = line.partition(" > ")
    makes = [word for word in rest.split() if "=" not in word]
    wanted = dict(word.split("=") for word in rest.split() if "=" in word)
    found = {name: ",".join(map(str, values)) for name, values in node.attributes.items()}
    return (
        [node.op, *(name or "-" for name in node.inputs)] == reads.split()
        and list(node.outputs) == makes
        and found.keys() == wanted.keys()
        and all(value in ("*", found[name]) for name, value in wanted.items())
    )


def _attribute(graph: Graph, output: str, name: str) -> tuple[int, ...]:
    return next(node.attributes[name] for node in graph.nodes if node.outputs == (output,))
