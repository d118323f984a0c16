"""The methods of a fidelity comparison, and their predictions: streamed through `Reconstructor`, cached."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import edge
from benchmarks.errors import BenchmarkError
from benchmarks.latency.engine_step import float32_bundle
from edge.bundle import Bundle, load_bundle
from edge.calibrate.fit import calibrate, reference_moments
from edge.errors import ReferenceRefusedError
from edge.leads import (
    INDEPENDENT_LEADS,
    INPUT_LEADS,
    LEADS,
    LIMB_FROM_I_II,
    RECONSTRUCTED_LEADS,
    lead_indices,
)
from edge.reconstructor import Reconstructor
from edge.signal.anchor import anchor_from_moments
from edge.signal.conditioning import Conditioner
from quantize.data import Records
from quantize.prepared import partial_of

LINEAR = "linear"
PATIENT_LINEAR = "patient linear 2 s"
CALIBRATION_S = 2.0  # PROTOCOL.md: fitted on the first 2 s of 12 leads, scored from 2 s on
PATIENT_RIDGE = 1e-3  # of the mean power: an input that is nearly flat for 2 s has no huge weight
LIMB_ROWS = slice(2, 6)  # III, aVR, aVL, aVF in LEADS


@dataclass(frozen=True)
class Method:
    """A way from the measured leads to twelve."""

    name: str
    what: str
    """For the reader of a report."""
    bundle: Bundle
    engine: str
    off: tuple[str, ...] = ()
    """Input leads that are off."""
    calibration_s: float | None = None
    """Calibrated on so much of the beginning of each record; a reference refused goes uncalibrated."""


@dataclass(frozen=True)
class Predictions:
    """What one method made of one data set; the record is the first axis."""

    ecg_mv: NDArray[np.float32]
    """(n_records, 12, n_samples) mV, as conditioned; 0 where the reconstructor gave nothing (NaN)."""
    sigma_mv: NDArray[np.float32]
    """(n_records, 5, n_samples) mV of RECONSTRUCTED_LEADS."""
    missing: NDArray[np.float64]
    """(n_records,) share of the twelve leads' samples that the reconstructor gave as NaN."""
    refused: NDArray[np.bool_]
    """(n_records,) whether calibration refused the record's beginning as a reference."""


def methods(
    bundle: Bundle,
    engines: list[str],
    float_bundle: str | Path | None = None,
    also: Sequence[Path] = (),
    leads_off: bool = False,
) -> tuple[Method, ...]:
    """The shipped INT8 student in every engine, other students, a float32 one last.

    The linear map and the measured leads of offline methods follow from the first.
    Without a float32 bundle the float32 twin stands in, and its name says what it is.
    """
    made = [Method(f"INT8 {e}", f"student INT8, {e}", bundle, e) for e in engines]
    made.append(
        Method(
            calibrated_name(engines[0]),
            f"the same, calibrated on the first {CALIBRATION_S:g} s of 12 leads",
            bundle,
            engines[0],
            calibration_s=CALIBRATION_S,
        )
    )
    if leads_off:
        made += [
            Method(f"INT8, {' and '.join(off)} off", "the same", bundle, engines[0], off)
            for n in range(1, len(INPUT_LEADS))
            for off in itertools.combinations(INPUT_LEADS, n)
        ]
    made += [Method(f.stem, "student, another bundle", load_bundle(f), engines[0]) for f in also]
    if float_bundle is not None:
        made.append(float32_method(float_bundle))
    else:
        made.append(
            Method(
                "float32 twin",
                "INT8 weights in float32 arithmetic: the student itself was given as no float32 bundle",
                float32_bundle(bundle),
                "onnxruntime",
            )
        )
    return tuple(made)


def float32_method(file: str | Path) -> Method:
    """The student before INT8. Raises BenchmarkError for a quantised bundle."""
    given = load_bundle(file)
    if any(state.dtype != "float32" for state in given.manifest.states):
        raise BenchmarkError(
            f"{file} is quantised: give what `python -m quantize export --float32` writes"
        )
    return Method("float32", "student float32, before INT8", given, "onnxruntime")


def calibrated_name(engine: str) -> str:
    """Name of the patient-calibrated method."""
    return f"INT8 {engine}, patient {CALIBRATION_S:g} s"


def predict(
    method: Method,
    records: Records,
    *,
    hop_by_hop: bool = True,
    folder: Path | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Predictions:
    """Stream every record, from a reset; taken from `folder` if it was done before by the same code.

    `advance` is called after each record. Raises BenchmarkError for a rate other than the decoder's.
    """
    file = None if folder is None else folder / f"{cache_key(method, records, hop_by_hop)}.npz"
    if file is not None and file.exists():
        with np.load(file, allow_pickle=False) as stored:
            found = Predictions(
                stored["ecg_mv"], stored["sigma_mv"], stored["missing"], stored["refused"]
            )
        for _ in range(len(records)):
            advance()
        return found
    made = _stream(method, records, hop_by_hop, advance)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_of(file)
        with partial.open("wb") as stream:  # a name that only a whole file bears
            np.savez(stream, **vars(made))
        partial.replace(file)
    return made


def _stream(
    method: Method, records: Records, hop_by_hop: bool, advance: Callable[[], None]
) -> Predictions:
    with Reconstructor.open(method.bundle, method.engine, leads=INPUT_LEADS) as r:
        if records.sampling_hz != r.sampling_hz:
            raise BenchmarkError(
                f"{records.name} is at {records.sampling_hz:g} Hz, the decoder at {r.sampling_hz:g}"
            )
        n = records.ecg_uv.shape[-1] // r.hop * r.hop
        outputs = lead_indices(RECONSTRUCTED_LEADS)
        rows = lead_indices(r.leads, INDEPENDENT_LEADS)
        ecg = np.empty((len(records), len(LEADS), n), np.float32)
        sigma = np.empty((len(records), len(outputs), n), np.float32)
        step = r.hop if hop_by_hop else n
        off = [r.leads.index(lead) for lead in method.off]
        refused = np.zeros(len(records), bool)
        for i, ecg_mv in enumerate(records.millivolts()):
            measured, streamed = ecg_mv[rows, :n], r
            measured[off] = np.nan
            r.reset()
            if method.calibration_s is not None:
                streamed, refused[i] = calibrated(r, ecg_mv, method.calibration_s)
            blocks = (streamed.push(measured[:, k : k + step]) for k in range(0, n, step))
            for block in (*blocks, streamed.flush()):
                at = slice(block.first_sample, block.first_sample + block.n_samples)
                ecg[i, :, at], sigma[i, :, at] = block.ecg_mv, block.sigma_mv[outputs]
            advance()
    missing = np.isnan(ecg).mean((1, 2))
    # Scored as a flat line: a method gains nothing by refusing.
    ecg, sigma = np.nan_to_num(ecg, copy=False), np.nan_to_num(sigma, copy=False)
    return Predictions(ecg, sigma, missing, refused)


def calibrated(
    r: Reconstructor, ecg_mv: NDArray[np.float32], seconds: float
) -> tuple[Reconstructor, bool]:
    """`r` with what the beginning of the record, (8, n) mV, tells of the patient; or itself, and True."""
    reference = ecg_mv[:, : round(seconds * r.sampling_hz)]
    try:
        patient = calibrate(r, reference, r.sampling_hz, INDEPENDENT_LEADS)
    except ReferenceRefusedError:
        return r, True
    return Reconstructor(r.engine, r.conditioning, patient=patient, leads=r.leads), False


def linear_predictions(bundle: Bundle, streamed: Predictions) -> Predictions:
    """The population's linear map alone, on the conditioned leads that a method's own output holds."""
    return _mapped(streamed, [bundle.manifest.moments] * len(streamed.ecg_mv))


def patient_linear_predictions(
    bundle: Bundle, streamed: Predictions, records: Records
) -> Predictions:
    """Each patient's own linear map alone: least squares on the first CALIBRATION_S of 12 leads."""
    m = bundle.manifest
    n = round(CALIBRATION_S * records.sampling_hz) // m.hop * m.hop
    every = []
    for ecg_mv in records.millivolts()[..., :n]:
        conditioner = Conditioner(m.conditioning, records.sampling_hz, len(ecg_mv), m.hop)
        own = reference_moments(conditioner.push(ecg_mv)[0], records.sampling_hz)
        every.append(own + PATIENT_RIDGE * np.trace(own) / len(own) * np.eye(len(own)))
    return _mapped(streamed, every)


def _mapped(streamed: Predictions, moments: Sequence[NDArray[np.float64]]) -> Predictions:
    """The anchors of each record's second moments, on the conditioned leads of `streamed`."""
    outputs, rows = lead_indices(RECONSTRUCTED_LEADS), lead_indices(INPUT_LEADS)
    ecg = streamed.ecg_mv.copy()
    for record, own in zip(ecg, moments, strict=True):
        record[outputs] = anchor_from_moments(own, INPUT_LEADS, RECONSTRUCTED_LEADS) @ record[rows]
        record[LIMB_ROWS] = LIMB_FROM_I_II @ record[:2]
    never = np.zeros(len(ecg), bool)
    return Predictions(ecg, np.zeros_like(streamed.sigma_mv), streamed.missing, never)


def truth_mv(records: Records, n_samples: int) -> NDArray[np.float32]:
    """(n_records, 12, n_samples) mV: the independent leads as recorded, the others by the identities."""
    out = np.empty((len(records), len(LEADS), n_samples), np.float32)
    out[:, lead_indices(INDEPENDENT_LEADS)] = records.millivolts()[..., :n_samples]
    for record in out:
        record[LIMB_ROWS] = LIMB_FROM_I_II @ record[:2]
    return out


def cache_key(method: Method, records: Records, hop_by_hop: bool) -> str:
    """Names what predictions depend on: bundle, engine, records, how they are pushed, and edge's code."""
    data = hashlib.sha256(np.ascontiguousarray(records.ecg_uv).tobytes()).hexdigest()
    return file_of(method, records.name, data, hop_by_hop)


def file_of(method: Method, name: str, data_sha256: str, hop_by_hop: bool) -> str:
    """As `cache_key`, of records by their name and the sha256 of their samples."""
    how = "hops" if hop_by_hop else "whole"
    if method.off:
        how += f"-without-{'-'.join(method.off)}"
    if method.calibration_s is not None:
        how += f"-patient{method.calibration_s:g}"
    folder = Path(edge.__file__).parent
    code = sha256_of(*sorted([*folder.rglob("*.py"), *folder.rglob("*.npz")]))
    digests = (method.bundle.sha256, data_sha256, code)
    return "-".join((name, method.engine, how, *(digest[:16] for digest in digests)))


@cache
def sha256_of(*files: Path) -> str:
    """Of source files: other code, other predictions."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
