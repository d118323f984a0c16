"""`leadlift fleet`: many patients on shards that Ray runs, devices over WebSocket and MQTT."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands.common import (
    MAINS_HZ,
    UsageError,
    add_model_options,
    usage,
)
from edge.commands.live_report import write_report
from edge.commands.metrics import add_metrics_option, metrics
from edge.commands.signals import clean_stop
from edge.errors import InputError
from edge.notices import say
from edge.sinks.registry import check_sink
from firmware_bridge.durations import seconds
from firmware_bridge.extras import install_extra
from firmware_bridge.new_file import stamped

if TYPE_CHECKING:
    from edge.fleet.service import Plan

SHARDS, SLOTS, LISTEN = 1, 256, "127.0.0.1:8770"
_PASSWORD = "LEADLIFT_MQTT_PASSWORD"


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "fleet",
        help=f"many patients on several processes or machines: {install_extra('fleet')}",
        description="Reconstructs many patients at once. Devices send frames of the wire format over "
        "WebSocket (/devices/NAME) or MQTT, each with a token; blocks go to listeners, to files and to a "
        "page of all. A shard that dies costs its patients a tick, as NaN and GAP.",
    )
    option = parser.add_argument
    option("--devices", required=True, metavar="FILE.json", help="who may send and listen")
    option(
        "--add-device",
        metavar="NAME[=PATIENT]",
        help="put a device into --devices, print its token, which is kept nowhere else, and end",
    )
    option(
        "--add-reader",
        metavar="NAME[=PATIENT,...]",
        help="as --add-device, of who may listen; to all patients unless some are named",
    )
    option("--shards", type=_count, default=SHARDS, metavar="N", help="processes that decode")
    option(
        "--slots",
        type=_count,
        default=SLOTS,
        metavar="N",
        help="patients on each shard (default: %(default)s)",
    )
    option(
        "--deadline",
        type=seconds,
        metavar="S",
        help="a shard that does not answer within S seconds is given up (default: 2.5)",
    )
    option(
        "--address",
        metavar="RAY",
        help="join the Ray cluster there, such as `auto` or HOST:6379 (default: start one here)",
    )
    option(
        "--listen",
        default=LISTEN,
        metavar="[HOST:]PORT",
        help="for WebSocket (default: %(default)s, this machine alone)",
    )
    option("--certificate", metavar="PEM", help="of this server, for TLS; with --key")
    option("--key", metavar="PEM", help="private key of the certificate")
    option(
        "--mqtt",
        metavar="mqtt[s]://[USER@]HOST[:PORT]",
        help=f"take devices of this broker, too; its password comes in {_PASSWORD}",
    )
    option(
        "--calibrations",
        metavar="DIR",
        help="apply DIR/PATIENT.json, as `leadlift calibrate` writes it, to each patient who has one",
    )
    option("--publish", action="store_true", help="send the blocks to the broker, too")
    option(
        "--sink",
        nargs="+",
        action="extend",
        default=[],
        metavar="SPEC",
        help="file:NAME with {patient} (and {time}), or view:[PORT], a page of all patients",
    )
    option("--view-host", metavar="ADDRESS", help="let other machines see `view:` at this address")
    option("--seconds", type=seconds, metavar="S", help="stop after S seconds")
    option("--report", metavar="OUT.json", help="write counts as JSON")
    option("--overwrite", action="store_true", help="replace the report")
    add_model_options(parser)
    add_metrics_option(parser)
    parser.set_defaults(command=fleet)


def fleet(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM or --seconds."""
    from edge.fleet.service import Service

    path = Path(arguments.devices)
    if arguments.add_device or arguments.add_reader:
        return _add_entries(path, arguments)
    report = stamped(arguments.report) if arguments.report else None
    if report is not None and Path(report).exists() and not arguments.overwrite:
        raise UsageError(f"{report} exists: name another report, or --overwrite")
    with _ward(arguments) as ward, metrics(arguments.metrics) as exporter:
        with usage():
            plan = _plan(arguments, path, ward)
        service = Service(plan, say)
        if exporter is not None:
            exporter.follow_fleet(service.report, service.latency)
        timer = _timer(arguments.seconds, service.stop)

        def on_open() -> None:
            assert service.websocket is not None
            scheme = "ws" if plan.tls is None else "wss"
            host = f"[{plan.host}]" if ":" in plan.host else plan.host
            say(
                f"fleet: {plan.shards} shards of {plan.slots} patients, engine {service.engine}, at "
                f"{scheme}://{host}:{service.websocket.port}"
            )
            if timer is not None:
                timer.start()

        try:
            with clean_stop(service.stop), usage():
                asyncio.run(service.run(on_open))
        finally:
            if timer is not None:
                timer.cancel()
            if report is not None:
                write_report(report, service.report(), overwrite=arguments.overwrite)
        print(_summary(service.report()), flush=True)
    return 0


def _plan(arguments: argparse.Namespace, path: Path, ward: Any) -> Plan:
    """Raises InputError."""
    from edge.fleet.admission import Admission
    from edge.fleet.decoder import calibrations_in
    from edge.fleet.mqtt_gateway import Broker
    from edge.fleet.outputs import check_file
    from edge.fleet.ray_shards import DEADLINE_S
    from edge.fleet.service import Plan, check_host
    from edge.fleet.websocket_gateway import tls
    from edge.metrics.exporter import parse_address

    folder = arguments.calibrations
    host, port = parse_address(arguments.listen, "--listen", 8770)
    if bool(arguments.certificate) != bool(arguments.key):
        raise InputError("TLS takes both: give --certificate and --key")
    context = tls(arguments.certificate, arguments.key) if arguments.certificate else None
    check_host(host, secure=context is not None)
    if arguments.publish and not arguments.mqtt:
        raise InputError("--publish needs a broker: give --mqtt")
    files = [spec for spec in arguments.sink if not _is_ward(spec)]
    for spec in files:
        check_file(spec)
    return Plan(
        Admission(path, say),
        shards=arguments.shards,
        slots=arguments.slots,
        address=arguments.address,
        host=host,
        port=port,
        tls=context,
        broker=Broker.parse(arguments.mqtt) if arguments.mqtt else None,
        password=os.environ.get(_PASSWORD),
        publishes=arguments.publish,
        files=files,
        ward=ward,
        calibrations=None if folder is None else calibrations_in(folder),
        deadline_s=arguments.deadline or DEADLINE_S,
        options={
            "model": arguments.model,
            "engine": arguments.engine,
            "mains_hz": MAINS_HZ[arguments.mains],
            "lowpass_hz": arguments.lowpass,
        },
    )


@contextmanager
def _ward(arguments: argparse.Namespace) -> Iterator[Any]:
    """The page of all patients, if it is asked for."""
    wards = [spec for spec in arguments.sink if _is_ward(spec)]
    if not wards:
        yield None
        return
    with usage():
        check_sink(wards[0])
    if len(wards) > 1:
        raise UsageError("view: is given twice: one page shows all patients")
    port = wards[0].partition(":")[2]
    from edge.sinks.viewer.ward import Ward

    with Ward(port=int(port) if port else None, host=arguments.view_host) as ward:
        say(f"view: {ward.address}")
        yield ward


def _is_ward(spec: str) -> bool:
    return spec.partition(":")[0] == "view"


def _add_entries(path: Path, arguments: argparse.Namespace) -> int:
    from edge.fleet.admission import add_entry, is_entry

    with usage():
        for kind, given in (("devices", arguments.add_device), ("readers", arguments.add_reader)):
            if given:
                name, _, patients = given.partition("=")
                some: Sequence[str] = [one for one in patients.split(",") if one]
                if kind == "devices" and len(some) > 1:
                    raise InputError(f"{given}: a device is of one patient")
                if is_entry(path, kind, name):
                    say(f"{name} was there: its token from before is worth nothing now")
                token = add_entry(path, kind, name, [*some])
                print(token if kind == "devices" else f"{name}:{token}", flush=True)
    return 0


def _timer(after_s: float | None, stop: Callable[[], object]) -> threading.Timer | None:
    if after_s is None:
        return None
    timer = threading.Timer(after_s, stop)
    timer.daemon = True
    return timer


def _summary(report: dict[str, Any]) -> str:
    """One line."""
    shown = ("samples_out", "samples_missing", "samples_shed", "began_anew")
    return "fleet: " + json.dumps({name: report.get(name, 0) for name in shown})[1:-1].replace(
        '"', ""
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: give at least 1")
    return value
