"""Calibration of a patient with any leads: it helps, streams exactly, and travels in its file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import edge
from edge.bundle import Bundle
from edge.calibrate.fit import calibrate
from edge.errors import PatientError, ReferenceRefusedError
from edge.leads import LEADS, lead_indices
from edge.patient.patient import Patient, mask_names, read_patient
from edge.reconstructor import Reconstructor
from tests.edge.references import twelve_leads
from tests.edge.signals import cuts, joined, pieces

SETS = [("I",), ("aVF",), ("II", "I"), ("V5", "II", "V2", "I"), ("V1", "V3", "V4", "V6", "III")]
N = 1200


def made(bundle: Bundle, leads: tuple[str, ...]) -> Patient:
    with Reconstructor.open(bundle, "onnxruntime", leads=leads) as r:
        return calibrate(r, twelve_leads(), 250.0, LEADS, trust_order=True)


@pytest.fixture(scope="module", params=SETS, ids="+".join)
def patient(request: pytest.FixtureRequest, shipped_bundle: Bundle) -> Patient:
    return made(shipped_bundle, request.param)


@pytest.fixture(scope="module")
def later() -> np.ndarray:
    return twelve_leads(N / 250.0)


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.square(error - error.mean(1, keepdims=True)).mean()))


def test_it_helps(shipped_bundle: Bundle, patient: Patient, later: np.ndarray) -> None:
    rows = lead_indices(patient.input_leads)
    out, after = lead_indices(patient.output_leads), slice(500, None)
    plain, own = (
        Reconstructor.open(shipped_bundle, "onnxruntime", leads=leads, patient=p).push(later[rows])
        for leads, p in ((patient.input_leads, None), (None, patient))
    )
    errors = [rms(one.ecg_mv[out, after] - later[out, after]) for one in (plain, own)]
    assert errors[1] < 0.7 * errors[0]
    assert np.array_equal(own.ecg_mv[rows], plain.ecg_mv[rows])
    limb = own.ecg_mv
    np.testing.assert_allclose(limb[2], limb[1] - limb[0], atol=1e-5)
    assert np.array_equal(own.sigma_mv > 0, plain.sigma_mv > 0)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=cuts(N))
def test_streamed_is_whole(
    shipped_bundle: Bundle, patient: Patient, later: np.ndarray, at: list[int]
) -> None:
    rows = lead_indices(patient.input_leads)
    with Reconstructor.open(shipped_bundle, "onnxruntime", patient=patient) as r:
        whole = r.whole(later[rows])
        r.reset()
        cut = joined([r.push(later[rows][:, piece]) for piece in pieces(N, at)])
    np.testing.assert_allclose(cut.ecg_mv, whole.ecg_mv, atol=1e-5)
    np.testing.assert_allclose(cut.sigma_mv, whole.sigma_mv, rtol=1e-4)


def test_the_order_of_the_rows_is_free(
    shipped_bundle: Bundle, patient: Patient, later: np.ndarray
) -> None:
    turned = patient.input_leads[::-1]
    blocks = [
        Reconstructor.open(shipped_bundle, "onnxruntime", leads=leads, patient=patient).push(
            later[lead_indices(leads)]
        )
        for leads in (patient.input_leads, turned)
    ]
    np.testing.assert_allclose(blocks[0].ecg_mv, blocks[1].ecg_mv, atol=1e-5)
    np.testing.assert_allclose(blocks[0].sigma_mv, blocks[1].sigma_mv, rtol=1e-4)


def test_it_travels_in_its_file(patient: Patient) -> None:
    again = read_patient(patient.as_json())
    assert again.input_leads == patient.input_leads and again.sigma_leads == LEADS
    assert again.output_leads == patient.output_leads
    assert set(again.maps) == set(mask_names(len(patient.input_leads)))
    assert again.as_json() == patient.as_json()


def test_a_lead_that_goes_has_a_map_too(
    shipped_bundle: Bundle, patient: Patient, later: np.ndarray
) -> None:
    if len(patient.input_leads) == 1:
        pytest.skip("its only lead")
    rows, out = lead_indices(patient.input_leads), lead_indices(patient.output_leads)
    shown = later[rows].copy()
    shown[-1] = np.nan
    plain, own = (
        Reconstructor.open(shipped_bundle, "onnxruntime", leads=patient.input_leads, patient=p)
        .push(shown)
        .ecg_mv[out, 500:]
        for p in (None, patient)
    )
    lost = np.isnan(plain).any(1)
    errors = [rms((one - later[out, 500:])[~lost]) for one in (plain, own)]
    assert errors[1] < 0.8 * errors[0]


def test_other_leads_than_it_was_made_for_are_one_line(shipped_bundle: Bundle) -> None:
    patient = made(shipped_bundle, ("I", "II"))
    says = "the patient calibration is for leads I, II, not I: name these, or calibrate again with"
    with pytest.raises(PatientError, match=says):
        Reconstructor.open(shipped_bundle, leads=("I",), patient=patient)
    later = twelve_leads(3.0)
    shown = edge.reconstruct(later, leads=LEADS, patient=patient)
    assert (
        np.abs(shown - edge.reconstruct(later[:2], leads=("I", "II"), patient=patient)).max() < 1e-5
    )


def test_what_leaves_nothing_open_needs_none(shipped_bundle: Bundle) -> None:
    with pytest.raises(
        ReferenceRefusedError, match="leave no lead open; run without a calibration"
    ):
        made(shipped_bundle, LEADS)
