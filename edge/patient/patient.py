"""A patient's calibration: second moments and maps of one person, as a small JSON file with provenance.

The moments give the patient's anchors, for any set of inputs. A map adds to the predictions (of the
independent leads that are not known from those measured) a weighted sum of the measured leads and of the
predictions themselves, at TAPS; there is one for every set of inputs of `mask_names`, since the predictions
differ from set to set. `edge.calibrate.fit` fits both.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge import json_rules as rules
from edge.bundle import Bundle
from edge.errors import PatientError
from edge.leads import INDEPENDENT_LEADS, LEADS, lead_names
from firmware_bridge.unread import why_unread

SCHEMA_VERSION = 1
TAPS = (0, 2, 4, 6, 12, 24, 48)
"""Samples back, to 192 ms: what conduction shifts one lead against another, and ST and T by their QRS. With
four, to 24 ms, the calibrated error on fold 9 is 0.6 to 2 % larger for each of six sets."""
MOST_IN_EVERY_SET = 3  # of the inputs: 2^3 maps, above it one more for each input
MAX_BYTES = 1 << 20  # seven maps and one matrix are some 20 kB; more than this is another file
MAX_WEIGHT = 100.0  # mV per mV: no lead of a heart is a hundred times another
MAX_SIGMA_MV = 10.0


@dataclass(frozen=True)
class OutputMap:
    """What is added to the predictions under one set of inputs, and how sure they are then."""

    weights: NDArray[np.float64]
    """(n_outputs, n_taps * (n_inputs + n_outputs)): for each tap the inputs, then the predictions."""
    sigma_mv: NDArray[np.float64]
    """(n_sigmas,) standard deviation of the calibrated error, typical over the beat."""
    log_sigma: NDArray[np.float64]
    """(n_sigmas,) mean of the decoder's own log sigma over the reference: what `sigma_mv` stands for."""


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
    """The leads that are measured."""
    output_leads: tuple[str, ...]
    """The independent leads that are not known from them."""
    sigma_leads: tuple[str, ...]
    """Those that the model has a sigma of."""
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
                    "sigma_leads": self.sigma_leads,
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

    def checked_leads(self, bundle: Bundle, leads: Sequence[str] | None = None) -> tuple[str, ...]:
        """The measured leads in the order of `leads`; by default in that of the calibration.

        Raises PatientError unless the maps were fitted with this very model, and for these leads, and
        InputError for leads that have no order.
        """
        if self.bundle_sha256 != bundle.sha256:
            raise PatientError(
                f"the patient calibration was fitted with the model {self.bundle_name} "
                f"{self.bundle_sha256[:12]}, this is {bundle.manifest.name} {bundle.sha256[:12]}: its "
                "maps correct that one's errors; calibrate again from the reference"
            )
        if leads is None:
            return self.input_leads
        leads = lead_names(leads)
        if set(leads) != set(self.input_leads):
            raise PatientError(
                f"the patient calibration is for leads {', '.join(self.input_leads)}, not "
                f"{', '.join(leads)}: name these, or calibrate again with --leads {','.join(leads)}"
            )
        return leads

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
    """Sets of inputs that have a map, all of them first: up to three every one that is not empty, beyond it
    those with one input off."""
    if n_inputs <= MOST_IN_EVERY_SET:
        return ["".join(bits) for bits in itertools.product("10", repeat=n_inputs)][:-1]
    every = "1" * n_inputs
    return [every, *(f"{every[:i]}0{every[i + 1 :]}" for i in range(n_inputs))]


def load_patient(path: str | Path) -> Patient:
    """The calibration in a file that `leadlift calibrate` wrote.

    Raises PatientError, with the reason, for a file that cannot be read or is no sound calibration.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PatientError(f"{path} is over {MAX_BYTES >> 20} MB: it is no patient calibration")
        text = data.decode()
    except UnicodeDecodeError as error:
        raise PatientError(f"{path} is no text: give what `leadlift calibrate` wrote") from error
    except (OSError, ValueError) as error:  # ValueError: no path at all
        why = why_unread(error, path)
        raise PatientError(
            f"cannot read the patient calibration {path}: {why}, or make one with `leadlift calibrate`"
        ) from error
    return read_patient(text, path.name)


def read_patient(text: str, named: str = "the patient calibration") -> Patient:
    """Check a calibration and read it. Raises PatientError with the reason."""
    try:
        return _patient(rules.parsed(text))
    except rules.Refused as error:
        raise PatientError(
            f"{named} cannot be used ({error}): make it again with `leadlift calibrate`"
        ) from error


_LEADS = rules.listed(rules.one_of(LEADS), 1, len(LEADS))
_OUTPUTS = rules.listed(rules.one_of(INDEPENDENT_LEADS), 0, len(INDEPENDENT_LEADS))
_FIGURE = rules.number(0, sys.float_info.max)
_REFERENCE = rules.record(
    {
        "name": rules.text(4096),
        "seconds": _FIGURE,
        "sampling_hz": _FIGURE,
        "leads": _LEADS,
        "made_at": rules.text(64),
    }
)


def _patient(raw: dict[str, Any]) -> Patient:
    schema = raw.get("schema_version")
    if type(schema) is not int or schema != SCHEMA_VERSION:
        raise rules.Refused(
            f"has schema {str(schema)[:40]!r}, this leadlift reads {SCHEMA_VERSION}"
        )
    inputs = rules.named("input_leads", _LEADS, raw.get("input_leads"))
    outputs = rules.named("output_leads", _OUTPUTS, raw.get("output_leads"))
    sigmas = rules.named("sigma_leads", _LEADS, raw.get("sigma_leads", list(outputs)))
    if set(inputs) & set(outputs):
        raise rules.Refused(f"has impossible inputs {inputs} and outputs {outputs}")
    n, n_sigmas = len(outputs), len(sigmas)
    one_map = rules.record(
        {
            "weights": rules.array((n, len(TAPS) * (len(inputs) + n)), MAX_WEIGHT),
            "sigma_mv": _sigmas(n_sigmas),
            "log_sigma": rules.array((n_sigmas,), 20.0),
        }
    )
    found = rules.record(
        {
            "schema_version": rules.integer(SCHEMA_VERSION, SCHEMA_VERSION),
            "bundle_sha256": rules.text(length=64),
            "bundle_name": rules.text(),
            "input_leads": _LEADS,
            "output_leads": _OUTPUTS,
            "sigma_leads": rules.or_none(_LEADS),
            "taps": _taps,
            "reference": _REFERENCE,
            "quality": _quality,
            "second_moments": rules.moments,
            "maps": rules.record(dict.fromkeys(mask_names(len(inputs)), one_map)),
        }
    )({"sigma_leads": None, **raw})
    reference = found["reference"]
    try:
        made_at = datetime.fromisoformat(reference["made_at"]).isoformat()
    except ValueError:
        raise rules.Refused("has an unusable date of the reference") from None
    return Patient(
        bundle_sha256=found["bundle_sha256"],
        bundle_name=found["bundle_name"],
        input_leads=inputs,
        output_leads=outputs,
        sigma_leads=sigmas,
        reference=Reference(**reference | {"name": reference["name"][:200], "made_at": made_at}),
        quality=found["quality"],
        moments=found["second_moments"],
        maps={name: OutputMap(**one) for name, one in found["maps"].items()},
    )


def _taps(value: Any) -> tuple[int, ...]:
    if value != list(TAPS):
        raise rules.Refused(f"are not {list(TAPS)}, which this leadlift applies")
    return TAPS


def _sigmas(n: int) -> rules.Rule[NDArray[np.float64]]:
    def rule(value: Any) -> NDArray[np.float64]:
        sigma = rules.array((n,), MAX_SIGMA_MV)(value)
        if not (sigma > 0).all():
            raise rules.Refused("has values that are not above 0")
        return sigma

    return rule


def _quality(value: Any) -> dict[str, float | dict[str, float]]:
    figures = rules.mapping(value)
    if len(figures) > 32:
        raise rules.Refused(f"has {len(figures)} figures, more than 32")
    return {
        key: {k: rules.named(key, _FIGURE, v) for k, v in one.items()}
        if isinstance(one, dict)
        else rules.named(key, _FIGURE, one)
        for key, one in figures.items()
    }


def _plain(array: NDArray[np.float64]) -> Any:
    """Nested lists, rounded to seven digits: below what float32 samples can show."""
    if array.ndim > 1:
        return [_plain(row) for row in array]
    return [float(f"{value:.7g}") for value in array.tolist()]
