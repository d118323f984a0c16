"""`leadlift info`: what a recording is, what it holds, and what leadlift would make of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.common import Subparsers, usage
from edge.commands.durations import lasting
from edge.commands.read_options import add_read_options, read_options, warn_of, warn_of_unit
from edge.files.formats import HEAD_BYTES, format_of, readable
from edge.leads import INPUT_LEADS

if TYPE_CHECKING:
    from edge.expected import Expected
    from edge.files.record import Record
    from edge.files.summary import LeadSummary, Summary

SHOWN_MARKERS = 20
DOUBT_S = 30.0
"""How much of a recording is looked at for a unit that cannot be."""


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "info",
        help="say what a recording holds: leads, where each comes from, gaps, quality, sigma",
    )
    parser.add_argument("file", metavar="FILE", help=f"recording: {readable()}")
    add_read_options(parser, "leads to look at (default: all that the file names)")
    parser.add_argument(
        "--model", metavar="PATH", help="bundle, or small (default: the one that ships)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Read FILE from end to end and say what it is."""
    from edge.bundle import load_bundle
    from edge.expected import expected
    from edge.files.record import reconstructed
    from edge.files.records import open_record
    from edge.files.summary import summarize
    from edge.signal.plausibility import implausible_unit

    with usage():
        options = read_options(arguments)
    with open_record(
        arguments.file, options.leads, sampling_hz=options.sampling_hz, unit=options.unit
    ) as record:
        shown = reconstructed(record.leads, record.provenance) if record.provenance else []
        warn_of(record, but=shown)  # the table says that
        start = record.read(0, min(record.n_samples, round(DOUBT_S * record.sampling_hz)))
        warn_of_unit(record, implausible_unit(start, record.sampling_hz))
        summary = summarize(record)
        would_use: tuple[str, ...] = ()
        found: Expected | None = None
        if not is_made(record):
            bundle = load_bundle(arguments.model)
            takes = INPUT_LEADS if bundle.manifest.any_leads else bundle.manifest.input_leads
            would_use = default_leads(record.leads, takes)
            found = expected(bundle, would_use) if bundle.manifest.any_leads else None
        if arguments.json:
            print(json.dumps(as_dict(record, summary, would_use, found), indent=2))
        else:
            print(in_words(record, summary, would_use, found))
    return 0


def is_made(record: Record) -> bool:
    """Whether some of its leads are estimates of leadlift."""
    return any("reconstructed" in source for source in record.provenance)


def default_leads(has: Sequence[str], takes: Sequence[str]) -> tuple[str, ...]:
    """The leads that are used where nobody names some: `takes` if a recording has them, else its own."""
    return tuple(takes) if set(takes) <= set(has) else tuple(has)


def as_dict(
    record: Record, summary: Summary, would_use: Sequence[str], found: Expected | None
) -> dict[str, Any]:
    """Plain values for JSON."""
    from edge.files.summary import as_dict

    start = record.started_at
    return {
        "file": str(record.path),
        "format": _format(record.path),
        "kind": _kind(record),
        "reconstruction": is_made(record),
        "started_at": None if start is None else start.isoformat(),
        "seconds": record.n_samples / record.sampling_hz,
        "samples": record.n_samples,
        "sampling_hz": record.sampling_hz,
        "device": record.device or None,
        "simulated": record.simulated,
        "model": record.model or None,
        "prefilter": record.prefilter or None,
        "calibration": record.calibration or None,
        **as_dict(summary, record.sampling_hz),
        "markers": [
            {"sample": one.sample, "seconds": one.sample / record.sampling_hz, "text": one.text}
            for one in record.read_markers()
        ],
        "would_use": list(would_use),
        "expected": None if found is None else found.as_dict(),
        "warnings": list(record.warnings),
    }


def in_words(
    record: Record, summary: Summary, would_use: Sequence[str], found: Expected | None
) -> str:
    """The same in 80 columns."""
    from edge.expected import NOT_MEASURED

    hz = record.sampling_hz
    lines = [
        ("file", str(record.path)),
        ("format", _format(record.path)),
        ("kind", _kind(record)),
        ("start", _when(record.started_at)),
        (
            "duration",
            f"{lasting(record.n_samples / hz)}, {record.n_samples} samples at {hz:.9g} Hz",
        ),
        ("device", record.device or "not said"),
        *([("signal", "simulated: of no person")] if record.simulated else []),
        *([("model", record.model)] if record.model else []),
        *([("filters", record.prefilter)] if record.prefilter else []),
        *([("patient", record.calibration)] if record.calibration else []),
        ("gaps", _gaps(summary, hz)),
        ("quality", _quality(summary)),
    ]
    lines += _markers(record)
    if would_use:
        lines.append(("would use", f"{', '.join(would_use)} (--leads names others)"))
        lines.append(("", NOT_MEASURED if found is None else found.in_words()))
    table = [f"{'lead':<5}{'from':<37}{'missing':>9}{'least':>9}{'most':>9}{'sigma':>8}"]
    table += [_row(one) for one in summary.leads]
    notes = ["least, most: mV; sigma: uV, mean of one standard deviation of the error"]
    return "\n".join([*_wrapped(lines), "", *table, "", *notes])


def _markers(record: Record) -> list[tuple[str, str]]:
    """The first ones; nothing where there are none."""
    found = record.read_markers()
    rows = [f"{one.sample / record.sampling_hz:.3f} s: {one.text}" for one in found[:SHOWN_MARKERS]]
    if len(found) > SHOWN_MARKERS:
        rows.append(f"and {len(found) - SHOWN_MARKERS} more: --json has all of them")
    return [("markers" if i == 0 else "", row) for i, row in enumerate(rows)]


def _wrapped(lines: Sequence[tuple[str, str]]) -> list[str]:
    from textwrap import wrap

    out = []
    for name, text in lines:
        # A file's name stays in one piece.
        parts = [text] if name == "file" else wrap(text, 69, break_on_hyphens=False) or [""]
        out += [f"{name if i == 0 else '':<11}{part}" for i, part in enumerate(parts)]
    return out


def _row(one: LeadSummary) -> str:
    sigma = "" if one.sigma_mv is None else f"{1e3 * one.sigma_mv:.0f}"
    least, most = ("" if mv is None else f"{mv:.2f}" for mv in (one.least_mv, one.most_mv))
    source = one.provenance or "-"
    return f"{one.lead:<5}{source:<37}{_share(one.missing):>9}{least:>9}{most:>9}{sigma:>8}"


def _format(path: Path) -> str:
    with path.open("rb") as file:
        return format_of(path, file.read(HEAD_BYTES)).name


def _kind(record: Record) -> str:
    if not record.provenance:
        return "recording, not of leadlift"
    if record.of_recording:
        return "reconstruction, made by leadlift of another recording"
    return (
        "reconstruction, recorded live by leadlift" if is_made(record) else "recording of leadlift"
    )


def _when(start: datetime | None) -> str:
    return "not said" if start is None else start.isoformat(" ", "milliseconds")


def _share(share: float) -> str:
    """As a percentage; what is there at all is never 0 %."""
    if share == 0:
        return "0 %"
    return f"{100 * share:.1f} %" if share >= 0.0005 else "<0.1 %"


def _gaps(summary: Summary, hz: float) -> str:
    if not summary.gaps:
        return "none"
    longest = "" if summary.gaps == 1 else f", the longest {lasting(summary.longest_gap / hz)}"
    return f"{summary.gaps}, {lasting(summary.gap_samples / hz)} in all{longest}"


def _quality(summary: Summary) -> str:
    if summary.quality is None:
        return "not said"
    parts = [
        f"{name.replace('_', ' ')} {_share(share)}"
        for name, share in summary.quality.items()
        if share
    ]
    return ", ".join(parts) or "no sample is flagged"
