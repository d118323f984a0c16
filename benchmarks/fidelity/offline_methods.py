"""The full-precision methods that see a whole record at once: teachers, to measure the student against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fidelity.methods import LIMB_ROWS, Predictions
from benchmarks.fidelity.rivals import L2G, WEARECG, l2g, wearecg
from edge.bundle import Bundle
from edge.leads import INPUT_LEADS, LIMB_FROM_I_II, RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records

BATCH = 16  # records at once


@dataclass(frozen=True)
class OfflineMethod:
    """A way from three leads to twelve that cannot stream."""

    name: str
    what: str
    """For the reader of a report."""
    predict: Callable[[Bundle, Predictions, Records], Predictions]
    """From the shipped bundle, its predictions (for the measured leads) and the records."""
    has_sigma: bool


def offline_methods(
    teacher: Path, vae: Path, aae: Path
) -> tuple[tuple[OfflineMethod, ...], dict[str, str]]:
    """The methods whose weights are there, and for each other why it was skipped."""
    methods: list[OfflineMethod] = []
    skipped: dict[str, str] = {}
    for name, file, make in (
        ("teacher", teacher, _teacher_method),
        (WEARECG, vae, _rival_method),
        (L2G, aae, _rival_method),
    ):
        if file.exists():
            methods.append(make(name, file))
        else:
            skipped[name] = f"skipped: its weights {file.name} are not here"
    return tuple(methods), skipped


def _teacher_method(name: str, file: Path) -> OfflineMethod:
    import torch

    from quantize.feed import ALL_ON, Feed, samples_from_frames
    from quantize.teacher import load_teacher

    teacher, card = load_teacher(file)

    def predict(bundle: Bundle, streamed: Predictions, records: Records) -> Predictions:
        m = bundle.manifest
        feed = Feed(m.conditioning, m.moments, m.hop)
        n = streamed.ecg_mv.shape[-1]
        inputs, outputs = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)
        ecg, sigma = streamed.ecg_mv.copy(), np.empty_like(streamed.sigma_mv)
        for start in range(0, len(records), BATCH):
            at = slice(start, start + BATCH)
            ecg_mv = records.ecg_uv[at, :, :n].astype(np.float32) / np.float32(1000)
            batch = feed.prepare(ecg_mv, records.sampling_hz, np.full(len(ecg_mv), ALL_ON))
            with torch.no_grad():
                residual, log_sigma = teacher(batch.ecg, batch.mask, batch.anchor)
            base = feed.anchors[ALL_ON] @ ecg[at][:, inputs]
            ecg[at, outputs] = base + samples_from_frames(residual).numpy()
            sigma[at] = samples_from_frames(log_sigma).exp().numpy()
        return _twelve(ecg, sigma, streamed)

    return OfflineMethod(name, f"anchored, not causal, sha256 {card['sha256'][:16]}", predict, True)


def _rival_method(name: str, file: Path) -> OfflineMethod:
    rival = {WEARECG: wearecg, L2G: l2g}[name](file)

    def predict(bundle: Bundle, streamed: Predictions, records: Records) -> Predictions:
        outputs = lead_indices(RECONSTRUCTED_LEADS)
        ecg = streamed.ecg_mv.copy()
        ecg[:, outputs] = rival.predict(records, INPUT_LEADS)[:, outputs, : ecg.shape[-1]]
        return _twelve(ecg, np.zeros_like(streamed.sigma_mv), streamed)

    return OfflineMethod(name, rival.what, predict, False)


def _twelve(
    ecg: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    sigma: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    streamed: Predictions,
) -> Predictions:
    ecg[:, LIMB_ROWS] = LIMB_FROM_I_II @ ecg[:, :2]
    return Predictions(ecg, sigma, streamed.missing, np.zeros(len(ecg), bool))
