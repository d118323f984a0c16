"""Which engines there are, which one `auto` takes, and why the others were skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.errors import EngineError, InputError, LeadliftError
from edge.jetpack import importable

OK = "ok"
NOT_OPENED = "installed, not opened: it is the slow reference, which auto never takes"
Say = Callable[[str], None]
"""Called with a line about what takes long: the first build of an engine."""


def _tensorrt(bundle: Bundle, say: Say | None) -> Engine:
    from edge.jetpack import look, require

    require(look())  # without importing anything that takes long
    from edge.engines.trt.engine import TensorRtEngine

    return TensorRtEngine(bundle, say=say)


def _onnxruntime(bundle: Bundle, say: Say | None) -> Engine:
    from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle)


def _torch(bundle: Bundle, say: Say | None) -> Engine:
    from edge.engines.torch_engine import TorchEngine

    return TorchEngine(bundle)


MAKERS: dict[str, Callable[[Bundle, Say | None], Engine]] = {
    "tensorrt": _tensorrt,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
}
REFERENCE = "onnxruntime"  # what every other engine must agree with, on this machine, to be taken
AUTO = ("tensorrt", "onnxruntime")  # best first; torch is the reference, not for a device
MODULES = {"torch": ("torch", "onnx")}  # what an engine imports that is not in AUTO


@dataclass(frozen=True)
class Choice:
    """An opened engine, and why the better ones were not taken."""

    engine: Engine
    skipped: dict[str, str]
    """Engine name -> the reason, for each that `auto` tried and passed over."""


def open_engine(bundle: Bundle, name: str = "auto", say: Say | None = None) -> Choice:
    """Open the engine called `name`, or the best that works. `say` is called as a build goes on.

    Raises InputError for an unknown name, EngineError when that engine, or none, works here, BundleError for
    a bundle whose output is not finite.
    """
    if name != "auto" and name not in MAKERS:
        raise InputError(f"unknown engine {name!r}: use auto, {', '.join(MAKERS)}")
    skipped: dict[str, str] = {}
    for candidate in AUTO if name == "auto" else (name,):
        try:
            return Choice(_checked(MAKERS[candidate](bundle, say), candidate), skipped)
        except EngineError as error:
            if name != "auto":
                raise
            skipped[candidate] = str(error)
    raise EngineError("no engine works here: " + "; ".join(f"{k}: {v}" for k, v in skipped.items()))


def _checked(engine: Engine, name: str) -> Engine:
    """The engine, once it computes what the bundle says; else it is closed."""
    from edge.engines.self_check import check_finite, self_check

    try:
        if name == REFERENCE:
            check_finite(engine)
        else:
            with MAKERS[REFERENCE](engine.bundle, None) as reference:
                self_check(engine, reference)
    except BaseException:
        engine.close()
        raise
    return engine


@dataclass(frozen=True)
class Finding:
    """What was found out of an engine."""

    status: str
    """OK, NOT_OPENED, or the reason why it does not work here."""
    details: dict[str, object]
    """Of an engine that works: what it says of itself."""


def available(bundle: Bundle, say: Say | None = None) -> dict[str, Finding]:
    """Every engine by name. Those of AUTO are opened to find out; of the others the libraries are looked for.

    The first that is OK, in the order of AUTO, is what `auto` takes.
    """
    found = {}
    for name in MAKERS:
        if name in AUTO:
            try:
                with open_engine(bundle, name, say).engine as engine:
                    found[name] = Finding(OK, engine.details())
            except LeadliftError as error:
                found[name] = Finding(str(error), {})
            except Exception as error:
                said = " ".join(str(error).split())[:200]
                found[name] = Finding(f"{type(error).__name__} in its library: {said}", {})
        else:
            lacks = [m for m in MODULES.get(name, ()) if not importable(m)]
            status = f"not installed: {', '.join(lacks)}" if lacks else NOT_OPENED
            found[name] = Finding(status, {})
    return found
