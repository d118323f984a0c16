"""Which TensorRT there is: `tensorrt` of JetPack or `tensorrt_rtx`, behind one object, with its one logger.

TensorRT registers the first logger of a process and ignores every later one, so each library has a
single logger that lives as long as the process; `collected` hands its lines to whoever is listening.
What differs between the generations (10.3, 10.16, 11, RTX) is switched here and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge.errors import EngineBuildError, EngineMissingError
from edge.jetpack import PACKAGES
from firmware_bridge.extras import install_extra

Progress = Callable[[str, int, int], None]
"""Called with (phase, steps done, steps) while the builder works, in whatever thread it works in."""

LIBRARIES = ("tensorrt", "tensorrt_rtx")
"""In the order of preference."""

MAX_LINES = (
    200  # a build that fails says why in a few lines; a verbose library must not fill memory
)

TOUCHED = (
    "Builder.build_serialized_network",
    "Builder.create_builder_config",
    "Builder.create_network",
    "IBuilderConfig.profiling_verbosity",
    "IBuilderConfig.progress_monitor",
    "IBuilderConfig.set_memory_pool_limit",
    "ILogger.log",
    "INetworkDefinition.get_input",
    "INetworkDefinition.num_inputs",
    "IProgressMonitor.phase_finish",
    "IProgressMonitor.phase_start",
    "IProgressMonitor.step_complete",
    "ITensor.name",
    "ITensor.shape",
    "MemoryPoolType.WORKSPACE",
    "OnnxParser.get_error",
    "OnnxParser.num_errors",
    "OnnxParser.parse",
    "ParserError.desc",
    "ParserError.node_name",
    "ParserError.node_operator",
    "ProfilingVerbosity.DETAILED",
    "__version__",
)
"""What library and build use of every generation: a test holds the list to the real bindings."""

TOUCHED_WHERE_PRESENT = (
    "ComputeCapability.SM86",  # RTX alone builds for a device that is not here
    "IBuilderConfig.builder_optimization_level",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",  # 11 knows nothing else: the flag may go
)
"""What stands behind a switch: used where the library has it."""


class LogLine(NamedTuple):
    """One line of the library's log."""

    severity: str
    """`WARNING`, `ERROR` ..."""
    text: str


@dataclass(frozen=True)
class TensorRtLibrary:
    """An imported library, its version and its logger."""

    module: Any
    name: str
    version: str
    logger: Any
    """The library's own ILogger: pass this one everywhere."""
    _listeners: list[list[LogLine]] = field(default_factory=list, repr=False)

    @contextmanager
    def collected(self) -> Iterator[list[LogLine]]:
        """A list that fills with what is logged inside, in any thread; the last MAX_LINES of it."""
        lines: list[LogLine] = []
        self._listeners.append(lines)
        try:
            yield lines
        finally:
            # By identity: two lists that are equal are still two listeners.
            self._listeners[:] = [other for other in self._listeners if other is not lines]

    def network_flags(self) -> int:
        """What makes `create_network` strongly typed; TensorRT 11 knows nothing else."""
        flags = getattr(self.module, "NetworkDefinitionCreationFlag", None)
        flag = getattr(flags, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def set_optimization_level(self, config: Any, level: int) -> None:
        """How hard the builder looks for fast kernels, 0..5, where that is an option."""
        if hasattr(config, "builder_optimization_level"):
            config.builder_optimization_level = level

    def compute_capabilities(self) -> dict[str, Any]:
        """`"8.6"` -> the enum's member, for each device that can be built for without being here."""
        members = getattr(self.module, "ComputeCapability", None)
        found = {}
        for member in vars(members) if members else ():
            if member.startswith("SM") and member[2:].isdigit():
                found[f"{member[2:-1]}.{member[-1]}"] = getattr(members, member)
        return found

    def set_compute_capability(self, config: Any, compute_capability: str) -> None:
        """Build for this device, here or not.

        Raises EngineBuildError where the library builds only for the device that is here, or not for that
        one.
        """
        known = self.compute_capabilities()
        if not known:
            raise EngineBuildError(
                f"{self.name} {self.version} builds only for the device that is here, not for compute"
                f" capability {compute_capability}: build on that device"
            )
        if compute_capability not in known:
            raise EngineBuildError(
                f"{self.name} {self.version} does not build for compute capability"
                f" {compute_capability}: it has {', '.join(sorted(known, key=float))}"
            )
        config.num_compute_capabilities = 1
        config.set_compute_capability(known[compute_capability], 0)


_libraries: dict[int, TensorRtLibrary] = {}  # by module: one logger for each, as long as it lives
_lock = threading.Lock()


def load_library(names: Sequence[str] = LIBRARIES) -> TensorRtLibrary:
    """The first of `names` that imports.

    Raises EngineMissingError that says of each why it does not. Where none is installed that costs
    microseconds: nothing is imported to find out.
    """
    reasons = []
    for name in names:
        found = [module for module in PACKAGES[name][0] if importlib.util.find_spec(module)]
        if not found:
            reasons.append(f"{name} is not installed")
            continue
        try:
            return library_from_module(importlib.import_module(found[0]), name)
        except (ImportError, OSError) as error:
            reasons.append(f"{name} does not import ({str(error).splitlines()[0]})")
    raise EngineMissingError(
        f"no TensorRT here: {'; '.join(reasons)}: on a Jetson install JetPack's python3-libnvinfer and"
        f" use a venv with --system-site-packages, on a workstation {install_extra('trt-rtx')}"
    )


def library_from_module(module: Any, name: str) -> TensorRtLibrary:
    """The library object of an imported module; the same one each time, since so must its logger be."""
    with _lock:
        library = _libraries.get(id(module))
        if library is None:
            listeners: list[list[LogLine]] = []
            logger = _make_logger(module, listeners)
            library = TensorRtLibrary(module, name, str(module.__version__), logger, listeners)
            _libraries[id(module)] = library
        return library


def _make_logger(module: Any, listeners: list[list[LogLine]]) -> Any:
    """An ILogger of this module that hands all but the verbose lines to the listeners."""

    class Logger(module.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity.name == "VERBOSE":
                return
            for lines in tuple(listeners):
                lines.append(LogLine(severity.name, message.strip()))
                del lines[:-MAX_LINES]

    return Logger()


def make_monitor(library: TensorRtLibrary, progress: Progress | None = None) -> Any:
    """An IProgressMonitor that tells `progress` of (phase, steps done, steps).

    Once its event `interrupted` is set, the build ends at the next step.
    """
    module = library.module

    class Monitor(module.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self.interrupted = threading.Event()
            self.steps: dict[str, int] = {}

        def _tell(self, phase: str, done: int) -> None:
            try:
                if progress:
                    progress(phase, done, self.steps.get(phase, done))
            except KeyboardInterrupt:
                self.interrupted.set()

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase] = steps
            self._tell(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            self._tell(phase, step + 1)
            return not self.interrupted.is_set()

        def phase_finish(self, phase: str) -> None:
            self._tell(phase, self.steps.pop(phase, 0))

    return Monitor()


@contextmanager
def interrupting(interrupted: threading.Event) -> Iterator[None]:
    """Ctrl-C inside sets the event, and is raised on the way out.

    The library swallows what is raised in its callbacks, which is where Python would raise it. A handler that
    the program has set itself stays.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupted.is_set():
        raise KeyboardInterrupt
