"""What each quantised tensor costs: taken out of quantisation alone, the rest INT8, and scored.

A bundle holds a weight's codes and no longer the weight. From the bundle alone a weight is therefore moved
by up to half a code at random, as far as rounding had moved it: how far the output then goes is what
rounding that weight does to it, while r falls with either. The run that was exported still has the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edge.bundle import Bundle
from edge.engines.graph_rewrites import cut_off, of_leads
from edge.progress import followed
from quantize.bundle_feed import BundleFeed
from quantize.data import SCORED_S, Records, zero_phase_highpass
from quantize.errors import QuantizeError
from quantize.export import graph_from_student
from quantize.student import Student

Array = NDArray[np.float64]
Weights = Mapping[str, NDArray[np.float32]]

WEIGHT_QMAX = 127
ALL_ACTIVATIONS = "all activations"
SAME_CODES = ("Transpose", "Concat", "Slice")  # hand codes on as they are


@dataclass(frozen=True)
class Quantised:
    """A tensor that the graph holds in 8 bits."""

    name: str
    kind: str
    """`activation` or `weight`."""
    step: float
    """What one code is worth, mV at the stem's input; of a weight the largest over its channels."""


@dataclass(frozen=True)
class Cost:
    """Means over records and the five reconstructed leads, of one variant of the graph."""

    name: str
    kind: str
    step: float
    r: float
    rmse_uv: float
    r_change: float
    """Against the INT8 bundle: above 0 for an activation, what quantising it costs."""
    r_change_error: float
    """Standard error of that mean over the records, which are compared in pairs."""
    rmse_change_uv: float
    moved_uv: float
    """RMSE between the outputs of the variant and of the INT8 bundle."""


def sensitivity(
    bundle: Bundle,
    records: Records,
    weights: Weights | None = None,
    say: Callable[[str], None] = print,
) -> list[Cost]:
    """The INT8 bundle first, then each quantised tensor without quantisation, then all activations so.

    `weights`: by their names in the graph, from before rounding; by default `moved_weights`. Scored as
    PROTOCOL.md says. Raises QuantizeError for a bundle that is not quantised.
    """
    model = onnx.load_from_string(bundle.data)
    tensors = quantised_tensors(model)
    if not any(t.kind == "activation" for t in tensors):
        raise QuantizeError("the bundle is not quantised: give one that `quantize export` wrote")
    weights = moved_weights(model) if weights is None else weights
    scorer = _Scorer(bundle, records)
    reference = scorer.outputs(model)
    r, rmse_uv = scorer.scores(reference)
    costs = [Cost("int8", "bundle", 0.0, float(np.nanmean(r)), rmse_uv, 0.0, 0.0, 0.0, 0.0)]
    variants = _variants(model, tensors, weights)
    for name, kind, step, variant in followed(variants, "quantised tensors", len(tensors) + 1):
        made = scorer.outputs(variant)
        found_r, found_rmse = scorer.scores(made)
        change = (found_r - r)[np.isfinite(found_r - r)]
        costs.append(
            Cost(
                name,
                kind,
                step,
                float(np.nanmean(found_r)),
                found_rmse,
                float(change.mean()),
                float(change.std() / np.sqrt(len(change))),
                found_rmse - rmse_uv,
                1e3 * float(np.sqrt(np.square(made - reference).mean(-1)).mean()),
            )
        )
        say(f"{len(costs) - 1} of {len(tensors) + 1}: {line(costs[-1])}")
    return costs


def line(cost: Cost) -> str:
    """One row, for people."""
    return (
        f"{cost.name:24s} {cost.kind:10s} r {cost.r_change:+.5f} +- {cost.r_change_error:.5f}"
        f"  RMSE {cost.rmse_change_uv:+7.3f} uV  moved {cost.moved_uv:7.3f} uV"
    )


def quantised_tensors(model: onnx.ModelProto) -> list[Quantised]:
    """Every activation behind a QuantizeLinear and every convolution's weight, in the graph's order."""
    constants, found = _constants(model), []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            step = float(constants[node.input[1]])
            found.append(Quantised(node.output[0], "activation", step))
        elif node.op_type == "Conv":
            _, scale = _weight(model, node.input[1], constants)
            found.append(Quantised(node.input[1], "weight", float(scale.max())))
    return found


def moved_weights(model: onnx.ModelProto, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Every weight off its code by up to half a code, uniformly at random."""
    rng, constants, moved = np.random.default_rng(seed), _constants(model), {}
    for tensor in quantised_tensors(model):
        if tensor.kind == "weight":
            value, scale = _weight(model, tensor.name, constants)
            offset = scale * rng.uniform(-0.5, 0.5, value.shape)
            moved[tensor.name] = (value + offset).astype(np.float32)
    return moved


def weights_of(bundle: Bundle, student: Student) -> dict[str, NDArray[np.float32]]:
    """The weights that a quantised student rounds, by their names in the graph.

    Raises QuantizeError if the bundle was not made of this student.
    """
    model = onnx.load_from_string(bundle.data)
    named = _constants(onnx.load_from_string(graph_from_student(student, float32=True)[0]))
    constants, found = _constants(model), {}
    for tensor in quantised_tensors(model):
        if tensor.kind == "weight":
            value, scale = _weight(model, tensor.name, constants)
            one = named[tensor.name]
            n = value.shape[1] - one.shape[1]  # leads that the graph reads above zero and below
            found[tensor.name] = np.concatenate([one[:, :n], -one[:, :n], one[:, n:]], 1)
            if value.shape != found[tensor.name].shape or np.any(
                np.abs(value - found[tensor.name]) > 0.501 * scale
            ):
                raise QuantizeError(
                    f"{tensor.name} of the bundle is not what this run rounds to: name the run it is of"
                )
    return found


def without(model: onnx.ModelProto, tensor: Quantised, weights: Weights) -> onnx.ModelProto:
    """A copy in which this tensor alone is float32, its state pair included."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    if tensor.kind == "weight":
        nodes = [node for node in out.graph.node if node.output[0] != tensor.name]
        constants = [c for c in out.graph.initializer if c.name != tensor.name]
        constants.append(numpy_helper.from_array(weights[tensor.name], tensor.name))
    else:
        nodes = _without_pair(out, tensor.name)
        constants = list(out.graph.initializer)
    used = {name for node in nodes for name in node.input}
    _replace(out.graph.initializer, [c for c in constants if c.name in used])
    _replace(out.graph.node, nodes)
    return out


def _without_pair(model: onnx.ModelProto, codes: str) -> list[onnx.NodeProto]:
    """Nodes without this QuantizeLinear, the Clip and DequantizeLinears of its codes; states retyped."""
    floats, renamed, nodes = set(), dict[str, str](), []
    leads = of_leads(model)
    for node in model.graph.node:
        if node == leads and node.output[0] == codes:
            clip, limits = cut_off(node, _constants(model))
            nodes.append(clip)
            model.graph.initializer.extend(limits)
            floats.add(codes)
            continue
        if node.op_type == "QuantizeLinear" and node.output[0] == codes:
            renamed[codes] = node.input[0]
            floats.add(node.input[0])
            continue
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type in ("Clip", "DequantizeLinear") and node.input[0] in floats:
            renamed[node.output[0]] = node.input[0]
            continue
        if node.op_type in SAME_CODES and floats & set(node.input):
            floats.update(node.output)
            if node.op_type == "Concat":
                floats.update(name for name in node.input)
        nodes.append(node)
    for value in [*model.graph.input, *model.graph.output]:
        if value.name in floats:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return nodes


def _variants(
    model: onnx.ModelProto, tensors: list[Quantised], weights: Weights
) -> Iterator[tuple[str, str, float, onnx.ModelProto]]:
    bare = model
    for tensor in tensors:
        name = tensor.name.removesuffix("_codes")
        yield name, tensor.kind, tensor.step, without(model, tensor, weights)
        if tensor.kind == "activation":
            bare = without(bare, tensor, weights)
    yield ALL_ACTIVATIONS, "activation", 0.0, bare


def _weight(
    model: onnx.ModelProto, name: str, constants: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """A weight's value and what a code is worth in each output channel, broadcastable to it."""
    if name in constants:  # rounded to codes and stored as float32: its largest code is QMAX
        value = constants[name]
        largest = np.abs(value).reshape(len(value), -1).max(1)
        return value, (largest / WEIGHT_QMAX).reshape(-1, 1, 1, 1)
    (node,) = (n for n in model.graph.node if n.output[0] == name)
    scale = constants[node.input[1]].reshape(-1, 1, 1, 1)
    return constants[node.input[0]] * scale, scale


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}


def _replace(field: Any, values: list[Any]) -> None:
    copies = [type(value).FromString(value.SerializeToString()) for value in values]
    del field[:]
    field.extend(copies)


class _Scorer:
    """The records through the feed that ships, whole records a step, and the score of PROTOCOL.md."""

    def __init__(self, bundle: Bundle, records: Records) -> None:
        m, hz = bundle.manifest, records.sampling_hz
        feed = BundleFeed(bundle)
        n = records.ecg_uv.shape[-1] // m.hop * m.hop
        self._hz, self._counts = hz, slice(*(round(s * hz) for s in SCORED_S))
        self._open = feed.open_rows
        self._given, base, truth = [], [], []
        for ecg_mv in records.millivolts()[:, :, :n]:
            given = feed.given(ecg_mv, hz)
            self._given.append({"ecg": given.ecg, "mask": given.mask, "anchor": given.anchor})
            truth.append(given.truth[:, self._counts])
            base.append(given.base[:, self._counts])
        self._truth, self._base = np.stack(truth).astype(np.float64), np.stack(base)

    def outputs(self, model: onnx.ModelProto) -> Array:
        """(n_records, n_open, n_samples) mV as scored. The anchor acts on the slower branch, too.

        The graph runs as it is written: the optimiser of ONNX Runtime would quantise a float32 weight
        between two quantised tensors again, with one scale for all its channels.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        zeros = {
            value.name: np.zeros(
                [1, *(d.dim_value for d in value.type.tensor_type.shape.dim[1:])],
                onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
            )
            for value in model.graph.input
            if value.name.startswith("state_")
        }
        made = []
        for given, base in zip(self._given, self._base, strict=True):
            (ecg_mv,) = session.run(["ecg_mv"], {**given, **zeros})
            anchored = np.einsum("oi,ihf->ohf", given["anchor"][0, ..., 0, 0], given["ecg"][0])
            residual = (ecg_mv[0] - anchored)[self._open]
            samples = residual.swapaxes(1, 2).reshape(len(residual), -1)
            made.append(base + zero_phase_highpass(samples, self._hz)[:, self._counts])
        return np.stack(made)

    def scores(self, made: Array) -> tuple[Array, float]:
        """Mean r of each record, NaN with a flat lead, and the mean RMSE in uV."""
        p, t = (x - x.mean(-1, keepdims=True) for x in (made, self._truth))
        with np.errstate(divide="ignore", invalid="ignore"):
            r = (p * t).sum(-1) / np.sqrt(np.square(p).sum(-1) * np.square(t).sum(-1))
        rmse_uv = 1e3 * np.sqrt(np.square(made - self._truth).mean(-1))
        return r.mean(-1), float(rmse_uv.mean())
