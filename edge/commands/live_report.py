"""The report of a live run: made, written as JSON, and put into words."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from edge.commands.expectation import expected_of
from edge.commands.outputs import write_output
from edge.live.memory import read_memory

if TYPE_CHECKING:
    from edge.live.runtime import Runtime
    from edge.reconstructor import Reconstructor


def live_report(runtime: Runtime, reconstructor: Reconstructor) -> dict[str, object]:
    """The runtime's report, with the engine, the model and the memory of this process."""
    said = runtime.reconstruction
    if said is not None:  # nothing was decoded here
        return runtime.report() | {
            "expected": None,
            "engine_skipped": {},
            "engine_details": {},
            "bundle_sha256": "",
            "device_model": said.model,
            "patient": None,
            "peak_memory_mb": peak_memory_mb(),
        }
    found = expected_of(reconstructor)
    return runtime.report() | {
        "expected": None if found is None else found.as_dict(),
        "engine_skipped": reconstructor.skipped,
        "engine_details": reconstructor.engine.details(),
        "bundle_sha256": reconstructor.bundle.sha256,
        "patient": None if reconstructor.patient is None else reconstructor.patient.summary(),
        "peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float | None:
    """The most memory that this process has had resident, in MB; None where the system does not say."""
    peak_mb = read_memory().peak_mb
    return None if math.isnan(peak_mb) else peak_mb


def write_report(path: str, report: dict[str, object], *, overwrite: bool = False) -> None:
    """Write `report` as JSON. Raises SinkError if that fails."""
    write_output("the report", path, json.dumps(report, indent=2) + "\n", overwrite=overwrite)


def nothing_came(runtime: Runtime, seconds: float | None) -> str:
    """Why a run that nobody stopped has nothing to show."""
    n = runtime.ingest.counters.samples_in
    if seconds is not None and n:
        why = f"{seconds:g} s are less than the decoder takes at once: give --seconds more"
    else:
        why = f"{runtime.source_name} ended after {n} samples"
    return f"nothing was reconstructed or recorded: {why}"


def exit_code(report: dict[str, Any]) -> int:
    """0 for a live run that did all it was asked; 1 where an output failed, or nothing came to write."""
    return 1 if report["sink_failures"] or report["outcome"] != "done" else 0


def summary(report: dict[str, Any]) -> str:
    """What a person wants to know at the end of a live run, a fact per line."""
    latency = report["latency_us"]
    model = report.get("device_model") or report["bundle_sha256"][:12]
    outputs = ", ".join(report["outputs"] if report["samples_out"] else ()) or "none"
    patient = report["patient"]
    calibration = (
        "none: the device's decoder"
        if "device_model" in report
        else "none: the population's decoder"
        if patient is None
        else f"{patient['reference']['name']}, {patient['reference']['seconds']:g} s"
    )
    return "\n".join(
        [
            f"seconds    {report['seconds']:.1f}",
            f"samples    {report['samples_in']} in at {report['device_hz']:g} Hz, "
            f"{report['samples_out']} out at {report['sampling_hz']:g} Hz, "
            f"{report['samples_lost']} lost in {report['gaps']} gaps, "
            f"{report['reconnects']} reconnects",
            f"latency    p50 {latency['p50'] / 1e3:.2f} ms, p99 {latency['p99'] / 1e3:.2f} ms "
            f"from last byte to sink; {report['deadline_misses']} deadline misses",
            f"engine     {report['engine']}, model {model}",
            f"patient    {calibration}",
            f"outputs    {outputs}",
            *(f"warning    {line}" for line in report["warnings"]),
        ]
    )
