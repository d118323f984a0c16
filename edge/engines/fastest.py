"""Which engine is the fastest at one hop on this machine: timed once, remembered in the cache."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.key import canonical
from edge.installed import installed_version

if TYPE_CHECKING:
    from edge.engines.cache import EngineCache

SECONDS = 1.0  # over all engines
ROUND_S = 0.02  # they take turns, so that a busy moment meets them all
LIBRARIES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "ai-edge-litert",
    "tensorrt",
    "tensorrt_rtx",
    "leadlift",
)


@dataclass(frozen=True)
class TimingKey:
    """What the times of engines depend on. Two bundles of one shape cost the same."""

    processor: str
    versions: Mapping[str, str | None]
    compiler: str
    shape: tuple[object, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they come back from JSON."""
        found: dict[str, Any] = json.loads(
            canonical(vars(self) | {"versions": dict(self.versions)})
        )
        return found

    def digest(self) -> str:
        """SHA-256 in hex."""
        return hashlib.sha256(canonical(self.as_dict())).hexdigest()


def trouble() -> str | None:
    """Why no timing can be remembered here; None where it can."""
    try:
        return _cache().trouble()
    except ImportError:
        return "this system is not POSIX"


def recall(bundle: Bundle) -> dict[str, float]:
    """Microseconds a hop of each engine that was timed here; empty where none was."""
    return dict(remembered(bundle).get("us", {}))


def remembered(bundle: Bundle) -> dict[str, Any]:
    """`us` by engine, and `measured_at`; empty where nothing was timed here."""
    found = _cache().find(_key(bundle))
    return {} if found is None else found.report


def remember(bundle: Bundle, us: Mapping[str, float]) -> None:
    """Keep the times for this machine, its versions and decoders of this shape."""
    from edge.engines.cache import Built

    cache, key = _cache(), _key(bundle)
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    cache.forget(key)
    cache.get(key, lambda: Built(b"", {"us": dict(us), "measured_at": at}))


def timed(engines: Mapping[str, Engine], seconds: float = SECONDS) -> dict[str, float]:
    """Median microseconds of a step of one hop, by engine; all are reset."""
    from edge.engines.self_check import made_up_streams

    durations: dict[str, list[int]] = {name: [] for name in engines}
    streams: dict[str, Any] = {}
    for name, engine in engines.items():
        stream = made_up_streams(engine.manifest)[0]
        mask, anchor = stream.mask[..., :1].copy(), stream.anchor
        mask.flags.writeable = False  # as a reconstructor gives them
        hops = [
            np.ascontiguousarray(stream.ecg[..., i : i + 1]) for i in range(stream.ecg.shape[-1])
        ]
        streams[name] = hops, mask, anchor
        for hop in hops:  # until buffers are bound and caches warm
            engine.step(hop, mask, anchor)
    for _ in range(max(1, round(seconds / ROUND_S / len(engines)))):
        for name, engine in engines.items():
            hops, mask, anchor = streams[name]
            until = perf_counter_ns() + ROUND_S * 1e9
            i = 0
            while (start := perf_counter_ns()) < until:
                engine.step(hops[i % len(hops)], mask, anchor)
                durations[name].append(perf_counter_ns() - start)
                i += 1
    for engine in engines.values():
        engine.reset()
    return {name: round(float(np.median(ns)) / 1000, 2) for name, ns in durations.items()}


def slower(us: Mapping[str, float], taken: str, skipped: Mapping[str, str]) -> dict[str, str]:
    """Why each engine that works was passed over: its time, and the faster one's."""
    return {
        name: f"works, and is slower here: {one:g} us a hop, {taken} takes {us[taken]:g}"
        for name, one in us.items()
        if name != taken and name not in skipped
    }


def in_words(us: Mapping[str, float]) -> str:
    """`c 4.9 us a hop, onnxruntime 27.3`, the fastest first."""
    first, *others = sorted(us.items(), key=lambda one: one[1])
    return ", ".join([f"{first[0]} {first[1]:g} us a hop", *(f"{n} {t:g}" for n, t in others)])


def _cache() -> EngineCache:
    from edge.engines.cache import EngineCache, default_folder

    return EngineCache(default_folder() / "times")


def _key(bundle: Bundle) -> TimingKey:
    from edge.engines.c.build import find_compiler, processor
    from edge.errors import EngineMissingError

    try:
        compiler = find_compiler().identity
    except EngineMissingError:
        compiler = ""
    m = bundle.manifest
    versions = {name: installed_version(name) for name in LIBRARIES}
    shape = (len(m.input_leads), len(m.output_leads), m.hop, *(list(s.shape) for s in m.states))
    return TimingKey(processor(), versions | {"python": platform.python_version()}, compiler, shape)
