"""leadlift on the device: a few measured ECG leads in, a live 12-lead ECG out.

`import edge` imports nothing but this file; a name is imported when it is used, and most need NumPy alone.
Engines, transports and file formats come later still.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.engines.base import Engine
    from edge.errors import (
        BundleError,
        EngineError,
        InputError,
        LeadliftError,
        PatientError,
        SinkError,
    )
    from edge.leads import INPUT_LEADS, LEADS, Provenance
    from edge.marker import Marker
    from edge.multi_reconstructor import MultiReconstructor
    from edge.offline import reconstruct
    from edge.quality import Quality
    from edge.reconstructor import Reconstructor
    from edge.reconstructor import open_reconstructor as open
    from edge.samples import SampleBlock, TwelveLeadBlock
    from edge.sinks import LiveStatus, Metadata, Sink, open_sink
    from edge.stream import Stream, open_stream

__version__ = "0.2.0"

__all__ = [
    "INPUT_LEADS",
    "LEADS",
    "BundleError",
    "Engine",
    "EngineError",
    "InputError",
    "LeadliftError",
    "LiveStatus",
    "Marker",
    "Metadata",
    "MultiReconstructor",
    "PatientError",
    "Provenance",
    "Quality",
    "Reconstructor",
    "SampleBlock",
    "Sink",
    "SinkError",
    "Stream",
    "TwelveLeadBlock",
    "open",
    "open_sink",
    "open_stream",
    "reconstruct",
]

_ROOMS = {
    "engines.base": ("Engine",),
    "errors": (
        "BundleError",
        "EngineError",
        "InputError",
        "LeadliftError",
        "PatientError",
        "SinkError",
    ),
    "leads": ("INPUT_LEADS", "LEADS", "Provenance"),
    "marker": ("Marker",),
    "multi_reconstructor": ("MultiReconstructor",),
    "offline": ("reconstruct",),
    "quality": ("Quality",),
    "reconstructor": ("Reconstructor", "open"),
    "samples": ("SampleBlock", "TwelveLeadBlock"),
    "sinks": ("LiveStatus", "Metadata", "Sink", "open_sink"),
    "stream": ("Stream", "open_stream"),
}
_NAMES = {"open": "open_reconstructor"}  # `open` alone would hide Python's in its own file
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    value = getattr(import_module(f"edge.{_ROOM_OF[name]}"), _NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
