"""Agreement of engines: none apart is zero, what is apart is measured as it is, and bits are bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.device.agreement import (
    SIMULATED,
    Streams,
    agreement,
    given_from_leads,
    hops,
    same_bits,
    stream,
    streams,
)
from edge.bundle import Bundle
from edge.engines.base import Array
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.leads import RECONSTRUCTED_LEADS
from edge.reconstructor import Reconstructor
from tests.benchmarks.device.fake_device import two_records

OFFSET_MV = 0.004


class Apart(OnnxRuntimeEngine):
    """Puts an offset on the second lead, and another code into the state that it tells."""

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        ecg_mv, log_sigma = (a.copy() for a in super().step(ecg, mask, anchor))
        ecg_mv[1] += np.float32(OFFSET_MV)
        return ecg_mv, log_sigma

    def state(self) -> dict[str, np.ndarray]:
        state = super().state()
        first = next(iter(state.values()))
        first.flat[0] = (int(first.flat[0]) + 3) % 128
        return state


def test_an_engine_agrees_with_itself(any_bundle: Bundle) -> None:
    heard: list[str] = []
    one, other = OnnxRuntimeEngine(any_bundle), OnnxRuntimeEngine(any_bundle)
    found = agreement(one, other, two_records(), heard.append)
    assert found["rmse_uv"] == found["largest_uv"] == found["codes_changed"] == 0
    assert found["r"] == pytest.approx(1)
    assert found["records"] == SIMULATED
    assert found["steps"] == 2 * 40
    assert heard == ["  agreement: 2 of 2 records"]


def test_of_any_leads_those_that_are_made_up_are_compared(shipped_bundle: Bundle) -> None:
    one, other = Apart(shipped_bundle), OnnxRuntimeEngine(shipped_bundle)
    found = agreement(one, other, two_records(80))
    assert list(found["by_lead"]) == list(RECONSTRUCTED_LEADS)
    assert found["rmse_uv"] == 0  # what is apart is II, which is measured
    assert found["r"] == pytest.approx(1)


def test_what_is_apart_is_measured(any_bundle: Bundle) -> None:
    found = agreement(Apart(any_bundle), OnnxRuntimeEngine(any_bundle), two_records())
    apart, *others = (found["by_lead"][lead] for lead in ("V2", "I", "V3", "V4", "V6"))
    assert apart["rmse_uv"] == pytest.approx(1000 * OFFSET_MV, rel=1e-3)
    assert found["rmse_uv"] == apart["rmse_uv"]
    assert found["largest_uv"] == pytest.approx(1000 * OFFSET_MV, rel=1e-3)
    assert apart["r"] == pytest.approx(1)  # an offset is no loss of correlation
    assert [other["rmse_uv"] for other in others] == [0] * 4
    assert found["codes_changed"] == 2  # one at the end of each record
    assert found["largest_code_difference"] in (3, 125)
    assert found["codes_changed_share"] == pytest.approx(2 / found["codes"])


def test_r_is_that_of_numpy(any_bundle: Bundle) -> None:
    class Noisy(OnnxRuntimeEngine):
        def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
            ecg_mv, log_sigma = super().step(ecg, mask, anchor)
            return ecg_mv + np.sin(1e4 * ecg_mv) * np.float32(0.01), log_sigma

    records = two_records()
    noisy, plain = Noisy(any_bundle), OnnxRuntimeEngine(any_bundle)
    found = agreement(noisy, plain, records)
    given = list(records.given(any_bundle.manifest))
    ours, theirs = (np.concatenate([stream(e, g)[0] for g in given], -1) for e in (noisy, plain))
    r = [
        np.corrcoef(a.ravel(), b.ravel().astype(np.float64))[0, 1]
        for a, b in zip(ours, theirs, strict=True)
    ]
    assert [of["r"] for of in found["by_lead"].values()] == pytest.approx(r, abs=1e-9)
    assert found["r"] == pytest.approx(min(r), abs=1e-9)


def test_a_bit_is_enough(any_bundle: Bundle) -> None:
    one, other = OnnxRuntimeEngine(any_bundle), OnnxRuntimeEngine(any_bundle)
    given = given_from_leads(any_bundle.manifest, two_records(80).ecg_mv[0])
    assert same_bits(one, other, given) == {"steps": 20, "outputs_differ": 0, "states_differ": 0}
    found = same_bits(one, Apart(any_bundle), given)
    assert found == {"steps": 20, "outputs_differ": 20, "states_differ": 20}


class Heard(OnnxRuntimeEngine):
    """Keeps what it is given."""

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        self.given = tuple(np.array(one) for one in (ecg, mask, anchor))
        return super().step(ecg, mask, anchor)


@pytest.mark.parametrize("kind", ["any_bundle", "shipped_bundle"])  # of three leads, of any
def test_a_record_is_given_as_a_reconstructor_gives_it(
    kind: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(kind)
    record = two_records(402).ecg_mv[0]  # two samples are no hop
    given = given_from_leads(bundle.manifest, record)
    engine = Heard(bundle)
    Reconstructor(engine).push(record)
    for ours, theirs in zip(given, engine.given, strict=True):
        assert ours.dtype == np.float32
        assert np.array_equal(ours, np.broadcast_to(theirs, ours.shape))
    steps = hops(given)
    assert len(steps) == 100
    assert np.array_equal(np.concatenate([ecg for ecg, _, _ in steps], -1), given[0])
    assert all(ecg.flags.c_contiguous for ecg, _, _ in steps)


def test_without_recordings_the_simulator_stands_in_and_is_named(
    any_bundle: Bundle, tmp_path: Path
) -> None:
    found = streams(any_bundle.manifest, 3, tmp_path)
    assert found.source == SIMULATED
    assert found.ecg_mv.shape == (3, 3, 2500)
    assert not np.array_equal(found.ecg_mv[0], found.ecg_mv[1])


def test_recordings_are_taken_where_they_are(any_bundle: Bundle, ptbxl_fold10) -> None:  # type: ignore[no-untyped-def]
    found = streams(any_bundle.manifest, 3)
    assert found.source == "PTB-XL fold 10"
    expected = ptbxl_fold10.take(3).millivolts(("II", "V1", "V5"))
    assert np.array_equal(found.ecg_mv, expected)


def test_a_lead_that_is_flat_has_no_r(any_bundle: Bundle) -> None:
    class Flat(OnnxRuntimeEngine):
        def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
            ecg_mv, log_sigma = super().step(ecg, mask, anchor)
            return np.zeros_like(ecg_mv), log_sigma

    records = Streams("one", two_records(40).ecg_mv[:1])
    assert np.isnan(agreement(Flat(any_bundle), OnnxRuntimeEngine(any_bundle), records)["r"])
