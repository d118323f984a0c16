"""Which engines there are, which one `auto` takes, and why the others were skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.errors import EngineError, InputError


def _onnxruntime(bundle: Bundle) -> Engine:
    from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(bundle)


def _torch(bundle: Bundle) -> Engine:
    from edge.engines.torch_engine import TorchEngine

    return TorchEngine(bundle)


MAKERS: dict[str, Callable[[Bundle], Engine]] = {"onnxruntime": _onnxruntime, "torch": _torch}
AUTO = ("onnxruntime",)  # best first; torch is the reference, never a choice for the device


@dataclass(frozen=True)
class Choice:
    """An opened engine, and why the better ones were not taken."""

    engine: Engine
    skipped: dict[str, str]
    """Engine name -> the reason, for each that `auto` tried and passed over."""


def open_engine(bundle: Bundle, name: str = "auto") -> Choice:
    """Open the engine called `name`, or the best that works.

    Raises InputError for an unknown name, EngineError when that engine, or none, works here.
    """
    if name != "auto" and name not in MAKERS:
        raise InputError(f"unknown engine {name!r}: use auto, {', '.join(MAKERS)}")
    skipped: dict[str, str] = {}
    for candidate in AUTO if name == "auto" else (name,):
        try:
            return Choice(MAKERS[candidate](bundle), skipped)
        except EngineError as error:
            if name != "auto":
                raise
            skipped[candidate] = str(error)
    raise EngineError("no engine works here: " + "; ".join(f"{k}: {v}" for k, v in skipped.items()))


def available(bundle: Bundle) -> dict[str, str]:
    """Every engine by name, with `ok` or the reason why it does not work here."""
    found = {}
    for name in MAKERS:
        try:
            open_engine(bundle, name).engine.close()
            found[name] = "ok"
        except EngineError as error:
            found[name] = str(error)
    return found
