"""Whole recordings: samples per second of each stage alone, and of real records, whose heart it may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge
from benchmarks.latency.engine_step import OFFLINE_S, inputs
from benchmarks.timing import collection_off
from edge.bundle import Bundle, load_bundle
from edge.engines.registry import open_engine
from edge.lead_set import LeadSet
from edge.progress import followed
from edge.signal.conditioning import Conditioner
from edge.signal.resampling import RateConverter
from firmware_bridge.events import Samples
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable
from firmware_bridge.wire.decoder import WireDecoder
from quantize.data import load
from quantize.errors import QuantizeError

READ_BYTES = 4096  # what a serial port hands over at once when it is behind
DEVICE_HZ = 500.0
REPEATS = 5
RECORD_S = 300.0  # a record of ten seconds, over and over
Stage = Callable[[], int]
"""One pass over the signal; samples per lead that it took."""


def measure_stages_offline(model: Path | None, engine: str, seconds: float) -> dict[str, Any]:
    """Samples per second of each stage alone, as fast as it can; the median of several passes."""
    results = {}
    ready = stages(model, engine, seconds)
    for name, (make, hz) in followed(ready.items(), "stages", calm=True):
        stage = make()
        with collection_off():
            stage()
            rates = [_rate(stage) for _ in range(REPEATS)]
        results[name] = {
            "samples_per_s": median(rates),
            "times_real_time": median(rates) / hz,
            "sampling_hz": hz,
        }
    return results


def measure_real_records(
    model: Path | None, engine: str, n: int, seconds: float = RECORD_S
) -> dict[str, Any]:
    """`edge.reconstruct` of `n` records with tall QRS and `n` with small; `absent` says why."""
    try:
        records = np.concatenate(real_records(n, seconds))
    except QuantizeError as error:
        return {"absent": str(error)}
    return measure_records(records, model, engine)


def measure_records(
    records: NDArray[np.float32], model: Path | None, engine: str = "auto"
) -> dict[str, Any]:
    """`edge.reconstruct` of each of (n, 3, n_samples) records, in turn: no heart is to be slower."""
    hz = load_bundle(model).manifest.sampling_hz
    times = np.empty((REPEATS, len(records)))
    with collection_off():
        for repeat in range(-1, REPEATS):  # the first is for the caches
            for i, record in enumerate(records):
                begun = process_time()
                edge.reconstruct(record, hz, model=model, engine=engine)
                times[max(repeat, 0), i] = process_time() - begun
    speed = records.shape[2] / hz / times.min(0)
    return {
        "records": len(records),
        "clock": "CPU time of the process, times real time",
        "slowest": float(speed.min()),
        "median": float(np.median(speed)),
        "fastest": float(speed.max()),
        "fastest_over_slowest": float(speed.max() / speed.min()),
    }


def real_records(
    n: int, seconds: float = RECORD_S
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """II, V1 and V5 in mV of the `n` PTB-XL records with the tallest QRS, and with the smallest: (n, 3, m).

    Each is played over and over for `seconds`. Raises QuantizeError where the recordings are not there.
    """
    records = load("test")
    ecg_mv = records.millivolts(edge.INPUT_LEADS)
    middle = np.median(ecg_mv, axis=2, keepdims=True)
    size = np.percentile(np.abs(ecg_mv - middle), 99.5, axis=2).max(1)
    order = np.argsort(size)
    times = max(1, round(seconds * records.sampling_hz / ecg_mv.shape[2]))
    tall, small = (np.tile(ecg_mv[rows], times) for rows in (order[-n:], order[:n]))
    return tall, small


def stages(
    model: Path | None, engine: str, seconds: float
) -> dict[str, tuple[Callable[[], Stage], float]]:
    """What makes each stage ready, by name, and the rate of the samples that it takes."""
    bundle = load_bundle(model)
    leads, hz = LeadSet(bundle.manifest).measured, bundle.manifest.sampling_hz

    def reconstruct(rate: float) -> Stage:
        ecg_mv = _signal(seconds, rate, leads)

        def run() -> int:
            edge.reconstruct(ecg_mv, rate, leads, model, engine)
            return int(ecg_mv.shape[1])

        return run

    return {
        "decoder": (lambda: _decoder(seconds), DEVICE_HZ),
        "rate_conversion": (lambda: _rate_conversion(seconds, hz), DEVICE_HZ),
        "conditioning": (lambda: _conditioning(bundle, seconds), hz),
        "engine_offline": (lambda: _engine(bundle, engine, seconds), hz),
        "reconstruct": (lambda: reconstruct(hz), hz),
        "reconstruct_500_hz": (lambda: reconstruct(DEVICE_HZ), DEVICE_HZ),
    }


def _rate(stage: Stage) -> float:
    begun = perf_counter()
    n = stage()
    return n / (perf_counter() - begun)


def _signal(seconds: float, hz: float, leads: tuple[str, ...]) -> Any:
    signal = EcgSimulator(hz, baseline_mv=0.03, muscle_mv=0.005)
    return signal.read(round(seconds * hz))[[signal.leads.index(lead) for lead in leads]]


def _decoder(seconds: float) -> Stage:
    wearable = VirtualWearable(EcgSimulator(DEVICE_HZ), vary_frames=False)
    frames = []
    while (frame := wearable.next_frame()) is not None and frame.due_s <= seconds:
        frames.append(frame.data)
    data = b"".join(frames)

    def run() -> int:
        decoder, n = WireDecoder(), 0
        for start in range(0, len(data), READ_BYTES):
            for event in decoder.receive_data(data[start : start + READ_BYTES]):
                if isinstance(event, Samples):
                    n += event.counts.shape[1]
        return n

    return run


def _rate_conversion(seconds: float, output_hz: float) -> Stage:
    ecg_mv = _signal(seconds, DEVICE_HZ, edge.INPUT_LEADS)
    packets = np.array_split(ecg_mv, max(1, round(seconds * 25)), axis=1)

    def run() -> int:
        converter = RateConverter(DEVICE_HZ, output_hz)
        for packet in packets:
            converter.push(packet)
        return int(ecg_mv.shape[1])

    return run


def _conditioning(bundle: Bundle, seconds: float) -> Stage:
    m = bundle.manifest
    ecg_mv = _signal(seconds, m.sampling_hz, LeadSet(m).measured)
    ecg_mv = ecg_mv[:, : ecg_mv.shape[1] // m.hop * m.hop]

    def run() -> int:
        Conditioner(m.conditioning, m.sampling_hz, len(ecg_mv), m.hop).push(ecg_mv)
        return int(ecg_mv.shape[1])

    return run


def _engine(bundle: Bundle, name: str, seconds: float) -> Stage:
    m = bundle.manifest
    engine = open_engine(bundle, name).engine
    given = inputs(m, max(1, round(min(OFFLINE_S, seconds) * m.sampling_hz / m.hop)))
    pieces = max(1, round(seconds / OFFLINE_S))

    def run() -> int:
        for _ in range(pieces):
            engine.step(*given)
        return int(pieces * given[0].shape[-1] * m.hop)

    return run
