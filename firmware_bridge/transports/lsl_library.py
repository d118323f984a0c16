"""MNE-LSL and its liblsl, imported when first used; and the streams that it finds, in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from firmware_bridge.errors import TransportError
from firmware_bridge.extras import install_extra

REMEDY = install_extra("lsl")
_QUIET = "[log]\nlevel = -3\n"  # liblsl writes on stderr what leadlift says in its own words
_CONFIGURATIONS = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")


def library() -> Any:
    """The module `mne_lsl.lsl`. Raises TransportError, with what to install, where it cannot be had."""
    try:
        first = "mne_lsl.lsl" not in _imported
        lsl = import_module("mne_lsl.lsl")
    except ImportError as error:
        raise TransportError(f"lsl: needs MNE-LSL ({error}): {REMEDY}") from error
    except Exception as error:  # a liblsl that does not load
        raise TransportError(f"lsl: liblsl does not load ({error}): {REMEDY}") from error
    if first:
        _imported.add("mne_lsl.lsl")
        own = os.environ.get("LSLAPICFG") or any(
            Path(name).expanduser().is_file() for name in _CONFIGURATIONS
        )
        if not own and hasattr(lsl, "set_config_content"):  # MNE-LSL 1.14
            lsl.set_config_content(_QUIET)
    return lsl


_imported: set[str] = set()


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A stream on the network."""

    name: str
    stype: str
    source_id: str
    host: str
    hz: float
    """Nominal rate; 0 for none."""
    n_channels: int
    is_text: bool
    """Whether it holds texts: markers."""
    handle: Any
    """What an inlet is made of."""

    def in_words(self) -> str:
        """Name, and what tells it from others of that name."""
        rate = f"{self.hz:g} Hz" if self.hz else "no rate"
        said = f" source_id={self.source_id}" if self.source_id else ""
        return (
            f"{self.name!r} (type={self.stype}{said} host={self.host}, {self.n_channels} x {rate})"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which stream is wanted; what is empty may be anything."""

    name: str = ""
    stype: str = ""
    source_id: str = ""
    host: str = ""

    def fits(self, found: Found) -> bool:
        """Whether a stream is one of those wanted."""
        return (
            self.name in ("", found.name)
            and self.stype.lower() in ("", found.stype.lower())
            and self.source_id in ("", found.source_id)
            and self.host.lower() in ("", found.host.lower())
        )

    def in_words(self, scheme: str = "lsl") -> str:
        """As the name of a source is written."""
        options = {"type": self.stype, "source_id": self.source_id, "host": self.host}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        return f"{scheme}:{self.name}" + (f"?{query}" if query else "")


def find(seconds: float) -> list[Found]:
    """The streams that answer within so many seconds, by name.

    Raises TransportError where LSL cannot be had. Half a second may miss some of them.
    """
    lsl = library()
    try:
        streams = lsl.resolve_streams(timeout=seconds)
    except Exception as error:
        raise TransportError(
            f"lsl: the network cannot be searched ({error}): check the network, and lsl_api.cfg"
        ) from error
    found = [
        Found(
            s.name,
            s.stype,
            s.source_id,
            s.hostname,
            s.sfreq,
            s.n_channels,
            s.dtype == "string",
            s,
        )
        for s in streams
    ]
    return sorted(found, key=lambda one: (one.name, one.host, one.source_id))


def listed(streams: Sequence[Found], most: int = 6) -> str:
    """The streams in words, a few of them."""
    more = len(streams) - most
    words = ", ".join(one.in_words() for one in streams[:most])
    return words + (f" and {more} more" if more > 0 else "")
