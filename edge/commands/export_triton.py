"""`leadlift export-triton`: a model repository for NVIDIA Triton Inference Server."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from edge.commands.common import MAINS_HZ, Subparsers, add_model_options, usage
from edge.commands.outputs import write_folder
from edge.errors import InputError, SinkError
from firmware_bridge.new_file import stamped

CHOICES = ("python", "onnxruntime", "tensorrt")


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "export-triton", help="write a model repository for NVIDIA Triton Inference Server"
    )
    parser.add_argument("folder", metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--backend",
        choices=CHOICES,
        default=CHOICES[0],
        help="python: samples in, twelve leads out; onnxruntime and tensorrt: the decoder alone with "
        "implicit state, not run here (default: %(default)s)",
    )
    parser.add_argument(
        "--slots", type=int, default=1024, metavar="N", help="patients at a time (default: 1024)"
    )
    add_model_options(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the repository, and say how it is served."""
    from edge.bundle import load_bundle
    from edge.engines.registry import check_engine
    from edge.signal.conditioning import sections
    from edge.triton.repository import Settings, repository_files

    folder = Path(stamped(arguments.folder))
    bundle = load_bundle(arguments.model)
    with usage():
        check_engine(arguments.engine)
        settings = Settings(
            arguments.slots, arguments.engine, MAINS_HZ[arguments.mains], arguments.lowpass
        )
        wanted = replace(bundle.manifest.conditioning, lowpass_hz=arguments.lowpass)
        sections(wanted, bundle.manifest.sampling_hz)
    files = repository_files(bundle, arguments.backend, settings)
    with usage():
        _check_empty(folder)
    write_folder("the model repository", folder, files, overwrite=False)
    print(
        f"{folder}: {len(files)} files, {bundle.manifest.name} for Triton's {arguments.backend} backend"
    )
    return 0


def _check_empty(folder: Path) -> None:
    """Raises InputError for a folder that holds something, and for what is none."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a new folder")
    try:
        held = folder.exists() and next(folder.iterdir(), None) is not None
    except OSError as error:
        raise SinkError(f"cannot read {folder}: {error.strerror}: name a new folder") from error
    if held:
        raise InputError(f"{folder} holds something already: name a new folder")
