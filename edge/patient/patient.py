"""A patient's calibration: second moments and maps of one person, as a small JSON file with provenance.

The moments give the patient's anchors, for any set of inputs. A map adds to the five predictions a weighted
sum of the measured leads and of the predictions themselves, at TAPS; there is one for every set of inputs,
since the predictions differ from set to set. `edge.calibrate.fit` fits both.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.errors import PatientError
from edge.leads import INDEPENDENT_LEADS, LEADS

SCHEMA_VERSION = 1
TAPS = (0, 2, 4, 6)  # samples back: 24 ms, what conduction shifts one lead against another
MAX_BYTES = 1 << 20  # seven maps and one matrix are some 20 kB; more than this is another file
MAX_WEIGHT = 100.0  # mV per mV: no lead of a heart is a hundred times another
MAX_SIGMA_MV = 10.0
_KEYS = {
    *("schema_version", "bundle_sha256", "bundle_name", "input_leads", "output_leads", "taps"),
    *("reference", "quality", "second_moments", "maps"),
}


@dataclass(frozen=True)
class OutputMap:
    """What is added to the predictions under one set of inputs, and how sure they are then."""

    weights: NDArray[np.float64]
    """(n_outputs, n_taps * (n_inputs + n_outputs)): for each tap the inputs, then the predictions."""
    sigma_mv: NDArray[np.float64]
    """(n_outputs,) standard deviation of the calibrated error, typical over the beat."""
    log_sigma: NDArray[np.float64]
    """(n_outputs,) mean of the decoder's own log sigma over the reference: what `sigma_mv` stands for."""


@dataclass(frozen=True)
class Reference:
    """Where a calibration comes from."""

    name: str
    """Of the file, as the user calls it; no other patient data."""
    seconds: float
    """Length that was fitted."""
    sampling_hz: float
    """As recorded."""
    leads: tuple[str, ...]
    made_at: str
    """Local time of the calibration, ISO 8601."""


@dataclass(frozen=True, eq=False)
class Patient:
    """A calibration in memory; `load_patient` reads one, `as_json` writes it."""

    bundle_sha256: str
    """Of the model that the maps were fitted with: they fit no other."""
    bundle_name: str
    input_leads: tuple[str, ...]
    output_leads: tuple[str, ...]
    reference: Reference
    quality: Mapping[str, float | Mapping[str, float]]
    """Figures of the fit: see `edge.calibrate.fit`."""
    moments: NDArray[np.float64]
    """(8, 8) second moments of INDEPENDENT_LEADS, mV^2, shrunk towards the population."""
    maps: Mapping[str, OutputMap]
    """By `mask_name`; what has no map is not corrected."""

    @cached_property
    def sha256(self) -> str:
        """Of the file that `as_json` makes."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()

    def as_json(self) -> str:
        """The calibration as it stands in its file."""
        return (
            json.dumps(
                {
                    "schema_version": SCHEMA_VERSION,
                    "bundle_sha256": self.bundle_sha256,
                    "bundle_name": self.bundle_name,
                    "reference": asdict(self.reference),
                    "quality": self.quality,
                    "input_leads": self.input_leads,
                    "output_leads": self.output_leads,
                    "taps": TAPS,
                    "second_moments": _plain(self.moments),
                    "maps": {
                        name: {
                            "weights": _plain(one.weights),
                            "sigma_mv": _plain(one.sigma_mv),
                            "log_sigma": _plain(one.log_sigma),
                        }
                        for name, one in self.maps.items()
                    },
                },
                allow_nan=False,
            )
            + "\n"
        )

    def check_bundle(self, bundle: Bundle) -> None:
        """Raise PatientError unless the maps were fitted with this very model."""
        if self.bundle_sha256 != bundle.sha256:
            raise PatientError(
                f"the patient calibration was fitted with the model {self.bundle_name} "
                f"{self.bundle_sha256[:12]}, this is {bundle.manifest.name} {bundle.sha256[:12]}: its "
                "maps correct that one's errors; calibrate again from the reference"
            )

    def summary(self) -> dict[str, object]:
        """For a report: what was applied and where it comes from."""
        return {
            "sha256": self.sha256,
            "bundle_sha256": self.bundle_sha256,
            "reference": asdict(self.reference),
            "quality": self.quality,
        }

    def in_words(self) -> str:
        """For the header of a recording, in ASCII and without the name of the reference."""
        r = self.reference
        return f"patient calibration {self.sha256[:12]} from {r.seconds:.1f} s, {r.made_at[:10]}"


def mask_name(present: Sequence[bool] | NDArray[np.bool_]) -> str:
    """`110` for the first two inputs present and the third off."""
    return "".join("1" if on else "0" for on in present)


def mask_names(n_inputs: int) -> list[str]:
    """Every set of inputs but the empty one, all of them first."""
    return ["".join(bits) for bits in itertools.product("10", repeat=n_inputs)][:-1]


def load_patient(path: str | Path) -> Patient:
    """The calibration in a file that `leadlift calibrate` wrote.

    Raises PatientError, with the reason, for a file that cannot be read or is no sound calibration.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PatientError(f"{path} is over {MAX_BYTES >> 20} MB: it is no patient calibration")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PatientError(
            f"cannot read the patient calibration {path}: {error.strerror or error}"
        ) from error
    except UnicodeDecodeError as error:
        raise PatientError(f"{path} is no text: give what `leadlift calibrate` wrote") from error
    return read_patient(text, path.name)


def read_patient(text: str, named: str = "the patient calibration") -> Patient:
    """Check a calibration and read it. Raises PatientError with the reason."""

    def refuse(why: str) -> NoReturn:
        raise PatientError(f"{named} {why}: make it again with `leadlift calibrate`")

    try:
        raw = json.loads(text, parse_constant=lambda name: refuse(f"holds {name}, no number"))
    except (ValueError, RecursionError):
        refuse("is no JSON")
    if not isinstance(raw, dict):
        refuse("holds no object")
    if raw.get("schema_version") != SCHEMA_VERSION:
        refuse(f"has schema {raw.get('schema_version')!r}, this leadlift reads {SCHEMA_VERSION}")
    if set(raw) != _KEYS:
        refuse(f"lacks or has too much: {', '.join(sorted(set(raw) ^ _KEYS))}")
    read = _Reader(raw, refuse)
    inputs, outputs = read.leads("input_leads"), read.leads("output_leads")
    if set(inputs) & set(outputs) or not set(inputs + outputs) <= set(INDEPENDENT_LEADS):
        refuse(f"has impossible inputs {inputs} and outputs {outputs}")
    if raw["taps"] != list(TAPS):
        refuse(f"has taps {raw['taps']!r}, this leadlift applies {list(TAPS)}")
    moments = read.array("second_moments", raw["second_moments"], (8, 8), 1e4)
    if not np.allclose(moments, moments.T) or np.linalg.eigvalsh(moments)[0] < -1e-9:
        refuse("has second moments that no signal has")
    maps = raw["maps"]
    if not isinstance(maps, dict) or set(maps) != set(mask_names(len(inputs))):
        refuse(f"needs a map for each of {', '.join(mask_names(len(inputs)))}")
    return Patient(
        bundle_sha256=read.text("bundle_sha256", 64),
        bundle_name=read.text("bundle_name"),
        input_leads=inputs,
        output_leads=outputs,
        reference=read.reference(),
        quality=read.quality(),
        moments=moments,
        maps={name: read.lead_map(name, one, inputs, outputs) for name, one in maps.items()},
    )


class _Reader:
    """Fields of a calibration by type; what is not as it must be goes to `refuse`, which raises."""

    def __init__(self, raw: dict[str, Any], refuse: Any) -> None:
        self.raw, self.refuse = raw, refuse

    def text(self, key: str, length: int | None = None) -> str:
        value = self.raw[key]
        if not isinstance(value, str) or len(value) > 200 or length not in (None, len(value)):
            self.refuse(f"has an unusable {key}")
        return str(value)

    def leads(self, key: str, raw: dict[str, Any] | None = None) -> tuple[str, ...]:
        value: Any = (self.raw if raw is None else raw).get(key)
        known = isinstance(value, list) and value and all(lead in LEADS for lead in value)
        if not known or len(set(value)) != len(value):
            self.refuse(f"has unusable {key}")
        return tuple(value)

    def array(
        self, what: str, value: Any, shape: tuple[int, ...], largest: float
    ) -> NDArray[np.float64]:
        try:
            array = np.array(value, np.float64)
        except (TypeError, ValueError):
            self.refuse(f"has {what} that are no numbers")
        if array.shape != shape:
            self.refuse(f"has {what} of shape {array.shape}, not {shape}")
        if not (np.abs(array) <= largest).all():
            self.refuse(f"has {what} that are not finite or beyond {largest:g}")
        return array

    def number(self, what: str, value: Any, least: float = 0.0) -> float:
        usable = isinstance(value, int | float) and not isinstance(value, bool)
        if not usable or not math.isfinite(value) or not value >= least:
            self.refuse(f"has an unusable {what}")
        return float(value)

    def lead_map(
        self, name: str, value: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> OutputMap:
        if not isinstance(value, dict) or set(value) != {"weights", "sigma_mv", "log_sigma"}:
            self.refuse(f"has an unusable map {name}")
        n = len(outputs)
        weights = (n, len(TAPS) * (len(inputs) + n))
        sigma = self.array(f"sigmas of map {name}", value["sigma_mv"], (n,), MAX_SIGMA_MV)
        if not (sigma > 0).all():
            self.refuse(f"has sigmas of map {name} that are not above 0")
        return OutputMap(
            self.array(f"weights of map {name}", value["weights"], weights, MAX_WEIGHT),
            sigma,
            self.array(f"log sigmas of map {name}", value["log_sigma"], (n,), 20.0),
        )

    def reference(self) -> Reference:
        value = self.raw["reference"]
        if not isinstance(value, dict) or set(value) != set(Reference.__dataclass_fields__):
            self.refuse("has an unusable reference")
        try:
            made_at = datetime.fromisoformat(value["made_at"]).isoformat()
        except (TypeError, ValueError):
            self.refuse("has an unusable date of the reference")
        if not isinstance(value["name"], str):
            self.refuse("has an unusable name of the reference")
        return Reference(
            name=value["name"][:200],
            seconds=self.number("length of the reference", value["seconds"]),
            sampling_hz=self.number("rate of the reference", value["sampling_hz"]),
            leads=self.leads("leads", value),
            made_at=made_at,
        )

    def quality(self) -> dict[str, float | Mapping[str, float]]:
        value = self.raw["quality"]
        if not isinstance(value, dict) or len(value) > 32:
            self.refuse("has unusable quality figures")
        return {
            str(key): {str(k): self.number(key, v) for k, v in one.items()}
            if isinstance(one, dict)
            else self.number(key, one)
            for key, one in value.items()
        }


def _plain(array: NDArray[np.float64]) -> Any:
    """Nested lists, rounded to seven digits: below what float32 samples can show."""
    if array.ndim > 1:
        return [_plain(row) for row in array]
    return [float(f"{value:.7g}") for value in array.tolist()]
