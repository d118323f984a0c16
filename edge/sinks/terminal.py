"""Live twelve-lead traces in a terminal, or a line a second where the output is no terminal.

`write` only copies into the picture; a thread of its own draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from edge.errors import SinkError
from edge.files.recording import MetadataSource
from edge.samples import TwelveLeadBlock
from edge.sinks.base import LiveStatus, MarkCallable
from edge.sinks.drawing import Drawer
from edge.sinks.picture import LivePicture
from firmware_bridge.closing import Closing


class TerminalSink(Closing):
    """Draws until closed. The first failure to draw is raised by the next `write`."""

    def __init__(
        self,
        sampling_hz: float,
        metadata: MetadataSource,
        status: Callable[[], LiveStatus] | None = None,
        stream: TextIO | None = None,
        *,
        stop: Callable[[], object] | None = None,
        mark: MarkCallable | None = None,
        keys_from: TextIO | None = None,
    ) -> None:
        """`stream` is standard output unless given; traces are drawn if it is a terminal.

        `stop` ends the run when somebody presses q, `mark` records what somebody notes with m; keys come from
        `keys_from`, standard input unless given, if it is a terminal.
        """
        self._picture = LivePicture(sampling_hz, metadata, status)
        stream = sys.stdout if stream is None else stream
        self._drawer = Drawer(
            self._picture.snapshot, stream, stop=stop, mark=mark, keys_from=keys_from
        )

    def write(self, block: TwelveLeadBlock) -> None:
        """Take the next block; costs a copy. Raises SinkError if closed or if drawing failed."""
        if self._drawer.failure is not None:
            raise SinkError(
                f"cannot draw to the terminal: {self._drawer.failure}; use a file sink instead"
            )
        if self._drawer.closed:
            raise SinkError("terminal: is closed: open a new sink to write more")
        self._picture.push(block)

    def close(self) -> None:
        """Stop drawing and give the terminal back as it was; a second call does nothing."""
        self._drawer.close()
