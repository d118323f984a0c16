"""The one model file: an ONNX graph with its JSON manifest and a checksum in the metadata.

ONNX is a protobuf, and protobuf messages may be concatenated: a bundle is the graph, then one metadata
entry with the manifest, then one with the SHA-256 of every byte before it. So the whole file is checked
before any of it is used, ONNX tools still open it, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError, InputError
from edge.json_rules import (
    Refused,
    integer,
    listed,
    mapping,
    moments,
    number,
    one_of,
    or_none,
    parsed,
    record,
    text,
)
from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.protobuf import encoded, fields
from edge.signal.conditioning import Conditioning, sections
from firmware_bridge.unread import why_unread

SCHEMA_VERSION = 1
MANIFEST_KEY, CHECKSUM_KEY = "leadlift.manifest", "leadlift.sha256"
MAX_BYTES = 256 << 20  # a decoder for a device is a few MB; more than this is another file
MAX_STATE = 1 << 20  # elements of a state tensor: minutes of the widest decoder's history
_MODELS = Path(__file__).parent / "models"
BUNDLES = {"small": _MODELS / "leadlift-small.onnx"}
"""What ships besides the default, by its name: for a microcontroller."""
_OPTIONAL: dict[str, Any] = {
    "training": {},
    "fidelity": {},
    "teacher_sha256": None,
    "sigma_leads": None,
    "sigma_amplitude": 0.0,
}
_METADATA_FIELD = 14  # ModelProto.metadata_props


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
    """Rows of the graph's `ecg`: all LEADS for a decoder of any leads, what is known of them completed."""
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
    sigma_leads: tuple[str, ...] = ()
    """Rows of the graph's `log_sigma`: all LEADS for a decoder of any leads, else `output_leads`."""
    sigma_amplitude: float = 0.0
    """Share of a lead's amplitude that its sigma has besides, of any leads; see `edge.signal.amplitude`."""
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not self.sigma_leads:
            object.__setattr__(self, "sigma_leads", LEADS if self.any_leads else self.output_leads)

    @property
    def any_leads(self) -> bool:
        """Whether the decoder takes any of the twelve leads, not just its `input_leads`."""
        return self.input_leads == LEADS

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

    data: bytes = field(repr=False)
    manifest: Manifest = field(repr=False)
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
    """The bundle at `path`, the one of a name in BUNDLES, or the one that ships.

    Raises BundleError for a file that cannot be read or is no sound bundle.
    """
    path = default_bundle_path() if path is None else BUNDLES.get(str(path), Path(path))
    try:
        status = path.stat()
        if status.st_size > MAX_BYTES:
            raise BundleError(f"{path} is over {MAX_BYTES >> 20} MB: it is no leadlift bundle")
        if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
            raise BundleError(f"{path} is a device or a pipe: give the file of a model")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no path at all
        why = why_unread(error, path)
        raise BundleError(
            f"cannot read the model {path}: {why}, or leave it out for the one that ships"
        ) from error
    return read_bundle(data, path)


def default_bundle_path() -> Path:
    """The bundle inside the package."""
    return _MODELS / "leadlift-any-to-12.onnx"


def _shape(value: Any) -> tuple[int, ...]:
    """Sizes of a state's dimensions, which together fit a device."""
    if not isinstance(value, list) or not 1 <= len(value) <= 6:
        raise Refused("is not a list of 1 to 6 sizes")
    shape = tuple(integer(1, MAX_STATE)(size) for size in value)
    if math.prod(shape) > MAX_STATE:
        raise Refused(f"has {math.prod(shape)} elements, more than {MAX_STATE}")
    return shape


_CORNER_HZ = number(1e-3, 5e3)
_LEADS = listed(one_of(LEADS), 1, len(LEADS))
_STATE = record(
    {
        "input": text(64),
        "output": text(64),
        "shape": _shape,
        "dtype": one_of(("uint8", "int8", "float32")),
    }
)
_CONDITIONING = record(
    {
        "highpass_hz": _CORNER_HZ,
        "mains_hz": or_none(_CORNER_HZ),
        "mains_q": number(0.1, 1000),
        "lowpass_hz": or_none(_CORNER_HZ),
        "residual_highpass_hz": _CORNER_HZ,
    }
)
_RULES = {
    "name": text(),
    "sampling_hz": number(50, 10_000),
    "hop": integer(1, 64),
    "lookahead": integer(0, 10_000),
    "receptive_field": integer(1, 10_000_000),
    "input_leads": _LEADS,
    "output_leads": _LEADS,
    "sigma_leads": or_none(_LEADS),
    "sigma_amplitude": number(0, 10),
    "states": listed(_STATE, 1, 256),
    "conditioning": _CONDITIONING,
    "second_moments": moments,
    "training": mapping,
    "fidelity": mapping,
    "teacher_sha256": or_none(text(length=64)),
}
"""What each value of a manifest must be; a device that cannot run it is no reason to refuse it."""


def _manifest_from_json(source: str, named: str) -> Manifest:
    try:
        raw = parsed(source)
        schema = raw.get("schema_version")
        if type(schema) is not int or schema != SCHEMA_VERSION:
            raise BundleError(
                f"{named} has manifest schema {str(schema)[:40]!r}, this leadlift reads {SCHEMA_VERSION}:"
                " use a matching version of either"
            )
        found = record(_RULES, more=True)({**_OPTIONAL, **raw})
        manifest = Manifest(
            **{
                **found,
                "sigma_leads": found["sigma_leads"] or (),
                "states": tuple(State(**state) for state in found["states"]),
                "conditioning": Conditioning(**found["conditioning"]),
                "second_moments": tuple(map(tuple, found["second_moments"].tolist())),
            }
        )
        _check_leads(manifest)
        sections(manifest.conditioning, manifest.sampling_hz)
        names = [name for s in manifest.states for name in (s.input, s.output)]
        if len(set(names)) < len(names):
            raise Refused(f"has two states of one name: {', '.join(names)[:80]}")
    except (Refused, InputError) as error:
        raise BundleError(
            f"{named} has a manifest that cannot be: {error}; take another copy of the model, or export it"
            " again"
        ) from error
    return manifest


def _check_leads(m: Manifest) -> None:
    if m.any_leads:
        if m.output_leads != INDEPENDENT_LEADS or m.sigma_leads != LEADS:
            raise Refused(f"takes any leads, but does not give {', '.join(INDEPENDENT_LEADS)}")
        if m.lookahead:
            raise Refused("takes any leads with a look-ahead, which this leadlift cannot align")
    elif set(m.input_leads + m.output_leads) != set(INDEPENDENT_LEADS):
        raise Refused(f"has leads that do not make up {', '.join(INDEPENDENT_LEADS)}")
    elif m.sigma_leads != m.output_leads:
        raise Refused("has a sigma for leads that it does not give")
    elif m.sigma_amplitude:
        raise Refused("has sigma_amplitude, which is for a decoder of any leads")


def _metadata_entry(key: str, value: str) -> bytes:
    return encoded(_METADATA_FIELD, encoded(1, key.encode()) + encoded(2, value.encode()))


def _metadata_entries(data: bytes) -> Iterator[tuple[str, str]]:
    try:
        for number, payload in fields(data):
            if number == _METADATA_FIELD and isinstance(payload, bytes):
                pair = {n: text for n, text in fields(payload) if isinstance(text, bytes)}
                yield pair[1].decode(), pair[2].decode()
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise BundleError(
            "the bundle is no ONNX file: make it with `python -m quantize export`"
        ) from error
