"""Annotations as WFDB keeps them (MIT format): notes with a text, each at a sample."""

from __future__ import annotations

from collections.abc import Iterable

SUFFIX = ".atr"
NOTE = 22  # a comment in the text
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_MOST_INTERVAL = 1023  # in the 10 bits of a word
_MOST_TEXT = 255  # what the library's readers hold
END = b"\0\0"


def note(interval: int, text: str) -> bytes:
    """One note, `interval` samples after the annotation before it."""
    head = b""
    if interval > _MOST_INTERVAL:  # the high half comes first, as on a PDP-11
        head = _word(_SKIP, 0) + (interval >> 16).to_bytes(2, "little")
        head += (interval & 0xFFFF).to_bytes(2, "little")
        interval = 0
    data = text.encode(errors="replace")[:_MOST_TEXT]
    data = data.decode("utf-8", "ignore").encode()  # no half of a character
    return head + _word(NOTE, interval) + _word(_AUX, len(data)) + data + bytes(len(data) % 2)


def notes(found: Iterable[tuple[int, str]]) -> bytes:
    """A whole file of (sample, text), in the order of time."""
    data, last = b"", 0
    for sample, text in found:
        data, last = data + note(sample - last, text), sample
    return data + END


def texts(data: bytes) -> list[tuple[int, str]]:
    """(sample, text) of every annotation that has a text; what is cut off is left out."""
    found: list[tuple[int, str]] = []
    at = sample = 0
    while at + 2 <= len(data):
        word = int.from_bytes(data[at : at + 2], "little")
        code, value = word >> 10, word & _MOST_INTERVAL
        at += 2
        if word == 0:
            break
        if code == _SKIP:
            if at + 4 > len(data):
                break
            high, low = (int.from_bytes(data[i : i + 2], "little") for i in (at, at + 2))
            interval = high << 16 | low
            sample += interval - (1 << 32 if interval >> 31 else 0)
            at += 4
        elif code == _AUX:
            text = data[at : at + value]
            if len(text) < value:
                break
            at += value + value % 2
            found.append((sample, text.rstrip(b"\0").decode("utf-8", "replace")))
        elif code not in (_NUM, _SUB, _CHN):
            sample += value
    return found


def _word(code: int, value: int) -> bytes:
    return (code << 10 | value).to_bytes(2, "little")
