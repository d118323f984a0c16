"""LiteRT in this process: a model, and its tensors as arrays."""

from __future__ import annotations

import ctypes
import importlib
import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineBuildError, EngineMissingError
from edge.installed import installed_version
from edge.jetpack import importable
from firmware_bridge.extras import install_extra

DISTRIBUTION = "ai-edge-litert"
MODULES = ("ai_edge_litert", "flatbuffers")
GREETING = b"INFO: Created TensorFlow Lite XNNPACK delegate"
_opening = threading.Lock()
_greeted = threading.Event()


def require() -> None:
    """Raise EngineMissingError where LiteRT is not installed; nothing is imported."""
    missing = [module for module in MODULES if not importable(module)]
    if missing:
        raise EngineMissingError(
            f"the litert engine needs {', '.join(missing)}: {install_extra('litert')}, or use"
            " --engine onnxruntime"
        )


def imported(module: str) -> Any:
    """A module of LiteRT's. Raises EngineMissingError where it is not installed, or does not load."""
    require()
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise EngineMissingError(
            f"LiteRT does not load ({said}): pip install --force-reinstall {DISTRIBUTION}, or use"
            " --engine onnxruntime"
        ) from error


def version() -> str:
    """Of LiteRT."""
    return installed_version(DISTRIBUTION) or "unknown"


class Model:
    """A .tflite model on one thread, whose tensors are written and read in place."""

    def __init__(self, data: bytes) -> None:
        """Raises EngineMissingError as `imported`, EngineBuildError for what LiteRT refuses."""
        interpreters = imported("ai_edge_litert.interpreter")

        def load() -> Any:
            made = interpreters.Interpreter(model_content=data, num_threads=1)
            made.allocate_tensors()
            return made

        try:
            with _opening:
                interpreter = load() if _greeted.is_set() else _without_greeting(load)
        except (RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:200]
            raise EngineBuildError(
                f"LiteRT {version()} does not take the model ({said}): use --engine onnxruntime"
            ) from error
        self.inputs = _arrays(interpreter, interpreter.get_input_details())
        self.outputs = _arrays(interpreter, interpreter.get_output_details())
        for array in self.inputs.values():
            array.fill(0)  # LiteRT does not
        self.run = interpreter.invoke
        """Outputs from inputs."""


def _arrays(interpreter: Any, details: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """By name. The memory of tensors stays where it is until they are allocated again, which never happens.

    LiteRT's own arrays may not be held while it runs, and a new one for each costs more than the arithmetic.
    Each array keeps the interpreter alive.
    """
    found = {}
    for one in details:
        own = interpreter.tensor(one["index"])()
        kind: Any = type(
            "Memory", (ctypes.Array,), {"_type_": ctypes.c_uint8, "_length_": own.nbytes}
        )
        memory = kind.from_address(own.ctypes.data)
        memory.interpreter = interpreter
        found[one["name"]] = np.frombuffer(memory, own.dtype).reshape(own.shape)
    return found


def _without_greeting(load: Callable[[], Any]) -> Any:
    """Keep off standard error, where a table may be live, the line that LiteRT writes there once."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        return load()
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            made = load()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            if others := b"".join(line for line in said if not line.startswith(GREETING)):
                os.write(2, others)
    _greeted.set()
    return made
