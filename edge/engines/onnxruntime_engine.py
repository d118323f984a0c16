"""The default engine: ONNX Runtime on the CPU, one thread, its buffers bound once for the live hop."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Manifest
from edge.engines.base import Array, Batch, Engine, State
from edge.engines.batch_graph import batch_graph
from edge.errors import BundleError, EngineError, EngineMissingError
from edge.installed import fits, installed_version

MAX_BOUND_FRAMES = (
    64  # a second of live packets; what is longer comes seldom and is bound for the call
)
OLDEST = "1.18"
DISTRIBUTIONS = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-rocm",
    "onnxruntime-qnn", "onnxruntime-silicon",
)  # fmt: skip
"""They all bring a module of the one name, and overwrite each other's files."""
VNNI = frozenset(("avx_vnni", "avx512_vnni"))


def sums_may_clip(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether ONNX Runtime's fast int8 kernels may clip here: without VNNI, x86 adds two products in 16 bits.

    Signed codes come to them shifted to 0..255, and 2 * 255 * 127 is too much. True where the system does not
    say; on processors that are not x86 it means nothing.
    """
    try:
        return VNNI.isdisjoint(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return True


def import_onnxruntime() -> Any:
    """The module, once it is one that works.

    Packages such as onnxruntime-gpu bring the same files: the removal of one leaves the other, or a bare
    folder, without them. Raises EngineMissingError, with what mends it, also where it is broken or too old.
    """
    # From 1.29 on it reports sessions to its makers, with an identifier kept in HOME, and warns without one.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        module = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name == "onnxruntime" and not _distributions():
            raise EngineMissingError(
                "ONNX Runtime is not installed: pip install onnxruntime"
            ) from error
        raise _broken(f"does not import ({_first_line(error)})") from error
    except Exception as error:  # a library that does not load, a NumPy that it was not built for
        raise _broken(f"does not import ({_first_line(error)})") from error
    if not all(hasattr(module, name) for name in ("InferenceSession", "SessionOptions", "capi")):
        where = next(iter(getattr(module, "__path__", ())), "onnxruntime")
        raise _broken(f"is a folder without its library ({where})")
    version = str(getattr(module, "__version__", ""))
    if not fits(version, f">={OLDEST}"):
        raise EngineMissingError(
            f"ONNX Runtime {version} is older than {OLDEST}: pip install --upgrade 'onnxruntime>={OLDEST}'"
        )
    return module


def _broken(what: str) -> EngineMissingError:
    names = _distributions()
    removal = f"pip uninstall -y {' '.join(names)} && " if names else ""
    return EngineMissingError(
        f"ONNX Runtime {what}: {removal}pip install --force-reinstall 'onnxruntime>={OLDEST}'"
    )


def _distributions() -> list[str]:
    """What is installed that brings the module."""
    return [name for name in DISTRIBUTIONS if installed_version(name) is not None]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def session_options(threads: int = 1) -> Any:
    """ONNX Runtime's options of a session whose integers are the same on every processor."""
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if sums_may_clip():
        # x86 then takes kernels that are exact and slower, others do not know the entry.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def open_session(graph: bytes, threads: int = 1, *, quantised: bool = True) -> Any:
    """An ONNX Runtime session of a serialised model.

    A quantised graph has one float convolution, the head: blocking its layout costs more than it saves.

    Raises EngineMissingError without a sound ONNX Runtime, EngineError when it refuses the graph.
    """
    onnxruntime = import_onnxruntime()
    failures = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        return onnxruntime.InferenceSession(
            graph,
            session_options(threads),
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["NchwcTransformer"] if quantised else [],
        )
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
    ) as error:
        reason = str(error).splitlines()[0]
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} refuses the model: {reason}"
        ) from error


def check_tensors(session: Any, manifest: Manifest) -> None:
    """Raise BundleError unless the graph has the inputs and outputs that the manifest says."""
    m = manifest
    n_in, n_out = len(m.input_leads), len(m.output_leads)
    types = {"float32": "float"}  # ONNX Runtime's names of those that are not NumPy's
    before = {s.input: (types.get(s.dtype, s.dtype), s.shape) for s in m.states}
    after = {s.output: (types.get(s.dtype, s.dtype), s.shape) for s in m.states}
    given = {name: ("float", (n_in, m.hop, "frames")) for name in ("ecg", "mask")}
    for what, ends, expected in (
        (
            "input",
            session.get_inputs(),
            given | {"anchor": ("float", (n_out, n_in, 1, 1))} | before,
        ),
        (
            "output",
            session.get_outputs(),
            {
                name: ("float", (len(rows), m.hop, "frames"))
                for name, rows in (("ecg_mv", m.output_leads), ("log_sigma", m.sigma_leads))
            }
            | after,
        ),
    ):
        found = {end.name: (end.type[len("tensor(") : -1], tuple(end.shape[1:])) for end in ends}
        for name in sorted({*found, *expected}):
            if found.get(name) != expected.get(name):
                raise BundleError(
                    f"the graph of {m.name} does not fit its manifest: {what} {name} is {found.get(name)},"
                    f" not {expected.get(name)}; take another copy of the model, or export it again"
                )


@dataclass
class Bound:
    """The arrays of one step length, and a binding for each of the two turns of the states."""

    ecg: Array
    mask: Array
    anchor: Array
    ecg_mv: Array
    log_sigma: Array
    turns: list[Any]
    held_mask: Array | None = None
    """The array that `mask` is a copy of, where that cannot be written; so `held_anchor`."""
    held_anchor: Array | None = None

    def __post_init__(self) -> None:
        self.first = self.ecg_mv[0], self.log_sigma[0]
        """What is made of the batch's first row."""

    def hold(self, mask: Array, anchor: Array, n: int = 1) -> None:
        """Copy what is not there yet, of the first n rows: mask and anchor seldom change."""
        self.mask[:n], self.anchor[:n] = mask, anchor
        self.held_mask = None if mask.flags.writeable else mask
        self.held_anchor = None if anchor.flags.writeable else anchor


class OnnxRuntimeEngine(Engine):
    """ONNX Runtime on the CPU.

    Short steps, the live case, run on buffers that were bound once for their length: two sets of state
    tensors take turns as input and output, so no state is ever copied.
    """

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        super().__init__(bundle)
        self._threads = threads
        quantised = any(s.dtype == "uint8" for s in self.manifest.states)
        self._session = open_session(bundle.data, threads, quantised=quantised)
        check_tensors(self._session, self.manifest)
        self._states = [self.zero_state(), self.zero_state()]
        self._turn = 0
        self._bound: dict[int, Bound] = {}

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream; see Engine."""
        frames = ecg.shape[-1]
        bound = self._bound.get(frames)
        if bound is None:
            bound = self._bind(frames)
            if frames <= MAX_BOUND_FRAMES:
                self._bound[frames] = bound
        bound.ecg[...] = ecg
        if bound.held_mask is not mask or bound.held_anchor is not anchor:
            bound.hold(mask, anchor)
        self._session.run_with_iobinding(bound.turns[self._turn])
        self._turn = 1 - self._turn
        return bound.first

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the state tensors; see Engine."""
        return {name: array.copy() for name, array in self._states[self._turn].items()}

    def set_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from these state tensors; see Engine."""
        self.check_state(state)
        for name, array in self._states[self._turn].items():
            array[...] = state[name]

    def details(self) -> dict[str, object]:
        """Version and threads; see Engine."""
        return {"version": import_onnxruntime().__version__, "threads": self._threads}

    def _bind(self, frames: int) -> Bound:
        return bind(self._session, self.manifest, frames, (self._states, self._states[::-1]))

    def open_batch(self, n_slots: int) -> OnnxRuntimeBatch:
        """Slots that step in one call; see Engine."""
        together = batch_graph(self.bundle.data, len(self.manifest.states))
        many = self._session
        if together is not None and n_slots > 1:
            many = open_session(together, self._threads)
        return OnnxRuntimeBatch(self, n_slots, self._session, many)


@dataclass
class Bucket:
    """Buffers for a step of up to so many slots: two sets of states take turns, as in the engine."""

    session: Any
    bound: Bound
    states: tuple[State, State]
    turn: int = 0
    slots: list[int] | None = None
    """Whose states these are, row by row."""


class OnnxRuntimeBatch(Batch):
    """Slots in one call of ONNX Runtime.

    The call's batch is the next power of two, so that few lengths are bound; the rows beyond are padding.
    States stay in the buffers of the last call while the same slots step again, else they are exchanged.
    """

    def __init__(self, engine: OnnxRuntimeEngine, n_slots: int, one: Any, many: Any) -> None:
        """Sessions for a single slot, and for several at once."""
        super().__init__(engine, n_slots)
        self._one, self._many = one, many
        self._manifest = engine.manifest
        self._codes = {
            s.input: np.zeros((n_slots, *s.shape), s.dtype) for s in self._manifest.states
        }
        self._buckets: dict[tuple[int, int], Bucket] = {}
        self._last: Bucket | None = None  # has states that `_codes` lacks

    def step(
        self, slots: Sequence[int], ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """See Batch."""
        n, last = len(slots), self._last
        if last is None or last.slots != slots or last.bound.ecg.shape[-1] != ecg.shape[-1]:
            self.check(slots)
            last = self._fetch(list(slots), ecg.shape[-1])
        bound = last.bound
        bound.ecg[:n] = ecg
        if bound.held_mask is not mask or bound.held_anchor is not anchor:
            bound.hold(mask, anchor, n)
        last.session.run_with_iobinding(bound.turns[last.turn])
        last.turn = 1 - last.turn
        return bound.ecg_mv[:n], bound.log_sigma[:n]

    def state(self, slot: int) -> State:
        """See Batch."""
        self.check([slot])
        self._put_back()
        return {name: codes[slot : slot + 1].copy() for name, codes in self._codes.items()}

    def set_state(self, slot: int, state: State) -> None:
        """See Batch."""
        self.check([slot])
        self.engine.check_state(state)
        self._put_back()
        for name, codes in self._codes.items():
            codes[slot] = state[name][0]

    def _fetch(self, slots: list[int], frames: int) -> Bucket:
        """A bucket with the states of these slots."""
        self._put_back()
        bucket, n = self._bucket(len(slots), frames), len(slots)
        for name, codes in self._codes.items():
            np.take(codes, slots, 0, out=bucket.states[bucket.turn][name][:n])
        bucket.slots, self._last = slots, bucket
        return bucket

    def _put_back(self) -> None:
        last, self._last = self._last, None
        if last is not None and last.slots is not None:
            for name, codes in self._codes.items():
                codes[last.slots] = last.states[last.turn][name][: len(last.slots)]

    def _bucket(self, n: int, frames: int) -> Bucket:
        size = 1 << max(0, n - 1).bit_length()
        found = self._buckets.get((size, frames))
        if found is None:
            one, other = (
                {s.input: np.zeros((size, *s.shape), s.dtype) for s in self._manifest.states}
                for _ in range(2)
            )
            turns = ((one, other), (other, one))
            session = self._one if size == 1 else self._many
            bound = bind(session, self._manifest, frames, turns, size)
            found = Bucket(session, bound, (one, other))
            if frames <= MAX_BOUND_FRAMES:
                self._buckets[size, frames] = found
        return found


def bind(
    session: Any,
    manifest: Manifest,
    frames: int,
    turns: Sequence[Sequence[State]],
    batch: int = 1,
) -> Bound:
    """Buffers for one step length; a binding for each of `turns`, (states before, states after)."""
    n_in, n_out, hop = len(manifest.input_leads), len(manifest.output_leads), manifest.hop
    inputs: dict[str, Array] = {
        "ecg": np.zeros((batch, n_in, hop, frames), np.float32),
        "mask": np.zeros((batch, n_in, hop, frames), np.float32),
        "anchor": np.zeros((batch, n_out, n_in, 1, 1), np.float32),
    }
    outputs: dict[str, Array] = {
        name: np.empty((batch, len(rows), hop, frames), np.float32)
        for name, rows in (("ecg_mv", manifest.output_leads), ("log_sigma", manifest.sigma_leads))
    }
    bindings = []
    for before, after in turns:
        binding = session.io_binding()
        for name, array in (*inputs.items(), *before.items()):
            binding.bind_input(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        newest = {s.output: after[s.input] for s in manifest.states}
        for name, array in (*outputs.items(), *newest.items()):
            binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
        bindings.append(binding)
    arrays = {**inputs, **outputs}
    return Bound(
        arrays["ecg"],
        arrays["mask"],
        arrays["anchor"],
        arrays["ecg_mv"],
        arrays["log_sigma"],
        bindings,
    )
