"""What is kept with the code: the any-lead network, the run to go on from, and a card that fits them."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="the network needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="checkpoints need safetensors: install '.[test]'")

import numpy as np

from edge.bundle import load_bundle
from edge.lead_subsets import class_of
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.sampling import NAMED_SETS
from quantize.any_leads.scores import score_sets
from quantize.any_leads.steps import CONFIG
from quantize.data import load
from quantize.hundred_hz import rows_of
from quantize.muon import Muon
from quantize.student import Student
from quantize.train import Averager
from quantize.weights import SHIPPED

FOLDER = SHIPPED / "any_leads"
CARD = json.loads((FOLDER / "card.json").read_text())


def test_the_run_can_be_gone_on_with() -> None:
    run = load_checkpoint(FOLDER / "run.safetensors")
    assert run.step == CARD["run_step"] == CARD["cooled_from"]
    network = Student(CONFIG)
    averager = Averager(network, 0.5)
    heads = [*network.residual_head.parameters(), *network.sigma_head.parameters()]
    optimiser = Muon(network.parameters(), 1e-3, plain=heads)
    run.put_into(network, averager, optimiser)
    assert len(optimiser.state) == len(list(network.parameters()))
    assert averager.steps > 0


def test_the_network_is_better_than_the_linear_map_by_what_the_card_says(
    ptbxl_fold10: object,
) -> None:
    """Every seventh record of fold 9; the card has them all."""
    checkpoint = load_checkpoint(FOLDER / "student.safetensors")
    assert checkpoint.step == CARD["cooled_to"]
    feed = AnyFeed(np.array(checkpoint.about["moments"]))
    validation = load("validation")
    records = rows_of(validation, list(range(0, len(validation), 7)))
    said = {row["leads"]: row for row in CARD["fold_9"]["sets"]}
    assert len(said) == len(NAMED_SETS)
    classes = [class_of(leads) for leads in NAMED_SETS[:4]]
    for score in score_sets(checkpoint.student(), records, feed, classes):
        expected = said[score.leads]
        gain = score.linear_rmse_uv - score.rmse_uv
        assert gain == pytest.approx(expected["linear_rmse_uv"] - expected["rmse_uv"], rel=0.3)
        assert score.r > score.linear_r


def test_the_small_network_is_what_its_card_says() -> None:
    small = load_checkpoint(SHIPPED / "small" / "student.safetensors")
    card = json.loads((SHIPPED / "small" / "card.json").read_text())
    assert (small.step, small.config().channels) == (card["step"], 64)
    assert small.student().config.as_dict() == small.config().as_dict()
    assert load_bundle("small").manifest.training["teacher_step"] == card["teacher_step"]
