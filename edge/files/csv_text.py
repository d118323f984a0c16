"""Text files as chunks of whole lines, whatever their encoding and line ends, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.errors import InputError

CHUNK_BYTES = 1 << 18
"""Read at once, and the longest line: thousands of columns fit in it."""

_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CONTROLS = bytes([*range(1, 9), *range(14, 32), 127])  # no tabs, line ends or page breaks
_WIDTHS = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of a file."""

    offset: int
    """Where they begin in the file, in bytes,"""
    end: int
    """and where the next ones begin."""
    data: bytes
    """The lines in UTF-8 or a single-byte code page; each ends in a line feed."""
    unfinished: bool
    """The last line has no line end: it is the last of the file."""

    @property
    def is_text(self) -> bool:
        """Whether hardly any of it is a control character: of any bytes, one in ten is."""
        return len(self.data) - len(self.data.translate(None, _CONTROLS)) <= len(self.data) // 50


class TextFile:
    """An open text file. Offsets count bytes of the file as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        head = self._file.read(4096)
        self.encoding, self.start = _encoding(head)

    def chunk(self, offset: int, end: int | None = None) -> Chunk | None:
        """The lines from `offset` on, to `end` if it is known; None at the end of the file.

        Raises InputError for a line longer than a chunk, and for a file that became shorter.
        """
        self._file.seek(offset)
        raw = self._file.read(CHUNK_BYTES if end is None else end - offset)
        if not raw:
            return None
        if end is not None and len(raw) < end - offset:
            raise InputError(f"{self.path} became shorter while it was read")
        at_end = end is None and len(raw) < CHUNK_BYTES
        width = _WIDTHS.get(self.encoding)
        if width is None:
            text = raw
        else:
            # A character takes as many bytes again when it is encoded, damaged ones too (U+FFFD takes two).
            text = raw[: len(raw) // width * width].decode(self.encoding, "replace").encode()
        if not at_end and end is None:
            cut = max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1
            if not cut:
                raise InputError(
                    f"{self.path} has a line over {CHUNK_BYTES} bytes: it is no CSV, or its line ends "
                    "are missing"
                )
            kept = text[:cut]
            used = cut if width is None else len(kept.decode().encode(self.encoding))
            raw, text = raw[:used], kept
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
        unfinished = not text.endswith(b"\n")
        return Chunk(offset, offset + len(raw), text + b"\n" * unfinished, unfinished)

    def decode(self, line: bytes) -> str:
        """A line of a chunk as text: what is no UTF-8 is the code page of Western Windows."""
        try:
            return line.decode()
        except UnicodeDecodeError:
            return line.decode("cp1252", "replace")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


def _encoding(head: bytes) -> tuple[str, int]:
    """(encoding, bytes of the byte order mark); without a mark, zero bytes tell UTF-16."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if half and odd > 0.7 * half and even < 0.1 * half:
        return "utf-16-le", 0
    if half and even > 0.7 * half and odd < 0.1 * half:
        return "utf-16-be", 0
    return "utf-8", 0
