"""What one device sends, as samples at the decoder's rate. Bytes in, blocks out: no I/O and no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edge.leads import LEADS
from edge.live.ingest import Ingest
from edge.samples import SampleBlock
from edge.signal.resampling import RateConverter
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.spec import DELIMITER


class DeviceStream:
    """Frames of the wire format to blocks of those of the twelve leads that the device measures.

    A gap of at most 100 ms comes out filled and flagged, a longer one as a jump of `first_sample`.
    """

    def __init__(self, sampling_hz: float) -> None:
        self.ingest = Ingest(LEADS, or_others=True)
        """What arrived and what did not, at the device's rate."""
        self._sampling_hz = sampling_hz
        self._decoder = WireDecoder()
        self._converter: RateConverter | None = None
        self._next = 0  # at the device's rate
        self._made = 0  # index of the next sample, at the decoder's

    def reopened(self) -> None:
        """The link was opened anew: a frame that was begun will not be ended."""
        self._decoder.receive_data(DELIMITER)

    def receive_data(self, data: bytes, arrival_ns: int) -> Iterator[SampleBlock]:
        """Take the next bytes, which arrived at `arrival_ns` (`time.monotonic_ns()`).

        Raises LeadliftError where the device makes no sense, or begins another kind of stream.
        """
        for event in self._decoder.receive_data(data):
            block = self.ingest.push(event, arrival_ns)
            if block is not None and (block := self._converted(block)).n_samples:
                yield block

    def _converted(self, block: SampleBlock) -> SampleBlock:
        if block.sampling_hz == self._sampling_hz:
            return block
        if self._converter is None:
            self._converter = RateConverter(block.sampling_hz, self._sampling_hz, len(block.ecg_mv))
        converter = self._converter
        if block.first_sample != self._next:
            self._made += converter.skip(block.first_sample - self._next)
        self._next = block.first_sample + block.n_samples
        ecg_mv, quality = converter.push(block.ecg_mv, block.quality)
        first, self._made = self._made, self._made + ecg_mv.shape[1]
        behind_ns = round(converter.delay_s * 1e9)
        return replace(
            block,
            ecg_mv=ecg_mv,
            quality=quality,
            first_sample=first,
            sampling_hz=self._sampling_hz,
            acquired_ns=block.acquired_ns - behind_ns if block.acquired_ns else 0,
        )
