"""Outputs: where twelve-lead blocks go, opened by a spec such as `file:OUT.edf` or `terminal:`."""

from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus, Sink
from edge.sinks.registry import open_sink

__all__ = ["LiveStatus", "Metadata", "Sink", "open_sink"]
