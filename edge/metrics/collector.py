"""A collector of prometheus-client: reads what the runs have counted, when it is asked and not before."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from edge import __version__
from edge.leads import LEADS
from edge.metrics.tables import BUCKETS_MS, COUNTERS, GAUGES, HISTOGRAMS, LEAD_GAUGES, buckets
from edge.sinks.picture import LivePicture

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from edge.live.runtime import Runtime
    from edge.reconstructor import Reconstructor
    from edge.sinks.picture import Picture

_PREFIX = "leadlift_"


class Watched:
    """One run, and the picture that heart rate and quality are read from."""

    def __init__(self, source: str, runtime: Runtime, reconstructor: Reconstructor) -> None:
        self.source = source
        self.runtime = runtime
        self.bundle_sha256 = reconstructor.bundle.sha256
        self.picture = LivePicture(reconstructor.sampling_hz)
        self.running = True
        runtime.outputs.watchers.append(self.picture.push)

    def gauges(
        self, report: dict[str, Any], picture: Picture
    ) -> Iterator[tuple[str, float | None]]:
        """Each of GAUGES; None where it is not known."""
        runtime = self.runtime
        percent = runtime.ingest.battery_percent
        status = runtime.status()
        yield "sinks_failed", len(report["sink_failures"])
        yield "deadline_seconds", report["deadline_us"] * 1e-6
        yield "device_sampling_hertz", report["device_hz"] or None
        yield "arrival_hertz", report["arrival_hz"]
        known = runtime.ingest.info is not None
        yield "link_up", float(self.running and known and not status.in_outage)
        yield "battery_ratio", None if percent is None else percent / 100
        beats = None if math.isnan(picture.bpm) or not self.running else picture.bpm
        yield "heart_rate_beats_per_minute", beats

    def lead_gauges(self, picture: Picture) -> Iterator[tuple[str, str, float]]:
        """(metric, lead, value) of LEAD_GAUGES."""
        ingest, quality = self.runtime.ingest, picture.quality
        off = ingest.leads_off
        for lead in ingest.leads if ingest.info is not None else ():
            yield "lead_off", lead, float(lead in off)
        if quality.shape[1]:
            shares = np.mean(quality == 0, axis=1)
            for lead, share in zip(LEADS, shares, strict=True):
                yield "lead_good_ratio", lead, float(share)


class Collector:
    """What a registry of prometheus-client asks at each scrape."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[Watched] = []

    @contextmanager
    def following(
        self, source: str, runtime: Runtime, reconstructor: Reconstructor
    ) -> Iterator[None]:
        """The run goes on in here; its counts stay afterwards. `source` is its label."""
        watched = Watched(source, runtime, reconstructor)
        with self._lock:
            self._runs.append(watched)
        try:
            yield
        finally:
            watched.running = False

    def collect(self) -> Iterator[Metric]:
        """The families with a sample for each run."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
            InfoMetricFamily,
        )

        with self._lock:
            runs = list(self._runs)
        reports = {run.source: run.runtime.report() for run in runs}
        patients = GaugeMetricFamily(_PREFIX + "patients_running", "Runs that have not ended.")
        patients.add_metric([], sum(run.running for run in runs))
        yield patients
        engine = InfoMetricFamily(_PREFIX + "engine", "What reconstructs.", labels=["source"])
        device = InfoMetricFamily(_PREFIX + "device", "What is measured.", labels=["source"])
        for run in runs:
            report = reports[run.source]
            told = {
                "engine": str(report["engine"]),
                "version": __version__,
                "bundle_sha256": "" if run.runtime.reconstruction else run.bundle_sha256,
            }
            engine.add_metric([run.source], told)
            simulated = str(report["simulated"]).lower()
            device.add_metric(
                [run.source], {"device": str(report["device"]), "simulated": simulated}
            )
        yield engine
        yield device
        for name, (entry, text) in COUNTERS.items():
            counter = CounterMetricFamily(_PREFIX + name, text, labels=["source"])
            for run in runs:
                counter.add_metric([run.source], int(str(reports[run.source].get(entry, 0))))
            yield counter
        yield from self._gauges(GaugeMetricFamily, runs, reports)
        for name, (stage, text) in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(_PREFIX + name, text, labels=["source"])
            for run in runs:
                seen = run.runtime.latency.stages[stage]
                histogram.add_metric([run.source], buckets(seen, BUCKETS_MS), seen.total_ns * 1e-9)
            yield histogram

    def _gauges(
        self, family: type[Any], runs: list[Watched], reports: dict[str, dict[str, Any]]
    ) -> Iterator[Metric]:
        made = {
            name: family(_PREFIX + name, text, labels=["source"]) for name, text in GAUGES.items()
        }
        made |= {
            name: family(_PREFIX + name, text, labels=["source", "lead"])
            for name, text in LEAD_GAUGES.items()
        }
        for run in runs:
            picture = run.picture.snapshot()
            for name, value in run.gauges(reports[run.source], picture):
                if value is not None:
                    made[name].add_metric([run.source], value)
            for name, lead, value in run.lead_gauges(picture):
                made[name].add_metric([run.source, lead], value)
        yield from made.values()
