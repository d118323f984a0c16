"""`leadlift plot`: a printed sheet of a recording, true to scale."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.common import Subparsers, usage
from edge.commands.outputs import add_overwrite_option, check_outputs, make_file
from edge.commands.read_options import add_read_options, read_options, warn_of, warn_of_unit
from edge.errors import InputError
from edge.files.formats import readable
from edge.leads import LEADS, Provenance
from edge.progress import followed
from firmware_bridge.durations import seconds
from firmware_bridge.extras import install_extra
from firmware_bridge.new_file import stamped

if TYPE_CHECKING:
    from edge.files.record import Record
    from edge.sheet.drawing import Heading
    from edge.sheet.excerpt import Excerpt

FORMS = ("pdf", "png", "svg")
MOST_PAGES = 360
"""An hour: what a person leafs through."""
NOT_INSTALLED = f"drawing a sheet needs matplotlib: {install_extra('plot')}"


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "plot",
        help="print a 12-lead sheet of a recording: 25 mm/s, 10 mm/mV, 3x4 and a rhythm strip",
    )
    parser.add_argument("file", metavar="FILE", help=f"recording: {readable()}")
    parser.add_argument(
        "-o",
        "--output",
        metavar="SHEET",
        help="sheet to write, .pdf, .png or .svg (default: FILE's name with .pdf)",
    )
    parser.add_argument(
        "--truth",
        metavar="FILE",
        help="recording of the true leads, of the same start: overlaid on those that are reconstructed",
    )
    parser.add_argument(
        "--from", dest="first", metavar="S", type=float, default=0.0, help="begin at second S"
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=seconds,
        default=10.0,
        help="how much to show (default: 10, a page; more makes a PDF of several)",
    )
    add_read_options(parser, "leads to show (default: all that the file names)")
    add_overwrite_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw FILE into a sheet."""
    from edge.files.record import reconstructed
    from edge.files.records import open_record, split_pick
    from edge.sheet.drawing import PAGE_S, save
    from edge.signal.plausibility import implausible_unit

    given, pick = split_pick(arguments.file)
    named = arguments.output or str(given.with_name(f"{given.stem}{pick and f'-{pick}'}.pdf"))
    output = stamped(named)
    form = Path(output).suffix.lower().lstrip(".")
    with usage():
        options = read_options(arguments)
        if form not in FORMS:
            raise InputError(f"{output} is no sheet: end its name in .pdf, .png or .svg")
        if not 0 <= arguments.first < float("inf"):
            raise InputError(
                f"--from {arguments.first:g}: give a second of the recording, from 0 on"
            )
        n_pages = int(-(-arguments.seconds // PAGE_S))
        if n_pages > (MOST_PAGES if form == "pdf" else 1):
            most = MOST_PAGES * PAGE_S if form == "pdf" else PAGE_S
            raise InputError(
                f"--seconds {arguments.seconds:g}: a {form.upper()} shows {most:g} s at most"
                + ("" if form == "pdf" else "; write .pdf for several pages")
            )
        inputs = {"the recording": given, "the truth": arguments.truth}
        check_outputs([("the sheet", output)], inputs, overwrite=arguments.overwrite)
    _need_matplotlib()
    with open_record(
        arguments.file, options.leads, sampling_hz=options.sampling_hz, unit=options.unit
    ) as record:
        shown = reconstructed(record.leads, record.provenance) if record.provenance else []
        warn_of(record, but=shown)  # the sheet says that
        first, wanted = arguments.first, arguments.seconds
        if first >= record.n_samples / record.sampling_hz:
            lasts = record.n_samples / record.sampling_hz
            raise InputError(f"{record.path} lasts {lasts:.1f} s: --from {first:g} lies beyond it")
        truth = None if arguments.truth is None else open_record(arguments.truth)
        try:
            n = min(record.n_samples, round(30 * record.sampling_hz))
            warn_of_unit(record, implausible_unit(record.read(0, n), record.sampling_hz))
            pages = _pages(record, truth, first, wanted)
            one = next(pages)
            heading = _heading(record, truth, one[0])
            rhythm = "II" if "II" in record.leads else record.leads[0]
            drawn = followed(chain([one], pages), f"drawing {output}", n_pages)
            n_pages = make_file(
                output,
                lambda target: save(target, form, heading, drawn, rhythm),
                overwrite=arguments.overwrite,
            )
            lasts = min(wanted, record.n_samples / record.sampling_hz - first)
        finally:
            if truth is not None:
                truth.close()
    print(f"{output}: {lasts:.1f} s from {first:g} s on, {n_pages} page{'s' * (n_pages > 1)}")
    return 0


def _need_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError(f"{NOT_INSTALLED} ({error})") from error


def _pages(
    record: Record, truth: Record | None, first_s: float, seconds: float
) -> Iterator[tuple[Excerpt, Excerpt | None]]:
    from edge.sheet.drawing import PAGE_S
    from edge.sheet.excerpt import excerpt

    markers = record.read_markers()
    end_s = min(first_s + seconds, record.n_samples / record.sampling_hz)
    while end_s - first_s > 0.5 / record.sampling_hz:
        lasts = min(PAGE_S, end_s - first_s)
        true = None
        if truth is not None and first_s < truth.n_samples / truth.sampling_hz:
            true = excerpt(truth, first_s, lasts)
        yield excerpt(record, first_s, lasts, markers), true
        first_s += PAGE_S


def _heading(record: Record, truth: Record | None, shown: Excerpt) -> Heading:
    from edge.files.record import printable
    from edge.sheet.drawing import Heading

    traces = shown.traces
    made = [lead for lead, trace in traces.items() if trace.is_estimate]
    measured = [
        lead for lead, trace in traces.items() if trace.provenance == Provenance.MEASURED.value
    ]
    title = f"ECG in {len(traces)} leads" + (f", {len(made)} of them reconstructed" if made else "")
    if made and len(traces) == len(LEADS):
        title = f"12-lead ECG from {', '.join(measured)}"
    start = record.started_at
    if start is None:
        when = f"start not said, from {shown.first_s:.2f} s on"
    else:
        at = start + timedelta(seconds=shown.first_s)
        when = f"{at.isoformat(' ', 'seconds')}, {shown.first_s:.2f} s after the start"
    what = [
        f"model {record.model}" if record.model else "",
        record.calibration or ("no patient calibration" if made else ""),
        f"filters {record.prefilter}" if record.prefilter else "",
        "" if record.provenance else "each lead is shown with its median at 0 mV",
    ]
    lines = [
        f"{record.path.name}, device {record.device or 'not said'}",
        when,
        "; ".join(part for part in what if part),
        *([f"true leads: {truth.path.name}"] if truth is not None else []),
    ]
    notices = [
        "Research use only. Not a medical device.",
        *(["SIMULATED SIGNAL, of no person"] if record.simulated else []),
        *(["Reconstructed leads are estimates."] if made else []),
    ]
    return Heading(title, [printable(line)[:150] for line in lines], notices, "Drawn by leadlift.")
