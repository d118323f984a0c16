"""leadlift on the device: three measured ECG leads in, a live 12-lead ECG out.

`import edge` needs NumPy alone; engines, transports and file formats are imported when used.
"""

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
from edge.offline import reconstruct
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.samples import SampleBlock, TwelveLeadBlock
from edge.sinks.base import Sink
from edge.sinks.registry import open_sink
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
    "PatientError",
    "Provenance",
    "Quality",
    "Reconstructor",
    "SampleBlock",
    "Sink",
    "SinkError",
    "Stream",
    "TwelveLeadBlock",
    "open_sink",
    "open_stream",
    "reconstruct",
]
