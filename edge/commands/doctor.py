"""`leadlift doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.bundle import Bundle, load_bundle
from edge.commands.common import Subparsers, one_line
from edge.commands.devices import Port, port_line, serial_ports
from edge.commands.health import health
from edge.commands.lsl_devices import lsl_status
from edge.engines.fastest import in_words
from edge.engines.registry import AUTO, NOT_OPENED, OK, available, open_engine
from edge.errors import BundleError
from edge.expected import NOT_MEASURED, expected
from edge.installed import file_misfits, installed_version, version_misfits
from edge.lead_set import checked_leads
from edge.notices import say
from firmware_bridge.transports.ports import SYSFS, ListPorts, list_ports

PACKAGES = ("leadlift", "numpy", "onnxruntime", "pyserial", "rich", "bleak", "torch")


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor", help="say what works on this machine and what does not"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON")
    how.add_argument(
        "--health",
        nargs="?",
        const="",
        metavar="[HOST:]PORT",
        help="for a health check: reconstruct two seconds of a made-up signal, or, given the address of "
        "`leadlift run --metrics`, see that it goes on; a line, and 1 where not",
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 1 when no model or no engine can be used."""
    if arguments.health is not None:
        print(health(arguments.health))
        return 0
    found = examine()
    print(json.dumps(found, indent=2) if arguments.json else _in_words(found))
    return 0 if found["ok"] else 1


def examine(ports: ListPorts = list_ports, sysfs: Path = SYSFS) -> dict[str, Any]:
    """The findings as plain values."""
    from edge.jetpack import Machine, look, missing

    failures: list[str] = []

    def tried(what: str, find: Callable[[], Any], nothing: Any) -> Any:
        """What `find` finds; no fault of what is looked at ends the looking."""
        try:
            return find()
        except Exception as error:
            failures.append(f"{what}: {type(error).__name__}: {one_line(error)[:200]}")
            return nothing

    bundle: dict[str, Any]
    machine = tried("the GPU", look, Machine())
    engines: dict[str, str] = {}
    details: dict[str, object] = {}
    choice: dict[str, Any] = {"engine": None, "skipped": {}, "us": {}}
    try:
        loaded = load_bundle()
    except BundleError as error:
        bundle = {"error": one_line(error)}
    else:
        bundle = _card(loaded)
        findings = tried("the engines", lambda: available(loaded, say), {})
        engines = {name: finding.status for name, finding in findings.items()}
        details = {name: finding.details for name, finding in findings.items() if finding.details}
        if any(engines.get(name) == OK for name in AUTO):
            choice = tried("the fastest engine", lambda: _choice(loaded), choice)
    files, compared = tried("our files", file_misfits, ([], "not compared"))
    misfits = [*tried("versions", version_misfits, []), *files]
    return {
        "ok": choice["engine"] is not None,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": {name: installed_version(name) for name in PACKAGES}
        | dict(machine.packages or {}),
        "files": compared,
        "misfits": [asdict(misfit) for misfit in misfits],
        "bundle": bundle,
        "engines": engines,
        "engine": choice["engine"],
        "engine_skipped": choice["skipped"],
        "engine_us": choice["us"],
        "engine_details": details,
        "gpu": machine.as_dict() | {"says": machine.in_words()},
        "missing": [asdict(part) for part in tried("the GPU", lambda: missing(machine), [])],
        "ports": [asdict(port) for port in tried("ports", lambda: serial_ports(ports, sysfs), [])],
        "lsl": tried("LSL", lsl_status, "not known"),
        "failures": failures,
    }


def _choice(bundle: Bundle) -> dict[str, Any]:
    """What `auto` takes, why not the others, and microseconds a hop where they were timed."""
    choice = open_engine(bundle, "auto", say)
    with choice.engine as engine:
        return {"engine": engine.name, "skipped": choice.skipped, "us": choice.us}


def _card(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    leads = checked_leads(manifest, None)
    found = expected(bundle, leads)
    return {
        "path": str(bundle.path),
        "sha256": bundle.sha256,
        "name": manifest.name,
        "sampling_hz": manifest.sampling_hz,
        "hop": manifest.hop,
        "input_leads": list(manifest.input_leads),
        "any_leads": manifest.any_leads,
        "default_leads": list(leads),
        "expected": None if found is None else found.as_dict(),
        "expected_says": NOT_MEASURED if found is None else found.in_words(),
    }


def _in_words(found: dict[str, Any]) -> str:
    gpu = found["gpu"]
    lines = [
        f"python     {found['python']} on {found['platform']}",
        f"jetson     {gpu['says']}" + (f", {gpu['board']}" if gpu["board"] else ""),
        f"gpu        {_gpu(gpu)}",
    ]
    for name, installed in found["packages"].items():
        lines.append(f"package    {name} {installed or 'not installed'}")
    lines.append(f"files      {found['files']}")
    lines += [f"wrong      {m['what']}: {m['why']}: {m['command']}" for m in found["misfits"]]
    lines += [f"wrong      looking for {failure}" for failure in found["failures"]]
    bundle = found["bundle"]
    if "error" in bundle:
        lines.append(f"model      {bundle['error']}")
    else:
        takes = "any leads" if bundle["any_leads"] else ", ".join(bundle["input_leads"])
        lines.append(
            f"model      {bundle['name']}: {takes} at "
            f"{bundle['sampling_hz']:g} Hz, sha256 {bundle['sha256'][:12]}"
        )
        leads = ", ".join(bundle["default_leads"])
        lines.append(f"leads      {leads} (default): {bundle['expected_says']}")
        if bundle["expected"] is not None:
            lines.append("             others: `leadlift leads`")
    for name, why in found["engines"].items():
        lines.append(f"engine     {name} {_status(name, why, found['engine'])}")
        for what, value in found["engine_details"].get(name, {}).items():
            lines.append(f"             {what} {value}")
    if found["engine_us"]:
        lines.append(f"timed      {in_words(found['engine_us'])}: once on this machine, remembered")
    for part in found["missing"]:
        mend = f": {part['command']}" if part["command"] else ""
        lines.append(f"missing    for tensorrt: {part['what']}: {part['why']}{mend}")
    for port in found["ports"]:
        lines.append(f"port       {port_line(Port(**port))}")
        if port["hint"]:
            lines.append(f"hint       {port['hint']} (leadlift asks for it as it opens the port)")
    if not found["ports"]:
        lines.append("port       none; plug a device in, or try `leadlift demo`")
    lines.append(f"lsl        {found['lsl']}")
    lines.append("all well" if found["ok"] else "cannot reconstruct: see model and engine above")
    return "\n".join(lines)


def _gpu(gpu: dict[str, Any]) -> str:
    if not gpu["gpu"]:
        return "no NVIDIA GPU"
    release = gpu["driver"] or "of unknown version"
    return f"NVIDIA driver {release}{'' if gpu['libcuda'] else ', but libcuda.so.1 does not load'}"


def _status(name: str, why: str, taken: str | None) -> str:
    if why == OK:
        return "works; auto takes it" if name == taken else "works"
    return why if why == NOT_OPENED else f"does not work: {why}"
