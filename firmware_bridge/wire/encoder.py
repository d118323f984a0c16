"""The device's side of the wire format: values in, frames out, counters kept."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import EncodeError
from firmware_bridge.events import Reconstruction, StreamInfo
from firmware_bridge.wire import spec
from firmware_bridge.wire.packets import (
    BatteryPacket,
    InfoPacket,
    Packet,
    SamplePacket,
    encode_frame,
)
from firmware_bridge.wire.reconstructed import (
    ReconstructedPacket,
    ReconstructionPacket,
    sigma_codes,
    value_codes,
)


def frame_samples(sequence: int, fewest: int, most: int) -> int:
    """How many samples frame number `sequence` is to have, `fewest` to `most`, as the C source has it.

    Frames of one length keep step with BLE's connection events, and then no host can tell the device's time
    from when they arrive.
    """
    draw = zlib.crc32((sequence % 2**16).to_bytes(2, "little")) % 256
    return fewest + (draw * (most - fewest + 1) >> 8)


class WireEncoder:
    """Encodes one session of one device; after a reboot or a new start, make another."""

    def __init__(self, info: StreamInfo, *, sequence: int = 0, first_sample: int = 0) -> None:
        """Encode the stream that `info` describes, counting from `sequence` and `first_sample`.

        Raises EncodeError if the format cannot carry `info`.
        """
        self.info = info
        self.sequence = sequence
        """Frames encoded so far."""
        self.first_sample = first_sample
        """Samples of each channel encoded so far."""
        self._info_packet = InfoPacket.from_stream_info(info)
        self._info_packet.encode()

    @property
    def max_samples(self) -> int:
        """The most samples per channel that one `samples()` call takes."""
        return spec.max_samples(len(self.info.leads), self.info.sample_bits)

    def stream_info(self) -> bytes:
        """The stream info frame: first, every second, and in answer to each command."""
        return self._encode(self._info_packet)

    def samples(self, counts: NDArray[np.int32], tick_us: int, lead_off: int = 0) -> bytes:
        """A sample frame for `counts`, (n_channels, n_samples) converter codes.

        `tick_us` is the device time of the first sample and may run on past 2^32; bit i of `lead_off`
        says that the electrode of channel i is off. Raises EncodeError for what does not fit.
        """
        if counts.shape[:1] != (len(self.info.leads),):
            raise EncodeError(
                f"counts of shape {counts.shape}: expected ({len(self.info.leads)}, n_samples), "
                f"rows {', '.join(self.info.leads)}"
            )
        frame = self._encode(
            SamplePacket(
                config_id=self.info.config_id,
                first_sample=self.first_sample % 2**32,
                tick_us=tick_us % 2**32,
                lead_off=lead_off,
                counts=counts,
                sample_bits=self.info.sample_bits,
            )
        )
        self.first_sample += counts.shape[1]
        return frame

    def reconstruction(self, said: Reconstruction) -> bytes:
        """The frame that describes the leads which the device reconstructs: as often as the stream info."""
        return self._encode(ReconstructionPacket.from_reconstruction(said))

    def reconstructed(
        self,
        said: Reconstruction,
        ecg_mv: NDArray[np.floating],
        sigma_mv: NDArray[np.floating],
        quality: NDArray[np.uint8],
        *,
        first_sample: int,
        tick_us: int,
    ) -> bytes:
        """A frame of reconstructed leads, (n_leads, n_samples) mV each, NaN where there is no value.

        `first_sample` and `tick_us` are those of the first sample; both may run on past 2^32. Raises
        EncodeError for what does not fit.
        """
        return self._encode(
            ReconstructedPacket(
                config_id=said.config_id,
                first_sample=first_sample % 2**32,
                tick_us=tick_us % 2**32,
                quality=np.bitwise_or.reduce(quality, axis=1),
                values=value_codes(ecg_mv, said.nanovolts_per_lsb),
                sigmas=sigma_codes(sigma_mv),
            )
        )

    def battery(self, percent: int) -> bytes:
        """A battery frame, 0 to 100 %."""
        return self._encode(BatteryPacket(percent))

    def _encode(self, packet: Packet) -> bytes:
        frame = encode_frame(packet, self.info.session, self.sequence % 2**16)
        self.sequence += 1
        return frame
