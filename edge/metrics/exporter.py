"""Serves the metrics of the runs of this process at http://HOST:PORT/metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from edge.errors import InputError, SinkError
from edge.metrics.collector import Collector
from edge.metrics.fleet import FleetCollector
from firmware_bridge.closing import Closing
from firmware_bridge.extras import install_extra

if TYPE_CHECKING:
    from edge.live.runtime import Runtime
    from edge.live.telemetry import Histogram
    from edge.reconstructor import Reconstructor

LOOPBACK = "127.0.0.1"
MISSING_EXTRA = f"metrics need another library: {install_extra('metrics')}"
Follow = Callable[["Runtime", "Reconstructor"], AbstractContextManager[None]]
"""Shows a run in the metrics while the context lasts."""


def parse_address(text: str, of: str = "metrics at", port: int = 9464) -> tuple[str, int]:
    """(host, port) of `[HOST:]PORT`, this machine alone unless a host is given. Raises InputError."""
    host, _, given = text.rpartition(":")
    if not (given.isascii() and given.isdecimal() and int(given) < 1 << 16):
        raise InputError(
            f"{of} {text!r}: give a port from 0 to 65535, or HOST:PORT, such as 127.0.0.1:{port}"
        )
    return host.strip("[]") or LOOPBACK, int(given)


class Exporter(Closing):
    """A server of metrics on a thread of its own, until closed."""

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        """Listen; port 0 takes any that is free.

        Raises SinkError where the library is missing or the port cannot be had.
        """
        if not find_spec("prometheus_client"):
            raise SinkError(MISSING_EXTRA)
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

        self._collector = Collector()
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(self._collector)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise SinkError(
                f"metrics: cannot listen on {host}:{port}: {error.strerror}: take another port, or 0 for any "
                "that is free"
            ) from error
        self._host = host

    @property
    def address(self) -> str:
        """What Prometheus scrapes."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.server_port}/metrics"

    def follow(self, source: str) -> Follow:
        """Shows a run under the label `source`."""
        return lambda runtime, reconstructor: self._collector.following(
            source, runtime, reconstructor
        )

    def follow_fleet(
        self, report: Callable[[], dict[str, Any]], latency: Callable[[], Histogram]
    ) -> None:
        """Shows a fleet, by the report and the latencies of its service."""
        self._registry.register(FleetCollector(report, latency))

    def close(self) -> None:
        """Serve no more; a second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
