"""The virtual twins that `simulate --device NAME` runs: what each is made from, by the name of its device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from firmware_bridge.devices import cyton, ganglion, openview
from firmware_bridge.devices.lead_map import lead_map
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.simulators.board import VirtualBoard
from firmware_bridge.simulators.cyton import VirtualCyton
from firmware_bridge.simulators.ganglion import VirtualGanglion
from firmware_bridge.simulators.openview import VirtualOpenView
from firmware_bridge.simulators.recording import Signal
from firmware_bridge.simulators.wearable import DueFrame, VirtualWearable, stream_info
from firmware_bridge.wire.gatt import GattProfile

LEADS = ("II", "V1", "V5")
"""What a twin measures unless it is told otherwise."""
_BoardT = TypeVar("_BoardT", bound=VirtualBoard)
_RATES = {"csv": 250.0, "openview": openview.SAMPLING_HZ}  # of formats that do not tell theirs


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


def _wearable(setup: Setup, format: str = "wire") -> VirtualWearable:
    rate_hz = 250.0 if setup.sampling_hz is None else setup.sampling_hz
    return VirtualWearable(
        setup.signal_at(rate_hz),
        stream_info(rate_hz, setup.leads, sample_bits=setup.sample_bits, session=setup.session),
        frames_hz=setup.frames_hz,
        vary_frames=setup.vary_frames,
        clock_ppm=setup.clock_ppm,
        format=format,
        signal_at=setup.signal_at,
        battery=setup.battery,
    )


def _csv(setup: Setup) -> Twin:
    return _wearable(setup, "csv")


def _board(
    make: Callable[..., _BoardT], sampling_hz: float, n_channels: int
) -> Callable[[Setup], _BoardT]:
    """The maker of another maker's board, at its own rate unless asked for another."""

    def made(setup: Setup) -> _BoardT:
        return make(
            setup.signal_at(sampling_hz if setup.sampling_hz is None else setup.sampling_hz),
            lead_map(_numbered(setup.leads), n_channels),
            bursts_hz=setup.frames_hz,
            clock_ppm=setup.clock_ppm,
        )

    return made


def _numbered(leads: Sequence[str]) -> str:
    """One lead per channel, in turn."""
    return ",".join(f"{number}:{lead}" for number, lead in enumerate(leads, 1))


PTY_TWINS: dict[str, Callable[[Setup], Twin]] = {
    "csv": _csv,
    "cyton": _board(VirtualCyton, cyton.SAMPLING_HZ, cyton.CHANNELS),
    "openview": _board(VirtualOpenView, openview.SAMPLING_HZ, openview.CHANNELS),
    "wearable": _wearable,
}
"""What makes the twin for each `--device` that has a serial port; who adds a twin adds an entry."""
BLE_TWINS: dict[str, Callable[[Setup], BleTwin]] = {
    "ganglion": _board(VirtualGanglion, ganglion.SAMPLING_HZ, ganglion.CHANNELS),
    "wearable": _wearable,
}
"""The same for each that speaks BLE."""
PORTS = {"pty": frozenset(PTY_TWINS), "ble": frozenset(BLE_TWINS)}
"""The devices for each `--port`."""
DEVICES = sorted(PTY_TWINS | BLE_TWINS)


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
    return PTY_TWINS[device](setup)


def make_ble_twin(device: str, setup: Setup) -> BleTwin:
    """The twin of `device` on BLE. Raises SourceSpecError where there is none, or it cannot be as asked."""
    chosen_port(device, "ble")
    return BLE_TWINS[device](setup)


def source_options(
    device: str, leads: Sequence[str] = LEADS, sampling_hz: float | None = None
) -> str:
    """What follows `serial:PORT` or `ble:NAME` in the source that reads a twin; a wearable says it all."""
    if device == "wearable":
        return ""
    options = [f"device={device}"]
    if device != "csv":
        options.append(f"leads={_numbered(leads)}")
    elif tuple(leads) != LEADS:
        options.append(f"leads={','.join(leads)}")
    if sampling_hz not in (None, _RATES.get(device)) and device in _RATES:
        options.append(f"rate={sampling_hz:g}")
    return "?" + "&".join(options)
