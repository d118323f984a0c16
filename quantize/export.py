"""From a folded, quantised student to the ONNX graph of a bundle, node by node in the pinned form.

In the types that ONNX Runtime fuses: activations after a ReLU are uint8 with zero point 0, everything else
int8. A Clip holds uint8 codes to 127, where int8 and training saturate, so that all engines agree on any
input. States are the quantised tensors themselves, one scale on both sides of every concat, so the integers
do not depend on how the stream is cut. `edge.engines.graph_rewrites` derives the int8 and the float32 graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Manifest, State, write_bundle
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS
from edge.signal.conditioning import Conditioning
from quantize.errors import QuantizeError
from quantize.student import (
    QMAX,
    Block,
    CausalConv,
    Quantizer,
    Student,
    StudentConfig,
    weight_scale,
)

OPSET, IR_VERSION = 17, 9  # what ONNX Runtime 1.18 and TensorRT 10.3 both read

Array = NDArray[Any]


class GraphWriter:
    """Collects nodes, constants and states; each method returns the name of the tensor it makes."""

    code_type = "uint8"

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.states: list[State] = []
        self.steps: dict[str, float] = {}
        """Of each dequantised tensor, what one code is worth."""

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """A constant tensor; a scale must stay a scalar, or no quantised Add fuses."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One node with one output, named like it."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def split(self, x: str, outputs: list[str], sizes: list[int], axis: int) -> None:
        """Parts of `x` along `axis`."""
        inputs = [x]
        if len(set(sizes)) > 1:  # equal parts need no saying
            inputs.append(self.constant(f"{x}_sizes", np.array(sizes, np.int64)))
        self.nodes.append(helper.make_node("Split", inputs, outputs, name=f"{x}_split", axis=axis))

    def input(self, name: str, shape: list[int | str], dtype: int = TensorProto.FLOAT) -> str:
        """A graph input."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: list[int | str], dtype: int = TensorProto.FLOAT) -> str:
        """Declare a tensor a graph output."""
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def quantize(self, x: str, quantizer: Quantizer, name: str) -> Codes:
        """QuantizeLinear with the quantiser's scale and zero point 0; no code is above QMAX."""
        if not quantizer.scale > 0:
            raise QuantizeError(f"{name} has no scale: calibrate the student before export")
        dtype = np.int8 if quantizer.signed else np.uint8
        scale = self.constant(f"{name}_scale", np.array(quantizer.scale.item(), np.float32))
        zero = self.constant(f"{name}_zero", np.array(0, dtype))
        codes = self.node("QuantizeLinear", [x, scale, zero], f"{name}_codes")
        if not quantizer.signed:
            largest = self.constant(f"{name}_largest", np.array(QMAX, dtype))
            codes = self.node("Clip", [codes, "", largest], f"{name}_saturated")
        return Codes(codes, scale, zero, quantizer.scale.item())

    def dequantize(self, codes: Codes, name: str) -> str:
        """DequantizeLinear; every reader has its own, so that each fuses into its reader."""
        self.steps[name] = codes.step
        return self.node("DequantizeLinear", [codes.name, codes.scale, codes.zero], name)

    def convolution(
        self, x: str, conv: CausalConv, name: str, over_hop: Callable[[Array], Array] | None = None
    ) -> str:
        """Conv2d with per-channel int8 weights behind a DequantizeLinear.

        Its kernel has height 1 unless `over_hop` rearranges it.
        """
        weights = weight_codes(conv)
        if over_hop:
            weights = WeightCodes(over_hop(weights.codes), weights.scale)
        parts = [
            self.constant(f"{name}_weight_codes", weights.codes),
            self.constant(f"{name}_weight_scale", weights.scale),
            self.constant(f"{name}_weight_zero", np.zeros(len(weights.codes), np.int8)),
        ]
        weight = self.node("DequantizeLinear", parts, f"{name}_weight", axis=0)
        # Integer engines hold the bias in steps of input times weight scale: store it so for all.
        step = (np.float32(self.steps[x]) * weights.scale).astype(np.float64)
        bias = (np.rint(bias_of(conv) / step) * step).astype(np.float32)
        return self._convolution(x, weight, bias, conv, weights.codes.shape[2:], name)

    def stem(self, ecg: str, predicted: str, mask: str, student: Student) -> Codes:
        """The stem. Leads have 9 bits: a code of uint8 of what is above zero, and one of what is below.

        One of the two is always 0, and their weights differ in sign alone.
        """
        leads = self.node("Concat", [ecg, predicted], "leads", axis=1)
        seen = self.node(
            "Concat", [leads, self.node("Neg", [leads], "minus"), mask], "seen", axis=1
        )
        step = student.input.scale.item()
        scale = self.constant("seen_scale", np.array(step, np.float32))
        zero = self.constant("seen_zero", np.array(0, np.uint8))
        codes = self.node("QuantizeLinear", [seen, scale, zero], "seen_codes")
        x = self.dequantize(Codes(codes, scale, zero, step), "stem_in")
        n = student.config.n_inputs + student.config.n_outputs

        def twice(weight: Array) -> Array:
            over_hop = stem_over_hop(weight, student.config)
            return np.ascontiguousarray(
                np.concatenate([over_hop[:, :n], -over_hop[:, :n], over_hop[:, n:]], 1)
            )

        x = self.convolution(x, student.stem, "stem", twice)
        return self.quantize(self.node("Relu", [x], "stem_relu"), student.stem_out, "stem_out")

    def float_convolution(self, x: str, conv: CausalConv, name: str) -> str:
        """The same with the rounded weights stored as float32: ONNX Runtime would dequantise them at every
        step where the convolution's output is not quantised."""
        weights = weight_codes(conv)
        value = weights.codes * weights.scale.reshape(-1, 1, 1, 1)
        weight = self.constant(f"{name}_weight", value.astype(np.float32))
        return self._convolution(x, weight, bias_of(conv), conv, weights.codes.shape[2:], name)

    def _convolution(
        self, x: str, weight: str, bias: Array, conv: CausalConv, kernel: tuple[int, ...], name: str
    ) -> str:
        return self.node(
            "Conv",
            [x, weight, self.constant(f"{name}_bias", bias)],
            name,
            kernel_shape=list(kernel),
            dilations=[1, conv.conv.dilation[0]],
        )

    def remember(self, codes: Codes, channels: int, frames: int) -> Codes:
        """Prepend the last `frames` frames of these codes, and hand on the newest as the next state.

        The history is kept channels last: ONNX Runtime's integer convolutions read it so, and the
        transposes here cancel against the ones it would put around each of them.
        """
        i = len(self.states)
        rows = self.node("Transpose", [codes.name], f"rows_{i}", perm=[0, 2, 3, 1])
        joined = self._join(rows, (1, frames, channels), axis=2, name=f"rows_history_{i}")
        history = self.node("Transpose", [joined], f"history_{i}", perm=[0, 3, 1, 2])
        return Codes(history, codes.scale, codes.zero, codes.step)

    def _join(self, newest: str, shape: tuple[int, ...], axis: int, name: str) -> str:
        """State and newest frames in one tensor, whose last frames are the next state."""
        i = len(self.states)
        state = State(f"state_{i}", f"state_{i}_out", shape, self.code_type)
        self.states.append(state)
        code_type = helper.np_dtype_to_tensor_dtype(np.dtype(self.code_type))
        self.input(state.input, ["batch", *shape], code_type)
        self.output(state.output, ["batch", *shape], code_type)
        joined = self.node("Concat", [state.input, newest], name, axis=axis)
        bounds = [
            self.constant(f"{name}_{what}", np.array([value], np.int32))
            for what, value in (("from", -shape[axis - 1]), ("to", 2**31 - 1), ("axis", axis))
        ]
        self.node("Slice", [joined, *bounds], state.output)
        return joined


class FloatGraphWriter(GraphWriter):
    """The same graph before quantisation: float32 weights as trained, no quantisers, float32 states."""

    code_type = "float32"

    def quantize(self, x: str, quantizer: Quantizer, name: str) -> Codes:
        """`x` as it is."""
        return Codes(x)

    def dequantize(self, codes: Codes, name: str) -> str:
        """The tensor itself."""
        return codes.name

    def stem(self, ecg: str, predicted: str, mask: str, student: Student) -> Codes:
        """The stem on leads as they are."""
        seen = self.node("Concat", [ecg, predicted, mask], "seen", axis=1)
        over_hop = partial(stem_over_hop, config=student.config)
        x = self.convolution(seen, student.stem, "stem", over_hop)
        return Codes(self.node("Relu", [x], "stem_relu"))

    def convolution(
        self, x: str, conv: CausalConv, name: str, over_hop: Callable[[Array], Array] | None = None
    ) -> str:
        """Conv2d with the weight as trained."""
        value = conv.conv.weight.detach().numpy()[:, :, None, :]
        value = over_hop(value) if over_hop else value
        weight = self.constant(f"{name}_weight", np.ascontiguousarray(value))
        return self._convolution(x, weight, bias_of(conv), conv, value.shape[2:], name)

    float_convolution = convolution

    def remember(self, codes: Codes, channels: int, frames: int) -> Codes:
        """The same history, channels first, as float convolutions read it."""
        name = f"history_{len(self.states)}"
        return Codes(self._join(codes.name, (channels, 1, frames), axis=3, name=name))


@dataclass(frozen=True)
class WeightCodes:
    """A convolution's weight as int8 codes (out, in, height, width) and a float32 scale per output."""

    codes: NDArray[np.int8]
    scale: NDArray[np.float32]


def weight_codes(conv: CausalConv) -> WeightCodes:
    """Codes of a convolution over frames, height 1."""
    weight = conv.conv.weight.detach()
    scale = weight_scale(weight)
    codes = (weight / scale).round().numpy().astype(np.int8)[:, :, None, :]
    return WeightCodes(codes, scale.numpy().reshape(-1))


def stem_over_hop(weight: Array, config: StudentConfig) -> Array:
    """The stem's (out, in, 1, 1) weight as a kernel whose height is the hop.

    The graph's ends are (lead, sample of the hop, frame), the student's are lead times sample: the result
    is (out, leads + predicted + mask, hop, 1). The mask is constant in a hop, so its weight stands at the
    first sample.
    """
    n_out, hop = len(weight), config.hop
    at = [config.n_inputs * hop, config.n_inputs * hop + config.n_inputs]
    leads, mask, predicted = np.split(weight[:, :, 0, 0], at, axis=1)
    over_hop = np.zeros((n_out, config.n_inputs, hop), weight.dtype)
    over_hop[:, :, 0] = mask
    parts = [leads.reshape(n_out, -1, hop), predicted.reshape(n_out, -1, hop), over_hop]
    return np.ascontiguousarray(np.concatenate(parts, 1)[..., None])


def bias_of(conv: CausalConv) -> Array:
    """A folded convolution's bias."""
    assert conv.conv.bias is not None
    return conv.conv.bias.detach().numpy()


@dataclass(frozen=True)
class Codes:
    """A quantised tensor: its name, those of its scale and zero point, and what a code is worth."""

    name: str
    scale: str = ""
    zero: str = ""
    step: float = 1.0


def graph_from_student(
    student: Student, *, float32: bool = False
) -> tuple[bytes, tuple[State, ...]]:
    """The serialised ONNX model of a folded student, and its state pairs.

    With scales from INT8 calibration, or as it was trained in float32.
    """
    config, w = student.config, FloatGraphWriter() if float32 else GraphWriter()
    n_in, n_out, hop = config.n_inputs, config.n_outputs, config.hop
    ecg = w.input("ecg", ["batch", n_in, hop, "frames"])
    mask = w.input("mask", ["batch", n_in, hop, "frames"])
    anchor = w.input("anchor", ["batch", n_out, n_in, 1, 1])

    # Few nodes: a hop costs what its nodes cost. Multiply and sum along the input leads in fixed order.
    one, two = (w.constant(f"axis_{axis}", np.array([axis], np.int64)) for axis in (1, 2))
    terms = w.node("Mul", [anchor, w.node("Unsqueeze", [ecg, one], "ecg_row")], "terms")
    predicted = w.node("ReduceSum", [terms, two], "predicted", keepdims=0)
    codes = w.stem(ecg, predicted, mask, student)
    for i, block in enumerate(student.blocks):
        assert isinstance(block, Block)
        name = f"block_{i}"
        history = w.remember(codes, config.channels, block.dilated.history)
        x = w.convolution(w.dequantize(history, f"{name}_in"), block.dilated, f"{name}_dilated")
        inner = w.quantize(w.node("Relu", [x], f"{name}_relu"), block.inner, f"{name}_inner")
        x = w.convolution(w.dequantize(inner, f"{name}_mid"), block.pointwise, f"{name}_pointwise")
        branch = w.quantize(x, block.branch, f"{name}_branch")
        x = w.node(
            "Add",
            [w.dequantize(codes, f"{name}_skip"), w.dequantize(branch, f"{name}_add")],
            f"{name}_sum",
        )
        codes = w.quantize(w.node("Relu", [x], f"{name}_sum_relu"), block.out, f"{name}_out")

    x = w.float_convolution(w.dequantize(codes, "head_in"), student.head(), "head")
    n_sigma = config.sigma_leads
    head_shape = w.constant("head_shape", np.array([0, n_out + n_sigma, hop, -1], np.int64))
    leads = w.node("Reshape", [x, head_shape], "head_leads")
    w.split(leads, ["residual", "log_sigma"], [n_out, n_sigma], axis=1)
    w.node("Add", [predicted, "residual"], "ecg_mv")
    outputs = w.outputs
    w.outputs = []
    w.output("ecg_mv", ["batch", n_out, hop, "frames"])
    w.output("log_sigma", ["batch", n_sigma, hop, "frames"])
    graph = helper.make_graph(w.nodes, "leadlift", w.inputs, w.outputs + outputs, w.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = "leadlift"
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True), tuple(w.states)


def bundle_from_student(
    student: Student,
    moments: NDArray[np.float64],
    conditioning: Conditioning,
    *,
    sampling_hz: float = 250.0,
    name: str = "leadlift-3to12",
    float32: bool = False,
    teacher_sha256: str | None = None,
    training: Mapping[str, Any] | None = None,
    fidelity: Mapping[str, Any] | None = None,
    sigma_amplitude: float = 0.0,
) -> bytes:
    """A whole bundle: the graph with its manifest and checksum. A student of 12 inputs takes any leads."""
    graph, states = graph_from_student(student, float32=float32)
    config = student.config
    any_leads = config.n_inputs == len(LEADS)
    manifest = Manifest(
        name=name,
        sampling_hz=sampling_hz,
        hop=config.hop,
        lookahead=student.late_samples,
        receptive_field=config.receptive_frames * config.hop,
        input_leads=LEADS if any_leads else INPUT_LEADS,
        output_leads=INDEPENDENT_LEADS if any_leads else RECONSTRUCTED_LEADS,
        states=states,
        conditioning=conditioning,
        second_moments=tuple(tuple(float(v) for v in row) for row in moments),
        training=training or {},
        fidelity=fidelity or {},
        teacher_sha256=teacher_sha256,
        sigma_amplitude=sigma_amplitude,
    )
    return write_bundle(graph, manifest)
