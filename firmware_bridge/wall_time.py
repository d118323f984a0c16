"""From this process's monotonic clock, or that of a capture, to the time of day."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic_ns

from firmware_bridge.transports.base import Transport
from firmware_bridge.transports.replay import ReplayTransport


def wall_time(at_ns: int) -> datetime:
    """Local time, with its zone, of a `time.monotonic_ns()` of this process."""
    ago = timedelta(microseconds=(monotonic_ns() - at_ns) / 1000)
    return (datetime.now().astimezone() - ago).astimezone()


def arrival_time(transport: Transport, arrival_ns: int) -> datetime | None:
    """Local time, with its zone, of an arrival: of a capture, as it was captured; None if not known."""
    if isinstance(transport, ReplayTransport):
        return transport.recorded_at(arrival_ns)
    return wall_time(arrival_ns)
