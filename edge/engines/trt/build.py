"""From a bundle to a TensorRT engine: parse and build; one path for every generation.

The network is strongly typed and its precision comes from explicit Q/DQ alone, so there are no precision
flags to set and none that a later TensorRT has dropped. The parser and the builder answer failure with
None and a line in the log: here that becomes an error with the node's name and those lines. DLA is
refused by not being asked for: its INT8 does not take explicit Q/DQ.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.bundle import Bundle
from edge.engines.trt.graph import static_int8_graph
from edge.engines.trt.library import (
    LogLine,
    Progress,
    TensorRtLibrary,
    interrupting,
    make_monitor,
)
from edge.errors import DriverError, EngineBuildError, EngineError

SHOWN_LINES = 4  # of a log in one error: the first that failed says why, the rest is its echo
MAX_LINE = 400  # characters of one log line in an error
RETRY = "see whether the model that ships builds, or export this one again"
ECHO = re.compile(r"--- (Begin|End) node ---")  # around the node that the error names already
NO_DRIVER = re.compile(
    r"CUDA initialization failure|cudaError ?35|CUDA driver version is insufficient"
)


@dataclass(frozen=True)
class BuildOptions:
    """What an engine is built for; part of the key that it is cached under."""

    frames: int = 1
    """Frames of one step: fixed in the engine."""
    compute_capability: str | None = None
    """`"8.6"`: a device that is not here (TensorRT-RTX only). None: the device that is here, or
    TensorRT-RTX's own range of devices."""
    optimization_level: int | None = None
    """0..5; None leaves the library's own. Ignored where the library has none."""
    workspace_mb: int = 64
    """Scratch memory that a layer may take at run time: the decoder takes 8 MB, in 1 MB it does not fit."""

    def as_dict(self) -> dict[str, object]:
        """Plain values for the cache key and the report."""
        return asdict(self)


@dataclass(frozen=True)
class Parsed:
    """A parsed network, kept alive with the builder and the parser that own its memory."""

    network: Any
    builder: Any
    parser: Any
    graph: bytes
    """The parser may refer to its weights until the engine is built."""
    library: TensorRtLibrary


@dataclass(frozen=True)
class Plan:
    """A serialised engine and how it came about."""

    data: bytes
    seconds: float
    messages: tuple[str, ...]
    """Warnings and worse that the library logged."""
    library: str
    version: str
    options: BuildOptions

    def report(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "library": self.library,
            "version": self.version,
            "options": self.options.as_dict(),
            "seconds": round(self.seconds, 3),
            "bytes": len(self.data),
            "messages": list(self.messages),
        }


def parse(graph: bytes, library: TensorRtLibrary) -> Parsed:
    """The network that the library's ONNX parser makes of a graph.

    Raises EngineBuildError with the parser's node and reason, DriverError when the library wants a driver
    that is not here.
    """
    trt = library.module
    with library.collected() as lines:
        try:
            builder = trt.Builder(library.logger)
            network = builder.create_network(library.network_flags())
            parser = trt.OnnxParser(network, library.logger)
        except TypeError as error:  # how the bindings say that a constructor returned nothing
            raise _failure("its builder does not start", lines, library) from error
        if network is None:
            raise _failure("its builder makes no network", lines, library)
        if not parser.parse(graph):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            where, why = _first_error(errors)
            what = f"its parser refuses {where}: {why}"
            raise EngineBuildError(f"{_in_one_line(what, lines, library, known=why)}: {RETRY}")
        for tensor in (network.get_input(i) for i in range(network.num_inputs)):
            if -1 in tuple(tensor.shape):
                raise EngineBuildError(
                    f"{tensor.name} has a dynamic dimension, {tuple(tensor.shape)}: an engine is built for"
                    " fixed ones; make the graph with static_int8_graph"
                )
        return Parsed(network, builder, parser, graph, library)


def build_plan(
    bundle: Bundle,
    library: TensorRtLibrary,
    options: BuildOptions | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Build the engine of a bundle for steps of `options.frames` frames.

    `say` is called at each stage, `progress` with (phase, steps done, steps) within the builder.

    The same bundle, library, device and options give the same bytes with TensorRT-RTX; TensorRT times its
    kernels on the device and may choose others. Raises as `parse` and `static_int8_graph` do.
    """
    options = options or BuildOptions()
    say = say or (lambda _: None)
    start = time.perf_counter()
    say(f"writing the int8 graph for steps of {options.frames} frames")
    graph = static_int8_graph(bundle, options.frames)
    say(f"parsing with {library.name} {library.version}")
    with library.collected() as lines:
        parsed = parse(graph, library)
        say(f"building for {options.compute_capability or 'this device'}")
        data = serialize(parsed, options, progress)
    return Plan(
        data,
        time.perf_counter() - start,
        tuple(f"{line.severity}: {line.text}" for line in lines if line.severity != "INFO"),
        library.name,
        library.version,
        options,
    )


def serialize(parsed: Parsed, options: BuildOptions, progress: Progress | None = None) -> bytes:
    """Build a parsed network into the bytes of an engine.

    Raises EngineBuildError with the lines of the log when the builder gives none, KeyboardInterrupt on
    Ctrl-C.
    """
    library, trt = parsed.library, parsed.library.module
    with library.collected() as lines:
        config = parsed.builder.create_builder_config()
        if config is None:
            raise _failure("its builder makes no configuration", lines, library)
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
        config.profiling_verbosity = (
            trt.ProfilingVerbosity.DETAILED
        )  # or an inspector sees names alone
        if options.optimization_level is not None:
            library.set_optimization_level(config, options.optimization_level)
        if options.compute_capability is not None:
            library.set_compute_capability(config, options.compute_capability)
        monitor = make_monitor(library, progress)  # the configuration does not keep it alive
        config.progress_monitor = monitor
        with interrupting(monitor.interrupted):
            engine = parsed.builder.build_serialized_network(parsed.network, config)
        if engine is None:
            raise _failure("its builder refuses the network", lines, library)
        return bytes(engine)


def _first_error(errors: Sequence[Any]) -> tuple[str, str]:
    """Where the parser stopped, and why."""
    if not errors:
        return "the graph", "it does not say why"
    error = errors[0]
    node, operator = error.node_name(), error.node_operator()
    where = f"node {node!r} ({operator})" if node or operator else "the graph"
    return where, _one_line(error.desc())


def _failure(what: str, lines: Sequence[LogLine], library: TensorRtLibrary) -> EngineError:
    """The typed error of a builder that answered None: for want of a driver, or because of the graph."""
    text = _in_one_line(what, lines, library)
    first = next((line.text for line in lines if "ERROR" in line.severity), "")
    if NO_DRIVER.search(first):
        return DriverError(f"{text}: install an NVIDIA driver that this version knows")
    return EngineBuildError(f"{text}: {RETRY}")


def _in_one_line(
    what: str, lines: Sequence[LogLine], library: TensorRtLibrary, known: str = ""
) -> str:
    """What failed and what the log adds to what is known of it, in one line."""
    errors = [line for line in lines if "ERROR" in line.severity]
    said = dict.fromkeys(
        _one_line(line.text) for line in errors or lines if line.severity != "INFO"
    )
    echoes = [text for text in said if ECHO.search(text) or (known and known in text)]
    added = "; ".join([text for text in said if text not in echoes][:SHOWN_LINES])
    log = f" (log: {added})" if added else "" if known else " (its log says nothing)"
    return f"{library.name} {library.version}: {what}{log}"


def _one_line(text: str) -> str:
    return " ".join(str(text).split())[:MAX_LINE]
