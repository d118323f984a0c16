"""From a sink spec to the sink: one table of schemes, one of file formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.errors import InputError
from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus, Sink

StatusCallable = Callable[[], LiveStatus]
SinkFactory = Callable[[str, float, Metadata, StatusCallable | None], Sink]
"""(what follows the scheme, sampling_hz, metadata, status) -> an open sink."""


def _open_file(
    target: str, sampling_hz: float, metadata: Metadata, status: StatusCallable | None
) -> Sink:
    suffix = Path(target).suffix.lower()
    if suffix not in FILE_FORMATS:
        raise InputError(
            f"cannot tell the format of {target!r}: end the name in {', '.join(FILE_FORMATS)}"
        )
    return FILE_FORMATS[suffix](target, sampling_hz, metadata, status)


def _open_edf(
    target: str, sampling_hz: float, metadata: Metadata, status: StatusCallable | None
) -> Sink:
    from edge.files.edf_writer import EdfSink

    return EdfSink(Path(target), sampling_hz, metadata)


def _open_npz(
    target: str, sampling_hz: float, metadata: Metadata, status: StatusCallable | None
) -> Sink:
    from edge.files.npz_writer import NpzSink

    return NpzSink(Path(target), sampling_hz, metadata)


def _open_csv(
    target: str, sampling_hz: float, metadata: Metadata, status: StatusCallable | None
) -> Sink:
    from edge.files.csv_writer import CsvSink

    return CsvSink(Path(target), sampling_hz, metadata)


def _open_terminal(
    target: str, sampling_hz: float, metadata: Metadata, status: StatusCallable | None
) -> Sink:
    from edge.sinks.terminal import TerminalSink

    if target:
        raise InputError(f"`terminal:` takes nothing after the colon, got {target!r}")
    return TerminalSink(sampling_hz, metadata, status)


FILE_FORMATS: dict[str, SinkFactory] = {".edf": _open_edf, ".npz": _open_npz, ".csv": _open_csv}
SINKS: dict[str, SinkFactory] = {"file": _open_file, "terminal": _open_terminal}


def open_sink(
    spec: str,
    sampling_hz: float,
    *,
    metadata: Metadata | None = None,
    status: StatusCallable | None = None,
) -> Sink:
    """Open the sink that `spec` names: `file:OUT.edf`, `file:OUT.npz`, `file:OUT.csv`, `terminal:`.

    `sampling_hz` is the rate of the blocks to come; `status` is asked for the state of the live path
    by sinks that show it, up to ten times a second, from a thread of theirs.

    Raises InputError for a spec that cannot be understood (it lists what can), and SinkError for
    an output that cannot be opened.
    """
    scheme, colon, target = spec.partition(":")
    if not colon or scheme not in SINKS:
        formats = "|".join(FILE_FORMATS)
        raise InputError(
            f"unknown sink {spec!r}: use file:NAME with {formats}, or one of "
            + ", ".join(f"{name}:" for name in SINKS if name != "file")
        )
    if scheme == "file" and not target:
        raise InputError(f"sink {spec!r} names no file: use file:OUT.edf")
    return SINKS[scheme](target, sampling_hz, metadata or Metadata(), status)
