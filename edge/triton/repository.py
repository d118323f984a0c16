"""A model repository for Triton: config.pbtxt and the files beside it, for each of three backends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge.bundle import Bundle, State
from edge.errors import InputError
from edge.leads import LEADS
from edge.triton.model import BUNDLE_NAME

DEFAULT_SLOTS = 1024
MAX_SLOTS = 1 << 16
IDLE_S = 60
"""Without a request for so long a sequence is over."""
_DELAY_S = 0.02  # a request waits for others: an eighth of a frame of 160 ms
_GROUPS = (64, 256)  # a patient costs less the more there are, up to about 256
_NOT_RUN = "# NOT RUN HERE: leadlift's tests have Triton with its Python backend alone.\n"
_FLAG = "int32_false_true: [ 0, 1 ]"
_CONTROLS = (
    ("START", _FLAG, ","),
    ("END", _FLAG, ","),
    ("READY", _FLAG, ","),
    ("CORRID", "data_type: TYPE_UINT64", ""),
)
_MODEL_PY = '''"""Written by `leadlift export-triton`: this Python needs leadlift."""

from edge.triton.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is served."""

    slots: int = DEFAULT_SLOTS
    """Sequences at a time."""
    engine: str = "auto"
    mains_hz: float | str | None = "bundle"
    lowpass_hz: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.slots <= MAX_SLOTS:
            raise InputError(f"{self.slots} slots: give a number from 1 to {MAX_SLOTS}")


def repository_files(bundle: Bundle, backend: str, settings: Settings) -> dict[str, bytes]:
    """Path in the repository -> content; config.pbtxt is the last. Raises InputError for no such backend."""
    if backend not in BACKENDS:
        raise InputError(f"unknown backend {backend!r}: use {', '.join(BACKENDS)}")
    return BACKENDS[backend](bundle, settings)


def _python(bundle: Bundle, settings: Settings) -> dict[str, bytes]:
    samples = f"[ {len(LEADS)}, -1 ]"
    given = {
        "engine": settings.engine,
        "slots": str(settings.slots),
        "mains_hz": json.dumps(settings.mains_hz),
        "lowpass_hz": json.dumps(settings.lowpass_hz),
    }
    config = (
        "# A sequence is a patient: the next samples in, twelve leads out. See docs/triton.md of leadlift.\n"
        'name: "leadlift"\n'
        'backend: "python"\n'
        f"max_batch_size: {settings.slots}\n"
        + _listed(
            "input",
            ['{ name: "ecg_mv" data_type: TYPE_FP32 dims: [ -1, -1 ] allow_ragged_batch: true }'],
        )
        + _listed(
            "output",
            [
                _tensor("ecg_mv", "FP32", samples),
                _tensor("sigma_mv", "FP32", samples),
                _tensor("quality", "UINT8", samples),
                _tensor("first_sample", "INT64", "[ 1 ]"),
            ],
        )
        + _batching(
            [
                _oldest(settings),
                "  control_input [\n"
                + "".join(
                    f'    {{ name: "{name}" control [ {{ kind: CONTROL_SEQUENCE_{name} {kind} }} ] }}{end}\n'
                    for name, kind, end in _CONTROLS
                )
                + "  ]\n",
            ]
        )
        + "# An instance is a process of one core with slots of its own; Triton keeps a sequence on one.\n"
        + "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        + _parameters(given)
    )
    return {
        "leadlift/1/model.py": _MODEL_PY.encode(),
        f"leadlift/1/{BUNDLE_NAME}": bundle.data,
        "leadlift/config.pbtxt": config.encode(),
    }


def _onnxruntime(bundle: Bundle, settings: Settings) -> dict[str, bytes]:
    config = (
        _NOT_RUN
        + "# The decoder alone, a hop or more a request; its state stays with Triton.\n"
        + 'name: "leadlift_decoder"\n'
        + 'backend: "onnxruntime"\n'
        + f"max_batch_size: {min(settings.slots, _GROUPS[-1])}\n"
        + _ends(bundle, "-1", "")
        + _batching(
            [_oldest(settings), _states([(s, s.dtype, s.shape) for s in bundle.manifest.states])]
        )
        + "instance_group [ { count: 1 kind: KIND_CPU } ]\n"
        + _parameters({"intra_op_thread_count": "1"})
    )
    return {
        "leadlift_decoder/1/model.onnx": bundle.data,
        "leadlift_decoder/config.pbtxt": config.encode(),
    }


def _tensorrt(bundle: Bundle, settings: Settings) -> dict[str, bytes]:
    # The engine that `build-engine` makes: one stream, int8 states with channels first.
    states = [(s, "int8", (1, s.shape[2], s.shape[0], s.shape[1])) for s in bundle.manifest.states]
    config = (
        _NOT_RUN
        + "# The decoder alone, a hop a request; its state stays with Triton. model.plan is of one machine:\n"
        + "#   leadlift build-engine --frames 1 --output leadlift_decoder/1/model.plan\n"
        + "# An instance has one stream, since the engine has a batch of one: count is of patients.\n"
        + 'name: "leadlift_decoder"\n'
        + 'backend: "tensorrt"\n'
        + "max_batch_size: 0\n"
        + _ends(bundle, "1", "1, ")
        + _batching(["  direct { }\n", _states(states)])
        + f"instance_group [ {{ count: {min(settings.slots, 64)} kind: KIND_GPU }} ]\n"
    )
    return {"leadlift_decoder/config.pbtxt": config.encode()}


BACKENDS: dict[str, Callable[[Bundle, Settings], dict[str, bytes]]] = {
    "python": _python,
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
}
"""What writes the files of each."""


def _ends(bundle: Bundle, frames: str, batch: str) -> str:
    """Inputs and outputs of the decoder."""
    m = bundle.manifest
    inputs, outputs, sigmas = len(m.input_leads), len(m.output_leads), len(m.sigma_leads)
    per_frame = f"{m.hop}, {frames}"
    return _listed(
        "input",
        [
            _tensor("ecg", "FP32", f"[ {batch}{inputs}, {per_frame} ]"),
            _tensor("mask", "FP32", f"[ {batch}{inputs}, {per_frame} ]"),
            _tensor("anchor", "FP32", f"[ {batch}{outputs}, {inputs}, 1, 1 ]"),
        ],
    ) + _listed(
        "output",
        [
            _tensor("ecg_mv", "FP32", f"[ {batch}{outputs}, {per_frame} ]"),
            _tensor("log_sigma", "FP32", f"[ {batch}{sigmas}, {per_frame} ]"),
        ],
    )


def _states(states: Sequence[tuple[State, str, tuple[int, ...]]]) -> str:
    """Implicit state, zero where a sequence starts."""
    rows = []
    for state, dtype, shape in states:
        kind = f"TYPE_{dtype.upper().replace('FLOAT', 'FP')}"
        tensor = f"data_type: {kind} dims: [ {', '.join(map(str, shape))} ]"
        rows.append(
            f'    {{ input_name: "{state.input}" output_name: "{state.output}" {tensor}\n'
            f'      initial_state {{ name: "zero" {tensor} zero_data: true }} }}'
        )
    return "  state [\n" + ",\n".join(rows) + "\n  ]\n"


def _oldest(settings: Settings) -> str:
    groups = [size for size in _GROUPS if size <= settings.slots] or [settings.slots]
    return (
        f"  oldest {{ max_candidate_sequences: {settings.slots} preferred_batch_size: {groups}"
        f" max_queue_delay_microseconds: {round(_DELAY_S * 1e6)} }}\n"
    )


def _batching(parts: Sequence[str]) -> str:
    idle = f"  max_sequence_idle_microseconds: {IDLE_S * 1_000_000}\n"
    return "sequence_batching {\n" + idle + "".join(parts) + "}\n"


def _tensor(name: str, kind: str, dims: str) -> str:
    return f'{{ name: "{name}" data_type: TYPE_{kind} dims: {dims} }}'


def _listed(what: str, rows: Sequence[str]) -> str:
    return f"{what} [\n  " + ",\n  ".join(rows) + "\n]\n"


def _parameters(given: Mapping[str, str]) -> str:
    return "".join(
        f'parameters {{ key: "{name}" value: {{ string_value: {json.dumps(value)} }} }}\n'
        for name, value in given.items()
    )
