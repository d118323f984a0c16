"""`leadlift build-engine`: build the engines of this machine ahead of time: TensorRT's, or the one in C."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bundle import Bundle, load_bundle
from edge.commands.common import Subparsers, UsageError, usage
from edge.commands.live_report import write_report
from edge.commands.outputs import add_overwrite_option, check_outputs
from edge.engines.trt.graph import FRAMES, MAX_FRAMES
from edge.engines.trt.library import LIBRARIES, TensorRtLibrary
from edge.errors import EngineBuildError, EngineMissingError, SinkError
from edge.notices import say
from edge.progress import progress
from firmware_bridge.new_file import stamped, write_file

if TYPE_CHECKING:
    from edge.engines.cache import EngineCache
    from edge.engines.trt.cuda import Cuda

NOT_CACHED = "nothing: leadlift loads only what was built on the machine itself"

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "build-engine",
        help="build the engines of a model ahead of time: TensorRT's, or the one in C",
    )
    option = parser.add_argument
    option(
        "--engine",
        choices=("tensorrt", "c"),
        default="tensorrt",
        help="which (default: %(default)s; c takes --model and --force alone)",
    )
    option("--model", metavar="PATH", help="bundle, or small (default: the one that ships)")
    option(
        "--frames",
        default=",".join(map(str, FRAMES)),
        metavar="N,N",
        help="frames per step, an engine each (default: %(default)s, which leadlift runs)",
    )
    option("--library", choices=LIBRARIES, help="default: the first that is installed")
    option(
        "--compute-capability",
        metavar="8.6",
        help="build for a GPU that is not here (tensorrt_rtx alone); nothing is cached",
    )
    option(
        "--output",
        metavar="FILE",
        help="write the engine to a file, too, for other tools: leadlift never loads it from there",
    )
    option("--report", metavar="OUT.json", help="write layers, sizes and times as JSON")
    add_overwrite_option(parser)
    option("--force", action="store_true", help="build again what is cached")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Build, and print what was built."""
    if arguments.engine == "c":
        return _compile(load_bundle(arguments.model), force=arguments.force)
    lengths = _lengths(arguments.frames)
    target = arguments.compute_capability
    if target is not None and not re.fullmatch(r"\d+\.\d", target):
        raise UsageError(f"{target!r} is no compute capability: give one such as 8.6")
    report_name = stamped(arguments.report or "")
    files = _engine_files(stamped(arguments.output or ""), lengths)
    outputs = [("the engine", path) for path in files.values()]
    with usage():
        check_outputs(
            [*outputs, ("the report", report_name)],
            {"the model": arguments.model},
            overwrite=arguments.overwrite,
        )
    bundle = load_bundle(arguments.model)
    if target is None:
        report = _build_here(bundle, arguments.library, lengths, force=arguments.force)
    else:
        report = _build_elsewhere(bundle, arguments.library, lengths, target)
    for engine in report["engines"]:
        data = engine.pop("data")
        if path := files.get(engine["frames"]):
            engine["output"] = _write(path, data, overwrite=arguments.overwrite)
    print("\n".join(_in_words(report)))
    if report_name:
        write_report(report_name, report, overwrite=arguments.overwrite)
    return 0


def _compile(bundle: Bundle, *, force: bool) -> int:
    """The decoder in C, held to ONNX Runtime, into the cache. Raises EngineErrors."""
    from edge.engines.c.build import find_compiler, library_key
    from edge.engines.c.library import library_cache
    from edge.engines.registry import open_engine

    if force:
        library_cache().forget(library_key(bundle, find_compiler()))
    with open_engine(bundle, "c", say).engine as engine:
        found = engine.details()
    print(f"model      {bundle.manifest.name}, sha256 {bundle.sha256[:12]}")
    print(f"compiler   {found['compiler']} {found['flags']}")
    print(f"engine     c, kernel {found['kernel']}: every code as ONNX Runtime's")
    print(f"cache      {found['note']}")
    if found["cache"]:
        print(f"file       {found['cache']}")
    return 0


def _lengths(text: str) -> list[int]:
    try:
        lengths = sorted({int(part) for part in text.split(",")})
    except ValueError:
        lengths = [0]
    if lengths[0] < 1 or lengths[-1] > MAX_FRAMES:
        raise UsageError(
            f"--frames {text}: give whole numbers from 1 to {MAX_FRAMES}, such as 1,32"
        )
    return lengths


def _build_here(
    bundle: Bundle, name: str | None, lengths: list[int], *, force: bool
) -> dict[str, Any]:
    """Into the cache, for the GPU of this machine. Raises EngineMissingError and other EngineErrors."""
    from edge.engines.cache import EngineCache
    from edge.engines.trt.cuda import open_cuda
    from edge.engines.trt.library import load_library
    from edge.jetpack import look, require

    machine = look()
    try:
        require(machine)
    except EngineMissingError as error:
        if machine.gpu or not (machine.packages or {}).get("tensorrt_rtx"):
            raise
        elsewhere = "to build for a GPU that is not here give --compute-capability, such as 8.6"
        raise EngineMissingError(f"{error}; {elsewhere}") from error
    library = load_library((name,) if name else LIBRARIES)
    cache = EngineCache()
    with closing(open_cuda()) as cuda:
        engines = [_cached(bundle, library, cuda, cache, frames, force=force) for frames in lengths]
        report = _head(bundle, library, cuda.compute_capability)
        return report | {"device": cuda.device_name, "l4t": machine.l4t, "engines": engines}


def _cached(
    bundle: Bundle,
    library: TensorRtLibrary,
    cuda: Cuda,
    cache: EngineCache,
    frames: int,
    *,
    force: bool,
) -> dict[str, Any]:
    """One engine, from the cache or into it, once the runtime of this machine takes it."""
    from edge.engines.cache import Built
    from edge.engines.trt.build import BuildOptions, build_plan
    from edge.engines.trt.key import engine_key
    from edge.jetpack import l4t_release

    options = BuildOptions(frames=frames)
    key = engine_key(bundle, library, cuda, options.as_dict(), l4t_release())

    def build() -> Built:
        with shown(frames) as (tell, step):
            plan = build_plan(bundle, library, options, tell, step)
        return Built(plan.data, plan.report())

    if force:
        cache.forget(key)
    with cuda.current(), library.collected() as lines:
        cached = cache.get(key, build)
        runtime = library.module.Runtime(library.logger)
        if runtime.deserialize_cuda_engine(cached.data) is None:
            cache.forget(key)
            why = "; ".join(" ".join(line.text.split()) for line in lines[-3:])
            raise EngineBuildError(
                f"{library.name} {library.version} does not take the engine for {frames} frames"
                f" ({why or 'its log says nothing'}): it was removed from the cache, build it again"
            )
    return {
        **cached.report,
        **_facts(cached.data, frames),
        "cache": None if cached.path is None else str(cached.path),
        "fresh": cached.fresh,
        "note": cached.note,
    }


def _build_elsewhere(
    bundle: Bundle, name: str | None, lengths: list[int], target: str
) -> dict[str, Any]:
    """For a GPU that is not here: nothing of it can be cached, deserialised or run."""
    from edge.engines.trt.build import BuildOptions, build_plan
    from edge.engines.trt.library import load_library

    library = load_library((name or "tensorrt_rtx",))
    engines = []
    for frames in lengths:
        options = BuildOptions(frames=frames, compute_capability=target)
        with shown(frames) as (tell, step):
            plan = build_plan(bundle, library, options, tell, step)
        facts = _facts(plan.data, frames)
        engines.append({**plan.report(), **facts, "cache": None, "fresh": True, "note": NOT_CACHED})
    return _head(bundle, library, target) | {"device": None, "l4t": None, "engines": engines}


def _head(bundle: Bundle, library: TensorRtLibrary, compute_capability: str) -> dict[str, Any]:
    return {
        "model": bundle.manifest.name,
        "bundle_sha256": bundle.sha256,
        "library": library.name,
        "version": library.version,
        "compute_capability": compute_capability,
        "stepped": False,  # building is all that this command does
    }


def _facts(data: bytes, frames: int) -> dict[str, Any]:
    return {
        "frames": frames,
        "data": data,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _engine_files(output: str, lengths: list[int]) -> dict[int, Path]:
    """The file of each engine, by frames a step; none where none is asked for."""
    path = Path(output)
    if not output:
        return {}
    if len(lengths) == 1:
        return {lengths[0]: path}
    return {frames: path.with_name(f"{path.stem}-{frames}{path.suffix}") for frames in lengths}


def _write(path: Path, data: bytes, *, overwrite: bool) -> str:
    try:
        write_file(path, data, overwrite=overwrite)
    except OSError as error:
        raise SinkError(f"cannot write the engine {path}: {error.strerror}") from error
    return str(path)


@contextmanager
def shown(frames: int) -> Iterator[tuple[Say, Progress]]:
    """What to tell of a build, and of the builder's steps, which show how far the outermost phase is."""
    name = f"engine for {frames} frames"
    phases: list[str] = []  # the builder's own, one within the other
    with progress(name) as work:

        def tell(text: str) -> None:
            work.what = f"{name}: {text}"
            if not sys.stderr.isatty():
                say(text)

        def step(phase: str, done: int, steps: int) -> None:
            if phase not in phases:
                phases.append(phase)
            if phase == phases[0]:
                work.what = f"{name}: {phase}"
                work.done, work.total = done, steps or None
            if done >= steps:
                phases.remove(phase)

        yield tell, step


def _in_words(report: dict[str, Any]) -> Iterator[str]:
    yield f"model      {report['model']}, sha256 {report['bundle_sha256'][:12]}"
    yield f"library    {report['library']} {report['version']}"
    here = report["device"] or "a GPU that is not here"
    yield f"for        {here}, compute capability {report['compute_capability']}"
    for engine in report["engines"]:
        frames = engine["frames"]
        yield (
            f"engine     {frames} frame{'s' if frames > 1 else ''} a step: "
            f"{engine['bytes'] / 1e6:.2f} MB, built in {engine.get('seconds', 0.0):.1f} s"
        )
        yield f"cache      {engine['note']}"
        for kind in ("cache", "output"):
            if engine.get(kind):
                yield f"file       {engine[kind]}"
    if report["device"] is None:
        yield "Nothing was run: there is no such GPU here."
    else:
        yield "Built, not stepped: `python -m benchmarks device` inspects and measures it."
