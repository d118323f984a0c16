"""`python -m benchmarks peers`: our ring, filters and reader beside those of others."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.file_peers import LENGTHS, cleaning, reading
from benchmarks.ratios import in_words, ratio
from benchmarks.report import Result, Table, percentiles
from benchmarks.timing import WARM_UP_S, Step, time_in_turn
from edge.bundle import load_bundle
from edge.live.ring import Ring
from edge.progress import followed, progress
from edge.signal.conditioning import Conditioner, sections
from firmware_bridge.extras import install_extra

RATES_HZ = (250.0, 1000.0, 10_000.0)
CHANNELS = 3
BUFFER_S = 12.0
WINDOW_S = 10.0  # what a display reads over and over
CHUNK_S = 0.04  # what a device sends at once
ROUNDS, BURST = 100, 8
OURS = "leadlift"
PLAYED = 500  # samples of BrainFlow's file, over and over
FILLED_S = 60.0  # it sleeps between samples, so that ten seconds of fast ones take longer


class AbsentError(Exception):
    """A peer that is not installed, or does not start here; the text says which."""


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "peers", help="our ring, filters and reader beside those of others"
    )
    parser.add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    parser.add_argument("--rates", type=float, nargs="+", default=list(RATES_HZ), metavar="HZ")
    parser.add_argument(
        "--records", nargs="+", default=[*LENGTHS], choices=LENGTHS, help="that are read whole"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each comparison")
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Ours first in each comparison; every ratio is the peer's time over ours, of the same rounds."""
    results: dict[str, Any] = {"read": {}, "push": {}, "reading": {}, "skipped": {}}
    for hz in followed(arguments.rates, "rings", calm=True):
        steps: dict[str, dict[str, Step]] = {"push": {}, "read": {}}
        with ExitStack() as stack:
            for name, peer in PEERS.items():
                try:
                    found = stack.enter_context(peer(hz))
                except AbsentError as error:
                    results["skipped"][f"{name}, {hz:g} Hz"] = str(error)
                    continue
                for what, step in found.items():
                    steps[what][name] = step
            for what, by_name in steps.items():
                results[what][f"{hz:g}"] = compared(by_name, arguments.rounds)
    results["contiguous_read_copies"] = copies()
    with progress("filters and files", calm=True):
        results["conditioning"] = compared(_conditioning(arguments.model), arguments.rounds)
        for length in arguments.records:
            with reading(*LENGTHS[length], results["skipped"]) as steps_of_files:
                results["reading"][length] = compared(steps_of_files, arguments.rounds, burst=1)
        whole = cleaning(arguments.model, WINDOW_S, results["skipped"])
        results["cleaning"] = compared(whole, arguments.rounds, burst=1)
    return Result(results, tables(results))


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Everybody side by side, and who could not be measured."""
    columns = ("what", "who", "p50 us", "times ours", "95 % interval", "rounds")
    table = Table("Peers, in turn", columns)
    rows = [
        (f"{what} at {hz} Hz", by) for what in ("push", "read") for hz, by in results[what].items()
    ]
    rows.append(("conditioning of one hop", results["conditioning"]))
    rows += [(f"reading a WFDB record, {of}", by) for of, by in results.get("reading", {}).items()]
    if "cleaning" in results:
        rows.append((f"conditioning of {WINDOW_S:g} s, three leads at once", results["cleaning"]))
    for what, by_name in rows:
        for name, one in by_name.items():
            table.add(what, name, one["p50"], one["ratio"], in_words(one), one["rounds"])
    table.note = f"A contiguous read of ours takes {results['contiguous_read_copies']} copies."
    skipped = Table("Not measured", ("who", "why"))
    for name, why in results["skipped"].items():
        skipped.add(name, why)
    return [table, *([skipped] if skipped.rows else [])]


def copies() -> int:
    """Copies that a read of a window of our ring takes where it is contiguous: 0 if two share memory."""
    ring = Ring(CHANNELS, 1000)
    ring.write(*(np.zeros((CHANNELS, ring.capacity), kind) for kind in (np.float32, np.uint8)))
    one, other = (ring.reader(0).view() for _ in range(2))
    pairs = ((one.ecg_mv, other.ecg_mv), (one.quality, other.quality))
    return sum(not np.shares_memory(a, b) for a, b in pairs)


def compared(
    steps: dict[str, Step],
    rounds: int = ROUNDS,
    warm_up_s: float = WARM_UP_S / 5,
    burst: int = BURST,
) -> dict[str, Any]:
    """Durations in us by name, and the ratio to the first of them with a 95 % bootstrap interval."""
    durations = time_in_turn(steps, rounds, burst, warm_up_s)
    ours = next(iter(durations.values()))
    return {
        name: {"unit": "us", **percentiles(ns / 1e3), **ratio(ns, ours)}
        for name, ns in durations.items()
    }


@contextmanager
def _ours(hz: float) -> Iterator[dict[str, Step]]:
    ring = Ring(CHANNELS, round(BUFFER_S * hz))
    chunk = _chunk(hz)
    quality = np.zeros(chunk.shape, np.uint8)
    n = round(WINDOW_S * hz)
    while ring.written < ring.capacity:
        ring.write(chunk, quality)
    yield {
        "push": lambda: ring.write(chunk, quality),
        "read": lambda: ring.reader(ring.written - n).view(),
    }


@contextmanager
def _ours_copied(hz: float) -> Iterator[dict[str, Step]]:
    """As `_ours`, but the window is the reader's own."""
    ring = Ring(CHANNELS, round(BUFFER_S * hz))
    ring.write(*(np.zeros((CHANNELS, ring.capacity), kind) for kind in (np.float32, np.uint8)))
    n = round(WINDOW_S * hz)
    yield {"read": lambda: ring.reader(ring.written - n).read()}


@contextmanager
def _mne_lsl(hz: float) -> Iterator[dict[str, Step]]:
    """A stream of MNE-LSL. Its buffer is filled from LSL alone, so that a push is outlet, network, inlet."""
    try:
        from mne_lsl.lsl import StreamInfo, StreamOutlet
        from mne_lsl.stream import StreamLSL
    except ImportError as error:
        raise AbsentError(f"{error}: {install_extra('peers')}") from error
    name = f"leadlift-peers-{hz:g}"
    info = StreamInfo(name, "ECG", CHANNELS, hz, "float32", name)
    outlet = StreamOutlet(info)
    chunk = np.ascontiguousarray(_chunk(hz).T)
    stream = StreamLSL(BUFFER_S, name=name)
    try:
        stream.connect(acquisition_delay=None, timeout=10.0)
    except RuntimeError as error:
        raise AbsentError(f"its stream does not connect: {error}") from error

    def push() -> None:
        outlet.push_chunk(chunk)
        stream.acquire()

    try:
        push()
        yield {"push": push, "read": lambda: stream.get_data(winsize=WINDOW_S, picks=[0, 1, 2])}
    finally:
        stream.disconnect()


@contextmanager
def _brainflow(hz: float) -> Iterator[dict[str, Step]]:
    """The buffer behind a board that plays a file at any rate, with all rows of its board; read only.

    Nothing can be put into it from outside, so there is no push. The board has stopped when it is read: its
    thread disturbs nobody.
    """
    try:
        from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams
        from brainflow.data_filter import DataFilter
    except ImportError as error:
        raise AbsentError(f"{error}: {install_extra('peers')}") from error
    BoardShim.disable_board_logger()
    n, master = round(WINDOW_S * hz), BoardIds.SYNTHETIC_BOARD
    played = np.zeros((BoardShim.get_num_rows(master), PLAYED))
    played[BoardShim.get_timestamp_channel(master)] = np.arange(PLAYED) / hz
    with tempfile.TemporaryDirectory() as folder:
        parameters = BrainFlowInputParams()
        parameters.file, parameters.master_board = f"{folder}/played.csv", master
        DataFilter.write_file(played, parameters.file, "w")
        board = BoardShim(BoardIds.PLAYBACK_FILE_BOARD, parameters)
        board.prepare_session()
        try:
            board.config_board("loopback_true")
            board.start_stream(round(BUFFER_S * hz))
            _wait_for(lambda: int(board.get_board_data_count()) >= n, FILLED_S)
            board.stop_stream()
            yield {"read": lambda: board.get_current_board_data(n)}
        finally:
            board.release_session()


PEERS: dict[str, Callable[[float], Any]] = {
    OURS: _ours,
    "leadlift, copied": _ours_copied,
    "MNE-LSL": _mne_lsl,
    "BrainFlow, all rows": _brainflow,
}


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    import time

    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AbsentError(f"its buffer is not full after {seconds:g} s")
        time.sleep(0.1)


def _chunk(hz: float) -> NDArray[np.float32]:
    shape = (CHANNELS, round(CHUNK_S * hz))
    return np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)


def _conditioning(model: Path | None) -> dict[str, Step]:
    """One hop of three leads through the bundle's filters: ours, and SciPy's with nothing around it."""
    from scipy.signal import sosfilt

    m = load_bundle(model).manifest
    conditioner = Conditioner(m.conditioning, m.sampling_hz, CHANNELS, m.hop)
    hop = np.zeros((CHANNELS, m.hop), np.float32)
    for _ in range(1000):
        conditioner.push(hop)
    made = np.empty((2, CHANNELS, m.hop), np.float32)
    first, second = (_sos(part) for part in sections(m.conditioning, m.sampling_hz))
    states = [np.zeros((len(sos), CHANNELS, 2)) for sos in (first, second)]

    def scipy_step() -> None:
        shown, states[0] = sosfilt(first, hop, zi=states[0])
        _, states[1] = sosfilt(second, shown, zi=states[1])

    return {OURS: lambda: conditioner.push_hop(hop, made), "SciPy sosfilt": scipy_step}


def _sos(part: list[tuple[float, float, float, float, float]]) -> NDArray[np.float64]:
    return np.array([(b0, b1, b2, 1.0, a1, a2) for b0, b1, b2, a1, a2 in part])
