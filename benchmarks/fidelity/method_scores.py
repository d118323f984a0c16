"""What a method for II, V1, V5 scores: per record and lead, and over records."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.intervals import Interval, fit_interval, interval_scores, interval_summary
from benchmarks.fidelity.methods import Predictions, truth_mv
from benchmarks.fidelity.scores import METRICS, Array, Bootstrap, record_scores, scored, window
from benchmarks.fidelity.segments import segments
from benchmarks.fidelity.tables import NOT_MEASURED
from edge.leads import LEADS, RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records
from quantize.spectrum import band_ratio_db

SHARPNESS = "sharpness_db"
"""Power from 40 to 100 Hz, predicted over true: of R waves, and of the noise that no method can know."""
BATCH = 64  # records scored at once, in float64: some 50 MB


def headline_scores(scores: dict[str, Array]) -> dict[str, Array]:
    """r and RMSE of each record: means over its five reconstructed leads."""
    return {m: scores[m][:, : len(RECONSTRUCTED_LEADS)].mean(1) for m in ("r", "rmse_uv")}


def lead_scores(made: Predictions, records: Records, interval: Interval | None) -> dict[str, Array]:
    """METRICS, SHARPNESS and `squares` (mV^2), (n_records, 9 leads in the order of NOT_MEASURED).

    With the `interval` of fold 9 also `interval_scores`, of the 5 reconstructed leads.
    """
    rows = lead_indices(NOT_MEASURED)
    parts: dict[str, list[Array]] = defaultdict(list)
    for truth, predicted, sigma, labels in scored_batches(made, records, rows):
        for name, values in record_scores(truth, predicted).items():
            parts[name].append(values)
        errors = predicted - truth
        parts[SHARPNESS].append(band_ratio_db(predicted, truth, records.sampling_hz))
        parts["squares"].append(np.square(errors).mean(-1))
        if interval is not None:
            of = interval_scores(errors[:, : sigma.shape[1]], sigma, labels, interval)
            for name, values in of.items():
                parts[name].append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def summaries(
    scores: dict[str, Array],
    made: Predictions,
    records: Records,
    interval: Interval | None,
    seed: int = 0,
) -> dict[str, Any]:
    """Over records: each lead, the reconstructed five together, the derived four together.

    `headline` and `derived` summarise the mean over their leads of each record. The measured leads are in
    none of them.
    """
    summarised = Bootstrap(records.patient_id, seed).summary
    n_five = len(RECONSTRUCTED_LEADS)
    found: dict[str, Any] = {
        "n_records": len(records),
        "n_patients": len(set(records.patient_id)),
        "records_with_missing_output": int((made.missing > 0).sum()),
        "share_missing": float(made.missing.mean()),
        "headline": {m: summarised(scores[m][:, :n_five].mean(1)) for m in METRICS},
        "derived": {m: summarised(scores[m][:, n_five:].mean(1)) for m in METRICS},
        "by_lead": {
            lead: {m: summarised(scores[m][:, i]) for m in (*METRICS, SHARPNESS)}
            for i, lead in enumerate(NOT_MEASURED)
        },
        "nine_leads": {
            "mse_mv2": float(scores["squares"].mean()),
            "mae_mv": float(scores["mae_uv"].mean()) / 1e3,
        },
        "references_refused": int(made.refused.sum()),
        "interval": None,
    }
    found["worst_variance_ratio"] = min(
        found["by_lead"][lead]["variance_ratio"]["median"] for lead in RECONSTRUCTED_LEADS
    )
    if interval is not None:
        found["interval"] = interval_summary(scores, interval, RECONSTRUCTED_LEADS)
    return found


def write_scores(file: Path, scores: dict[str, Array], records: Records) -> None:
    """A CSV with a line per record and lead. Raises BenchmarkError if it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", newline="", encoding="utf-8") as stream:
            lines = csv.writer(stream)
            lines.writerow(("record_id", "patient_id", "lead", *METRICS))
            for i, (record, patient) in enumerate(
                zip(records.record_id, records.patient_id, strict=True)
            ):
                for j, lead in enumerate(NOT_MEASURED):
                    values = (f"{scores[m][i, j]:.6g}" for m in METRICS)
                    lines.writerow((record, patient, lead, *values))
    except OSError as error:
        raise BenchmarkError(
            f"cannot write {file}: {error.strerror}; choose another place"
        ) from error


def interval_of(made: Predictions, records: Records) -> Interval:
    """The 90 % interval over these records and the five leads."""
    batches = scored_batches(made, records, lead_indices(RECONSTRUCTED_LEADS))
    parts = [(predicted - truth, sigma) for truth, predicted, sigma, _ in batches]
    errors, sigmas = (np.concatenate(values) for values in zip(*parts, strict=True))
    return fit_interval(errors, sigmas)


def scored_batches(made: Predictions, records: Records, rows: list[int]) -> Any:
    """(truth, predicted, sigma, segment of each sample) as scored, a few records at a time."""
    hz, n = records.sampling_hz, made.ecg_mv.shape[-1]
    counts = window(records.ecg_uv.shape[-1], hz)
    for start in range(0, len(records), BATCH):
        at = slice(start, start + BATCH)
        some = Records(
            records.name, records.ecg_uv[at], hz, records.record_id[at], records.patient_id[at]
        )
        recorded = truth_mv(some, n)
        truth = scored(recorded[:, rows], hz, counts)
        labels = np.stack([segments(x, hz)[counts] for x in recorded[:, LEADS.index("II")]])
        predicted = scored(made.ecg_mv[at][:, rows], hz, counts)
        yield truth, predicted, made.sigma_mv[at][..., counts].astype(np.float64), labels
