"""The wire format's decoders: bytes in, events out (the host's side); bytes in, commands out (the device's).

Only a frame whose COBS, CRC, length and every field hold is believed; the rest is `Corrupt`, with the
reason. Samples are delivered even while no stream info has come for their config id: whoever turns counts
into millivolts waits for it (at most STREAM_INFO_PERIOD_S on a clean link) and counts what it drops.
"""

from __future__ import annotations

import numpy as np

from firmware_bridge.events import (
    Battery,
    Corrupt,
    Event,
    Gap,
    LeadOffChanged,
    ReconstructedLeads,
    Reconstruction,
    Samples,
    StreamInfo,
)
from firmware_bridge.wire import spec
from firmware_bridge.wire.framing import FrameError, SenselessError, Splitter
from firmware_bridge.wire.packets import (
    BatteryPacket,
    Command,
    Header,
    Packet,
    SamplePacket,
    parse_frame,
)
from firmware_bridge.wire.reconstructed import ReconstructedPacket, ReconstructionPacket, sigma_mv
from firmware_bridge.wire.sequence import SequenceTracker


class WireDecoder:
    """Decodes what one device sends. Holds one unfinished frame and at most 256 stream infos of each kind.

    Events come in the order of the frames. Those that a frame's counters tell (Restarted, Gap,
    LeadOffChanged) precede what it carries. A Gap tells lost samples exactly, of the measured leads where a
    device sends both kinds; a lost frame without samples makes none, and shows in `lost_frames`.
    """

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._tracker = SequenceTracker()
        self._infos: dict[int, StreamInfo] = {}  # by config id
        self._reconstructions: dict[int, Reconstruction] = {}
        self._measures = False  # whether samples of measured leads have come
        self._lead_off = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the unfinished frame, at most `spec.MAX_FRAME_BYTES`."""
        return self._splitter.held_bytes

    @property
    def lost_frames(self) -> int:
        """Frames known lost so far."""
        return self._tracker.lost_frames

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream, in pieces of any size, and say what they completed."""
        events: list[Event] = []
        for frame in self._splitter.receive_data(data):
            if isinstance(frame, Corrupt):
                events.append(frame)
                continue
            try:
                events += self._events(*parse_frame(frame))
            except FrameError as error:
                senseless = isinstance(error, SenselessError)
                events.append(Corrupt(str(error), len(frame), senseless))
        return events

    def _events(self, header: Header, packet: Packet) -> list[Event]:
        if isinstance(packet, Command):
            raise FrameError(
                f"{packet.frame_type.name.lower()} is for the device: is the line looped back?"
            )
        if isinstance(packet, SamplePacket):
            self._measures = True
            return self._sample_events(header, packet)
        if isinstance(packet, ReconstructedPacket):
            return self._reconstructed_events(header, packet)
        events, deliver = self._tracker.place_other(header)
        if not deliver:
            return events
        if isinstance(packet, BatteryPacket):
            return [*events, Battery(packet.percent)]
        if isinstance(packet, ReconstructionPacket):
            said = packet.reconstruction(header.session)
            self._reconstructions[said.config_id] = said
            return [*events, said]
        info = packet.stream_info(header.session)
        self._infos[info.config_id] = info
        return [*events, info]

    def _sample_events(self, header: Header, packet: SamplePacket) -> list[Event]:
        info = self._infos.get(packet.config_id)
        if info is not None and info.session != header.session:
            info = None  # what the device said before it restarted
        if info is not None:
            _check(packet, info)
        events, position = self._tracker.place_samples(
            header, packet, info.sampling_hz if info else None
        )
        if position is None:
            return events
        if packet.lead_off != self._lead_off:
            self._lead_off = packet.lead_off
            events.append(LeadOffChanged(position.first_sample, packet.lead_off))
        events.append(
            Samples(
                first_sample=position.first_sample,
                counts=packet.counts,
                tick_us=position.tick_us,
                lead_off=packet.lead_off,
                sequence=header.sequence,
                session=header.session,
                config_id=packet.config_id,
            )
        )
        return events

    def _reconstructed_events(self, header: Header, packet: ReconstructedPacket) -> list[Event]:
        said = self._reconstructions.get(packet.config_id)
        if said is not None and said.session != header.session:
            said = None
        if said is not None and len(packet.values) != len(said.leads):
            raise SenselessError(
                f"{len(packet.values)} reconstructed leads, and reconstruction {said.config_id} names "
                f"{len(said.leads)}"
            )
        events, position = self._tracker.place_samples(
            header, packet, said.sampling_hz if said else None
        )
        if self._measures:
            events = [event for event in events if not isinstance(event, Gap)]
        if position is None:
            return events
        sigma = sigma_mv(packet.sigmas)
        sigma[packet.values == spec.NO_VALUE] = np.nan
        return [
            *events,
            ReconstructedLeads(
                first_sample=position.first_sample,
                counts=packet.values,
                sigma_mv=sigma,
                quality=packet.quality,
                tick_us=position.tick_us,
                sequence=header.sequence,
                session=header.session,
                config_id=packet.config_id,
            ),
        ]


class CommandDecoder:
    """Decodes what the host sends; for the device, or the program that plays one."""

    def __init__(self) -> None:
        self._splitter = Splitter()

    def receive_data(self, data: bytes) -> list[Command]:
        """Take the next bytes and return the commands they completed; all else is dropped."""
        commands = []
        for frame in self._splitter.receive_data(data):
            if isinstance(frame, Corrupt):
                continue
            try:
                _, packet = parse_frame(frame)
            except FrameError:
                continue
            if isinstance(packet, Command):
                commands.append(packet)
        return commands


def _check(packet: SamplePacket, info: StreamInfo) -> None:
    """Refuse samples that contradict their stream info."""
    channels = packet.counts.shape[0]
    if channels != len(info.leads):
        raise SenselessError(
            f"{channels} channels, and stream info {info.config_id} names {len(info.leads)} leads"
        )
    if packet.sample_bits != info.sample_bits:
        raise SenselessError(
            f"{packet.sample_bits}-bit samples, and stream info {info.config_id} "
            f"says {info.sample_bits}"
        )
