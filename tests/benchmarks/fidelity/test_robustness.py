"""Robustness: each disturbance does what its name says, and costs are counted against the clean run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="benchmarks on records need scipy: install '.[test]'")

from benchmarks.__main__ import main
from benchmarks.fidelity.disturbances import (
    GAPS_S,
    NOISE_KINDS,
    SNR_DB,
    Disturbance,
    disturbances,
    exchanged,
    gap,
    load_noise,
    noisy,
    scaled,
    too_high,
)
from benchmarks.fidelity.robustness import CLEAN, COSTS, TARGETS, disturbed, summaries, tables
from edge.bundle import load_bundle
from edge.engines.registry import open_engine
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, lead_indices
from firmware_bridge.simulators.ecg import LEAD_VECTORS
from quantize.data import Records
from quantize.errors import QuantizeError
from tests.benchmarks.synthetic import simulated_records

RNG = np.random.default_rng(1)
ECG = RNG.normal(size=(3, 1000)).astype(np.float32)
NOISE = RNG.normal(3, 2, size=(2, 5000)).astype(np.float32)


@pytest.mark.parametrize("snr_db", SNR_DB)
def test_noise_has_the_power_that_is_asked_for(snr_db: float) -> None:
    added = noisy(NOISE, snr_db, ECG, 4).astype(np.float64) - ECG
    assert 10 * np.log10(ECG.var(1) / added.var(1)) == pytest.approx([snr_db] * 3, abs=0.01)
    assert added.mean(1) == pytest.approx([0] * 3, abs=1e-4)
    assert len({tuple(row[:5]) for row in added}) == 3, "each lead has a stretch of its own"


def test_noise_is_the_same_at_each_snr_and_another_in_each_record() -> None:
    loud, quiet = (noisy(NOISE, db, ECG, 4) - ECG for db in (0, 20))
    assert np.allclose(loud, 10 * quiet, atol=1e-4)
    assert not np.allclose(noisy(NOISE, 0, ECG, 5), noisy(NOISE, 0, ECG, 4))
    assert np.array_equal(noisy(NOISE, 0, np.zeros_like(ECG), 4), np.zeros_like(ECG))


def test_a_gap_is_as_long_as_it_says_in_all_leads() -> None:
    missing = np.isnan(gap(0.1, 100.0, ECG, 0))
    assert missing.sum(1).tolist() == [10] * 3
    assert missing[:, 500:510].all()


def test_gain_off_inverted_and_exchanged() -> None:
    assert np.allclose(scaled(1, 1.05, ECG, 0)[1], 1.05 * ECG[1])
    assert np.array_equal(scaled(1, -1.0, ECG, 0)[[0, 2]], ECG[[0, 2]])
    assert np.isnan(scaled(2, float("nan"), ECG, 0)).all(1).tolist() == [False, False, True]
    assert np.array_equal(exchanged((0, 2), ECG, 0), ECG[[2, 1, 0]])


def test_an_electrode_too_high_sees_the_heart_from_above() -> None:
    of = LEAD_VECTORS[lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)]
    towards_feet = (of @ [[0.0], [1.0], [0.0]]).astype(np.float32)  # a dipole, as the leads tell it
    high = too_high((1, 2), towards_feet, 0)
    assert high[0] == towards_feet[0]  # a limb lead
    assert (high[1:] < towards_feet[1:]).all()
    seen = np.stack(
        [too_high((1, 2), (of @ one).astype(np.float32), 0) for one in np.eye(3)[..., None]]
    )
    length = np.linalg.norm(seen[..., 0], axis=0)  # of each lead vector: turned, not stretched
    assert length == pytest.approx(np.linalg.norm(of, axis=1), rel=1e-5)


def test_no_disturbance_changes_what_it_is_given() -> None:
    every = list(disturbances(dict.fromkeys(NOISE_KINDS, NOISE), 250.0))
    assert len({one.name for one in every}) == len(every) == 12 + 3 + len(GAPS_S) + 3 + 3 + 3 + 3
    ecg = np.ones((3, 2500), np.float32)
    for one in every:
        one.change(ecg, 0)
    assert (ecg == 1).all()
    assert set(COSTS) <= {one.group for one in every}


def test_noise_of_the_half_that_trained_nothing(tmp_path: Path) -> None:
    arrays = {kind: np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.int16) for kind in NOISE_KINDS}
    np.savez(tmp_path / "nstdb_noise.npz", **arrays)  # type: ignore[arg-type]
    assert np.allclose(load_noise(tmp_path)["em"], [[0.003, 0.004], [0.007, 0.008]])
    with pytest.raises(QuantizeError, match=r"nstdb_noise\.npz is missing"):
        load_noise(tmp_path / "nowhere")


def test_costs_are_against_the_clean_run() -> None:
    records = simulated_records(2)
    every = (
        Disturbance("same", "a", lambda ecg_mv, _: ecg_mv.copy()),
        Disturbance("upside down", "a", lambda ecg_mv, _: -ecg_mv),
        Disturbance("nothing", "b", lambda ecg_mv, _: np.full_like(ecg_mv, np.nan)),
    )
    bundle = load_bundle()
    with open_engine(bundle, "onnxruntime").engine as engine:
        clean = Disturbance(CLEAN, CLEAN, lambda ecg_mv, _: ecg_mv)
        scores = {one.name: disturbed(engine, records, one) for one in (clean, *every)}
    found = summaries(every, scores, records)
    of = found["disturbed"]
    assert of["same"]["r_lost"]["mean"] == of["same"]["rmse_added_uv"]["mean"] == 0
    assert of["upside down"]["r_lost"]["mean"] > 1
    assert found["worst"]["a"]["name"] == "upside down"
    assert of["nothing"]["missing"]["mean"] == 1
    assert of["nothing"]["r"]["mean"] == 0
    assert of["nothing"]["r_lost"]["mean"] == pytest.approx(found[CLEAN]["r"]["mean"])
    (table,) = tables({"test": found})
    assert len(table.rows) == 4
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_the_command_on_real_records(
    ptbxl_fold10: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cache = tmp_path / "robustness.json", tmp_path / "cache"
    asked = ["fidelity", "--part", "robustness", "--domains", "test", "--limit", "3"]
    asked += ["--json", str(out), "--cache", str(cache)]
    assert main(asked) == 0
    report = json.loads(out.read_text())
    of = report["results"]["test"]
    assert of["disturbed"]["V1 and V5 exchanged"]["flagged"]["mean"] > 0.5
    lost = [of["disturbed"][f"electrode motion, {db} dB"]["r_lost"]["mean"] for db in SNR_DB]
    assert lost == sorted(lost)
    assert {row["name"] for row in report["targets"]} == {target.name for target in TARGETS}
    assert all(row["measured"] is not None for row in report["targets"])
    assert len(list(cache.iterdir())) == 1 + len(of["disturbed"])
    assert main(asked) == 0
    assert json.loads(out.read_text())["results"] == report["results"]
    assert "| gap of 2000 ms" in capsys.readouterr().out
