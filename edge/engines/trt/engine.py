"""TensorRT on an NVIDIA GPU: built from the bundle, cached, stepped with CUDA graphs.

    step(n) -> the longest engines that fit, in turn -> pinned slab -> graph of this turn -> pinned slab

There is one engine for each step length; all of them share two sets of state tensors on the GPU, which
take turns as input and output. Outside, states are those of the bundle: TensorRT's int8 (1, C, 1, P) holds
the same codes as the manifest's uint8 (1, P, C).
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from traceback import clear_frames
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines.base import Array, Engine
from edge.engines.cache import Built, Cached, EngineCache
from edge.engines.trt.build import BuildOptions, build_plan
from edge.engines.trt.cuda import Cuda, DeviceBuffer, keep_forever, open_cuda
from edge.engines.trt.cuda_graph import GraphCaptureError
from edge.engines.trt.graph import FRAMES
from edge.engines.trt.key import engine_key
from edge.engines.trt.library import LogLine, TensorRtLibrary, load_library
from edge.engines.trt.stepper import Stepper, failure, state_layout
from edge.errors import DeviceError, EngineError, InputError
from edge.jetpack import l4t_release

MAX_KEPT_FRAMES = (
    64  # a second of live packets: what is longer comes seldom and gets arrays of its own
)
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class _Route:
    """How a step of some length is made: which engines, for which of its frames; and where results go."""

    parts: list[tuple[Stepper, slice]]
    ecg_mv: Array
    log_sigma: Array


class TensorRtEngine(Engine):
    """TensorRT, or TensorRT-RTX on a workstation.

    May be opened in one thread and stepped in another; calls wait for each other. After a DeviceLostError
    every step raises again, and `close` still works.
    """

    name = "tensorrt"

    def __init__(
        self,
        bundle: Bundle,
        *,
        library: TensorRtLibrary | None = None,
        cuda: Cuda | None = None,
        cache: EngineCache | None = None,
        frames: Sequence[int] = FRAMES,
        graphs: bool = True,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Take the engines of these step lengths from the cache, or build them; `say` is called at each.

        A `cuda` that is given stays open after `close`. Raises EngineMissingError, EngineBuildError,
        DriverError, DeviceMemoryError, DeviceLostError; InputError for step lengths without 1.
        """
        super().__init__(bundle)
        if 1 not in frames or min(frames) < 1:
            raise InputError(
                f"step lengths {tuple(frames)} do not make every stream: 1 must be one"
            )
        self._closed = False
        self._turn = 0
        self._steppers: list[Stepper] = []
        self._routes: dict[int, _Route] = {}
        self._sets: list[DeviceBuffer] = []
        self._staging: NDArray[np.uint8] | None = None
        self._cached: dict[int, Cached] = {}
        self._why_no_graph = "" if graphs else "graphs were not asked for"
        self._layout = state_layout(self.manifest)
        self._library = library or load_library()
        self._listening = ExitStack()
        self._log: list[LogLine] = self._listening.enter_context(self._library.collected())
        self._runtime: Any = None
        self._owns_cuda = cuda is None
        try:
            self._cuda = cuda or open_cuda()
        except BaseException:
            self._listening.close()
            raise
        atexit.register(self.close)  # before the Cuda that it uses, and in the main thread
        try:
            with self._cuda.current():
                self._open(cache or EngineCache(), sorted(set(frames), reverse=True), graphs, say)
        except BaseException as error:
            # Its frames would keep TensorRT's objects beyond the GPU that they must be destroyed on.
            clear_frames(error.__traceback__)
            self.close()
            raise

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream; see Engine. Raises DeviceLostError and other EngineErrors."""
        frames = ecg.shape[-1]
        with self._cuda.current():
            route = self._routes.get(frames) or self._route(frames)
            for stepper, at in route.parts:
                if len(route.parts) > 1:
                    stepper.ecg[:] = ecg[..., at]
                    stepper.mask[:] = mask if mask.shape[-1] == 1 else mask[..., at]
                else:
                    stepper.ecg[:] = ecg
                    stepper.mask[:] = mask
                stepper.anchor[:] = anchor
                stepper.run(self._turn)
                self._cuda.synchronize()
                self._turn = 1 - self._turn
                # Out of pinned memory: what the caller keeps must not vanish with `close`.
                route.ecg_mv[..., at] = stepper.ecg_mv
                route.log_sigma[..., at] = stepper.log_sigma
        return route.ecg_mv, route.log_sigma

    def state(self) -> dict[str, NDArray[np.generic]]:
        """A copy of the state tensors; see Engine."""
        with self._cuda.current():
            staging = self._require_open()
            self._cuda.copy_out(staging, self._sets[self._turn])
            self._cuda.synchronize()
            found: dict[str, NDArray[np.generic]] = {}
            for s in self.manifest.states:
                codes = self._layout.tensors[s.input].view(staging)
                if s.dtype == "uint8":
                    codes = codes.transpose(_CHANNELS_LAST).astype(np.uint8)
                found[s.input] = np.array(codes, order="C")
            return found

    def set_state(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Continue from these state tensors; see Engine. Raises InputError for a code above 127."""
        self.check_codes(state)
        with self._cuda.current():
            staging = self._require_open()
            for s in self.manifest.states:
                codes = state[s.input]
                if s.dtype == "uint8":
                    codes = codes.transpose(_CHANNELS_FIRST)
                self._layout.tensors[s.input].view(staging)[...] = codes
            self._cuda.copy_in(self._sets[self._turn], staging)
            self._cuda.synchronize()

    def reset(self) -> None:
        """Forget the stream: all state codes zero, set on the GPU."""
        with self._cuda.current():
            self._require_open()
            self._cuda.zero(self._sets[self._turn])

    def details(self) -> dict[str, object]:
        """Library, device and mode, as plain values for a report."""
        built = [c.report.get("seconds", 0.0) for c in self._cached.values() if c.fresh]
        return {
            "library": self._library.name,
            "version": self._library.version,
            "mode": "enqueue" if self._why_no_graph else "graph",
            "why_no_graph": self._why_no_graph,
            "device": self._cuda.device_name,
            "compute_capability": self._cuda.compute_capability,
            "driver": self._cuda.driver_version,
            "frames": sorted(self._cached),
            "cache": {str(n): self._cached[n].note for n in sorted(self._cached)},
            "built_s": round(sum(built), 3),
        }

    def close(self) -> None:
        """Release graphs, contexts, memory, the GPU, in this order; see Engine. Never raises."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._listening.close()
        try:
            with self._cuda.current():
                self._cuda.synchronize()  # a reset may be under way
                self._release()
        except DeviceError:  # lost, hung or closed already
            if self._cuda.hangs:
                keep_forever(self._runtime, *(x for s in self._steppers for x in s.held()))
            self._release()
        if self._owns_cuda:
            self._cuda.close()

    def _open(
        self,
        cache: EngineCache,
        lengths: Sequence[int],
        graphs: bool,
        say: Callable[[str], None] | None,
    ) -> None:
        cuda = self._cuda
        for _ in range(2):
            self._sets.append(cuda.allocate(self._layout.nbytes))
        self._staging = cuda.pinned(self._layout.nbytes)
        try:
            self._runtime = self._library.module.Runtime(self._library.logger)
        except TypeError as error:  # how the bindings say that a constructor returned nothing
            raise self._failure("has a runtime that does not start") from error
        for length in lengths:
            engine = self._engine(length, cache, say)
            states = (self._sets[0], self._sets[1])
            stepper = Stepper(cuda, self._library, engine, self.manifest, length, states, self._log)
            self._steppers.append(stepper)
            stepper.open()
        if graphs:
            self._capture()
        for buffer in self._sets:
            cuda.zero(buffer)  # the first calls have left their states
        cuda.synchronize()

    def _engine(self, length: int, cache: EngineCache, say: Callable[[str], None] | None) -> Any:
        """The deserialised engine of a step length. What the runtime refuses is built anew, once."""
        options = BuildOptions(frames=length)
        key = engine_key(self.bundle, self._library, self._cuda, options.as_dict(), l4t_release())

        def build() -> Built:
            plan = build_plan(self.bundle, self._library, options, say)
            return Built(plan.data, plan.report())

        for _ in range(2):
            cached = cache.get(key, build)
            self._cached[length] = cached
            self._log.clear()
            engine = self._runtime.deserialize_cuda_engine(cached.data)
            if engine is not None:
                return engine
            error = self._failure(f"does not take the engine for {length} frames")
            if isinstance(
                error, DeviceError
            ):  # lost, out of memory, too old: no fault of the engine
                break
            cache.forget(key)
            if cached.fresh:
                break
        raise error

    def _capture(self) -> None:
        """A graph for each turn of each engine, or none at all and the reason."""
        try:
            for stepper in self._steppers:
                stepper.capture()
        except GraphCaptureError as error:
            self._why_no_graph = str(error)
            for stepper in self._steppers:
                stepper.drop_graphs()
                stepper.let_library_capture()

    def _route(self, frames: int) -> _Route:
        """The longest engines that fit, in turn; what a live stream asks for is kept."""
        self._require_open()
        parts: list[tuple[Stepper, slice]] = []
        at = 0
        for stepper in self._steppers:  # the longest first
            while frames - at >= stepper.frames:
                parts.append((stepper, slice(at, at + stepper.frames)))
                at += stepper.frames
        m = self.manifest
        leads, sigmas = (
            np.empty((len(rows), m.hop, frames), np.float32)
            for rows in (m.output_leads, m.sigma_leads)
        )
        route = _Route(parts, leads, sigmas)
        if frames <= MAX_KEPT_FRAMES:
            self._routes[frames] = route
        return route

    def _require_open(self) -> NDArray[np.uint8]:
        if self._staging is None:
            raise EngineError("the TensorRT engine was closed: open it again")
        return self._staging

    def _failure(self, what: str) -> EngineError:
        error = failure(what, self._log, self._library)
        self._cuda.note_loss(error)
        return error

    def _release(self) -> None:
        self._routes.clear()
        while self._steppers:
            self._steppers.pop().close()
        self._runtime = None
        if self._staging is not None:
            self._cuda.unpin(self._staging)
            self._staging = None
        while self._sets:
            self._sets.pop().free()
