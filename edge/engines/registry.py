"""Which engines there are, which one `auto` takes, and why the others were skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.fastest import in_words, recall, remember, slower, timed, trouble
from edge.errors import EngineError, EngineMissingError, InputError, LeadliftError
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


def _c(bundle: Bundle, say: Say | None) -> Engine:
    try:
        import fcntl  # noqa: F401  the cache's lock
    except ImportError as error:
        raise EngineMissingError(
            "the c engine needs POSIX, which this system is not: use --engine onnxruntime"
        ) from error
    from edge.engines.c.engine import CEngine

    return CEngine(bundle, say=say)


def _litert(bundle: Bundle, say: Say | None) -> Engine:
    from edge.engines.litert.engine import LiteRtEngine

    return LiteRtEngine(bundle)


def _onnxruntime(bundle: Bundle, say: Say | None) -> Engine:
    from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle)


def _torch(bundle: Bundle, say: Say | None) -> Engine:
    from edge.engines.torch_engine import TorchEngine

    return TorchEngine(bundle)


MAKERS: dict[str, Callable[[Bundle, Say | None], Engine]] = {
    "tensorrt": _tensorrt,
    "c": _c,
    "litert": _litert,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
}
REFERENCE = "onnxruntime"  # what every other engine must agree with, on this machine, to be taken
AUTO = ("tensorrt", "c", "litert", "onnxruntime")  # torch is the slow reference, not for a device
PER_MACHINE = ("c", "litert")  # taken where `auto` has timed them
OFFLINE = "onnxruntime"  # over a minute in one step no engine is faster
MODULES = {"torch": ("torch", "onnx")}  # what an engine imports that is not in AUTO


@dataclass(frozen=True)
class Choice:
    """An opened engine, and why the others were not taken."""

    engine: Engine
    skipped: dict[str, str]
    """Engine name -> the reason, for each that `auto` tried and passed over."""
    us: dict[str, float] = field(default_factory=dict)
    """Engine name -> microseconds a hop, where `auto` has timed several on this machine."""


def open_engine(bundle: Bundle, name: str = "auto", say: Say | None = None) -> Choice:
    """Open the engine called `name`, or the fastest that works. `say` is called as a build goes on.

    `auto` opens what works, times a hop of each for a second, and remembers it for this machine, its versions
    and the decoder's shape: later it opens the fastest at once. Where nothing can be remembered, nothing is
    compiled or timed.

    Raises InputError for an unknown name, EngineError when that engine, or none, works here, BundleError for
    a bundle whose output is not finite.
    """
    if name == "auto":
        return _fastest(bundle, say)
    check_engine(name)
    return Choice(_checked(MAKERS[name](bundle, say), name), {})


def check_engine(name: str) -> None:
    """Raise InputError for a name that is neither `auto` nor an engine's."""
    if name != "auto" and name not in MAKERS:
        raise InputError(f"unknown engine {name!r}: use auto, {', '.join(MAKERS)}")


def _fastest(bundle: Bundle, say: Say | None) -> Choice:
    skipped: dict[str, str] = {}
    cannot = trouble() if len(AUTO) > 1 else None
    known = {} if cannot else {n: us for n, us in recall(bundle).items() if n in AUTO}
    if known:
        news = [name for name in AUTO if name not in known]
        with _opened(bundle, news, skipped, say) as better:
            fresh = bool(better)
        if not fresh:
            for name in sorted(known, key=lambda one: known[one]):
                try:
                    engine = _checked(MAKERS[name](bundle, say), name)
                except EngineError as error:
                    skipped[name] = str(error)
                    continue
                return Choice(engine, skipped | slower(known, name, skipped), known)
    names = [name for name in AUTO if not (cannot and name in PER_MACHINE)]
    for name in (one for one in AUTO if one not in names):
        skipped[name] = (
            "nothing can be kept in the cache, so it is not compiled or timed at every start:"
            f" {cannot}"
        )
    with _opened(bundle, names, skipped, say) as engines:
        if not engines:
            reasons = "; ".join(f"{k}: {v}" for k, v in skipped.items())
            raise EngineError(f"no engine works here: {reasons}")
        us = timed(engines) if len(engines) > 1 and not cannot else {}
        if us:
            remember(bundle, us)
            if say is not None:
                say(f"timed once on this machine: {in_words(us)}")
        name = min(us, key=lambda one: us[one]) if us else next(iter(engines))
        return Choice(engines.pop(name), skipped | slower(us, name, skipped), us)


@contextmanager
def _opened(
    bundle: Bundle, names: Iterable[str], skipped: dict[str, str], say: Say | None
) -> Iterator[dict[str, Engine]]:
    """Those of `names` that work, opened; why the others do not goes to `skipped`. Closes what is left."""
    engines: dict[str, Engine] = {}
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if say is not None:
            say(line)

    try:
        for name in names:
            told.clear()
            try:
                engines[name] = _checked(MAKERS[name](bundle, tell), name)
            except EngineError as error:
                skipped[name] = str(error)
                if told:  # work that was said to begin has failed
                    tell(f"another engine runs: {error}")
        yield engines
    finally:
        for engine in engines.values():
            engine.close()


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

    Which of those that are OK `auto` takes, `open_engine` says.
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
