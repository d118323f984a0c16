"""What the calibrations of training patients look like, for every set of leads: `calibration-prior`.

Each patient's anchor comes from the first two seconds, as a calibration's does, and the weights from all ten:
so nearly do they fit the patient that their spread is that of patients.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge.calibrate.fit import RIDGE, above, delayed, reference_moments, ridge, shrunk
from edge.calibrate.prior import FILE, Features, Packed, open_classes, packed, write_priors
from edge.commands.archive.pool import in_processes
from edge.leads import INDEPENDENT_LEADS, LEADS, lead_indices, twelve_from
from edge.patient.patient import TAPS, Patient, Reference
from edge.progress import followed
from edge.reconstructor import Reconstructor
from edge.signal.conditioning import Conditioner
from quantize.data import load
from quantize.errors import QuantizeError
from quantize.hundred_hz import without_withdrawn

REFERENCE_S = 2.0
RIDGE_SHARE = 0.1  # of that of a calibration: there are ten seconds
MOST_WEIGHT = 5.0  # beyond it the fit has failed
_TWELVE = twelve_from(INDEPENDENT_LEADS)


def calibration_prior(given: argparse.Namespace) -> int:
    """Write the prior of every class that leaves a lead open, from `given.records` training records."""
    records = without_withdrawn(load("train"))
    rows = np.linspace(0, len(records) - 1, min(given.records, len(records))).astype(int)
    ecg_mv = records.ecg_uv[rows].astype(np.float32) / np.float32(1000)
    classes = open_classes()
    made: dict[int, Packed] = {}
    work = partial(weights_of, ecg_mv, records.sampling_hz)
    with closing(in_processes(work, classes, given.jobs)) as weighed:
        for which, weights in followed(weighed, "calibrating", len(classes)):
            if weights is None:
                raise QuantizeError(
                    f"class {which} ended its process twice: give it more memory, or less to do at once"
                    f" than --jobs {given.jobs}"
                )
            made[which] = packed(weights)
    output = given.output or FILE
    write_priors(output, {which: made[which] for which in classes})
    print(f"{output}: {len(classes)} classes of {len(rows)} records, {output.stat().st_size} bytes")
    return 0


def weights_of(ecg_mv: NDArray[np.float32], sampling_hz: float, which: int) -> NDArray[np.float64]:
    """(n_patients, n_outputs, n_taps * n_features) weights that fit each record best, for one class.

    `ecg_mv` is (n_records, 8, n_samples); a patient whose fit fails is left out.
    """
    features = Features.of(which)
    plain = Reconstructor.open(engine="onnxruntime", leads=features.known)
    known, outputs = (lead_indices(one) for one in (features.known, features.open))
    truth_rows = lead_indices(features.open, INDEPENDENT_LEADS)
    manifest = plain.bundle.manifest
    found = []
    for record in ecg_mv:
        truth = Conditioner(plain.conditioning, sampling_hz, len(record), plain.hop).push(record)[0]
        reference = reference_moments(truth[:, : round(REFERENCE_S * sampling_hz)], sampling_hz)
        patient = Patient(
            bundle_sha256=plain.bundle.sha256,
            bundle_name=manifest.name,
            input_leads=plain.leads,
            output_leads=features.open,
            sigma_leads=manifest.sigma_leads,
            reference=Reference(
                "training", REFERENCE_S, sampling_hz, LEADS, datetime.now().isoformat()
            ),
            quality={},
            moments=shrunk(reference, manifest.moments),
            maps={},
        )
        own = Reconstructor(plain.engine, plain.conditioning, patient=patient)
        block = own.whole((_TWELVE @ record)[known])
        seen = np.concatenate([block.ecg_mv[known], block.ecg_mv[outputs]]).astype(np.float64)
        x = above(np.concatenate([delayed(seen, tap) for tap in TAPS]), sampling_hz)
        lacking = above(truth[truth_rows] - block.ecg_mv[outputs], sampling_hz)
        weights = ridge(x, lacking, RIDGE * RIDGE_SHARE)
        if np.abs(weights).max() < MOST_WEIGHT:
            found.append(weights)
    return np.stack(found)
