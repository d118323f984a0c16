"""Device events to sample blocks: counts to mV, channels to leads, sequence to gaps, ticks to host time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.leads import INPUT_LEADS, LEADS
from edge.live.arrival_rate import ArrivalRate
from edge.live.clock import DeviceClock
from edge.live.silent_leads import SilentLeads
from edge.offline import check_rate
from edge.quality import GAP_FILL_S, Quality
from edge.samples import SampleBlock
from edge.signal.einthoven import IdentityCheck
from edge.signal.plausibility import ImplausibleUnit, UnitCheck
from firmware_bridge.errors import PeerError
from firmware_bridge.events import (
    Battery,
    Corrupt,
    Duplicate,
    Event,
    Late,
    Notice,
    ReconstructedLeads,
    Reconstruction,
    Restarted,
    Samples,
    StreamInfo,
)

_Packet = Samples | ReconstructedLeads
_Said = StreamInfo | Reconstruction
_TICK_WRAP_US = 1 << 32  # 71 minutes
FILLED = int(Quality.INTERPOLATED | Quality.GAP)


@dataclass(slots=True)
class IngestCounters:
    """What arrived and what did not; samples are counted per lead."""

    samples_in: int = 0
    samples_lost: int = 0
    """Taken by the device, never arrived: exact from the first packet on, over restarts too."""
    samples_interpolated: int = 0
    """Made up in short gaps, in place of lost ones (or of those before_info)."""
    samples_before_info: int = 0
    """Arrived, and dropped because nothing yet said which leads they are; not among the lost."""
    gaps: int = 0
    duplicates: int = 0
    late: int = 0
    corrupt: int = 0
    corrupt_bytes: int = 0
    restarts: int = 0


class Ingest:
    """Sans-I/O: one event in, at most one block out; blocks come in order and never overlap."""

    def __init__(self, leads: Sequence[str] = INPUT_LEADS, *, or_others: bool = False) -> None:
        """Blocks will have one row for each of `leads`, in this order, whatever the device sends.

        With `or_others` a device that lacks one of them is taken with those of the twelve that it has.
        """
        self.leads = tuple(leads)
        """The rows of the blocks; with `or_others` settled once the device has said what it sends."""
        self._or_others = or_others
        self.counters = IngestCounters()
        self.clock = DeviceClock()
        self.info: StreamInfo | None = None
        """What the device last said of its stream."""
        self.battery_percent: int | None = None
        self.leads_off: tuple[str, ...] = ()
        """The leads whose electrode is off in the newest packet."""
        self.notices: list[str] = []
        """What a person should know of the stream, a line each, each once."""
        self._rate: ArrivalRate | None = None
        self._units: UnitCheck | None = None
        self._identities: IdentityCheck | None = None
        self._silent: SilentLeads | None = None
        self._rows: NDArray[np.intp] = np.empty(0, np.intp)
        """Channel of each lead."""
        self._absent: NDArray[np.bool_] = np.zeros(len(self.leads), bool)
        """Leads that the device does not announce (any more)."""
        self._heard: int | None = (
            None  # device index just after the newest packet, taken or dropped
        )
        self._next: int | None = None  # and after the newest one taken
        self._index = 0  # stream index of the next sample
        self._last_mv: NDArray[np.float32] = np.empty((0, 1), np.float32)
        self._last_arrival_ns = 0
        self._last_tick_us: int | None = None  # as unwrapped here
        self._tick_shift_us = 0  # wraps that the decoder could not know
        self._restarted = False

    @property
    def sampling_hz(self) -> float | None:
        """Rate of the device; None until it has said so."""
        return None if self.info is None else self.info.sampling_hz

    @property
    def arrival_hz(self) -> float | None:
        """Samples a second as they arrive, lost ones counted in; None in the first seconds."""
        return None if self._rate is None else self._rate.hz

    def push(self, event: Event, arrival_ns: int) -> SampleBlock | None:
        """Take the next event and its arrival (`time.monotonic_ns()`); return its samples, if any.

        A gap of at most 100 ms arrives interpolated with the samples that end it; a longer one shows as
        a jump of `first_sample`. Leads that the device has beyond those asked for are passed over; one that
        it no longer announces is off until it does. Raises InputError when the stream lacks a lead from its
        start, or all later on, or has a rate that no ECG has, and PeerError when the device changes its
        rate, contradicts itself, or says what cannot be.
        """
        if isinstance(event, Samples):
            return self._samples(event, arrival_ns, self.info)
        if isinstance(event, StreamInfo):
            self._stream_info(event)
        elif isinstance(event, ReconstructedLeads):  # before it was said what they are
            self.counters.samples_before_info += event.counts.shape[1]
        elif isinstance(event, Duplicate):
            self.counters.duplicates += 1
        elif isinstance(event, Late):
            self.counters.late += 1
        elif isinstance(event, Corrupt):
            self.counters.corrupt += 1
            self.counters.corrupt_bytes += event.n_bytes
            if event.undamaged:
                raise PeerError(
                    f"the device makes no sense: {event.reason}; check its firmware, or update leadlift"
                )
        elif isinstance(event, Restarted):
            self.counters.restarts += 1
            self._restarted = True
            self._heard = 0
            self._last_tick_us = None
            self._tick_shift_us = 0
            self.clock.reset()
        elif isinstance(event, Battery):
            self.battery_percent = event.percent
        elif isinstance(event, Notice):
            self.tell(event.text)
        # Gap and LeadOffChanged repeat what first_sample and lead_off of the next packet say.
        return None

    def ended(self) -> None:
        """Nothing more comes: what a short stream shows of its rate and unit is told now."""
        if self._rate is not None and (hz := self._rate.at_end()) is not None:
            self._tell_rate(hz, self._rate.declared_hz)
        if self._units is not None:
            self._tell_unit(self._units.ended())

    def report(self) -> dict[str, object]:
        """Plain values for JSON: counts, and what is known of the device."""
        info = self.info
        return asdict(self.counters) | {
            "device": "" if info is None else info.device,
            "firmware": "" if info is None else info.firmware,
            "simulated": info is not None and info.simulated,
            "leads": list(self.leads),
            "device_hz": 0.0 if info is None else info.sampling_hz,
            "rate_source": "" if info is None else info.rate_source,
            "arrival_hz": self.arrival_hz,
            "clock_drift_ppm": self.clock.drift_ppm,
            "arrival_jitter_ms": self.clock.jitter_s * 1e3,
        }

    def tell(self, text: str) -> None:
        """Keep a notice, unless there is one of the same text."""
        if text not in self.notices:
            self.notices.append(text)

    def _stream_info(self, info: StreamInfo) -> None:
        old = self.info
        if old is not None:
            if info.sampling_hz != old.sampling_hz:
                raise PeerError(
                    f"the device changed from {_describe(old)} to {_describe(info)} while streaming: "
                    "start again to record the new stream"
                )
        elif not (info.sampling_hz > 0 and math.isfinite(info.sampling_hz)):
            raise PeerError(
                f"the device says it samples at {info.sampling_hz} Hz: check its firmware"
            )
        check_rate(info.sampling_hz)  # before anything is allocated for it
        if not (info.nanovolts_per_lsb > 0 and math.isfinite(info.nanovolts_per_lsb)):
            raise PeerError(
                f"the device says one count is {info.nanovolts_per_lsb} nV: check its firmware"
            )
        missing = [lead for lead in self.leads if lead not in info.leads]
        has = [lead for lead in LEADS if lead in info.leads]
        if missing and has and self._or_others:
            self.tell(f"measured leads: {', '.join(has)} (the device has no {', '.join(missing)})")
            self.leads, missing = tuple(has), []
        elif missing and (old is None or len(missing) == len(self.leads)):
            raise InputError(_lacks(missing, self.leads, info))
        elif missing and (old is None or info.leads != old.leads):
            self.tell(
                f"the device does not announce {', '.join(missing)} any more: off until it is back"
            )
        self._or_others = False
        self._absent = np.array([lead in missing for lead in self.leads])
        self._rows = np.array(
            [0 if lead in missing else info.leads.index(lead) for lead in self.leads]
        )
        self.info = info
        if old is None:
            self._rate = ArrivalRate(info.sampling_hz)
            self._units = UnitCheck(len(self.leads), info.sampling_hz)
            self._identities = IdentityCheck(self.leads, info.sampling_hz)
            self._silent = SilentLeads(self.leads, info.sampling_hz, info.missing)

    def _samples(self, packet: _Packet, arrival_ns: int, info: _Said | None) -> SampleBlock | None:
        n_channels, n_samples = packet.counts.shape
        if self._heard is not None:
            self.counters.samples_lost += max(0, packet.first_sample - self._heard)
        self._heard = packet.first_sample + n_samples
        if info is None or (packet.session, packet.config_id) != (info.session, info.config_id):
            self.counters.samples_before_info += n_samples
            return None
        if n_channels != len(info.leads):
            raise PeerError(
                f"the device sent {n_channels} channels and announced {len(info.leads)} "
                f"({', '.join(info.leads)}): check its firmware"
            )
        if n_samples == 0:
            return None
        n_missing = self._missing_before(packet, info, arrival_ns)
        if n_missing < 0:
            old = min(-n_missing, n_samples)
            self.counters.late += 1
            if old == n_samples:
                return None
            n_samples -= old
            n_missing = 0
        ecg_mv, quality = self._converted(packet, info, n_samples)
        self.counters.samples_in += n_samples
        first = self._index + n_missing
        if n_missing:
            self.counters.gaps += 1
            if n_missing <= GAP_FILL_S * info.sampling_hz:
                self.counters.samples_interpolated += n_missing
                first = self._index
                ecg_mv, quality = self._filled(n_missing, ecg_mv, quality)
        self._doubt(ecg_mv, arrival_ns, info)
        tick_us = self._end_tick_us(packet, info, arrival_ns)
        self.clock.observe(tick_us, arrival_ns)
        self._restarted = False
        self._next = packet.first_sample + packet.counts.shape[1]
        self._index = first + ecg_mv.shape[1]
        self._last_mv = ecg_mv[:, -1:]
        self._last_arrival_ns = arrival_ns
        acquired_ns = self.clock.host_ns(tick_us)
        if (
            isinstance(packet, Samples) and packet.acquired_ns is not None
        ):  # no sample arrives before it is taken
            acquired_ns = min(packet.acquired_ns, arrival_ns)
        return SampleBlock(ecg_mv, first, info.sampling_hz, quality, arrival_ns, acquired_ns)

    def _doubt_rate(self, arrival_ns: int) -> None:
        """Tell of a rate that is not the declared one."""
        if self._rate is not None and self._rate.observe(self._heard or 0, arrival_ns):
            self._tell_rate(self._rate.hz or 0.0, self._rate.declared_hz)

    def _tell_rate(self, hz: float, declared_hz: float) -> None:
        self.tell(
            f"samples arrive at {hz:.4g} Hz, not at {declared_hz:g} Hz as declared: all times and "
            f"rates are wrong by a factor of {hz / declared_hz:.3g}; set rate= where the device "
            "takes it, or mend its firmware"
        )

    def _tell_unit(self, verdict: ImplausibleUnit | None) -> None:
        if verdict is not None:
            remedy = "" if verdict.unit_mv is None else f" such as unit_mv={verdict.unit_mv:g}"
            self.tell(f"{verdict}; say what one unit is{remedy}")

    def _doubt(self, ecg_mv: NDArray[np.float32], arrival_ns: int, info: Any) -> None:
        """Tell of another rate, of values that are not millivolts, and of limb leads that contradict each
        other."""
        self._doubt_rate(arrival_ns)
        if self._units is not None and not self._units.decided:
            self._tell_unit(self._units.push(ecg_mv))
        for check in (self._identities, self._silent):
            if check is not None and not check.decided:
                said = check.push(ecg_mv)
                if said is not None:
                    self.tell(str(said))

    def _missing_before(self, packet: _Packet, info: _Said, arrival_ns: int) -> int:
        """Samples between the last one taken and this packet; negative where it overlaps."""
        if self._next is None:
            self._restarted = False
            return 0
        if not self._restarted:
            return packet.first_sample - self._next
        # Indices began anew: only the host's clock knows how long the device was away. At least what it
        # took since, and so long that nothing is interpolated over a boot.
        away_s = (arrival_ns - self._last_arrival_ns) * 1e-9
        away = round(away_s * info.sampling_hz) - int(packet.counts.shape[1])
        return max(away, packet.first_sample, math.floor(GAP_FILL_S * info.sampling_hz) + 1)

    def _converted(
        self, packet: Any, info: Any, n_samples: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The newest `n_samples` of a packet: (n_leads, n) float32 mV and quality bits."""
        counts = packet.counts[self._rows, packet.counts.shape[1] - n_samples :]
        ecg_mv = (counts * (info.nanovolts_per_lsb * 1e-6)).astype(np.float32)
        rail = 1 << (info.sample_bits - 1)
        quality = ((counts <= -rail) | (counts >= rail - 1)) * np.uint8(Quality.CLIPPED)
        quality[self._absent] = 0
        self.leads_off = ()
        if packet.lead_off or self._absent.any():
            off = self._absent | [bool(packet.lead_off >> int(row) & 1) for row in self._rows]
            self.leads_off = tuple(
                lead for lead, is_off in zip(self.leads, off, strict=True) if is_off
            )
            ecg_mv[off] = np.nan
        return ecg_mv, quality

    def _filled(
        self, n_missing: int, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """A straight line over the gap, in front of the samples that end it."""
        weight = np.arange(1, n_missing + 1, dtype=np.float32) / np.float32(n_missing + 1)
        line = self._last_mv + (ecg_mv[:, :1] - self._last_mv) * weight
        flags = np.full(line.shape, FILLED, np.uint8)
        return np.hstack([line, ecg_mv]), np.hstack([flags, quality])

    def _end_tick_us(self, packet: _Packet, info: _Said, arrival_ns: int) -> float:
        """Device time of a packet's last sample; a device without ticks is timed by its samples."""
        length_us = (int(packet.counts.shape[1]) - 1) * 1e6 / info.sampling_hz
        if packet.tick_us is None:
            return packet.first_sample * 1e6 / info.sampling_hz + length_us
        # A decoder unwraps ticks by the samples that passed. Where the device took none for a while (it
        # slept, and says no new session) only the host's clock knows how often they wrapped.
        tick_us = packet.tick_us + self._tick_shift_us
        if self._last_tick_us is not None:
            passed_us = (arrival_ns - self._last_arrival_ns) / 1000
            wraps = round((passed_us - (tick_us - self._last_tick_us)) / _TICK_WRAP_US)
            self._tick_shift_us += wraps * _TICK_WRAP_US
            tick_us += wraps * _TICK_WRAP_US
        self._last_tick_us = tick_us
        return tick_us + length_us


def no_samples(counters: IngestCounters, seconds: float) -> str:
    """One line: why a device that sends has given no samples for so long."""
    if counters.samples_before_info:
        why = "it never says which leads they are: check the device's firmware"
    else:
        why = (
            f"{counters.corrupt_bytes} bytes are no valid frame: check the baud rate and that "
            "the source names the right device"
        )
    return f"the device sends, but no samples for {seconds:.0f} s: {why}"


def _lacks(missing: Sequence[str], leads: Sequence[str], info: StreamInfo) -> str:
    """One line: what is not there, what is, and how to say it."""
    there = [lead for lead in leads if lead in info.leads]
    ask = f"ask for what it has with --leads {','.join(there or info.leads)}"
    say = "say what you wired in the source's leads="
    without = f"{ask}, {say}, or go without: missing={','.join(missing)}"
    return (
        f"the stream has no lead {', '.join(missing)}: it gives {', '.join(info.leads)}, needed are "
        f"{', '.join(leads)}; {without if there else f'{ask}, or {say}'}"
    )


def _describe(info: StreamInfo) -> str:
    return f"{', '.join(info.leads)} at {info.sampling_hz:g} Hz"
