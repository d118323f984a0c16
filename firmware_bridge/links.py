"""What the name of a source stands for: how its device is reached, and how it is understood.

SCHEMES is a registry, as `devices.registry` is for device formats: a module that adds one adds an entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from firmware_bridge.devices.lead_map import MissingLeads, named_leads
from firmware_bridge.devices.lsl_stream import LslDecoder
from firmware_bridge.devices.registry import DEFAULT, Asked, make_decoder
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Decoder
from firmware_bridge.source_spec import Options
from firmware_bridge.transports.base import Transport
from firmware_bridge.transports.network import host_and_port
from firmware_bridge.transports.replay import ReplayTransport, read_header
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.spec import MAX_CHANNELS

BLE_RECONNECT_S = 300.0  # a walk out of the radio's reach and back
NETWORK_RECONNECT_S = 60.0  # a board that restarts and joins its Wi-Fi again
SERIAL_RECONNECT_S = 60.0  # a cable that is pulled and found and plugged in again


@dataclass(frozen=True, slots=True)
class Link:
    """What a spec stands for: how to reach the device, and how to understand it."""

    transport: Transport
    decoder: Decoder
    device: str
    """Name of the decoder in `devices.registry.DEVICES`."""
    device_options: dict[str, str] = field(default_factory=dict)
    """What the decoder was made with; a capture remembers it."""
    hello: bytes = b""
    """Sent after each opening."""
    resync: bytes = b""
    """Given to the decoder after each reopening: ends the frame that the loss of the link cut."""
    reconnect_s: float = 0.0
    """How long the link may be gone where the caller does not say."""
    live: bool = True
    """Whether silence means that something is wrong: not so for a recording."""
    simulated: bool = False
    """Whether it is known, without asking the device, that nobody's heart is measured."""


# Gone is gone: the number of one that was closed goes to the next, which may be somebody's shell.
_PSEUDO_TERMINAL = re.compile(r"/dev/(pts/|ttys)\d+")


def _serial(port: str, options: Options) -> Link:
    from firmware_bridge.transports.serial_port import SerialTransport

    if not port:
        raise SourceSpecError("serial: needs a port, such as serial:/dev/ttyACM0")
    asked = make_decoder(options, "serial")
    transport = SerialTransport(port, options.integer("baud", asked.device.baud))
    reconnect_s = 0.0 if _PSEUDO_TERMINAL.fullmatch(port) else SERIAL_RECONNECT_S
    return _live(transport, asked, options.number("reconnect", reconnect_s))


def _ble(target: str, options: Options) -> Link:
    from firmware_bridge.transports.ble import SCAN_S, BleTransport

    asked = make_decoder(options, "ble")
    assert asked.device.profile is not None
    transport = BleTransport(
        target,
        asked.device.profile,
        adapter=options.text("adapter", "") or None,
        use_start_notify=options.choice("notify", ("start", "acquire"), "start") == "start",
        pair=options.choice("pair", ("0", "1"), "0") == "1",
        scan_s=options.number("scan", SCAN_S),
    )
    return _live(transport, asked, options.number("reconnect", BLE_RECONNECT_S))


def _tcp(address: str, options: Options) -> Link:
    from firmware_bridge.transports.tcp import TcpTransport

    transport = TcpTransport(*host_and_port(address, "tcp:192.168.4.1:5000"))
    asked = make_decoder(options, "tcp")
    return _live(transport, asked, options.number("reconnect", NETWORK_RECONNECT_S))


def _udp(address: str, options: Options) -> Link:
    from firmware_bridge.transports.udp import LOOPBACK, UdpTransport

    transport = UdpTransport(*host_and_port(address, "udp:0.0.0.0:5000", LOOPBACK))
    asked = make_decoder(options, "udp")
    return _live(transport, asked, options.number("reconnect", NETWORK_RECONNECT_S))


def _lsl(name: str, options: Options) -> Link:
    from firmware_bridge.transports.lsl import RESOLVE_S, LslTransport
    from firmware_bridge.transports.lsl_library import Selection

    options.add_defaults({"device": "lsl"})
    asked = make_decoder(options, "lsl")
    selection = Selection(
        name=name,
        stype=options.text("type", ""),
        source_id=options.text("source_id", ""),
        host=options.text("host", ""),
    )
    decoder = asked.decoder.decoder if isinstance(asked.decoder, MissingLeads) else asked.decoder
    if not isinstance(decoder, LslDecoder):
        raise SourceSpecError("lsl: takes no device=: the stream says what it is")
    transport = LslTransport(selection, decoder.check, options.number("resolve", RESOLVE_S))
    return _live(transport, asked, options.number("reconnect", NETWORK_RECONNECT_S))


def _live(transport: Transport, asked: Asked, reconnect_s: float) -> Link:
    device = asked.device
    return Link(
        transport,
        asked.decoder,
        device.name,
        asked.used,
        device.hello,
        device.resync,
        reconnect_s,
        simulated=asked.simulated,
    )


def _replay(path: str, options: Options) -> Link:
    if not path:
        raise SourceSpecError("replay: needs a file, such as replay:session.capture")
    transport = ReplayTransport(path, options.number("speed", 1.0))
    header = read_header(path)
    recorded = header.get("options")
    if isinstance(recorded, dict):
        options.add_defaults({str(name): str(value) for name, value in recorded.items()})
    options.add_defaults({"device": str(header["device"])})
    asked = make_decoder(options)
    simulated = asked.simulated or header.get("simulated") is True
    return Link(
        transport, asked.decoder, asked.device.name, asked.used, live=False, simulated=simulated
    )


def _sim(name: str, options: Options) -> Link:
    from firmware_bridge.simulators.ecg import EcgSimulator
    from firmware_bridge.simulators.in_process import SimTransport
    from firmware_bridge.simulators.wearable import VirtualWearable, stream_info

    if name:
        raise SourceSpecError(f"sim:{name}: the simulator takes options only, such as sim:?hr=72")
    rate = options.number("rate", 250.0)
    heart_rate = options.number("hr", 60.0)
    territory = options.text("territory", "anterior")
    seed = options.integer("seed", 0)
    numbers = {
        "variability": options.number("variability", 0.03),
        "pvc_share": options.number("pvc", 0.0),
        "st_shift_mv": options.number("st", 0.0),
        "baseline_mv": options.number("baseline", 0.02),
        "mains_mv": options.number("mains", 0.0),
        "muscle_mv": options.number("muscle", 0.005),
    }
    clock_ppm = options.number("ppm", 0.0)
    leads = named_leads(options.text("leads", "II,V1,V5"))
    if len(leads) > MAX_CHANNELS:
        raise SourceSpecError(
            f"leads={','.join(leads)}: the simulated wearable has {MAX_CHANNELS} channels; leave out "
            "limb leads, which follow from two"
        )

    def signal_at(rate_hz: float) -> EcgSimulator:
        return EcgSimulator(rate_hz, heart_rate, st_territory=territory, seed=seed, **numbers)

    def make() -> VirtualWearable:
        return VirtualWearable(
            signal_at(rate), stream_info(rate, leads), clock_ppm=clock_ppm, signal_at=signal_at
        )

    make()  # says now, not when the source opens, what is wrong with an option
    return Link(
        SimTransport(make), WireDecoder(), DEFAULT.name, hello=DEFAULT.hello, simulated=True
    )


SCHEMES: dict[str, Callable[[str, Options], Link]] = {
    "ble": _ble,
    "lsl": _lsl,
    "replay": _replay,
    "serial": _serial,
    "sim": _sim,
    "tcp": _tcp,
    "udp": _udp,
}
"""What makes the link for each `scheme:rest?options`."""
