"""A model with a card of a few lead sets, with round figures, for the tests of what is expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.bundle import Bundle, load_bundle, write_bundle
from edge.leads import LEADS

DEFAULT = "II+V1+V5"


def row(**of_leads: float) -> list[float | None]:
    """(12,) of LEADS, null for those not given."""
    return [of_leads.get(lead) for lead in LEADS]


def card(**changes: Any) -> dict[str, Any]:
    """Of II, V1, V5 (fair), lead I (rough, V2 poor), the six limb leads (poor, no r of V6)."""
    r = {
        DEFAULT: row(
            I=0.91, III=0.79, aVR=0.96, aVL=0.5, aVF=0.93, V2=0.9, V3=0.88, V4=0.95, V6=0.96
        ),
        "I": row(**dict.fromkeys(LEADS[1:], 0.8)),
        "I+II": row(**dict.fromkeys(LEADS[6:11], 0.6)),
    }
    uv = {
        DEFAULT: row(I=59, III=59, aVR=30, aVL=59, aVF=30, V2=119, V3=127, V4=82, V6=43),
        "I": row(**{**dict.fromkeys(LEADS[1:], 100), "V2": 200}),
        "I+II": row(**dict.fromkeys(LEADS[6:], 160)),
    }
    rmse_uv = {label: [one or 0 for one in of_set] for label, of_set in uv.items()}
    return {"folds": "PTB-XL fold 9", "records": 329, "rmse_uv": rmse_uv, "r": r} | changes


def carded(sets: object = None) -> Bundle:
    """The bundle that ships with this card, or that of `card`; with `{}` none."""
    ours = load_bundle()
    fidelity = {"sets": card() if sets is None else sets}
    return replace(ours, manifest=replace(ours.manifest, fidelity=fidelity))


def write_carded(path: Path, sets: object = None) -> Path:
    """A file that has the manifest of `carded`, and no graph."""
    path.write_bytes(write_bundle(b"", carded(sets).manifest))
    return path


def write_runnable(path: Path, sets: object = None) -> Path:
    """A file of the decoder that ships, with this card."""
    from tests.edge.test_bundle import graph_of

    ours = load_bundle()
    path.write_bytes(write_bundle(graph_of(ours), carded(sets).manifest))
    return path
