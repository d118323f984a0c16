"""Latency histograms of fixed size: every block is counted, and no percentile needs the raw values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

_SUB_BITS = 5  # 32 bins per power of two: a percentile is at most 1/32 (3 %) above the true value
_BINS = (63 - _SUB_BITS + 1) << _SUB_BITS  # every non-negative int64 has a bin


def _bin_of(value_ns: int) -> int:
    shift = max(0, value_ns.bit_length() - 1 - _SUB_BITS)
    return (shift << _SUB_BITS) + (value_ns >> shift)


def _top_of(index: int) -> int:
    """The largest value that falls into a bin."""
    shift = max(0, (index >> _SUB_BITS) - 1)
    return ((index - (shift << _SUB_BITS) + 1) << shift) - 1


class Histogram:
    """Durations in nanoseconds, log-spaced bins; memory does not grow with use."""

    def __init__(self) -> None:
        self._counts = [0] * _BINS
        self.n = 0
        """Durations recorded."""
        self.max_ns = 0
        self.total_ns = 0
        """Sum of the durations."""

    def record(self, duration_ns: int) -> None:
        """Count one duration; a negative one (clock fit below the truth) counts as 0."""
        value = duration_ns if duration_ns > 0 else 0
        self._counts[_bin_of(value)] += 1
        self.n += 1
        self.total_ns += value
        if value > self.max_ns:
            self.max_ns = value

    def percentile_ns(self, percent: float) -> int:
        """What `percent` of the durations do not exceed, rounded up to its bin; 0 if there are none."""
        wanted = percent / 100.0 * self.n
        seen = 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(_top_of(index), self.max_ns)
        return 0

    def at_most(self, bounds_ns: Sequence[int]) -> list[int]:
        """How many durations each of the rising `bounds_ns` holds; last, all of them.

        A bin that a bound cuts counts above it: no bucket claims a duration that is longer than its bound.
        """
        counts = list(self._counts)  # one moment, whoever goes on recording
        sums = [0, *accumulate(counts)]
        return [sums[_bin_of(bound + 1)] for bound in bounds_ns] + [sums[-1]]

    def summary_us(self) -> dict[str, float | int]:
        """`n`, and `p50`, `p99` and `max` in microseconds."""
        return {
            "n": self.n,
            "p50": self.percentile_ns(50) / 1e3,
            "p99": self.percentile_ns(99) / 1e3,
            "max": self.max_ns / 1e3,
        }


STAGES = (
    "decode",  # last byte read -> its samples decoded
    "ingest",  # decoded -> in the ring
    "queue",  # in the ring -> taken by the inference thread
    "reconstruct",  # taken -> twelve leads
    "sink",  # twelve leads -> written by every sink
    "byte_to_block",  # last byte read -> twelve leads
    "byte_to_sink",  # last byte read -> written by every sink
    "acquisition_to_block",  # taken by the device, as the clock fit says -> twelve leads
)


class LatencyTelemetry:
    """One histogram per stage of the live path; each stage is written by one thread only."""

    def __init__(self) -> None:
        self.stages = {stage: Histogram() for stage in STAGES}

    def record(self, stage: str, duration_ns: int) -> None:
        """Count a duration of one of `STAGES`."""
        self.stages[stage].record(duration_ns)

    def whole(self) -> Histogram:
        """From the last byte to written by every sink; to the block where there are no sinks."""
        written = self.stages["byte_to_sink"]
        return written if written.n else self.stages["byte_to_block"]

    def report_us(self) -> dict[str, object]:
        """`p50`, `p99`, `max` of `whole()`, and the same of each stage under `stages`."""
        whole = self.whole().summary_us()
        by_stage = {name: histogram.summary_us() for name, histogram in self.stages.items()}
        return {"p50": whole["p50"], "p99": whole["p99"], "max": whole["max"], "stages": by_stage}
