"""What `python -m benchmarks latency` prints of its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.latency.engine_step import OFFLINE_S
from benchmarks.ratios import in_words
from benchmarks.report import PERCENTILES, Table, percentile_name, samples_needed

COLUMNS = (*map(percentile_name, PERCENTILES), "min", "max", "n")
STEPS = {"1": "1 frame", "4": "4 frames", "offline": f"{OFFLINE_S:g} s"}
TOO_FEW_NOTE = "-: too few samples to tell it. " + ", ".join(
    f"{percentile_name(p)} needs {samples_needed(p):,}" for p in PERCENTILES
)


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Those of the parts that were measured."""
    shown = [
        durations(results),
        int8_table(results),
        engines_table(results),
        stages_table(results),
        windows_table(results),
        stream_table(results),
        offline_table(results),
        skipped_table(results),
    ]
    return [table for table in shown if table.rows]


def durations(results: Mapping[str, Any]) -> Table:
    """Percentiles of everything that was timed many times."""
    table = Table("Durations in us", ("what", *COLUMNS))
    for label, found in _timed(results):
        table.add(label, *(found[column] for column in COLUMNS))
    if any(value is None for row in table.rows for value in row):
        table.note = TOO_FEW_NOTE
    return table


def _timed(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    steps = results.get("engine_step", {})
    for name, label in STEPS.items():
        for spelling in ("int8", "float32"):
            if name in steps:
                yield f"engine step {spelling}, {label}", steps[name][spelling]
    for name, one in results.get("engines", {}).get("engines", {}).items():
        yield f"engine step, one hop, {name}", one
    if "push" in results:
        yield f"Reconstructor.push, one hop, {results['push']['engine']}", results["push"]
    if "paced" in results:
        yield "push at the pace of the stream", results["paced"]
    if "live" in results:
        yield "last byte written -> block at sink", results["live"]["processing"]
        yield "frame due -> block at sink", results["live"]["from_schedule"]


def int8_table(results: Mapping[str, Any]) -> Table:
    """What eight bits gain."""
    columns = ("frames", "ratio", "95 % interval", "rounds")
    table = Table("INT8 / float32, ONNX Runtime, one thread each, in turn", columns)
    steps = results.get("engine_step", {})
    for name, label in STEPS.items():
        if name in steps:
            table.add(label, steps[name]["ratio"], in_words(steps[name]), steps[name]["rounds"])
    return table


def engines_table(results: Mapping[str, Any]) -> Table:
    """Engines side by side."""
    columns = ("engine", "p50 us", "/ ONNX Runtime", "95 % interval", "leads differ by, mV")
    table = Table("Engine step, one hop, in turn", columns)
    for name, one in results.get("engines", {}).get("engines", {}).items():
        table.add(name, one["p50"], one["ratio"], in_words(one), one["difference_mv"])
    return table


def stages_table(results: Mapping[str, Any]) -> Table:
    """Where a push goes."""
    found = results.get("stages", {})
    table = Table("A push of one hop by stage, us", ("stage", *found))
    if found:
        for stage in next(iter(found.values()))["stages"]:
            table.add(stage, *(one["stages"][stage] for one in found.values()))
        table.add("push", *(one["push"] for one in found.values()))
    return table


def windows_table(results: Mapping[str, Any]) -> Table:
    """Networks that see ten seconds at once."""
    columns = ("network", "weights", "window, p50 ms", "one hop of ours / window", "95 % interval")
    table = Table("CPU time of a window of 10 s, and of one hop, pushed", columns)
    for name, one in results.get("windows", {}).get("networks", {}).items():
        hop, p50 = one["hop_over_window"], one["p50"]
        shown = one["min"] if p50 is None else p50
        table.add(name, one["weights"], shown / 1e3, f"1/{1 / hop['ratio']:,.0f}", in_words(hop))
    return table


def stream_table(results: Mapping[str, Any]) -> Table:
    """Deadlines, jitter, energy, and what no faster machine takes away."""
    table = Table("At the pace of the stream", ("what", "value", "unit"))
    if "paced" in results:
        at_pace = results["paced"]
        table.add("deadline misses", at_pace["deadline_misses"], f"of {at_pace['n']:,}")
        for what in ("woken_late", "jitter"):
            table.add(f"{what.replace('_', ' ')}, p50", at_pace[what]["p50"], "us")
            table.add(f"{what.replace('_', ' ')}, p99", at_pace[what]["p99"], "us")
    if "live" in results:
        live = results["live"]
        table.add(
            "live: deadline misses", live["deadline_misses"], f"of {live['samples_out']:,} samples"
        )
        table.add("live: samples lost", live["samples_lost"], "")
        table.add("live: CPU of one core", 100 * live["cpu_share"], "%")
        for part, value in live["algorithmic_ms"].items():
            table.add(f"live: {part.replace('_', ' ')}, of the algorithm", value, "ms")
    energy = results.get("energy", {})
    if "absent" in energy:
        table.add("energy", None, energy["absent"])
    elif energy:
        for load in ("idle", "paced", "back_to_back"):
            table.add(f"power, {load.replace('_', ' ')}", _watts(energy[load]), "W")
        if "hop_mj" in energy:
            table.add("energy of a hop beyond idling", energy["hop_mj"], "mJ")
    return table


def _watts(found: float | Mapping[str, float]) -> object:
    if isinstance(found, Mapping):
        return ", ".join(f"{rail} {watts:.3g}" for rail, watts in found.items())
    return found


def offline_table(results: Mapping[str, Any]) -> Table:
    """Whole recordings."""
    table = Table("Whole recordings, times real time", ("what", "value"))
    for name, one in results.get("stages_offline", {}).items():
        table.add(name.replace("_", " "), one["times_real_time"])
    if "reconstruct" in results:
        found = results["reconstruct"]
        table.add("edge.reconstruct in a fresh process", found["times_real_time"])
        table.add("memory beyond input and output, MB", found["extra_mb"])
    real = results.get("reconstruct_real", {})
    for which in ("slowest", "median", "fastest"):
        if which in real:
            table.add(f"edge.reconstruct, {which} of {real['records']} real records", real[which])
    if "slowest" in real:
        table.add("fastest / slowest real record", real["fastest_over_slowest"])
    return table


def skipped_table(results: Mapping[str, Any]) -> Table:
    """What was not measured, and why."""
    table = Table("Not measured", ("what", "why"))
    for part in ("engines", "windows"):
        for name, why in results.get(part, {}).get("skipped", {}).items():
            table.add(name, why)
    if "absent" in results.get("reconstruct_real", {}):
        table.add("real records", results["reconstruct_real"]["absent"])
    return table
