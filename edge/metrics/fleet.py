"""A collector of prometheus-client for a fleet: reads its report when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.live.telemetry import Histogram
from edge.metrics.tables import FLEET_BUCKETS_MS, buckets

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PREFIX = "leadlift_fleet_"
COUNTERS = {
    "samples_received": ("samples_in", "Samples of each lead that arrived, at the devices' rates."),
    "samples_reconstructed": ("samples_out", "Samples of twelve leads, at the decoder's rate."),
    "samples_missing": ("samples_missing", "Samples that were not reconstructed, of any cause."),
    "samples_lost": ("samples_lost", "Samples that devices took and that never arrived."),
    "gaps": ("gaps", "Interruptions of the streams of devices."),
    "device_restarts": ("restarts", "Times a device began anew."),
    "samples_shed": ("samples_shed", "Samples that made room for newer ones: overload."),
    "samples_lost_by_shards": (
        "samples_lost_by_shards",
        "Samples that were on a shard when it failed.",
    ),
    "decoders_began_anew": ("began_anew", "Streams that went on with a new decoder."),
    "corrupt_packets": ("corrupt", "Frames that failed their check."),
    "deadline_misses": ("deadline_misses", "Blocks later after their first byte than two ticks."),
    "messages_dropped": ("messages_dropped", "Messages that listeners were too slow to take."),
}
GAUGES = {
    "patients": ("patients", "Patients whose streams go on."),
    "patients_unplaced": ("patients_unplaced", "Patients who wait for a shard with room."),
    "patients_calibrated": ("patients_calibrated", "Patients to whom the decoder is fitted."),
    "patients_misplaced": ("patients_misplaced", "Patients whose electrodes seem exchanged."),
    "slots": ("slots", "Patients that there is room for."),
}
SHARDS = {
    "shard_up": ("up", "1 while the shard answers."),
    "shard_patients": ("patients", "Patients on the shard."),
    "shard_failures": ("failures", "Times the shard was lost."),
}
"""Each has the label `shard`."""
GATEWAYS = ("websocket", "mqtt")


class FleetCollector:
    """What a registry of prometheus-client asks at each scrape."""

    def __init__(
        self, report: Callable[[], dict[str, Any]], latency: Callable[[], Histogram]
    ) -> None:
        """Those of `Service`."""
        self._report, self._latency = report, latency

    def collect(self) -> Iterator[Metric]:
        """The families; those of shards have a sample for each."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        report = self._report()
        about_engine = {"engine": str(report.get("engine", "")), "version": __version__}
        yield InfoMetricFamily(PREFIX + "engine", "What reconstructs.", about_engine)
        latency = self._latency()
        yield HistogramMetricFamily(
            PREFIX + "latency_seconds",
            "From the arrival of a block's first byte to the block in every output.",
            buckets(latency, FLEET_BUCKETS_MS),
            latency.total_ns * 1e-9,
        )
        for name, (entry, text) in COUNTERS.items():
            yield CounterMetricFamily(PREFIX + name, text, value=report.get(entry, 0))
        for name, (entry, text) in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + name, text, value=report.get(entry, 0))
        for name, (entry, text) in SHARDS.items():
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=["shard"])
            for shard, about in report.get("shards", {}).items():
                gauge.add_metric([shard], float(about[entry]))
            yield gauge
        events = CounterMetricFamily(
            PREFIX + "gateway_events",
            "Connections (websocket) and messages (mqtt), by what became of them.",
            labels=["gateway", "event"],
        )
        for gateway in GATEWAYS:
            for event, n in report.get(gateway, {}).items():
                events.add_metric([gateway, event], n)
        yield events
