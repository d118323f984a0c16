"""`leadlift calibrate`: a 12-lead reference of one patient into a calibration for `--patient`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence

from edge.commands.common import Subparsers, add_model_options, open_reconstructor, usage
from edge.commands.outputs import add_overwrite_option, check_outputs, write_output
from edge.commands.read_options import add_read_options, read_options, warn_of, warn_of_unit
from edge.errors import InputError
from edge.files.formats import readable
from edge.files.lead_option import parse_leads
from edge.leads import INDEPENDENT_LEADS
from edge.progress import progress
from edge.signal.plausibility import implausible_unit


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "calibrate", help="fit the decoder to one patient, from 2 s or more of 12 leads"
    )
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help=f"recording of the twelve leads, or of I, II, V1 to V6: {readable()}",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="PATIENT.json", help="calibration to write"
    )
    parser.add_argument(
        "--trust-order",
        action="store_true",
        help="take leads that seem exchanged or inverted as they are: the electrodes were checked",
    )
    add_read_options(
        parser,
        "leads that the wearable measures (default: II,V1,V5); with I, II, V1 to V6 among them, or with "
        "labels, leads of the reference, as --reference-leads",
    )
    parser.add_argument(
        "--reference-leads",
        metavar="I='CH1',...",
        help="leads of the reference to use, and what it calls them (default: all that it names)",
    )
    add_model_options(parser)
    add_overwrite_option(parser)
    parser.add_argument(
        "--json", action="store_true", help="print what was fitted as JSON, and nothing else"
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit, write, and say how well the reference is explained."""
    from edge.calibrate.fit import MAX_S, calibrate
    from edge.calibrate.reference import check_leads, refuse
    from edge.files.record import reconstructed
    from edge.files.records import open_record, split_pick
    from edge.offline import check_rate
    from firmware_bridge.new_file import stamped

    output = stamped(arguments.output)
    with usage():
        options = read_options(arguments)
        given, _ = split_pick(arguments.reference)
        inputs = {"the reference": given, "the model": arguments.model}
        check_outputs([("the calibration", output)], inputs, overwrite=arguments.overwrite)
        worn, of_file = _leads(options.leads, arguments.reference_leads)
    with open_record(
        arguments.reference, of_file, sampling_hz=options.sampling_hz, unit=options.unit
    ) as record:
        check_leads(record.leads)
        if record.provenance and (made := reconstructed(record.leads, record.provenance)):
            raise refuse(made[0], "give a recording of twelve leads that were measured")
        warn_of(record)
        n = min(record.n_samples, round(MAX_S * check_rate(record.sampling_hz)))
        with open_reconstructor(arguments, leads=worn, offline=True) as reconstructor:
            ecg_mv = record.read(0, n)
            warn_of_unit(record, implausible_unit(ecg_mv, record.sampling_hz))
            with progress(f"fitting the decoder to {given.name}"):
                patient = calibrate(
                    reconstructor,
                    ecg_mv,
                    record.sampling_hz,
                    record.leads,
                    name=os.fsencode(given.name).decode(errors="replace"),  # whatever the locale
                    trust_order=arguments.trust_order,
                )
    write_output("the calibration", output, patient.as_json(), overwrite=arguments.overwrite)
    left = patient.quality["unexplained"]
    if arguments.json:
        found = {"output": output, "leads": list(patient.input_leads), **patient.summary()}
        print(json.dumps(found, indent=2))
        return 0
    print(
        f"{output}: {patient.reference.seconds:g} s of {patient.reference.name}, "
        f"{left:.1%} of it unexplained, for leads {', '.join(patient.input_leads)} and the model "
        f"{patient.bundle_sha256[:12]}"
    )
    return 0


def _leads(
    leads: Sequence[str] | Mapping[str, str] | None, of_reference: str | None
) -> tuple[Sequence[str] | None, Sequence[str] | Mapping[str, str] | None]:
    """Leads that the wearable measures, and what is read of the reference.

    Raises InputError where `--leads` has labels though `--reference-leads` is there for them.
    """
    if of_reference is not None:
        if isinstance(leads, Mapping):
            lead, label = next(iter(leads.items()))
            raise InputError(
                f"--leads: {label} for {lead}: name leads, as in II,V1,V5; labels belong to --reference-leads"
            )
        return leads, parse_leads(of_reference, "--reference-leads")
    if leads is None or isinstance(leads, Mapping) or set(INDEPENDENT_LEADS) <= set(leads):
        return None, leads
    return leads, None
