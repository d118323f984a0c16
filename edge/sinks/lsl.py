"""Twelve leads as streams of the Lab Streaming Layer: the leads, how sure they are, and the markers.

    NAME          12 x float32, mV: the leads, each with where it comes from
    NAME-quality  24 x float32: sigma of each lead in mV, and its quality bits; the same time stamps
    NAME-markers  texts, at the time of their samples

A gap is NaN, with the bit GAP and a sigma of NaN, for as long as MAX_FILL_S; a longer one is left out, and
the time stamps jump. liblsl sends from threads of its own and drops the oldest of what nobody takes, for each
reader by itself: nobody who listens, or does not, slows the run.
"""

from __future__ import annotations

import socket
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import SinkError
from edge.files.recording import Metadata, MetadataSource, Timeline
from edge.leads import LEADS
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from firmware_bridge.closing import Closing
from firmware_bridge.errors import TransportError
from firmware_bridge.transports.lsl_library import library

NAME = "leadlift"
MAX_FILL_S = (
    10.0  # readers of XDF join what lies less than a second apart; ten may still be filled at once
)
BUFFERED_S = 60  # for a reader that is late
_EARLIEST_STEP_S = 1e-6  # between time stamps: no two are the same


class LslSink(Closing):
    """The streams begin with the first block: until then nobody knows where the leads come from."""

    def __init__(self, name: str, sampling_hz: float, metadata: MetadataSource) -> None:
        """Streams called `name` and so on. Raises SinkError where LSL cannot be had."""
        try:
            self._lsl = library()
        except TransportError as error:
            raise SinkError(str(error)) from error
        self._name = name or NAME
        self._hz = sampling_hz
        self._metadata = metadata
        self._outlets: tuple[Any, Any, Any] | None = None
        self._timeline = Timeline(sampling_hz)
        self._last_s: float | None = None  # time stamp of the last sample pushed
        self._start_s = 0.0  # of a recording's first sample
        self._closed = False

    def write(self, block: TwelveLeadBlock) -> None:
        """Push a block; never waits. Raises SinkError once closed, or where liblsl refuses."""
        if self._closed:
            raise SinkError(f"lsl:{self._name} is closed")
        try:
            if self._outlets is None:
                self._outlets = self._opened(block)
            leads, quality, markers = self._outlets
            if block.n_samples:
                missing, _ = self._timeline.place(block)
                stamps_s = self._stamps(block)
                if 0 < missing <= MAX_FILL_S * self._hz and self._last_s is not None:
                    self._push_gap(missing, self._last_s, float(stamps_s[0]))
                values = np.concatenate([block.sigma_mv, block.quality.astype(np.float32)])
                leads.push_chunk(_rows(block.ecg_mv), timestamp=stamps_s)
                quality.push_chunk(_rows(values), timestamp=stamps_s)
                self._last_s = float(stamps_s[-1])
            for marker in block.markers:
                markers.push_sample([marker.text], timestamp=self._stamp_of(marker.sample))
        except (RuntimeError, ValueError, TypeError) as error:
            raise SinkError(f"lsl:{self._name}: liblsl takes no samples ({error})") from error

    def close(self) -> None:
        """End the streams; a second call does nothing."""
        self._closed = True
        self._outlets = None

    def _stamps(self, block: TwelveLeadBlock) -> NDArray[np.float64]:
        """(n,) LSL time stamps of the samples, each later than the one before."""
        steps = np.arange(1 - block.n_samples, 1) / self._hz
        if block.acquired_ns:
            age_s = monotonic() - block.acquired_ns * 1e-9
            stamps_s = self._lsl.local_clock() - age_s + steps
        else:  # a recording, at any speed: by its own time, from when it began
            end = self._timeline.end
            if self._last_s is None:
                self._start_s = self._lsl.local_clock() - end / self._hz
            stamps_s = self._start_s + (end - 1) / self._hz + steps
        if self._last_s is not None and stamps_s[0] <= self._last_s:
            # The clock of the device was fitted anew: what comes is squeezed behind what was pushed.
            floor_s = self._last_s + _EARLIEST_STEP_S * np.arange(1, len(stamps_s) + 1)
            stamps_s = np.maximum(stamps_s, floor_s)
        return np.asarray(stamps_s, np.float64)

    def _stamp_of(self, sample: int) -> float:
        """Of a sample that was pushed, or will be."""
        last_s = self._lsl.local_clock() if self._last_s is None else self._last_s
        behind = self._timeline.end - 1 - self._timeline.position_of(sample)
        return float(last_s - behind / self._hz)

    def _push_gap(self, missing: int, last_s: float, next_s: float) -> None:
        assert self._outlets is not None
        leads, quality, _ = self._outlets
        stamps_s = last_s + (next_s - last_s) * np.arange(1, missing + 1) / (missing + 1)
        nothing = np.full((missing, 2 * len(LEADS)), np.nan, np.float32)
        leads.push_chunk(nothing[:, : len(LEADS)].copy(), timestamp=stamps_s)
        nothing[:, len(LEADS) :] = float(Quality.GAP)
        quality.push_chunk(nothing, timestamp=stamps_s)

    def _opened(self, block: TwelveLeadBlock) -> tuple[Any, Any, Any]:
        known = self._metadata() if callable(self._metadata) else self._metadata
        names = list(LEADS)
        sources = [str(source) for source in block.provenance]
        leads = self._info("", "ECG", len(names), self._hz, "float32", known)
        _describe(leads, names, ["ECG"] * 12, ["millivolts"] * 12, sources, _filters(known))
        quality = self._info("-quality", "ECG-quality", 2 * len(names), self._hz, "float32", known)
        _describe(
            quality,
            [f"sigma {name}" for name in names] + [f"quality {name}" for name in names],
            ["sigma"] * 12 + ["quality"] * 12,
            ["millivolts"] * 12 + ["bits"] * 12,
            sources * 2,
            {flag.name or "": str(int(flag)) for flag in Quality if flag},
        )
        markers = self._info("-markers", "Markers", 1, 0.0, "string", known)
        outlets = [
            self._lsl.StreamOutlet(info, max_buffered=BUFFERED_S)
            for info in (leads, quality, markers)
        ]
        return outlets[0], outlets[1], outlets[2]

    def _info(self, suffix: str, stype: str, n: int, hz: float, kind: str, known: Metadata) -> Any:
        """A stream's description without its channels."""
        name = self._name + suffix
        source_id = (
            f"leadlift-{socket.gethostname()}-{name}"  # the same after a restart: readers come back
        )
        info = self._lsl.StreamInfo(name, stype, n, hz, kind, source_id)
        facts = {
            "manufacturer": "leadlift",
            "model": known.model,
            "device": known.device,
            "simulated": str(known.simulated).lower(),
            "calibration": known.calibration,
            "prefilter": known.prefilter,
            "source": known.source,
            "note": "research use only; a reconstructed lead is an estimate",
        }
        for fact, value in facts.items():
            if value:
                info.desc.append_child_value(fact, value)
        return info


def _describe(
    info: Any,
    names: list[str],
    types: list[str],
    units: list[str],
    provenance: list[str],
    more: dict[str, str],
) -> None:
    """Channels, as XDF's meta-data recommendations have them, with where each lead comes from."""
    info.set_channel_names(names)
    info.set_channel_types(types)
    info.set_channel_units(units)
    channel = info.desc.child("channels").child("channel")
    for source in provenance:
        channel.append_child_value("provenance", source)
        channel = channel.next_sibling()
    if more:
        node = info.desc.append_child("filtering" if types[0] == "ECG" else "quality_bits")
        for name, value in more.items():
            node.append_child_value(name, value)


def _filters(known: Metadata) -> dict[str, str]:
    """`HP:0.05Hz N:50Hz` by its parts."""
    parts = (part.partition(":") for part in known.prefilter.split())
    return {name: value for name, _, value in parts if value}


def _rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_samples, n_channels), as liblsl takes them."""
    return np.ascontiguousarray(values.T, np.float32)
