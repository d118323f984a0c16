"""The option `--metrics` of a live run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.commands.common import usage
from edge.notices import say
from firmware_bridge.extras import install_extra

if TYPE_CHECKING:
    from edge.metrics.exporter import Exporter


def add_metrics_option(parser: argparse.ArgumentParser) -> None:
    """The option, for a command that runs the live path."""
    parser.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve counts, latency, heart rate and quality for Prometheus at http://HOST:PORT/metrics "
        f"(default host: this machine alone): {install_extra('metrics')}",
    )


@contextmanager
def metrics(text: str | None) -> Iterator[Exporter | None]:
    """The server that `--metrics` asks for, closed afterwards; None where it asks for none.

    Raises UsageError for an address that is none, SinkError where it cannot be had.
    """
    if text is None:
        yield None
        return
    from edge.metrics.exporter import Exporter, parse_address

    with usage():
        host, port = parse_address(text)
    with Exporter(host, port) as exporter:
        say(f"metrics: {exporter.address}")
        yield exporter
