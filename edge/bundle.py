"""The one model file: an ONNX graph with its JSON manifest and a checksum in the metadata.

ONNX is a protobuf, and protobuf messages may be concatenated: a bundle is the graph, then one metadata
entry with the manifest, then one with the SHA-256 of every byte before it. So the whole file is checked
before any of it is used, ONNX tools still open it, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError
from edge.leads import INDEPENDENT_LEADS
from edge.signal.conditioning import Conditioning

SCHEMA_VERSION = 1
MANIFEST_KEY, CHECKSUM_KEY = "leadlift.manifest", "leadlift.sha256"
MAX_BYTES = 256 << 20  # a decoder for a device is a few MB; more than this is another file
_METADATA_FIELD = 14  # ModelProto.metadata_props
_LENGTH_DELIMITED = 2


@dataclass(frozen=True)
class State:
    """A pair of graph tensors that carries the stream from one step to the next."""

    input: str
    output: str
    shape: tuple[int, ...]
    """Without the batch dimension."""
    dtype: str


@dataclass(frozen=True)
class Manifest:
    """What an engine and a reconstructor must know of a graph, and what it was made from."""

    name: str
    sampling_hz: float
    hop: int
    """Samples per frame of the graph."""
    lookahead: int
    """Future samples that an output needs."""
    receptive_field: int
    """Samples that an output depends on."""
    input_leads: tuple[str, ...]
    output_leads: tuple[str, ...]
    states: tuple[State, ...]
    conditioning: Conditioning
    second_moments: tuple[tuple[float, ...], ...]
    """E[x x^T] of the independent leads over the training records, mV^2; the anchor of any subset."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Training data card: data, seed, command, schedule."""
    fidelity: Mapping[str, Any] = field(default_factory=dict)
    """Fidelity card: what `benchmarks fidelity` measured."""
    teacher_sha256: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def moments(self) -> NDArray[np.float64]:
        """`second_moments` as an (8, 8) array."""
        return np.array(self.second_moments)

    def as_json(self) -> str:
        """The manifest as it stands in the file."""
        return json.dumps(asdict(self), separators=(",", ":"))


@dataclass(frozen=True)
class Bundle:
    """A checked model file in memory."""

    data: bytes
    manifest: Manifest
    path: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.data).hexdigest()


def write_bundle(graph: bytes, manifest: Manifest) -> bytes:
    """A bundle from a serialised ONNX model without metadata."""
    body = graph + _metadata_entry(MANIFEST_KEY, manifest.as_json())
    return body + _metadata_entry(CHECKSUM_KEY, hashlib.sha256(body).hexdigest())


def read_bundle(data: bytes, path: Path | None = None) -> Bundle:
    """Check a bundle and read its manifest.

    Raises BundleError, with the reason, for a file that is truncated, altered, or of another schema.
    """
    named = path.name if path else "the bundle"
    trailer = len(_metadata_entry(CHECKSUM_KEY, "0" * 64))
    body, checksum = data[:-trailer], data[-trailer:]
    if checksum[:-64] != _metadata_entry(CHECKSUM_KEY, "0" * 64)[:-64]:
        raise BundleError(
            f"{named} has no leadlift checksum at its end: it is truncated or no bundle"
        )
    if hashlib.sha256(body).hexdigest().encode() != checksum[-64:]:
        raise BundleError(f"{named} does not match its checksum: it was altered; copy it again")
    entries = dict(_metadata_entries(body))
    if MANIFEST_KEY not in entries:
        raise BundleError(f"{named} has no manifest: make it with `python -m quantize export`")
    return Bundle(data, _manifest_from_json(entries[MANIFEST_KEY], named), path)


def load_bundle(path: str | Path | None = None) -> Bundle:
    """The bundle at `path`, or the one that ships.

    Raises BundleError for a file that cannot be read or is no sound bundle.
    """
    path = default_bundle_path() if path is None else Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} is over {MAX_BYTES >> 20} MB: it is no leadlift bundle")
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read the model {path}: {error.strerror}") from error
    return read_bundle(data, path)


def default_bundle_path() -> Path:
    """The bundle inside the package."""
    return Path(__file__).parent / "models" / "leadlift-3to12.onnx"


def _manifest_from_json(text: str, named: str) -> Manifest:
    try:
        raw = json.loads(text)
        if raw.get("schema_version") != SCHEMA_VERSION:
            raise BundleError(
                f"{named} has manifest schema {raw.get('schema_version')!r}, this leadlift reads"
                f" {SCHEMA_VERSION}: use a matching version of either"
            )
        known = {f.name for f in fields(Manifest)}
        manifest = Manifest(
            **{
                **{key: value for key, value in raw.items() if key in known},
                "input_leads": tuple(raw["input_leads"]),
                "output_leads": tuple(raw["output_leads"]),
                "states": tuple(State(**{**s, "shape": tuple(s["shape"])}) for s in raw["states"]),
                "conditioning": Conditioning(**raw["conditioning"]),
                "second_moments": tuple(tuple(row) for row in raw["second_moments"]),
            }
        )
        moments = manifest.moments
        possible = manifest.hop >= 1 and manifest.sampling_hz > 0
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{named} has a manifest that does not parse: {error!r}") from error
    if moments.shape != (8, 8) or not np.isfinite(moments).all():
        raise BundleError(f"{named} has second moments of shape {moments.shape}, not finite (8, 8)")
    unknown = set(manifest.input_leads + manifest.output_leads) - set(INDEPENDENT_LEADS)
    if unknown or not possible:
        raise BundleError(f"{named} has a manifest with impossible leads, hop or sampling rate")
    return manifest


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _metadata_entry(key: str, value: str) -> bytes:
    pair = b"".join(
        _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(text)) + text
        for number, text in ((1, key.encode()), (2, value.encode()))
    )
    return _varint(_METADATA_FIELD << 3 | _LENGTH_DELIMITED) + _varint(len(pair)) + pair


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Length-delimited fields of a protobuf message, as (number, payload); others are passed over."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == _LENGTH_DELIMITED:
            length = varint()
            yield tag >> 3, data[at : at + length]
            at += length
        elif kind == 0:
            varint()
        else:
            at += {1: 8, 5: 4}[kind]


def _metadata_entries(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        for number, payload in _fields(data):
            if number == _METADATA_FIELD:
                pair = dict(_fields(payload))
                yield pair[1].decode(), pair[2].decode()
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise BundleError(
            "the bundle is no ONNX file: make it with `python -m quantize export`"
        ) from error
