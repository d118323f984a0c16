"""What leadlift knows of one kind of device, in one record; each device file has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from firmware_bridge.devices.lead_map import LeadMap, lead_map
from firmware_bridge.errors import SourceSpecError
from firmware_bridge.events import Decoder
from firmware_bridge.source_spec import Options
from firmware_bridge.wire.gatt import GattProfile

BAUD = 115200  # of most boards, and of USB ports that have none


@dataclass(frozen=True, slots=True)
class Device:
    """One kind of device: how it is named, reached, understood, recognised and simulated."""

    name: str
    """What `device=` takes."""
    title: str
    """What it is called, for people."""
    make: Callable[[Options], Decoder]
    """Its decoder; uses up the options that are its own."""
    twin: str = ""
    """`module:function` that makes its simulation of a `simulators.twins.Setup`; imported when it is made."""
    twin_name: str = ""
    """What `simulate --device` takes, where it is not `name`."""
    on_serial: bool = True
    """Whether it, or its dongle, has a serial port."""
    scheme: str = ""
    """Scheme of the only sources that it has; empty for one that any bytes may come from."""
    profile: GattProfile | None = None
    """Where it has its bytes on BLE; None for one that is not there."""
    baud: int = BAUD
    hello: bytes = b""
    """Sent each time that the link was opened."""
    resync: bytes = b""
    """Given to the decoder each time that the link was opened anew: ends the frame that was cut."""
    is_wired: bool = False
    """Whether the user says which channel is which lead: `leads=1:II,2:V1`."""
    takes_rate: bool = False
    """Whether `rate=` says what the format does not."""
    nominal_hz: float | None = None
    """The rate of one that is not told another."""
    says_simulated: bool = False
    """Whether its twin says of itself that it is one."""
    usual: str = ""
    """What stands behind `?` in the source that reads one as it is mostly wired."""
    ble_name: str = ""
    """How the name begins that it advertises."""
    usb_names: Mapping[str, str] = field(default_factory=dict)
    """What is contained, in small letters, in what its USB port says of itself; and what that is."""
    usb_chips: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Vendor and product of chips that it has, as others may; and what such a port is, for people."""

    @property
    def options(self) -> str:
        """`usual`, to be put behind a port or a name."""
        return f"?{self.usual}" if self.usual else ""


def wired(options: Options, device: str, n_channels: int, shipped: str = "") -> LeadMap:
    """The map that `leads=` and `reference=` say, or `shipped`; SourceSpecError where nothing says it."""
    text = options.text("leads", shipped)
    reference = options.text("reference", "")
    if not text:
        raise SourceSpecError(
            f"device={device} needs leads=, since you wire its {n_channels} channels: leads=1:II,2:V1,3:V5, "
            "or by electrode leads=1:LA,2:LL,3:V1,4:V5&reference=RA"
        )
    return lead_map(text, n_channels, reference)
