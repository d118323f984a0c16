"""One recording through the real runtime and its faults, and the invariants that broke."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soak.account import Account, Tap
from benchmarks.soak.collector import Collector
from benchmarks.soak.comparison import Compared, compare
from benchmarks.soak.device import DEVICE_HZ, FaultyDevice, Truth
from benchmarks.soak.looker import Looker
from benchmarks.soak.schedule import Fault, Kind, draw, one_of_each
from benchmarks.soak.transport import HELD_BY, Gates, HeldReconstructor, VirtualPort
from edge.files.recording import Metadata
from edge.files.records import open_record
from edge.files.repair import pack_spool
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from edge.sinks import open_sink
from edge.sinks.base import AddressedSink, Sink
from firmware_bridge.links import Link
from firmware_bridge.source import Source
from firmware_bridge.wire.spec import DELIMITER

RECOVERY_S = 3.0
FORMATS = ("edf", "npz", "csv", "hea")
WRITTEN_MV = 0.003  # the coarsest step of those formats
RECONNECT_S = 60.0


@dataclass
class Episode:
    """What one episode came to."""

    seed: tuple[int, int]
    seconds: float
    faults: list[Fault]
    broken: list[str] = field(default_factory=list)
    """Invariants that did not hold, a line each."""
    recovery_s: dict[str, float] = field(default_factory=dict)
    """Longest time from the end of a fault to the first clean sample, by kind."""
    felt: dict[str, int] = field(default_factory=dict)
    """Frames and moments at which a fault did what it does, by kind."""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class Equipment:
    """What all episodes share, so that memory tells of the live path."""

    live: Reconstructor
    reference: Reconstructor
    collector: Collector
    gates: Gates
    folder: Path
    small: Path | None
    """A file system that soon is full; None where this machine lets nobody make one."""
    view: bool


def run_episode(
    tools: Equipment, seed: tuple[int, int], seconds: float, every_kind: bool = False
) -> Episode:
    """Draw, run, check. The same seed gives the same faults and the same bytes."""
    rng = np.random.default_rng(seed)
    faults = one_of_each(rng) if every_kind else draw(rng, seconds)
    if not tools.view:
        faults = [fault for fault in faults if fault.kind is not Kind.KILLED_VIEWER]
    truth = Truth(seconds, int(rng.integers(2**31)))
    device, tap, episode = FaultyDevice(truth, faults, rng), Tap(), Episode(seed, seconds, faults)
    kind = FORMATS[seed[1] % len(FORMATS)]
    files = {"whole": tools.folder / f"whole.{kind}"}
    if tools.small is not None:
        files["full"] = tools.small / f"full.{kind}"
    for path in files.values():
        clear(path)
    tools.live.reset()
    tools.collector.begin()
    tools.gates.release()
    tools.gates.waited.clear()
    hz = tools.live.sampling_hz
    sinks: dict[str, Sink] = {"collector": tools.collector}
    for name, path in files.items():
        sinks[name] = open_sink(f"file:{path}", hz, metadata=Metadata())
    if tools.view:
        sinks["view"] = open_sink("view:0", hz)
    held = HeldReconstructor(tools.live, tools.gates)
    viewer = sinks.get("view")
    looker = Looker(viewer.address if isinstance(viewer, AddressedSink) else "")

    def waiting() -> int:
        counters = runtime.ingest.counters
        overrun = runtime.samples_lost - counters.samples_lost
        return counters.samples_in + counters.samples_interpolated - overrun - held.pushed

    port = VirtualPort(device, faults, tools.gates, waiting, looker.follow)
    link = Link(port, tap, "wire", resync=DELIMITER, reconnect_s=RECONNECT_S, simulated=True)
    runtime = Runtime(Source(link, name="soak:"), held, sinks)
    try:
        runtime.run()
    except Exception as error:  # whatever ends the run breaks the first of all invariants
        episode.broken.append(f"the run ended: {type(error).__name__}: {error}")
    finally:
        looker.close()
        tools.gates.release()
    account = Account(tap.packets, device.session_starts, truth.codes)
    compared = compare(tools.collector, truth.ecg_mv, account.begins, tools.reference)
    episode.broken += tools.collector.broken + compared.broken
    _check_account(
        episode, runtime.report(), account, compared, device, tools.collector, tools.live.hop
    )
    waited = {kind.label: tools.gates.waited[name] for kind, name in HELD_BY.items()}
    episode.felt = {kind.label: n for kind, n in device.felt.items()} | waited
    episode.felt[Kind.KILLED_VIEWER.label] = looker.killed
    _check_recovery(episode, compared)
    _check_files(episode, runtime, files, tools.collector)
    return episode


def clear(path: Path) -> None:
    """Remove a recording and what belongs to it."""
    for old in path.parent.glob(f"{path.stem}*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def _check_account(
    episode: Episode,
    report: dict[str, Any],
    account: Account,
    compared: Compared,
    device: FaultyDevice,
    out: Collector,
    hop: int,
) -> None:
    """Every sample that was taken came out, or is counted as lost once."""
    said = episode.broken.append
    if account.wrong or account.again:
        said(f"the decoder gave {account.wrong} wrong values and {account.again} samples twice")
    not_heard = sum(int((~account.arrived[a:b]).sum()) for a, b in device.must_arrive)
    if not_heard:
        said(f"{not_heard} samples came whole and were not decoded")
    overrun = report["samples_overrun"]
    if report["samples_lost"] - overrun != account.lost:
        said(f"{report['samples_lost'] - overrun} samples are called lost, {account.lost} were")
    taken = report["samples_in"] + report["samples_before_info"]
    if taken != int(account.arrived.sum()):
        said(f"{taken} samples are called taken, {int(account.arrived.sum())} arrived")
    made_up = int((compared.placed & ~compared.filled & ~account.arrived).sum())
    if made_up:
        said(f"{made_up} samples that never arrived came out without a flag")
    never_out = int((account.arrived & ~compared.placed).sum()) - report["samples_before_info"]
    filled_out = int((compared.filled & ~account.arrived).sum())
    never_out += report["samples_interpolated"] - filled_out  # the ring overruns filled ones, too
    spare = (hop - 1) * len(out.runs) + compared.unplaced
    if not overrun <= never_out <= overrun + spare and not compared.unplaced:
        said(f"{never_out} samples never came out, {overrun} are called overrun, {spare} held back")
    starved = any(fault.kind is Kind.STARVED_INFERENCE for fault in episode.faults)
    if overrun and not starved:
        said(f"{overrun} samples overrun, and inference was never held up for long")
    episode.figures = {
        "taken": int(account.arrived.size),
        "arrived": int(account.arrived.sum()),
        "lost": account.lost,
        "overrun": overrun,
        "interpolated": report["samples_interpolated"],
        "corrupt": report["corrupt"],
        "duplicates": report["duplicates"],
        "late": report["late"],
        "restarts": report["restarts"],
        "reconnects": report["reconnects"],
        "gaps": report["gaps"],
        "unplaced": compared.unplaced,
        "values_compared": compared.compared,
        "undisturbed_error_mv": compared.same_mv,
        "measured_error_mv": compared.measured_mv,
        "error_of_tolerance": compared.of_tolerance,
    }


def _check_recovery(episode: Episode, compared: Compared) -> None:
    """After each fault that no other follows within the bound, a sample without a flag in time."""
    for fault in episode.faults:
        end_s = fault.end_s
        until_s = end_s + RECOVERY_S
        others = (f for f in episode.faults if f is not fault)
        if any(f.begin_s < until_s and f.end_s > end_s for f in others):
            continue
        if until_s > episode.seconds:
            continue
        after = np.flatnonzero(compared.clean[round(end_s * DEVICE_HZ) :])
        took_s = float(after[0]) / DEVICE_HZ if len(after) else float("inf")
        label = fault.kind.label
        episode.recovery_s[label] = max(took_s, episode.recovery_s.get(label, 0.0))
        if took_s > RECOVERY_S and not compared.unplaced:
            episode.broken.append(
                f"{took_s:.2f} s to recover from {label} that ended at {end_s:.2f} s"
            )


def _check_files(
    episode: Episode, runtime: Runtime, files: dict[str, Path], out: Collector
) -> None:
    """What was recorded can be read, and is what came out; a full disk costs what came after it."""
    for name, path in files.items():
        failed = runtime.sink_failures.get(name)
        if failed is not None and name == "whole":
            episode.broken.append(f"the recording failed: {failed}")
        try:
            spool = path.with_name(f"{path.name}.part")
            if spool.is_dir():  # there was no room to pack it
                path = path.parent.parent / f"mended{path.suffix}"
                with path.open("wb") as mended:
                    pack_spool(spool, mended)
            with open_record(path) as record:
                error = _unlike(record.read(0, record.n_samples), out, whole=failed is None)
        except Exception as reason:
            error = f"{type(reason).__name__}: {reason}"
        if error:
            episode.broken.append(f"{path.name} ({'full disk' if failed else 'whole'}): {error}")
    others = [name for name in runtime.sink_failures if name not in files]
    episode.broken += [f"{name} failed: {runtime.sink_failures[name]}" for name in others]
    episode.figures["full_disks"] = int("full" in runtime.sink_failures)


def _unlike(read: np.ndarray[Any, Any], out: Collector, *, whole: bool) -> str:
    """What is wrong with what was read; empty where nothing is."""
    begin = out.runs[0][0]
    end = out.runs[-1][0] + out.runs[-1][2] - begin
    if whole and read.shape[1] < end:
        return f"{read.shape[1]} samples of {end}"
    worst = 0.0
    for first, column, n in out.runs:
        at = first - begin
        piece = read[:, at : at + n]
        wrote = out.ecg_mv[:, column : column + piece.shape[1]]
        there = np.isfinite(wrote)  # EDF has no word for a value that is none
        if not np.isfinite(piece[there]).all():
            return f"samples are missing that came out, after {at}"
        worst = max(worst, float(np.abs(piece[there] - wrote[there]).max(initial=0.0)))
    return "" if worst <= WRITTEN_MV else f"{worst:.4f} mV off"
