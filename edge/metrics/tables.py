"""The metrics of a run: name, what it says, and the entry of the run's report that it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edge.live.telemetry import Histogram

COUNTERS = {
    # metric, without `leadlift_` and `_total`: (entry of the report, help)
    "samples_received": ("samples_in", "Samples of each lead that arrived, at the device's rate."),
    "samples_lost": ("samples_lost", "Samples that the device took and inference never saw."),
    "samples_overrun": (
        "samples_overrun",
        "Of the lost samples those overwritten unread: inference or a sink was slower than the signal.",
    ),
    "samples_interpolated": ("samples_interpolated", "Samples made up in gaps of at most 100 ms."),
    "samples_reconstructed": ("samples_out", "Samples of twelve leads, at the decoder's rate."),
    "samples_clipped": ("samples_clipped", "Samples beyond the range of a file."),
    "gaps": ("gaps", "Interruptions of the stream, on the link or by an overrun."),
    "corrupt_packets": ("corrupt", "Frames that failed their check."),
    "corrupt_bytes": ("corrupt_bytes", "Bytes that are no valid frame."),
    "duplicate_packets": ("duplicates", "Packets that came twice."),
    "late_packets": ("late", "Packets that came after newer ones."),
    "device_restarts": ("restarts", "Times the device began anew."),
    "reconnects": ("reconnects", "Times the link was lost and opened again."),
    "deadline_misses": (
        "deadline_misses",
        "Blocks later after their last byte than leadlift_deadline_seconds.",
    ),
    "markers": ("markers", "Markers recorded."),
    "notifications_dropped": ("notifications_dropped", "BLE notifications that found no room."),
    "strangers_dropped": ("strangers_dropped", "Datagrams of other senders, dropped."),
    "blocks_dropped": (
        "view_messages_dropped",
        "Parts of blocks that browsers were too slow to take.",
    ),
    "annotations_dropped": ("annotations_dropped", "Annotations that found no room in a file."),
}
"""Each is a counter with the label `source`; an entry that a report lacks counts 0."""

GAUGES = {
    "sinks_failed": "Sinks that failed and were closed.",
    "deadline_seconds": "How late after its last byte a block may be.",
    "device_sampling_hertz": "Rate that the device declares.",
    "arrival_hertz": "Samples a second as they arrive, lost ones counted in.",
    "link_up": "1 while the device is known and its link is not lost.",
    "battery_ratio": "Charge of the device, 0 to 1; absent where it does not say.",
    "heart_rate_beats_per_minute": "Heart rate of lead II; absent where there is no rhythm.",
}
"""Each has the label `source`."""

LEAD_GAUGES = {
    "lead_off": "1 while the electrode of a measured lead is off.",
    "lead_good_ratio": "Share of the last 20 s of a lead that has no quality flag.",
}
"""Each has the labels `source` and `lead`."""

HISTOGRAMS = {
    "block_latency_seconds": ("byte_to_block", "From the last byte of a packet to its block."),
    "sink_latency_seconds": (
        "byte_to_sink",
        "From the last byte of a packet to its block written by every sink.",
    ),
}
"""Each has the label `source`."""

FLEET_BUCKETS_MS = (10, 20, 50, 100, 150, 200, 240, 300, 500, 1000, 2000, 3000, 6000)
"""Of a fleet: 240 ms are its deadline, two ticks."""
BUCKETS_MS = (0.2, 0.5, 1, 2, 3, 5, 7.5, 10, 16, 20, 31, 50, 100, 200, 500, 1000)


def buckets(histogram: Histogram, bounds_ms: Sequence[float]) -> list[tuple[str, float]]:
    """(upper bound in s as text, durations up to it), as prometheus-client takes them."""
    counts = histogram.at_most([round(ms * 1e6) for ms in bounds_ms])
    bounds = [str(ms / 1e3) for ms in bounds_ms]
    return list(zip([*bounds, "+Inf"], map(float, counts), strict=True))
