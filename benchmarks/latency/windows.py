"""Networks that see a whole window beside one hop of ours: CPU time on one thread, in one run.

WearECG's network at full size has random weights here: its authors publish none, and the time does not depend
on them. The narrow networks are trained here, on the records that trained ours.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time_ns
from typing import Any

import numpy as np

from benchmarks.latency.engines import one_thread_of_torch
from benchmarks.latency.hops import push_of_a_hop
from benchmarks.ratios import ratio
from benchmarks.report import percentiles
from benchmarks.timing import Step, collection_off, time_calls
from edge.bundle import Bundle
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, lead_indices
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator

WINDOW_S = 10.0
ROUNDS = 12
HOPS = 250  # of a round, beside each window
WEARECG_FULL = "WearECG VAE, full size, random weights"
SEED = 0  # of the random weights


def measure_windows(bundle: Bundle, engine: str = "auto", rounds: int = ROUNDS) -> dict[str, Any]:
    """CPU time in us of each network's window of ten seconds, and of a push of one hop, in turn.

    `hop_over_window` is the ratio of a whole push to the window, both at the bundle's rate. Raises
    BenchmarkError without torch.
    """
    m = bundle.manifest
    n = round(WINDOW_S * m.sampling_hz)
    signal = EcgSimulator(m.sampling_hz, baseline_mv=0.03, muscle_mv=0.005)
    rows = [signal.leads.index(lead) for lead in LEADS]
    ecg_mv = signal.read(n)[rows].astype(np.float32)
    skipped: dict[str, str] = {}
    with (
        one_thread_of_torch(),
        Reconstructor.open(bundle, engine) as r,
        collection_off(),
    ):
        push, name = push_of_a_hop(r), r.engine.name
        networks = _networks(bundle, ecg_mv, skipped)
        for step, _ in networks.values():
            step()
        hops: dict[str, list[Any]] = {key: [] for key in networks}
        windows: dict[str, list[Any]] = {key: [] for key in networks}
        for _ in range(rounds):
            for key, (step, _) in networks.items():
                windows[key].append(time_calls(step, 1, thread_time_ns))
                push()
                hops[key].append(time_calls(push, HOPS, thread_time_ns))
    found: dict[str, Any] = {}
    for key, (_, n_weights) in networks.items():
        window, hop = np.array(windows[key]), np.array(hops[key])
        found[key] = {
            **percentiles(window / 1e3),
            "weights": n_weights,
            "hop_us": float(np.median(hop)) / 1e3,
            "hop_over_window": ratio(hop, window),
        }
    return {
        "unit": "us",
        "clock": "CPU time of the thread",
        "engine": name,
        "window_s": WINDOW_S,
        "sampling_hz": m.sampling_hz,
        "seed": SEED,
        "networks": found,
        "skipped": skipped,
    }


def _networks(bundle: Bundle, ecg_mv: Any, skipped: dict[str, str]) -> dict[str, tuple[Step, int]]:
    """A step over the window, and the number of weights, of each network whose weights are here."""
    import torch

    from benchmarks.fidelity.rivals import L2G, WEARECG
    from edge.lead_subsets import class_of, known
    from quantize.aae_train import load_aae
    from quantize.errors import QuantizeError
    from quantize.feed import ALL_ON, Feed
    from quantize.teacher import load_teacher
    from quantize.vae import VaeConfig, WearEcgVae
    from quantize.vae_train import load_vae

    m = bundle.manifest
    twelve = torch.from_numpy(ecg_mv[None])
    eight = ecg_mv[None, list(lead_indices(INDEPENDENT_LEADS))]
    torch.manual_seed(SEED)
    full = WearEcgVae(VaeConfig(sampling_hz=m.sampling_hz)).eval()

    def teacher() -> tuple[Any, tuple[Any, ...]]:
        feed = Feed(m.conditioning, m.moments, m.hop)
        batch = feed.prepare(eight, m.sampling_hz, np.full(1, ALL_ON))
        return load_teacher()[0], (batch.ecg, batch.mask, batch.anchor)

    def aae() -> tuple[Any, tuple[Any, ...]]:
        seen = torch.from_numpy(known(class_of(INPUT_LEADS))[None])
        return load_aae()[0], (twelve, seen)

    makers: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
        WEARECG_FULL: lambda: (full, (twelve,)),
        WEARECG: lambda: (load_vae()[0], (twelve,)),
        L2G: aae,
        "teacher": teacher,
    }
    found: dict[str, tuple[Step, int]] = {}
    for name, make in makers.items():
        try:
            network, given = make()
        except QuantizeError as error:
            skipped[name] = str(error)
            continue

        def step(network: Any = network, given: tuple[Any, ...] = given) -> object:
            with torch.no_grad():
                return network(*given)

        found[name] = step, sum(p.numel() for p in network.parameters())
    return found
