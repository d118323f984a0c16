"""L2G-ECG's adversarial autoencoder: blind to what is not shown, and trained so that a stop costs nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the autoencoder needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from edge.lead_subsets import class_of, known
from edge.leads import INDEPENDENT_LEADS, lead_indices
from quantize.aae import AaeConfig, L2gAae, VisualTuringTest
from quantize.aae_train import (
    AaeSchedule,
    load_aae,
    predict_aae,
    save_aae,
    train_aae,
    validate_aae,
)
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.vae_train import prepare
from tests.benchmarks.synthetic import simulated_records

CONFIG = AaeConfig(width=4)
SCHEDULE = AaeSchedule(epochs=2, batch=2, crop_s=2.0)
SETS = (("II", "V1", "V5"), ("I",), ("I", "II"), ("aVF", "V1", "V5"), ("V3",))


@pytest.fixture
def aae() -> L2gAae:
    torch.manual_seed(0)
    return L2gAae(CONFIG).eval()


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(4, seconds=3.0)


def ecg(n: int = 500) -> torch.Tensor:
    return torch.from_numpy(prepare(simulated_records(2, seconds=n / 250)))


def seen_of(leads: tuple[str, ...], n: int = 2) -> torch.Tensor:
    return torch.from_numpy(known(class_of(leads))).expand(n, -1)


@pytest.mark.parametrize("value", [7.0, float("nan")])
@pytest.mark.parametrize("leads", SETS, ids="+".join)
def test_no_missing_lead_reaches_the_encoder(
    aae: L2gAae, leads: tuple[str, ...], value: float
) -> None:
    given, seen = ecg(), seen_of(leads)
    before = aae.encode(given, seen), aae(given, seen)
    given[~seen] = value
    assert torch.equal(before[0], aae.encode(given, seen))
    assert torch.equal(before[1], aae(given, seen))
    for row in np.flatnonzero(seen[0].numpy()).tolist():
        louder = given.clone()
        louder[:, row] *= 1.1
        assert not torch.equal(before[0], aae.encode(louder, seen))


def test_no_gradient_reaches_a_missing_lead(aae: L2gAae) -> None:
    given, seen = ecg().requires_grad_(), seen_of(("II", "V1", "V5"))
    aae.train()(given, seen)[~seen].square().sum().backward()
    assert given.grad is not None
    assert not given.grad[~seen].any()
    assert given.grad[seen].abs().amax(-1).min() > 0


@pytest.mark.parametrize("n", [1, 8, 499, 500])
def test_any_length_and_seen_leads_come_out_as_they_went_in(aae: L2gAae, n: int) -> None:
    given, seen = torch.randn(3, 12, n), seen_of(("I", "V2"), 3)
    made = aae(given, seen)
    assert made.shape == (3, 12, n)
    assert torch.equal(made[seen], given[seen])


def test_the_test_judges_patches_of_all_leads() -> None:
    judge = VisualTuringTest()
    given = ecg(1000).requires_grad_()
    patches = judge(given)
    assert patches.shape[0] == 2
    assert patches.shape[1] > 30
    patches.sum().backward()
    assert given.grad is not None
    assert given.grad.abs().amax((0, 2)).min() > 0


def test_training_learns_and_leaves_what_it_returns(records: Records, tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, epochs=8, peak_lr=1e-2, average=0.5)
    aae = train_aae(records, records, CONFIG, schedule, tmp_path, say=lambda _: None)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["rmse_uv"] < 0.8 * rows[0]["rmse_uv"]
    assert all(np.isfinite(row["told_apart"]) for row in rows)
    assert rows[-1]["validation"] == validate_aae(aae, records)
    file = tmp_path / "aae.safetensors"
    save_aae(file, aae, {"seed": 3})
    again, card = load_aae(file)
    assert card["seed"] == 3
    both = [predict_aae(one, records, ("II", "V1")).ravel() for one in (again, aae)]
    assert np.corrcoef(both)[0, 1] > 0.999  # float16


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    records: Records, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if '"epoch": 1,' in line:
            raise KeyboardInterrupt

    whole = train_aae(records, records, CONFIG, SCHEDULE, tmp_path / "whole", say=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        train_aae(records, records, CONFIG, SCHEDULE, tmp_path / "stopped", say=stop)
    said: list[str] = []
    resumed = train_aae(records, records, CONFIG, SCHEDULE, tmp_path / "stopped", say=said.append)
    assert said[0] == "resuming after epoch 1 from last.pt"
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_discriminator_moves_the_network(records: Records, tmp_path: Path) -> None:
    made = [
        train_aae(records, records, CONFIG, schedule, tmp_path / name, say=lambda _: None)
        for name, schedule in (
            ("alone", replace(SCHEDULE, adversarial=0.0)),
            ("guided", replace(SCHEDULE, adversarial=1.0)),
        )
    ]
    weights = [one.state_dict()["decoder.0.branch.2.weight"] for one in made]
    assert not torch.equal(*weights)


def test_what_does_not_fit_is_refused(records: Records, tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="4 records do not fill a batch of 16"):
        train_aae(records, records, CONFIG, AaeSchedule(), tmp_path)
    with pytest.raises(QuantizeError, match="sampled at 500 Hz, the network is made for 250 Hz"):
        predict_aae(L2gAae(CONFIG), replace(records, sampling_hz=500.0), ("I",))
    train_aae(records, records, CONFIG, replace(SCHEDULE, epochs=1), tmp_path, say=lambda _: None)
    with pytest.raises(QuantizeError, match="another configuration"):
        train_aae(records, records, CONFIG, SCHEDULE, tmp_path)
    with pytest.raises(QuantizeError, match=r"aae\.safetensors is missing"):
        load_aae(tmp_path / "nowhere" / "aae.safetensors")


@pytest.mark.parametrize("leads", SETS, ids="+".join)
def test_the_prediction_does_not_depend_on_what_is_missing(
    aae: L2gAae, records: Records, leads: tuple[str, ...]
) -> None:
    made = predict_aae(aae, records, leads)
    assert (made.dtype, made.shape) == (np.float32, (4, 12, 750))
    blind = records.ecg_uv.copy()
    certain = known(class_of(leads))
    rows = zip(INDEPENDENT_LEADS, lead_indices(INDEPENDENT_LEADS), strict=True)
    hidden = [lead for lead, row in rows if not certain[row] and lead.startswith("V")]
    blind[:, lead_indices(hidden, INDEPENDENT_LEADS)] = 1234
    np.testing.assert_array_equal(made, predict_aae(aae, replace(records, ecg_uv=blind), leads))


def test_the_weights_that_ship_say_how_they_were_made() -> None:
    aae, card = load_aae()
    made = f"--kind aae --width {aae.config.width} --epochs {card['schedule']['epochs']} --seed 0"
    assert card["command"] == f"python -m quantize teacher {made}"
    assert card["schedule"]["seed"] == 0
    assert set(card["fold_9"]) == {"II+V1+V5", "I", "I+II+V2"}
