"""WearECG's VAE: blind to its targets, of the paper's size, and trained so that a stop costs nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the VAE needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from benchmarks.fidelity.scores import record_scores
from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, LEADS, RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records, zero_phase_highpass
from quantize.errors import QuantizeError
from quantize.vae import KL_WEIGHT, VaeConfig, WearEcgVae, kl_divergence, vae_loss
from quantize.vae_train import (
    VaeSchedule,
    load_vae,
    predict,
    prepare,
    save_vae,
    spread,
    train_vae,
    validate_vae,
)
from tests.benchmarks.synthetic import simulated_records

CONFIG = VaeConfig(width=4)
SCHEDULE = VaeSchedule(epochs=2, batch=2)
INPUTS = lead_indices(INPUT_LEADS)
OTHERS = [row for row in range(len(LEADS)) if row not in INPUTS]
OUTPUTS = lead_indices(RECONSTRUCTED_LEADS)


@pytest.fixture
def vae() -> WearEcgVae:
    torch.manual_seed(0)
    return WearEcgVae(CONFIG).eval()


@pytest.fixture(scope="module")
def records() -> Records:
    return simulated_records(4, seconds=3.0)


def ecg(n: int = 500) -> torch.Tensor:
    return torch.from_numpy(prepare(simulated_records(2, seconds=n / 250)))


@pytest.mark.parametrize("value", [7.0, float("nan")])
def test_no_target_lead_reaches_the_encoder(vae: WearEcgVae, value: float) -> None:
    given = ecg()
    before = vae(given)
    given[:, OTHERS] = value
    for a, b in zip(before, vae(given), strict=True):
        assert torch.equal(a, b)
    given[:, INPUTS] *= 1.1
    assert not torch.equal(before[0], vae(given)[0])


def test_no_gradient_reaches_a_target_lead(vae: WearEcgVae) -> None:
    given = ecg().requires_grad_()
    decoded, mean, log_variance = vae.train()(given)
    (decoded.square().sum() + mean.sum() + log_variance.sum()).backward()
    assert given.grad is not None
    assert not given.grad[:, OTHERS].any()
    assert given.grad[:, INPUTS].abs().amax(-1).min() > 0


@pytest.mark.parametrize("n", [1, 8, 499, 500])
def test_any_length(vae: WearEcgVae, n: int) -> None:
    decoded, mean, log_variance = vae(torch.zeros(3, 12, n))
    assert decoded.shape == (3, 12, n)
    assert mean.shape == log_variance.shape == (3, 4, -(-n // 8))


def test_the_width_of_the_paper_has_its_parameters() -> None:
    with torch.device("meta"):
        vae = WearEcgVae(VaeConfig())
    counts = [sum(p.numel() for p in part.parameters()) for part in (vae.encoder, vae.decoder)]
    assert counts == [pytest.approx(12.22e6, rel=0.02), pytest.approx(22.28e6, rel=0.02)]
    assert sum(p.numel() for p in vae.parameters()) == pytest.approx(34.5e6, rel=0.02)


@pytest.mark.parametrize("width", [4, 6, 12, 40])
def test_the_groups_divide_any_width(width: int) -> None:
    with torch.device("meta"):
        vae = WearEcgVae(VaeConfig(width=width))
    norms = [m for m in vae.modules() if isinstance(m, torch.nn.GroupNorm)]
    assert all(1 <= norm.num_groups <= 32 for norm in norms)
    assert all(norm.num_channels >= 4 * norm.num_groups for norm in norms)


def test_evaluation_is_the_mean_and_training_draws(vae: WearEcgVae) -> None:
    given = ecg()
    decoded, mean, _ = vae(given)
    assert torch.equal(decoded, vae(given)[0])
    assert torch.equal(decoded, vae.decode(mean)[..., :500])
    vae.train()
    one, two, again = (vae(given, torch.Generator().manual_seed(seed))[0] for seed in (1, 2, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, two)


def test_the_log_variance_is_bounded(vae: WearEcgVae) -> None:
    bias = vae.encoder[-1].bias
    torch.nn.init.constant_(bias, 100.0)
    assert vae.encode(ecg())[1].max() == 20
    torch.nn.init.constant_(bias, -100.0)
    assert vae.encode(ecg())[1].min() == -30


def test_the_divergence_is_that_of_two_normals() -> None:
    assert kl_divergence(torch.zeros(2, 4, 9), torch.zeros(2, 4, 9)) == 0
    mean, log_variance = torch.randn(2, 4, 9), torch.randn(2, 4, 9)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(posterior, standard).sum(1).mean()
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


def test_the_loss_counts_all_twelve_leads_and_a_little_divergence() -> None:
    truth, zero = torch.zeros(2, 12, 40), torch.zeros(2, 4, 5)
    for lead in range(12):
        decoded = truth.clone()
        decoded[:, lead] = 0.6
        assert vae_loss(decoded, truth, zero, zero).item() == pytest.approx(0.03)
    ones = torch.ones(2, 4, 5)
    assert vae_loss(truth, truth, ones, zero).item() == pytest.approx(KL_WEIGHT * 2)


def test_the_twelve_leads_are_zero_phase_and_obey_the_identities(records: Records) -> None:
    twelve = prepare(records)
    assert (twelve.dtype, twelve.shape) == (np.float32, (4, 12, 750))
    rows = lead_indices(INDEPENDENT_LEADS)
    filtered = zero_phase_highpass(records.ecg_uv / 1000.0, 250.0)
    np.testing.assert_allclose(twelve[:, rows], filtered, atol=1e-6)
    lead = dict(zip(LEADS, twelve.swapaxes(0, 1), strict=True))
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=1e-6)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=1e-6)
    np.testing.assert_allclose(lead["aVL"], lead["I"] - lead["II"] / 2, atol=1e-6)
    np.testing.assert_allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=1e-6)


def test_training_learns_and_leaves_what_it_returns(records: Records, tmp_path: Path) -> None:
    schedule = replace(SCHEDULE, epochs=5, peak_lr=1e-2, average=0.5)
    vae = train_vae(records, records.take(2), CONFIG, schedule, tmp_path, say=lambda _: None)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 6))
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    assert ["validation" in row for row in rows] == [n in (4, 5) for n in range(1, 6)]
    assert rows[-1]["validation"] == validate_vae(vae, records.take(2))
    file = tmp_path / "vae.safetensors"
    save_vae(file, vae, {"seed": 3})
    again, card = load_vae(file)
    assert card["seed"] == 3
    both = [predict(one, records).ravel() for one in (again, vae)]
    assert np.corrcoef(both)[0, 1] > 0.999  # float16


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    records: Records, tmp_path: Path
) -> None:
    def stop(line: str) -> None:
        if '"epoch": 1,' in line:
            raise KeyboardInterrupt

    whole = train_vae(records, records, CONFIG, SCHEDULE, tmp_path / "whole", say=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        train_vae(records, records, CONFIG, SCHEDULE, tmp_path / "stopped", say=stop)
    said: list[str] = []
    resumed = train_vae(records, records, CONFIG, SCHEDULE, tmp_path / "stopped", say=said.append)
    assert said[0] == "resuming after epoch 1 from last.pt"
    assert len(said) == 2
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    untrained = WearEcgVae(CONFIG).state_dict()
    assert not torch.equal(whole.state_dict()["encoder.0.weight"], untrained["encoder.0.weight"])


def test_what_does_not_fit_is_refused(records: Records, tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="4 records do not fill a batch of 16"):
        train_vae(records, records, CONFIG, VaeSchedule(), tmp_path)
    with pytest.raises(QuantizeError, match="sampled at 500 Hz, the network is made for 250 Hz"):
        predict(WearEcgVae(CONFIG), replace(records, sampling_hz=500.0))
    once = replace(SCHEDULE, epochs=1)
    train_vae(records, records, CONFIG, once, tmp_path, say=lambda _: None)
    with pytest.raises(QuantizeError, match="another configuration"):
        train_vae(records, records, CONFIG, SCHEDULE, tmp_path)
    with pytest.raises(QuantizeError, match=r"vae\.safetensors is missing"):
        load_vae(tmp_path / "nowhere" / "vae.safetensors")


def test_the_prediction_does_not_depend_on_the_batch_or_on_the_targets(
    vae: WearEcgVae, records: Records
) -> None:
    made = predict(vae.train(), records)  # a network in training mode must not draw here
    assert (made.dtype, made.shape) == (np.float32, (4, 12, 750))
    np.testing.assert_allclose(made, predict(vae, records, batch=3), atol=2e-4)
    blind = records.ecg_uv.copy()
    blind[:, lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)] = 1234
    np.testing.assert_array_equal(made, predict(vae, replace(records, ecg_uv=blind)))


def test_the_validation_is_scored_as_the_benchmark_does(vae: WearEcgVae, records: Records) -> None:
    found = validate_vae(vae, records)
    rows = lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)
    true, predicted = (
        zero_phase_highpass(x, 250.0)[..., 500:]
        for x in (records.ecg_uv[:, rows] / 1000.0, predict(vae, records)[:, OUTPUTS])
    )
    scores = record_scores(true, predicted)
    assert found["r"] == pytest.approx(scores["r"].mean(), abs=1e-4)
    assert found["rmse_uv"] == pytest.approx(scores["rmse_uv"].mean(), abs=0.01)


def test_the_spread_is_that_of_the_draws(vae: WearEcgVae, records: Records) -> None:
    found = spread(vae, records)
    assert found.shape == (5,)
    assert (found > 0).all()
    np.testing.assert_array_equal(found, spread(vae, records))
    assert not np.array_equal(found, spread(vae, records, seed=1))
    vae.train()
    with torch.no_grad():
        given = torch.from_numpy(prepare(records))
        drawn = torch.stack([vae(given)[0][:, OUTPUTS] for _ in range(40)])
    expected = 1000 * drawn.var(0).mean((0, 2)).sqrt()
    np.testing.assert_allclose(spread(vae, records, draws=40), expected, rtol=0.05)
    torch.nn.init.constant_(vae.encoder[-1].bias, -100.0)  # a posterior without width
    assert spread(vae, records).max() < 1
    with pytest.raises(QuantizeError, match="at least 2 draws"):
        spread(vae, records, draws=1)
