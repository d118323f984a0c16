"""What a built engine depends on: the key that the cache keeps it under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge.engines.key import canonical

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.engines.trt.library import TensorRtLibrary

CODE = "code"
"""The option that holds a hash of the code that makes the graph and asks the builder."""
CODE_FILES = ("../graph_rewrites.py", "build.py", "graph.py", "library.py")


@dataclass(frozen=True)
class EngineKey:
    """Everything that a built engine depends on; another value of any makes another engine."""

    bundle_sha256: str
    library: str
    version: str
    compute_capability: str
    device: str
    l4t: str | None
    options: Mapping[str, object]
    """What the builder was asked for, as plain values for JSON."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, exactly as they come back from JSON."""
        found: dict[str, Any] = json.loads(canonical(vars(self) | {"options": dict(self.options)}))
        return found

    def digest(self) -> str:
        """SHA-256 in hex; the name of the entry."""
        return hashlib.sha256(canonical(self.as_dict())).hexdigest()


class _Device(Protocol):
    @property
    def compute_capability(self) -> str: ...
    @property
    def device_name(self) -> str: ...


def engine_key(
    bundle: Bundle,
    library: TensorRtLibrary,
    device: _Device,
    options: Mapping[str, object],
    l4t: str | None,
) -> EngineKey:
    """The key of `bundle` built by `library` for `device`: made here alone, so that all callers agree.

    A leadlift that writes the graph in another way gets another key, whatever its version says.
    """
    return EngineKey(
        bundle_sha256=bundle.sha256,
        library=library.name,
        version=library.version,
        compute_capability=device.compute_capability,
        device=device.device_name,
        l4t=l4t,
        options={**options, CODE: _code()},
    )


def _code() -> str:
    digest = hashlib.sha256()
    for name in CODE_FILES:
        with suppress(OSError):  # an installation without sources
            digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()[:12]
