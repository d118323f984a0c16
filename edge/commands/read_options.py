"""What the commands that read a recording share: --leads, --unit, --rate, and the warnings of a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from math import isclose
from typing import TYPE_CHECKING

from edge.errors import InputError
from edge.files.lead_option import parse_leads
from edge.files.record import ReadOptions
from edge.notices import LOG
from firmware_bridge.lead_names import MV_PER_UNIT, unit_named

if TYPE_CHECKING:
    from edge.files.record import Record
    from edge.signal.plausibility import ImplausibleUnit


def add_read_options(parser: argparse.ArgumentParser, leads: str) -> None:
    """Options that say what a file does not say, or says wrongly; `leads` is the help of --leads."""
    parser.add_argument(
        "--leads",
        metavar="II,V1,V5",
        help=f"{leads}; where the file names them otherwise: \"II='CH1',V1='CH2'\", or II=#1 by place",
    )
    parser.add_argument(
        "--unit",
        metavar="uV",
        help=f"unit of the values ({', '.join(MV_PER_UNIT)}), where the file says none or a wrong one",
    )
    parser.add_argument(
        "--rate", metavar="HZ", type=float, help="sampling rate, for a file that states none"
    )


def read_options(arguments: argparse.Namespace) -> ReadOptions:
    """What the options say. Raises InputError for what is no lead, no voltage or no rate."""
    leads = None if arguments.leads is None else parse_leads(arguments.leads)
    unit, rate = arguments.unit, arguments.rate
    if unit is not None and unit_named(unit) is None:
        raise InputError(f"--unit {unit}: that is no voltage; give {', '.join(MV_PER_UNIT)}")
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"--rate {rate:g}: give the number of samples a second")
    return ReadOptions(leads, rate, unit)


def warn(texts: Sequence[str]) -> None:
    """Tell the user, a line each."""
    for text in texts:
        LOG.warning("%s", " ".join(text.split()))


def warn_of(record: Record, but: Sequence[str] = ()) -> None:
    """Say what had to be assumed about a recording, a line each, `but` for what is said otherwise."""
    name = str(record.path)
    texts = [text for text in record.warnings if text not in but]
    warn([text if name in text else f"{name}: {text}" for text in texts])


def warn_of_unit(record: Record, doubt: ImplausibleUnit | None) -> None:
    """Say that the values of a recording cannot be millivolts, and what to do."""
    if doubt is None:
        return
    stated, factor = record.mv_per_value, doubt.unit_mv
    likely = None if stated is None or factor is None else stated * factor
    units = [u for u, mv in MV_PER_UNIT.items() if likely and isclose(mv, likely, rel_tol=1e-6)]
    remedy = f"--unit {units[0]}" if units else "give their unit with --unit"
    what = str(doubt)
    if stated != 1.0:  # `likely volts` is said of values in mV
        what = f"its unit is wrong: deflections of {doubt.size:.3g} mV, where a QRS has 0.1 to 5 mV"
    warn([f"{record.path}: {what}: {remedy}"])
