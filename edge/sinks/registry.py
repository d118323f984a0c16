"""From a sink spec to the sink: one table of schemes; the formats of files stand in edge.files.formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.errors import InputError
from edge.files.formats import writer_for, written
from edge.files.recording import Metadata, MetadataSource
from edge.files.rotation import RotatingSink, split_target
from edge.sinks.base import LiveStatus, MarkCallable, Sink

StatusCallable = Callable[[], LiveStatus]
StopCallable = Callable[[], object]


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What `open_sink` was given beside the spec; a factory takes what concerns it."""

    sampling_hz: float
    metadata: MetadataSource
    status: StatusCallable | None
    overwrite: bool
    stop: StopCallable | None = None
    view_host: str | None = None
    mark: MarkCallable | None = None


SinkFactory = Callable[[str, SinkOptions], Sink]
"""(what follows the scheme, options) -> an open sink."""


def _open_file(target: str, options: SinkOptions) -> Sink:
    name, rotation = split_target(target)
    hz, metadata, overwrite = options.sampling_hz, options.metadata, options.overwrite
    if rotation is not None:
        return RotatingSink(name, rotation, hz, metadata, overwrite=overwrite)
    return writer_for(name)(Path(name), hz, metadata, overwrite=overwrite)


def _open_terminal(target: str, options: SinkOptions) -> Sink:
    from edge.sinks.terminal import TerminalSink

    return TerminalSink(
        options.sampling_hz,
        options.metadata,
        options.status,
        stop=options.stop,
        mark=options.mark,
    )


def _open_view(target: str, options: SinkOptions) -> Sink:
    from edge.sinks.viewer.sink import ViewSink

    return ViewSink(
        options.sampling_hz,
        options.metadata,
        options.status,
        port=int(target) if target else None,
        host=options.view_host,
        mark=options.mark,
    )


def _open_lsl(target: str, options: SinkOptions) -> Sink:
    from edge.sinks.lsl import LslSink

    return LslSink(target, options.sampling_hz, options.metadata)


SINKS: dict[str, SinkFactory] = {
    "file": _open_file,
    "lsl": _open_lsl,
    "terminal": _open_terminal,
    "view": _open_view,
}
_MAX_PORT = (1 << 16) - 1


def check_sink(spec: str) -> None:
    """Raise InputError, listing what can be understood, for a spec that cannot; opens nothing."""
    scheme, colon, target = spec.partition(":")
    if not colon or scheme not in SINKS:
        raise InputError(
            f"unknown sink {spec!r}: use file:NAME with {written()}, or one of "
            + ", ".join(f"{name}:" for name in SINKS if name != "file")
        )
    if scheme == "file" and not target:
        raise InputError(f"sink {spec!r} names no file: use file:OUT.edf")
    if scheme == "file":
        writer_for(split_target(target)[0])
    if scheme == "terminal" and target:
        raise InputError(f"`terminal:` takes nothing after the colon, got {target!r}")
    if scheme == "view" and target and not _is_port(target):
        raise InputError(f"`view:` takes a port up to {_MAX_PORT} after the colon, got {target!r}")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= _MAX_PORT


def open_sink(
    spec: str,
    sampling_hz: float,
    *,
    metadata: MetadataSource | None = None,
    status: StatusCallable | None = None,
    overwrite: bool = False,
    stop: StopCallable | None = None,
    view_host: str | None = None,
    mark: MarkCallable | None = None,
) -> Sink:
    """Open the sink that `spec` names.

    Parameters
    ----------
    spec
        `file:OUT.edf`, `file:OUT.npz`, `file:OUT.csv`, `file:OUT.hea`, `terminal:`, `view:[PORT]`,
        `lsl:[NAME]`. `{time}` in a name stands for the time now. A file is made with the first block.
        `?every=1h` or `?size=100MB` after a name makes several files.
    sampling_hz
        Rate of the blocks to come.
    metadata
        What a file says of the recording; a callable is asked when the first block is there, such as
        `Stream.metadata`.
    status
        Asked for the state of the live path by sinks that show it, up to ten times a second, from a
        thread of theirs.
    overwrite
        Replace a file that exists, once the new one is whole.
    stop
        Ends the run; a screen calls it when somebody presses q.
    view_host
        Address that `view:` listens on, for browsers on other machines too; its address then holds a
        token. This machine alone unless given.
    mark
        Records what somebody notes on a screen or in a browser, such as `Stream.mark`.

    Raises
    ------
    InputError
        The spec cannot be understood; the text lists what can.
    SinkError
        The output exists, or cannot be made.
    """
    check_sink(spec)
    scheme, _, target = spec.partition(":")
    known = Metadata() if metadata is None else metadata
    return SINKS[scheme](
        target, SinkOptions(sampling_hz, known, status, overwrite, stop, view_host, mark)
    )
