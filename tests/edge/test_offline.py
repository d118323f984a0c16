"""Whole recordings: any rate, any extra leads, the length that was given."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import SupportsFloat

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge
from edge.bundle import Bundle
from edge.errors import InputError
from edge.leads import INPUT_LEADS, LEADS
from edge.offline import check_rate, input_rows, reconstruct_pieces
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from edge.signal.resampling import FILE_DELAY_S, RateConverter
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import ROWS, cuts, joined, pieces, three_leads


@pytest.fixture
def reconstructor(any_bundle: Bundle) -> Reconstructor:
    return Reconstructor.open(any_bundle)


def clean(seconds: float, sampling_hz: float) -> np.ndarray:
    """The same beats at any rate, (12, n) mV."""
    return EcgSimulator(sampling_hz, seed=3).read(round(seconds * sampling_hz))


def correlations(y: np.ndarray, expected: np.ndarray, after: int) -> np.ndarray:
    pairs = zip(y[:, after:], expected[:, after:], strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


@pytest.mark.parametrize("sampling_hz", [125.0, 360.0, 500.0, 1000.0])
def test_another_rate_gives_the_same_leads(sampling_hz: float) -> None:
    at_250 = edge.reconstruct(clean(10.0, 250.0)[ROWS])
    y = edge.reconstruct(clean(10.0, sampling_hz)[ROWS], sampling_hz)
    assert y.shape == (12, round(10.0 * sampling_hz))
    assert np.isfinite(y).all()
    back = RateConverter(sampling_hz, 250.0, 12, FILE_DELAY_S)
    again = np.concatenate([back.push(y)[0], back.flush()[0]], axis=1)
    # 2 s: what the decoder makes of its cold start is no ECG.
    again = again[:, : at_250.shape[1]]
    r = correlations(again, at_250, 500)
    # III is small here: what is above half of 125 Hz shows in it, and at 1,000 Hz another code of I.
    r[LEADS.index("III")] += {125.0: 0.01, 1000.0: 0.001}.get(sampling_hz, 0.0)
    assert (r > 0.99).all()
    assert ((again - at_250)[:, 500:].std(axis=1) < 0.015).all()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sampling_hz=st.sampled_from([50.0, 125.0, 250.0, 257.0, 360.0, 500.0, 1000.0]),
    n=st.integers(0, 900),
    data=st.data(),
)
def test_as_long_out_as_in_however_it_is_read(
    reconstructor: Reconstructor, sampling_hz: float, n: int, data: st.DataObject
) -> None:
    x = three_leads(n, sampling_hz=sampling_hz)
    reconstructor.reset()
    whole = joined(
        list(reconstruct_pieces(reconstructor, iter([x]), sampling_hz)) or [reconstructor.push(x)]
    )
    assert whole.ecg_mv.shape == (12, n)
    reconstructor.reset()
    parts = (x[:, part] for part in pieces(n, data.draw(cuts(n))))
    cut = joined(
        list(reconstruct_pieces(reconstructor, parts, sampling_hz)) or [reconstructor.push(x)]
    )
    np.testing.assert_allclose(cut.ecg_mv, whole.ecg_mv, atol=1e-4)
    np.testing.assert_allclose(cut.sigma_mv, whole.sigma_mv, rtol=1e-3, atol=1e-4)
    assert np.array_equal(cut.quality, whole.quality)
    assert (cut.sigma_mv >= 0).all()
    assert cut.sampling_hz == sampling_hz


@pytest.mark.parametrize("sampling_hz", [250.0, 500.0])
def test_what_is_missing_in_the_recording_is_missing_in_the_result(
    reconstructor: Reconstructor, sampling_hz: float
) -> None:
    second = round(sampling_hz)
    x = three_leads(8 * second, sampling_hz=sampling_hz)
    x[1, 3 * second : 5 * second] = np.nan
    x[0, 6 * second :] = np.nan
    block = joined(list(reconstruct_pieces(reconstructor, iter([x]), sampling_hz)))
    nan = np.isnan(block.ecg_mv)
    inside = slice(round(3.2 * second), round(4.9 * second))
    assert nan[LEADS.index("V1"), inside].all()
    assert (block.quality[LEADS.index("V1"), inside] & Quality.LEAD_OFF).all()
    assert not nan[LEADS.index("V5")].any()
    assert not nan[:, : 3 * second].any()
    assert nan[LEADS.index("II"), round(6.2 * second) :].all()  # to the last sample
    assert nan[LEADS.index("aVF"), round(6.2 * second) :].all()


def test_the_order_of_the_leads_is_free_and_all_that_are_given_count() -> None:
    twelve = clean(4.0, 250.0)
    expected = edge.reconstruct(twelve[ROWS])
    backwards = ("V5", "V1", "II")
    shown = edge.reconstruct(twelve[ROWS][::-1], leads=backwards)
    np.testing.assert_allclose(shown, expected, atol=1e-5)
    with edge.Reconstructor.open(leads=LEADS) as r:
        np.testing.assert_array_equal(edge.reconstruct(twelve, leads=LEADS), r.push(twelve).ecg_mv)
    assert not np.allclose(edge.reconstruct(twelve, leads=LEADS), expected, atol=1e-3)


def test_a_model_of_three_leads_passes_the_others_over(tiny_bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "tiny.onnx"
    file.write_bytes(tiny_bundle.data)
    twelve = clean(4.0, 250.0)
    expected = edge.reconstruct(twelve[ROWS], model=file)
    assert np.array_equal(edge.reconstruct(twelve, leads=LEADS, model=file), expected)
    loud = twelve.copy()
    loud[LEADS.index("V4")] = 1e9  # not read, so of no effect
    assert np.array_equal(edge.reconstruct(loud, leads=LEADS, model=file), expected)
    with pytest.raises(InputError, match="lead V5 is missing: given II, V1, needed II, V1, V5"):
        edge.reconstruct(twelve[:2], leads=("II", "V1"), model=file)


def test_missing_leads_are_named() -> None:
    with pytest.raises(InputError, match="no lead is measured: name one or more of I, II"):
        edge.reconstruct(np.zeros((0, 100)), leads=())
    with pytest.raises(InputError, match="unknown lead 'MLII': use names from I, II"):
        edge.reconstruct(np.zeros((3, 100)), leads=("MLII", "V1", "V5"))
    with pytest.raises(InputError, match="named twice"):
        edge.reconstruct(np.zeros((4, 100)), leads=("II", "V1", "V5", "II"))
    assert input_rows(("V5", "I", "V1", "II")) == [3, 2, 0]


def test_a_wrong_shape_is_named() -> None:
    for shape in ((100, 3), (3,), (2, 100), (3, 10, 2)):
        with pytest.raises(InputError, match=r"expected \(3, n\) samples in mV, rows II, V1, V5"):
            edge.reconstruct(np.zeros(shape))
    with pytest.raises(InputError, match=r"got shape \(100, 3\): transpose it"):
        edge.reconstruct(np.zeros((100, 3)))
    for leads in ("II,V1,V5", 3):
        with pytest.raises(InputError, match="a sequence of names"):
            edge.reconstruct(np.zeros((3, 100)), leads=leads)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        "record.edf",
        np.zeros((3, 9), complex),
        np.zeros((3, 9), bool),
        np.zeros((3, 9), "M8[s]"),
        np.full((3, 9), "0.1"),
    ],
    ids=lambda given: str(getattr(given, "dtype", given)),
)
def test_what_is_no_array_of_real_numbers(given: object) -> None:
    with pytest.raises(InputError, match="one row a lead"):
        edge.reconstruct(given)  # type: ignore[arg-type]


def test_a_masked_sample_is_missing() -> None:
    x = clean(4.0, 250.0)[ROWS]
    mask = np.zeros(x.shape, bool)
    mask[0, 300:400] = True
    masked = np.ma.masked_array(np.where(mask, 5000.0, x), mask)
    assert np.array_equal(
        edge.reconstruct(masked), edge.reconstruct(np.where(mask, np.nan, x)), equal_nan=True
    )


def test_a_masked_sample_of_a_row_is_missing() -> None:
    x = clean(4.0, 250.0)[ROWS]
    masked = np.ma.masked_array(x, np.zeros(x.shape, bool))
    masked[0, 300:400] = np.ma.masked
    masked.data[0, 300:400] = 5000.0
    expected = edge.reconstruct(masked)
    for rows in ([*masked], tuple(masked), [masked[0], x[1], [*x[2]]]):
        assert np.array_equal(edge.reconstruct(rows), expected, equal_nan=True)
    with pytest.raises(InputError, match="rows have 1000, 1000, 999 samples"):
        edge.reconstruct([masked[0], masked[1], masked[2, 1:]])


def test_what_cannot_be_millivolts_is_said_and_still_reconstructed() -> None:
    three = three_leads(2500)
    with pytest.warns(UserWarning, match="microvolts: multiply them by 0.001"):
        twelve = edge.reconstruct(three * 1000)
    assert np.nanmax(np.abs(twelve[1])) > 100  # nothing is scaled behind the caller's back


def test_what_float32_cannot_hold_is_missing() -> None:
    x = np.asarray(clean(4.0, 250.0)[ROWS], np.float64)
    x[1, 300] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = edge.reconstruct(x)
    x[1, 300] = np.nan
    assert np.array_equal(y, edge.reconstruct(x), equal_nan=True)


@pytest.mark.parametrize("rate", [0.0, -250.0, 49.9, 8000.1, math.nan, math.inf])
def test_a_wrong_rate_names_the_range(rate: float) -> None:
    with pytest.raises(InputError, match=r"of .* Hz is not accepted: give one from 50 to 8000 Hz"):
        edge.reconstruct(np.zeros((3, 100)), sampling_hz=rate)
    assert check_rate(250.0) == 250.0


@pytest.mark.parametrize("rate", [250, np.int16(250), np.array(250.0), Decimal(250), Fraction(250)])
def test_a_rate_is_a_number_of_any_type(rate: SupportsFloat) -> None:
    x = clean(4.0, 250.0)[ROWS]
    assert np.array_equal(edge.reconstruct(x, rate), edge.reconstruct(x))  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", ["250", None, [250.0], 10**400, np.str_("fast"), Decimal("sNaN")])
def test_a_rate_that_is_no_number(rate: object) -> None:
    with pytest.raises(InputError, match="a number of Hz"):
        edge.reconstruct(np.zeros((3, 100)), rate)  # type: ignore[arg-type]


def test_a_bundle_and_an_engine_may_be_named(tiny_bundle: Bundle, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "reconstructor.onnx"
    path.write_bytes(tiny_bundle.data)
    x = three_leads(400)
    expected = Reconstructor.open(tiny_bundle).push(x).ecg_mv
    for engine in ("auto", "onnxruntime", "torch"):
        y = edge.reconstruct(x, model=path, engine=engine)
        np.testing.assert_allclose(y, expected, atol=0.02)
    assert Reconstructor.open(path).leads == INPUT_LEADS
