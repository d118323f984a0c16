"""What a reader of twelve leads measures, beat by beat: levels, amplitudes, durations; truth and methods.

Signals are (n_leads, n_samples) mV as scored; levels are (n_beats, n_leads) uV above the one before the QRS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity import fiducials as fiducials_of_ii
from benchmarks.fidelity import methods, scores, ssim
from benchmarks.fidelity.fiducials import Fiducials, delineated, fiducials
from benchmarks.fidelity.kept import kept_arrays
from benchmarks.fidelity.methods import LINEAR, Predictions, sha256_of, truth_mv
from benchmarks.fidelity.scores import Array, record_scores, scored
from benchmarks.fidelity.tables import NOT_MEASURED
from edge.leads import LEADS, RECONSTRUCTED_LEADS, lead_indices
from firmware_bridge.extras import install_extra
from quantize.data import Records

TRUTH, SHIPPED = "truth", "shipped"
LEVELS = ("st60_uv", "st80_uv", "r_uv", "s_uv", "t_uv")
TIMES = ("peak_ms", "qrs_ms", "qt_ms")
IMAGES = ("ssim", "mutual_information_bits", "r")
NINE = ("mse_mv2", "mae_mv")
BATCH = 16  # records that are measured and kept at once
BEFORE_QRS_S = 0.02  # whose mean is the level that others are above
ST_S = {"st60_uv": 0.06, "st80_uv": 0.08}  # after the J point
ST_HALF_S = 0.004  # to either side: 12 ms at 250 Hz
OVER_UV = (50, 100)  # of ST: what is counted
T_FROM_S = 0.08  # after the J point


@dataclass(frozen=True)
class Measured:
    """One data set, truth and methods, over RECONSTRUCTED_LEADS."""

    record: NDArray[np.intp]
    """(n_beats,) number of each beat's record."""
    beats: dict[str, dict[str, Array]]
    """By TRUTH or method, and LEVELS or TIMES: (n_beats, 5)."""
    records: dict[str, dict[str, Array]]
    """By method: IMAGES (n_records, 5) and NINE (n_records,)."""


def levels(
    ecg_mv: Array, of: Fiducials, sampling_hz: float, t_at: NDArray[np.intp] | None = None
) -> tuple[dict[str, Array], NDArray[np.intp]]:
    """LEVELS and `peak_ms`, the time of the largest deflection of the QRS after R; and where T was read.

    R is the most and S the least in the QRS, each of the signal's own; T is read at `t_at`, samples (n_leads,
    n_beats), or at its own peak.
    """

    def at(first: int, stop: int) -> Array:  # (n_leads, n_beats, stop - first)
        return np.asarray(ecg_mv[:, of.r[:, None] + np.arange(first, stop)])

    level = at(of.onset - _samples(BEFORE_QRS_S, sampling_hz), of.onset).mean(-1)
    found = {}
    for name, after_s in ST_S.items():
        middle, half = of.j + _samples(after_s, sampling_hz), _samples(ST_HALF_S, sampling_hz)
        found[name] = at(middle - half, middle + half + 1).mean(-1) - level
    qrs = at(of.onset, of.j + 1) - level[..., None]
    found["r_uv"], found["s_uv"] = qrs.max(-1), qrs.min(-1)
    first = of.j + _samples(T_FROM_S, sampling_hz)
    if t_at is None:
        t = at(first, max(first, of.t_end) + 1) - level[..., None]
        t_at = of.r + first + np.abs(t).argmax(-1)
    found["t_uv"] = np.take_along_axis(ecg_mv, t_at, 1) - level
    if of.t_end <= first:
        found["t_uv"][:] = np.nan
    in_uv = {name: 1e3 * values.T for name, values in found.items()}
    peak = np.abs(qrs).argmax(-1) + of.onset
    return {**in_uv, "peak_ms": 1e3 / sampling_hz * peak.T.astype(np.float64)}, t_at


def durations(
    ecg_mv: Array, r: NDArray[np.intp], sampling_hz: float, kept: NDArray[np.bool_]
) -> dict[str, Array]:
    """`qrs_ms` and `qt_ms`, (n_kept, n_leads): of each lead by itself, around the R waves of lead II."""
    of_lead = np.stack([delineated(lead, r, sampling_hz)[:, kept] for lead in ecg_mv], -1)
    onset, j, t_end = 1e3 / sampling_hz * of_lead
    return {"qrs_ms": j - onset, "qt_ms": t_end - onset}


def mutual_information(truth: Array, predicted: Array) -> Array:
    """(n_leads,) bits between samples: nearest neighbours (Kraskov), by scikit-learn's defaults."""
    try:
        from sklearn.feature_selection import mutual_info_regression
    except ImportError as error:
        raise BenchmarkError(
            f"mutual information needs scikit-learn ({error}): {install_extra('morphology')}"
        ) from error
    return np.array(
        [
            mutual_info_regression(p[:, None], t, random_state=0)[0] / np.log(2)
            for t, p in zip(truth, predicted, strict=True)
        ]
    )


def measured(
    made: Mapping[str, Predictions],
    records: Records,
    *,
    folder: Path | None = None,
    name: str = "",
    advance: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Truth and every method, by parts; from `folder` what was done before by the same code.

    `name` says what the predictions depend on.
    """
    parts: list[dict[str, Array]] = []
    for start in range(0, len(records), BATCH):
        at = slice(start, min(start + BATCH, len(records)))
        file = None
        if folder is not None:
            code = sha256_of(*_CODE)[:16]
            file = folder / f"morphology-{name}-{at.start}-{at.stop}-{code}.npz"
        some, of = records.at(at), {key: one.ecg_mv[at] for key, one in made.items()}
        part = kept_arrays(file, partial(_part, of, some))
        part["record"] = part["record"] + start
        parts.append(part)
        advance(at.stop - at.start)
    every = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    record = every.pop("record").astype(np.intp)
    beats: dict[str, dict[str, Array]] = {TRUTH: {}, **{key: {} for key in made}}
    of_records: dict[str, dict[str, Array]] = {key: {} for key in made}
    for key, values in every.items():
        whose, _, what = key.rpartition(".")
        (beats if what in (*LEVELS, *TIMES) else of_records)[whose][what] = values
    return Measured(record, beats, of_records)


def _part(made: Mapping[str, NDArray[np.float32]], records: Records) -> dict[str, Array]:
    hz, n = records.sampling_hz, next(iter(made.values())).shape[-1]
    counts = scores.window(records.ecg_uv.shape[-1], hz)
    recorded = truth_mv(records, n)
    lead_ii = scored(recorded[:, LEADS.index("II")], hz, counts)
    rows = lead_indices(NOT_MEASURED)
    signals = {
        key: scored(ecg[:, rows], hz, counts) for key, ecg in {TRUTH: recorded, **made}.items()
    }
    n_five = len(RECONSTRUCTED_LEADS)
    five = {key: signal[:, :n_five] for key, signal in signals.items()}
    out: dict[str, list[Array]] = {"record": []}
    for i, ii in enumerate(lead_ii):
        found = fiducials(ii, hz)
        if found is None:
            continue
        inside = _inside(found, len(ii), hz)
        whole = Fiducials(found.r[inside], found.onset, found.j, found.t_end)
        out["record"].append(np.full(len(whole.r), float(i)))
        t_at = None
        for key, signal in five.items():  # truth first: T is read where its T is
            of_beats, t_at = levels(signal[i], whole, hz, t_at)
            if key == LINEAR:  # slow, and nobody asks
                nothing = np.full((len(whole.r), n_five), np.nan)
                of_beats |= {"qrs_ms": nothing, "qt_ms": nothing}
            else:
                of_beats |= durations(signal[i], found.r, hz, inside)
            for name, values in of_beats.items():
                out.setdefault(f"{key}.{name}", []).append(values)
    part = {key: np.concatenate(values) for key, values in out.items() if values}
    if "record" not in part:
        empty = np.zeros((0, n_five))
        part = {f"{key}.{name}": empty for key in five for name in (*LEVELS, *TIMES)}
        part["record"] = np.zeros(0)
    truth = signals[TRUTH]
    for key in made:
        error = signals[key] - truth
        part[f"{key}.ssim"] = ssim.ssim(five[TRUTH], five[key])
        part[f"{key}.r"] = record_scores(five[TRUTH], five[key])["r"]
        part[f"{key}.mutual_information_bits"] = np.stack(
            [mutual_information(t, p) for t, p in zip(five[TRUTH], five[key], strict=True)]
        )
        part[f"{key}.mse_mv2"] = np.square(error).mean((1, 2))
        part[f"{key}.mae_mv"] = np.abs(error).mean((1, 2))
    return part


def _inside(of: Fiducials, n_samples: int, sampling_hz: float) -> NDArray[np.bool_]:
    """Which beats lie whole within what is scored."""
    first = of.r + of.onset - _samples(BEFORE_QRS_S, sampling_hz)
    after_j = of.j + _samples(max(ST_S.values()), sampling_hz) + _samples(ST_HALF_S, sampling_hz)
    return np.asarray((first >= 0) & (of.r + max(of.t_end, after_j) < n_samples))


def _samples(seconds: float, sampling_hz: float) -> int:
    return round(seconds * sampling_hz)


_CODE = (
    Path(__file__),
    *(Path(str(module.__file__)) for module in (fiducials_of_ii, methods, scores, ssim)),
)
