"""Latency histograms against exact percentiles."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.live.telemetry import STAGES, Histogram, LatencyTelemetry, _bin_of, _top_of


@given(value=st.integers(0, 2**62))
def test_a_bin_holds_its_value_within_three_percent(value: int) -> None:
    top = _top_of(_bin_of(value))
    assert value <= top <= value * (1 + 1 / 32)
    assert _bin_of(top) == _bin_of(value)
    assert _bin_of(top + 1) == _bin_of(value) + 1


@given(
    values=st.lists(st.integers(0, 10**10), min_size=1, max_size=300),
    percent=st.sampled_from([1.0, 50.0, 99.0, 100.0]),
)
def test_percentiles_are_never_understated(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = int(np.percentile(values, percent, method="inverted_cdf"))
    assert exact <= histogram.percentile_ns(percent) <= exact * (1 + 1 / 32)
    assert histogram.max_ns == max(values)
    assert histogram.n == len(values)


def test_an_empty_histogram_and_a_negative_duration() -> None:
    histogram = Histogram()
    assert histogram.summary_us() == {"n": 0, "p50": 0.0, "p99": 0.0, "max": 0.0}
    histogram.record(-5)
    assert (histogram.n, histogram.max_ns) == (1, 0)


def test_the_report_leads_with_the_whole_path() -> None:
    telemetry = LatencyTelemetry()
    for stage, duration_ns in zip(STAGES, range(1000, 9000, 1000), strict=True):
        telemetry.record(stage, duration_ns)
    report = telemetry.report_us()
    assert report["max"] == 7.0
    stages = report["stages"]
    assert isinstance(stages, dict)
    assert list(stages) == list(STAGES)
    assert stages["decode"]["n"] == 1


def test_without_sinks_the_path_ends_at_the_block() -> None:
    telemetry = LatencyTelemetry()
    telemetry.record("byte_to_block", 3000)
    assert telemetry.report_us()["max"] == 3.0
