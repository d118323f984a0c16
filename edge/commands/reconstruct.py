"""`leadlift reconstruct`: a recording of some leads into one of twelve, in bounded memory."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path

from edge.commands.archive.options import add_archive_options, refuse_archive_options
from edge.commands.common import (
    Subparsers,
    add_model_options,
    add_patient_option,
    open_reconstructor,
    usage,
)
from edge.commands.durations import lasting
from edge.commands.lead_choice import check_asked, open_measured
from edge.commands.one_recording import begin, needed_leads, write_twelve
from edge.commands.outputs import (
    add_overwrite_option,
    check_outputs,
    file_of_sink,
    is_reconstruction,
    made_whole,
    makes_several,
)
from edge.commands.read_options import add_read_options, read_options, warn, warn_of
from edge.commands.signals import interruptible
from edge.files.formats import kept, readable
from firmware_bridge.new_file import stamped


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "reconstruct",
        help="reconstruct a recording, or a folder of them: a few leads in, twelve leads out",
    )
    parser.add_argument("input", metavar="INPUT", help=f"recording: {readable()}")
    parser.add_argument("output", metavar="OUTPUT", help=f"recording to write: {kept()}")
    add_read_options(
        parser,
        "leads that are measured (default: those of the calibration; II,V1,V5; or what the file has of the "
        "twelve)",
    )
    add_model_options(parser)
    add_patient_option(parser)
    add_overwrite_option(parser)
    add_archive_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Reconstruct INPUT into OUTPUT."""
    if Path(arguments.input).is_dir():
        from edge.commands.archive.command import reconstruct_folder

        return reconstruct_folder(arguments)
    refuse_archive_options(arguments)
    with interruptible():
        _reconstruct(arguments)
    return 0


def _reconstruct(arguments: argparse.Namespace) -> None:
    from edge.files.records import split_pick
    from edge.sinks import open_sink
    from edge.sinks.registry import check_sink

    with usage():
        options = read_options(arguments)
        several = makes_several(f"file:{arguments.output}")
        output = arguments.output if several else stamped(arguments.output)
        check_sink(f"file:{output}")
        inputs = {
            "the input": split_pick(arguments.input)[0],
            "the calibration": arguments.patient,
            "the model": arguments.model,
        }
        what = "the reconstruction"
        made_again = None if several else {what: is_reconstruction}
        first = file_of_sink(f"file:{output}")
        replaced = check_outputs(
            [(what, first)], inputs, overwrite=arguments.overwrite, made_again=made_again
        )
    with open_reconstructor(arguments, arguments.patient, offline=True) as reconstructor:
        needed = needed_leads(reconstructor, calibrated=arguments.patient is not None)
        with usage():
            check_asked(options.leads, needed)
        with open_measured(arguments.input, options, needed) as record:
            metadata = begin(reconstructor, record)
            warn_of(record)
            overwrite = what in replaced
            making = made_whole(output, overwrite=overwrite)
            # Of several files each is whole when the next one begins.
            with nullcontext(output) if several else making as made:
                with usage():
                    sink = open_sink(
                        f"file:{made}", record.sampling_hz, metadata=metadata, overwrite=overwrite
                    )
                lacking = write_twelve(reconstructor, record, sink)
            long = lasting(record.n_samples / record.sampling_hz)
            print(f"{output}: {record.n_samples} samples ({long}) in 12 leads")
            warn(lacking)
