"""What any device decoder says it saw: frozen values, no clock, no I/O.

Every decoder has one method, `receive_data(data: bytes) -> list[Event]`, takes bytes in pieces of any
size and never raises on their account. `firmware_bridge.source` adds the arrival time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class RateSource(str, Enum):
    """Where the sampling rate of a stream comes from."""

    DEVICE = "device"
    """The device says it, or all of its kind have it."""
    DECLARED = "declared"
    """The user said it: `rate=`."""
    TIME_COLUMN = "time column"
    """Estimated from the times that the device sends beside its samples."""
    ARRIVALS = "arrivals"
    """Estimated from when the first samples arrived."""
    ASSUMED = "assumed"
    """Neither: a default."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the device says of its stream; repeated every second and on request."""

    leads: tuple[str, ...]
    """Derivation of each channel, in the order of the rows of `Samples.counts`."""
    sampling_hz: float
    nanovolts_per_lsb: float
    sample_bits: int
    """Width of a sample on the wire, 16, 24 or 32: its rails are where the converter clips."""
    config_id: int
    """Changes with any field above; every sample frame carries it."""
    session: int = 0
    device: str = ""
    firmware: str = ""
    rate_source: RateSource = RateSource.DEVICE
    simulated: bool = False
    """The signal is no person's: a simulator made it."""
    missing: tuple[str, ...] = ()
    """Those of `leads` that the user said are not measured; they are off all along."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One packet of samples, all channels."""

    first_sample: int
    """Index of the first sample since the device started, unwrapped."""
    counts: NDArray[np.int32]
    """(n_channels, n_samples) int32, raw converter codes, zero volts at zero."""
    tick_us: int | None = None
    """Device time of the first sample in microseconds, unwrapped; None where the format has none."""
    lead_off: int = 0
    """Bit i set: the electrode of channel i is off."""
    sequence: int = 0
    session: int = 0
    config_id: int = 0
    acquired_ns: int | None = None
    """Host time (`time.monotonic_ns()`) of the last sample, where the link itself knows it."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What the device says of the leads that it reconstructs itself; repeated as the stream info."""

    leads: tuple[str, ...]
    """In the order of the rows of `ReconstructedLeads`."""
    provenance: tuple[str, ...]
    """Where each of them comes from, as `edge.Provenance` says it."""
    sampling_hz: float
    nanovolts_per_lsb: float
    config_id: int
    session: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReconstructedLeads:
    """One packet of leads that the device reconstructed: estimates with their sigma, not measurements."""

    first_sample: int
    """Index of the first sample since the device started, unwrapped."""
    counts: NDArray[np.int16]
    """(n_leads, n_samples), -32768 where there is no value."""
    sigma_mv: NDArray[np.float32]
    """(n_leads, n_samples) mV, one standard deviation; 0 where measured."""
    quality: NDArray[np.uint8]
    """(n_leads,) quality bits of any of the samples, as `edge.Quality` has them."""
    tick_us: int | None = None
    """Device time of the first sample in microseconds, unwrapped."""
    sequence: int = 0
    session: int = 0
    config_id: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Samples that the device took and that never arrived; emitted before the packet that shows it."""

    first_sample: int
    n_samples: int
    n_frames: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A frame seen before; its samples are not repeated."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Late:
    """A frame older than one already delivered, its place long declared a gap; dropped."""

    sequence: int
    first_sample: int
    n_samples: int


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Bytes that are no valid frame, and why."""

    reason: str
    n_bytes: int
    undamaged: bool = False
    """Its CRC held: the device sent what makes no sense, the link is not to blame."""


@dataclass(frozen=True, slots=True)
class LeadOffChanged:
    """The electrodes that are off changed; bit i is channel i."""

    first_sample: int
    lead_off: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """The device booted anew: sample indices and ticks begin again."""

    session: int


@dataclass(frozen=True, slots=True)
class Battery:
    """Charge of the device's battery."""

    percent: int


@dataclass(frozen=True, slots=True)
class Notice:
    """What the user should know of how the stream is read: what was said, and what was assumed.

    It goes beside the data and is no sign of a valid frame; whoever shows the stream shows it once.
    """

    text: str
    """One line."""


@dataclass(frozen=True, slots=True)
class Marked:
    """Somebody pressed the device's button, or another device sent a marker."""

    text: str
    at_ns: int | None = None
    """`time.monotonic_ns()` of the moment; None for the arrival of this event."""


Event = (
    StreamInfo
    | Samples
    | Reconstruction
    | ReconstructedLeads
    | Gap
    | Duplicate
    | Late
    | Corrupt
    | LeadOffChanged
    | Restarted
    | Battery
    | Notice
    | Marked
)


class Decoder(Protocol):
    """Bytes in, events out."""

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        ...


@runtime_checkable
class HostedDecoder(Decoder, Protocol):
    """A decoder of a device that has to be spoken to, or whose counter wraps within a second or so."""

    def opened(self) -> None:
        """The link was opened (anew): the frame that was begun will not be ended."""
        ...

    def silent(self, seconds: float) -> None:
        """So long before the bytes that follow, the last valid frame arrived."""
        ...

    def data_to_send(self) -> bytes:
        """What the device has to be told now; each byte is handed out once."""
        ...


@runtime_checkable
class ArrivalDecoder(Decoder, Protocol):
    """A decoder that holds samples back until it knows, from when they arrive, how fast they come."""

    @property
    def held_samples(self) -> int:
        """Samples that were understood and are held back."""
        ...

    def arrived(self, now_ns: int) -> None:
        """The bytes that follow arrived at this time (`time.monotonic_ns()`)."""
        ...

    def ended(self) -> list[Event]:
        """No more bytes will come: what was held back."""
        ...
