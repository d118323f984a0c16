"""The virtual twins that `simulate --device NAME` runs: what each is made from, by the name of its device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, TypeVar, runtime_checkable

from firmware_bridge.devices.lead_map import lead_map
from firmware_bridge.devices.registry import DEFAULT
from firmware_bridge.devices.registry import DEVICES as READ
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.wearable import DueFrame, OwnDecoder, VirtualWearable, stream_info
from firmware_bridge.wire.gatt import GattProfile

LEADS = ("II", "V1", "V5")
"""What a twin measures unless it is told otherwise."""
_BoardT = TypeVar("_BoardT", bound=VirtualBoard)
RATE_HZ = 250.0
"""What one samples at whose kind has no rate of its own."""


class Twin(Protocol):
    """A device without I/O: bytes with the time at which each piece is due, and answers to its host."""

    def next_due_s(self) -> float | None:
        """When the next piece is due, in seconds after the start; None at the end of the signal."""
        ...

    def next_frame(self) -> DueFrame | None:
        """The next piece, maybe without bytes; None at the end."""
        ...

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the host and obey; the answer."""
        ...


@runtime_checkable
class BleTwin(Twin, Protocol):
    """A twin that can also be a BLE peripheral."""

    @property
    def profile(self) -> GattProfile:
        """Where its host looks for it, and for its bytes."""
        ...

    def subscribed(self) -> bytes:
        """A host subscribes: what it is sent first."""
        ...

    def values(self) -> dict[str, bytes]:
        """What can be read of it now, by the UUID of the characteristic."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """What a twin is asked to be; one that cannot raises SourceSpecError."""

    signal_at: Callable[[float], Signal]
    """The signal to play, from its beginning, at a rate in Hz; SourceSpecError where it has not that rate."""
    sampling_hz: float | None = None
    """As asked for; None leaves it to the device."""
    leads: tuple[str, ...] = LEADS
    """What its channels measure."""
    frames_hz: float = 25.0
    vary_frames: bool = True
    """Whether each frame of a wearable has another length."""
    sample_bits: int = 24
    clock_ppm: float = 0.0
    session: int = 0
    battery: int = 100
    """In percent, of a device that tells its charge."""
    decoder: OwnDecoder | None = None
    """Of a wearable that reconstructs its leads itself."""
    measured: bool = True
    """Whether such a one sends what it measures, too."""


def wearable(setup: Setup, format: str = "wire") -> VirtualWearable:
    """A device of ours, or a sketch that prints what it measures."""
    rate_hz = RATE_HZ if setup.sampling_hz is None else setup.sampling_hz
    return VirtualWearable(
        setup.signal_at(rate_hz),
        stream_info(rate_hz, setup.leads, sample_bits=setup.sample_bits, session=setup.session),
        frames_hz=setup.frames_hz,
        vary_frames=setup.vary_frames,
        clock_ppm=setup.clock_ppm,
        format=format,
        signal_at=setup.signal_at,
        battery=setup.battery,
        decoder=None if format == "csv" else setup.decoder,
        measured=setup.measured,
    )


def sketch(setup: Setup) -> VirtualWearable:
    """A sketch that prints CSV lines."""
    return wearable(setup, "csv")


def board(
    make: Callable[..., _BoardT], setup: Setup, sampling_hz: float, n_channels: int
) -> _BoardT:
    """Another maker's board, at its own rate unless asked for another."""
    return make(
        setup.signal_at(sampling_hz if setup.sampling_hz is None else setup.sampling_hz),
        lead_map(_numbered(setup.leads), n_channels),
        bursts_hz=setup.frames_hz,
        clock_ppm=setup.clock_ppm,
    )


def _numbered(leads: Sequence[str]) -> str:
    """One lead per channel, in turn."""
    return ",".join(f"{number}:{lead}" for number, lead in enumerate(leads, 1))


TWINS = {d.twin_name or d.name: d for d in READ.values() if d.twin}
"""The devices that have a twin, by the name of that."""
DEVICES = sorted(TWINS)
PORTS = {
    "pty": frozenset(name for name, d in TWINS.items() if d.on_serial),
    "ble": frozenset(name for name, d in TWINS.items() if d.profile is not None),
}
"""The twins for each `--port`."""


def chosen_port(device: str, port: str | None = None) -> str:
    """`port`, or the first that `device` has. Raises SourceSpecError where it has no such port."""
    has = [name for name, devices in PORTS.items() if device in devices]
    if not has:
        raise SourceSpecError(f"no virtual {device!r}: use one of {', '.join(DEVICES)}")
    if port is not None and port not in has:
        raise SourceSpecError(
            f"a virtual {device} cannot be on --port {port}: use --port {' or '.join(has)}"
        )
    return has[0] if port is None else port


def make_twin(device: str, setup: Setup) -> Twin:
    """The twin of `device` on a pty. Raises SourceSpecError where there is none, or it cannot be as asked."""
    chosen_port(device, "pty")
    return _made(device, setup)


def make_ble_twin(device: str, setup: Setup) -> BleTwin:
    """The twin of `device` on BLE. Raises SourceSpecError where there is none, or it cannot be as asked."""
    chosen_port(device, "ble")
    twin = _made(device, setup)
    assert isinstance(twin, BleTwin)
    return twin


def _made(device: str, setup: Setup) -> Twin:
    module, _, function = TWINS[device].twin.partition(":")
    made: Twin = getattr(import_module(module), function)(setup)
    return made


def source_options(
    device: str, leads: Sequence[str] = LEADS, sampling_hz: float | None = None
) -> str:
    """What follows `serial:PORT` or `ble:NAME` in the source that reads a twin; a wearable says it all."""
    kind = TWINS[device]
    if kind is DEFAULT:
        return ""
    options = [f"device={kind.name}"]
    if kind.is_wired:
        options.append(f"leads={_numbered(leads)}")
    elif tuple(leads) != LEADS:
        options.append(f"leads={','.join(leads)}")
    if kind.takes_rate and (sampling_hz or kind.nominal_hz) != kind.nominal_hz:
        options.append(f"rate={sampling_hz:g}")
    elif kind.takes_rate and kind.nominal_hz is None:
        options.append(f"rate={RATE_HZ:g}")
    if not kind.says_simulated:
        options.append("simulated=1")
    return "?" + "&".join(options)
