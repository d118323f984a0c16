"""The compiled decoder in this process, and its functions with their types."""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from edge.bundle import Bundle
from edge.engines.c.build import Compiler, Say, compile_decoder, find_compiler, library_key
from edge.engines.cache import Cached, EngineCache, default_folder
from edge.errors import EngineBuildError

POINTER = ctypes.c_void_p


class Arrays(ctypes.Structure):
    """arrays_t: what a step reads and writes."""

    _fields_ = (
        ("ecg", POINTER),
        ("mask", POINTER),
        ("anchor", POINTER),
        ("ecg_mv", POINTER),
        ("log_sigma", POINTER),
        ("frames", ctypes.c_uint64),
    )


class Library:
    """The functions of one bundle's decoder: constant tables, no state of its own."""

    def __init__(self, handle: ctypes.CDLL, cached: Cached) -> None:
        self.cached = cached

        def function(name: str, result: type | None, *arguments: type) -> Callable[..., object]:
            found = getattr(handle, name)
            found.restype, found.argtypes = result, arguments
            return found  # type: ignore[no-any-return]

        self.step = function("leadlift_engine_step", None, POINTER, POINTER)
        self.batch = function("leadlift_engine_batch", None, POINTER, POINTER, ctypes.c_uint64)
        self.reset = function("leadlift_decoder_reset", None, POINTER)
        self.get_state = function("leadlift_decoder_get_state", None, POINTER, POINTER)
        self.set_state = function("leadlift_decoder_set_state", None, POINTER, POINTER)
        function(
            "leadlift_engine_open", None
        )()  # packs the weights, of a library that nobody has yet
        kernel = function("leadlift_decoder_kernel", ctypes.c_char_p)()
        size = function("leadlift_engine_state_bytes", ctypes.c_uint32)()
        assert isinstance(kernel, bytes) and isinstance(size, int)
        self.kernel, self.state_bytes = kernel.decode(), size


_open: dict[str, Library] = {}
_opening = threading.Lock()


def library_cache() -> EngineCache:
    """Where compiled decoders are kept: beside TensorRT's engines."""
    return EngineCache(default_folder() / "c")


def open_library(
    bundle: Bundle,
    cache: EngineCache | None = None,
    compiler: Compiler | None = None,
    say: Say | None = None,
) -> Library:
    """The compiled decoder of `bundle`, from this process, the cache, or the compiler.

    Raises EngineMissingError without a compiler, EngineBuildError where it fails or its work does not load.
    """
    compiler = compiler or find_compiler()
    cache = cache or library_cache()
    key = library_key(bundle, compiler)
    where = f"{cache.folder} {key.digest()}"
    with _opening:
        if where not in _open:
            cached = cache.get(key, lambda: compile_decoder(bundle, compiler, say))
            try:
                _open[where] = Library(_loaded(cached.data), cached)
            except (OSError, AttributeError) as error:
                cache.forget(key)
                raise EngineBuildError(
                    f"the compiled c engine does not load ({error}): try again, or use --engine onnxruntime"
                ) from error
        return _open[where]


def _loaded(data: bytes) -> ctypes.CDLL:
    """A library from memory: what was checked is what is loaded, and no file is left."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("leadlift-decoder")
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            # It stays open: the loader knows a library by its path, and a number used twice is the same path.
            return ctypes.CDLL(f"/proc/self/fd/{descriptor}")
        except OSError:  # no /proc
            os.close(descriptor)
    with tempfile.TemporaryDirectory(prefix="leadlift-") as folder:
        path = Path(folder) / "decoder.so"
        path.write_bytes(data)
        return ctypes.CDLL(str(path))
