"""`leadlift export-c`: a model's decoder as C99, for a microcontroller or any host."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands.common import Subparsers, usage
from edge.commands.outputs import add_overwrite_option, check_outputs, write_folder
from edge.errors import InputError, SinkError
from firmware_bridge.new_file import stamped


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("export-c", help="write a model's decoder as portable C99")
    parser.add_argument(
        "bundle",
        metavar="BUNDLE",
        nargs="?",
        help="the model, or small (default: the one that ships)",
    )
    parser.add_argument(
        "out", metavar="OUT", help="folder for the sources; made where there is none"
    )
    parser.add_argument(
        "--leads",
        metavar="I,II",
        help="leads that are measured at all times: a smaller decoder, without a mask",
    )
    parser.add_argument(
        "--path",
        metavar="II,V1,V5",
        help="write, too, the whole path of a wearable that measures these leads, each of which may come and "
        "go: samples in, twelve leads with sigma out",
    )
    add_overwrite_option(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the files, and say what they take."""
    from edge.bundle import load_bundle
    from edge.c_export.export import exported_files
    from edge.lead_set import checked_leads

    bundle = load_bundle(arguments.bundle)
    leads = None
    if arguments.leads is not None:
        with usage():
            leads = checked_leads(bundle.manifest, _names(arguments.leads, "--leads"))
    of_path: dict[str, str] = {}
    if arguments.path is not None:
        from edge.c_export.path_tables import path_files

        with usage():
            if leads is not None:
                raise InputError(
                    "--leads and --path: a path masks leads that are off, so give --path alone"
                )
            of_path = path_files(bundle, _names(arguments.path, "--path"))
    files = exported_files(bundle, leads) | of_path
    folder = Path(stamped(arguments.out))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(
            f"cannot make the folder {folder}: {error.strerror}: name another one"
        ) from error
    outputs = [("the export", str(folder / name)) for name in files]
    with usage():
        check_outputs(outputs, {"the model": arguments.bundle}, overwrite=arguments.overwrite)
    written = {name: text.encode() for name, text in files.items()}
    write_folder("the export", folder, written, overwrite=arguments.overwrite)
    takes = "any leads" if leads is None else ", ".join(leads)
    print(f"{folder}: {len(files)} files, {bundle.manifest.name} ({takes}) as C99")
    print(
        f"check it: cd {folder} && cc -std=c99 -O2 -ffp-contract=off -DLEADLIFT_DECODER_MAIN"
        " leadlift_decoder*.c -o check && ./check"
    )
    if of_path:
        print(
            'run it on a board in QEMU: make -C "$(python -m firmware_bridge.firmware)/path" run'
            f" EXPORT={folder.resolve()}"
        )
    return 0


def _names(text: str, option: str) -> tuple[str, ...]:
    """What an option says. Raises InputError for what is no list of leads."""
    from edge.files.lead_option import parse_leads

    named = parse_leads(text)
    if isinstance(named, dict):
        raise InputError(f"{option} {text}: name leads alone, such as I,II")
    return named
