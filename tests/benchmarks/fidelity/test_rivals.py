"""Published methods beside ours: asked only for the sets that they take, and scored by the same rules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="rivals need torch: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from benchmarks.fidelity.lead_sets import asked, evaluate_sets, label_of
from benchmarks.fidelity.methods import Method
from benchmarks.fidelity.rivals import L2G, WEARECG, Rival, rivals, score_rival
from benchmarks.fidelity.set_scores import Truth
from benchmarks.fidelity.set_tables import tables
from edge.bundle import load_bundle
from edge.lead_subsets import INDEPENDENT_ROWS, TWELVE
from edge.leads import LEADS
from quantize.aae import AaeConfig, L2gAae
from quantize.aae_train import save_aae
from quantize.data import Records
from quantize.vae import VaeConfig, WearEcgVae
from quantize.vae_train import save_vae
from tests.benchmarks.synthetic import simulated_records

BUNDLE = load_bundle()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rival, ...]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_vae(folder / "vae.safetensors", WearEcgVae(VaeConfig(width=4)), {})
    save_aae(folder / "aae.safetensors", L2gAae(AaeConfig(width=4)), {})
    return rivals(folder / "vae.safetensors", folder / "aae.safetensors")


def test_weights_that_are_not_here_are_left_out(both: tuple[Rival, ...], tmp_path: Path) -> None:
    assert [one.name for one in both] == [WEARECG, L2G]
    assert rivals(tmp_path / "none", tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("leads", "names"),
    [
        (("V5", "II", "V1"), [WEARECG, L2G]),
        (("I",), [L2G]),
        (("I", "II", "V1", "V5"), [L2G]),
    ],
)
def test_each_takes_its_sets(
    both: tuple[Rival, ...], leads: tuple[str, ...], names: list[str]
) -> None:
    assert [one.name for one in both if one.takes(leads)] == names


@pytest.mark.parametrize("leads", [("I", "V2"), ("V1", "aVF")], ids="+".join)
def test_a_perfect_rival_has_no_error_and_the_same_linear_map_beside_it(
    leads: tuple[str, ...],
) -> None:
    records = simulated_records(3)
    truth = Truth(records, BUNDLE.manifest.hop)

    def perfect(of: Records, _: object) -> np.ndarray:
        return (TWELVE @ of.millivolts()).astype(np.float32)

    made = score_rival(Rival("perfect", "", "0" * 64, perfect), BUNDLE.manifest, leads, truth)
    unknown = [row for row in INDEPENDENT_ROWS if LEADS[row] not in leads]
    assert made.ours["rmse_uv"][:, unknown].max() < 5  # of aVF as conditioned
    assert made.ours["r"][:, unknown].min() > 0.999
    results, _ = evaluate_sets(
        {"shipped": Method("INT8", "", BUNDLE, "onnxruntime")},
        asked([",".join(leads)]),
        {"test": records},
    )
    linear = results["test"]["sets"][label_of(leads)]["shipped"]["linear"]["rmse_uv"]["mean"]
    assert made.linear["rmse_uv"][:, unknown].mean() == pytest.approx(linear, rel=1e-4)


def test_rivals_stand_in_the_report_and_are_kept(both: tuple[Rival, ...], tmp_path: Path) -> None:
    records = {name: simulated_records(2, name=name) for name in ("validation", "test")}
    methods = {"shipped": Method("INT8", "", BUNDLE, "onnxruntime")}
    sets = asked(["I", "II,V1,V5"])
    results, _ = evaluate_sets(methods, sets, records, folder=tmp_path, beside=both)
    of = results["test"]["sets"]
    assert set(of["I"]) == {"shipped", L2G, "leads"}
    assert set(of["II+V1+V5"]) == {"shipped", WEARECG, L2G, "leads"}
    assert of["I"][L2G]["interval"] is None
    sets_table, leads_table, sigma_table = tables(results)[:3]
    assert [len(table.rows) for table in (sets_table, leads_table)] == [10, 10]
    assert {row[2] for row in sigma_table.rows} == {"shipped"}
    kept = sorted(tmp_path.glob("set-*.npz"))
    assert len(kept) == 10
    again, _ = evaluate_sets(methods, sets, records, folder=tmp_path, beside=both)
    assert json.dumps(again) == json.dumps(results)  # NaN is not NaN
    assert sorted(tmp_path.glob("set-*.npz")) == kept
