"""`leadlift calibrate`: a 12-lead reference of one patient into a calibration for `--patient`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.common import Subparsers, add_model_options, open_reconstructor, usage
from edge.errors import InputError, SinkError


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "calibrate", help="fit the decoder to one patient, from 2 s or more of 12 leads"
    )
    parser.add_argument(
        "reference",
        metavar="REFERENCE",
        help="recording of the twelve leads, or of I, II, V1 to V6: .edf, .npz, .csv or FILE.npz#17",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="PATIENT.json", help="calibration to write"
    )
    parser.add_argument(
        "--trust-order",
        action="store_true",
        help="take leads that seem exchanged or inverted as they are: the electrodes were checked",
    )
    add_model_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit, write, and say how well the reference is explained."""
    from edge.calibrate.fit import MAX_S, calibrate
    from edge.calibrate.reference import check_leads
    from edge.files.records import open_record
    from edge.offline import check_rate

    output, given = Path(arguments.output), Path(arguments.reference.partition("#")[0])
    with usage():
        if output.exists() and given.exists() and output.samefile(given):
            raise InputError(f"{output} is the reference: write the calibration to another file")
    with open_record(arguments.reference) as record:
        check_leads(record.leads)
        n = min(record.n_samples, round(MAX_S * check_rate(record.sampling_hz)))
        with open_reconstructor(arguments) as reconstructor:
            patient = calibrate(
                reconstructor,
                record.read(0, n),
                record.sampling_hz,
                record.leads,
                name=given.name,
                trust_order=arguments.trust_order,
            )
    try:
        output.write_text(patient.as_json(), encoding="utf-8")
    except OSError as error:
        raise SinkError(f"cannot write {output}: {error.strerror}; choose another place") from error
    left = patient.quality["unexplained"]
    print(
        f"{output}: {patient.reference.seconds:g} s of {patient.reference.name}, "
        f"{left:.1%} of it unexplained, for the model {patient.bundle_sha256[:12]}"
    )
    return 0
