"""Calibration: a patient's own map is found, at any rate and for every set of inputs, and streams exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge
from edge.bundle import Bundle, load_bundle
from edge.calibrate.fit import calibrate, error_to_come, shrunk
from edge.calibrate.prior import prior_of
from edge.errors import InputError, ReferenceRefusedError
from edge.lead_subsets import class_of
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.patient.patient import Patient
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.signal.anchor import anchor_from_moments
from quantize.data import Records
from tests.edge.references import INDEPENDENT, twelve_leads
from tests.edge.signals import cuts, joined, pieces

IN, OUT = lead_indices(INPUT_LEADS), lead_indices(RECONSTRUCTED_LEADS)
N = 1500

several = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def opened(bundle: Bundle, patient: Patient | None = None) -> Reconstructor:
    return Reconstructor.open(bundle, "onnxruntime", patient=patient)


@pytest.fixture(scope="module")
def patient(any_bundle: Bundle) -> Patient:
    return calibrate(opened(any_bundle), twelve_leads(), 250.0, LEADS, name="ref.edf")


@pytest.fixture(scope="module")
def later() -> np.ndarray:
    """The same patient for 6 s, the first 2 s of which are the reference."""
    return twelve_leads(N / 250.0)


def rms(error: np.ndarray) -> float:
    """Without the baseline: the simulator's is not high-passed."""
    return float(np.sqrt(np.square(error - error.mean(1, keepdims=True)).mean()))


@pytest.mark.parametrize("off", [[], [0], [1], [2], [0, 1], [0, 2], [1, 2]], ids=str)
def test_it_helps_under_every_set_of_inputs(
    any_bundle: Bundle, patient: Patient, later: np.ndarray, off: list[int]
) -> None:
    shown = later[IN].copy()
    shown[off] = np.nan
    truth, after = later[OUT, 500:], slice(500, None)
    plain = opened(any_bundle).push(shown).ecg_mv[OUT, after]
    own = opened(any_bundle, patient).push(shown).ecg_mv[OUT, after]
    # The prior is that of the decoder that ships; of this one, untrained, it knows little.
    assert rms(own - truth) < 0.75 * rms(plain - truth)


def test_what_is_measured_stays_measured(
    any_bundle: Bundle, patient: Patient, later: np.ndarray
) -> None:
    plain, own = (opened(any_bundle, p).push(later[IN]) for p in (None, patient))
    assert (own.ecg_mv[IN] == plain.ecg_mv[IN]).all()
    assert (own.sigma_mv[IN] == 0).all()
    assert (own.quality == plain.quality).all()
    i, ii, iii, avr, avl, avf = own.ecg_mv[:6]
    assert iii == pytest.approx(ii - i, abs=1e-5)
    assert avr == pytest.approx(-(i + ii) / 2, abs=1e-5)
    assert avl == pytest.approx(i - ii / 2, abs=1e-5)
    assert avf == pytest.approx(ii - i / 2, abs=1e-5)


@several
@given(
    at=cuts(N),
    gaps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, N), st.sampled_from([1, 25, 80, 700])),
        max_size=3,
    ),
)
def test_any_chunking_gives_the_same(
    any_bundle: Bundle,
    patient: Patient,
    later: np.ndarray,
    at: list[int],
    gaps: list[tuple[int, int, int]],
) -> None:
    x = later[IN].copy()
    for lead, start, length in gaps:
        x[[lead] if lead < 3 else [0, 1, 2], start : start + length] = np.nan
    r = opened(any_bundle, patient)
    whole = r.push(x)
    r.reset()
    cut = joined([r.push(x[:, piece]) for piece in pieces(N, at)])
    for ours, theirs in ((cut.ecg_mv, whole.ecg_mv), (cut.sigma_mv, whole.sigma_mv)):
        assert (np.isnan(ours) == np.isnan(theirs)).all()
        assert np.nanmax(np.abs(ours - theirs), initial=0) <= 1e-5
    assert (cut.quality == whole.quality).all()


def test_a_lead_that_is_off_is_never_made_up_and_sigma_grows(
    any_bundle: Bundle, patient: Patient, later: np.ndarray
) -> None:
    r = opened(any_bundle, patient)
    every = r.push(later[IN]).sigma_mv[OUT, 500:].mean()
    r.reset()
    x = later[IN].copy()
    x[:2] = np.nan
    one = r.push(x)
    assert np.isnan(one.ecg_mv[[LEADS.index("II"), LEADS.index("V1")]]).all()
    assert np.isnan(one.ecg_mv[2:6]).all()  # II is in all of them
    assert np.isfinite(one.ecg_mv[OUT]).all()
    assert (one.quality[OUT] & Quality.LEAD_OFF != 0).all()
    assert one.sigma_mv[OUT, 500:].mean() > every


@pytest.mark.parametrize("hz", [125.0, 360.0, 500.0, 1000.0])
def test_a_reference_at_another_rate_calibrates_as_well(
    any_bundle: Bundle, later: np.ndarray, hz: float
) -> None:
    patient = calibrate(opened(any_bundle), twelve_leads(2.0, hz), hz, LEADS)
    assert patient.reference.sampling_hz == hz
    assert patient.reference.seconds == pytest.approx(2.0, abs=0.02)
    truth = later[OUT, 500:]
    plain = opened(any_bundle).push(later[IN]).ecg_mv[OUT, 500:]
    own = opened(any_bundle, patient).push(later[IN]).ecg_mv[OUT, 500:]
    assert rms(own - truth) < 0.7 * rms(plain - truth)


def test_eight_leads_in_any_order_are_as_good_as_twelve(
    any_bundle: Bundle, patient: Patient
) -> None:
    rows = INDEPENDENT[::-1]
    eight = calibrate(opened(any_bundle), twelve_leads()[rows], 250.0, [LEADS[row] for row in rows])
    assert eight.maps["111"].weights == pytest.approx(patient.maps["111"].weights, abs=1e-6)
    assert eight.reference.leads == tuple(LEADS[row] for row in rows)


def test_provenance_and_figures(any_bundle: Bundle, patient: Patient) -> None:
    assert patient.bundle_sha256 == any_bundle.sha256
    assert patient.reference.name == "ref.edf"
    assert patient.reference.seconds == 2.0
    assert patient.reference.leads == LEADS
    before, after = patient.quality["rms_before_uv"], patient.quality["rms_after_uv"]
    assert isinstance(before, dict) and isinstance(after, dict)
    assert set(before) == set(RECONSTRUCTED_LEADS)
    assert all(after[lead] < before[lead] for lead in before)


def test_only_the_first_minute_counts(any_bundle: Bundle) -> None:
    x = twelve_leads(62.0)
    assert calibrate(opened(any_bundle), x, 250.0, LEADS).reference.seconds == 60.0


def test_the_stream_of_the_reconstructor_starts_anew(any_bundle: Bundle, later: np.ndarray) -> None:
    r = opened(any_bundle)
    before = r.push(later[IN]).ecg_mv
    calibrate(r, twelve_leads(), 250.0, LEADS)
    again = r.push(later[IN])
    assert again.first_sample == 0
    assert (again.ecg_mv == before).all()


def test_moments_are_shrunk_to_the_population_at_the_patients_amplitude(
    moments: np.ndarray,
) -> None:
    assert shrunk(4 * moments, moments) == pytest.approx(4 * moments)
    own = shrunk(np.diag(np.arange(1.0, 9.0)), moments)
    assert np.trace(own) == pytest.approx(36.0)
    anchor = anchor_from_moments(own, INPUT_LEADS, RECONSTRUCTED_LEADS)
    assert np.isfinite(anchor).all()


def test_more_that_is_found_and_a_shorter_reference_are_less_sure() -> None:
    assert error_to_come(437, 10.0) > error_to_come(1937, 10.0) > error_to_come(1937, 1.0) > 1
    assert error_to_come(437, 1e6) == error_to_come(437, 1e9)


def test_a_noisy_reference_finds_less_and_stays_near_the_maps_of_others(
    shipped_bundle: Bundle,
) -> None:
    clean = twelve_leads()
    noise = 0.05 * np.random.default_rng(0).standard_normal((8, clean.shape[1]))
    noisy = clean[INDEPENDENT] + noise.astype(np.float32)
    prior = prior_of(class_of(INPUT_LEADS))
    mean = np.linalg.solve(prior.precision, prior.linear[..., None])[..., 0]
    r = opened(shipped_bundle)
    distances = []
    for ecg_mv in (clean[INDEPENDENT], noisy):
        weights = (
            calibrate(r, ecg_mv, 250.0, INDEPENDENT_LEADS, trust_order=True).maps["111"].weights
        )
        distances.append(np.einsum("on,onm,om->", weights - mean, prior.precision, weights - mean))
    assert distances[1] < distances[0]


@pytest.mark.parametrize(
    ("shape", "leads", "hz", "match"),
    [
        ((3, 500), LEADS, 250.0, "expected"),
        ((500,), LEADS, 250.0, "expected"),
        ((12, 500), LEADS, 20.0, "sampling rate"),
        ((2, 500), ("I", "V9"), 250.0, "unknown lead"),
        ((2, 500), ("I", "I"), 250.0, "named twice"),
    ],
)
def test_what_cannot_be_is_the_callers_fault(
    any_bundle: Bundle, shape: tuple[int, ...], leads: tuple[str, ...], hz: float, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        calibrate(opened(any_bundle), np.zeros(shape), hz, leads)


def test_edge_reconstruct_takes_a_patient(later: np.ndarray) -> None:
    bundle = load_bundle()
    patient = calibrate(opened(bundle), twelve_leads(), 250.0, LEADS, trust_order=True)
    expected = opened(bundle, patient).push(later[IN]).ecg_mv
    made = edge.reconstruct(later[IN], engine="onnxruntime", patient=patient)
    assert np.abs(made - expected).max() <= 1e-5
    assert np.abs(made - edge.reconstruct(later[IN], engine="onnxruntime"))[OUT].max() > 0.01


def test_real_patients_gain(ptbxl_fold10: Records) -> None:
    """A few records, so that a wrong sign, order or domain shows; the figures are the benchmark's."""
    few = ptbxl_fold10.take(12)
    r = opened(load_bundle())
    rows, columns = (lead_indices(x, INDEPENDENT_LEADS) for x in (INPUT_LEADS, RECONSTRUCTED_LEADS))
    gains = []
    for ecg_mv in few.millivolts():
        try:
            patient = calibrate(r, ecg_mv[:, :500], 250.0, INDEPENDENT_LEADS)
        except ReferenceRefusedError:
            continue
        truth = ecg_mv[columns, 500:]
        plain, own = (opened(load_bundle(), p).push(ecg_mv[rows]).ecg_mv for p in (None, patient))
        left = [np.diff(y[OUT, 500:] - truth).std() for y in (own, plain)]  # without the baseline
        gains.append(left[0] / left[1])
    assert len(gains) >= 10
    assert np.median(gains) < 0.75


def test_a_calibration_without_maps_moves_the_anchor_alone(
    untrained_bundle: Bundle, later: np.ndarray
) -> None:
    patient = calibrate(opened(untrained_bundle), twelve_leads(), 250.0, LEADS)
    own = opened(untrained_bundle, dataclasses.replace(patient, maps={})).push(later[IN]).ecg_mv
    anchor = anchor_from_moments(patient.moments, INPUT_LEADS, RECONSTRUCTED_LEADS)
    assert own[OUT] == pytest.approx(anchor @ own[IN], abs=1e-5)
