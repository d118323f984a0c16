"""`--quick`: every benchmark in seconds, to see that it works; its figures mean nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

QUICK: Mapping[str, Mapping[str, object]] = {
    "latency": {
        "seconds": 1.5,
        "paced_seconds": 0.5,
        "step_seconds": 0.01,
        "hops": 70,
        "rounds": 3,
        "windows": 1,
        "energy_seconds": 0.2,
        "offline_seconds": 2.0,
        "records": 1,
    },
    "multi": {"sizes": [1, 64], "rounds": 2, "seconds": 0.5, "patients": 8},
    "scale": {"rounds": 2, "patients": 2000, "seconds": 4},
    "fleet": {"rounds": 2, "ticks": 2},
    "against": {"rounds": 2, "records": 1, "record_seconds": 4.0},
    "footprint": {"starts": 1, "seconds": 1.0},
    "peers": {"rates": [250.0], "rounds": 3, "records": ["10 s at 500 Hz"]},
    "fidelity": {"domains": ["test"], "limit": 2, "hop_by_hop": False},
    "misplacement": {"domains": ["test"], "limit": 2},
    "soak": {"seconds": 1.5},
    "wire": {"parts": ["decoders", "clock"], "frames": 200, "seconds": 1.0},
    "turing": {"sheets": 4},
    "view": {"seconds": 1.0},
    "device": {"records": 2, "paced_seconds": 0.5},
}
"""Of each benchmark, what its options are then, where they are not given."""


def add_quick(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--quick", action="store_true", help="seconds, to see that it works: no figure to be told"
    )


def shorten(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """With --quick, put its values where an option stands as it does by default."""
    if not arguments.quick:
        return
    for name, value in QUICK[arguments.benchmark].items():
        if getattr(arguments, name) == parser.get_default(name):
            setattr(arguments, name, value)
