"""ECGFounder for weights that a user has: names and shapes of its checkpoints, with random numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="ECGFounder needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from quantize.classifier.ecgfounder import (
    EcgFounder,
    founder_features,
    founder_feed,
    load_founder,
)
from quantize.errors import QuantizeError

SHAPES = {
    "first_conv.conv.weight": (64, 12, 16),
    "stage_list.0.block_list.0.conv1.conv.weight": (64, 64, 1),
    "stage_list.1.block_list.0.conv1.conv.weight": (160, 64, 1),
    "stage_list.1.block_list.0.conv2.conv.weight": (160, 16, 16),
    "stage_list.3.block_list.2.se_fc1.weight": (200, 400),
    "stage_list.6.block_list.3.conv3.conv.bias": (1024,),
    "stage_list.6.block_list.3.se_fc2.weight": (1024, 512),
}
N_PARAMETERS = 30_598_896  # without the head, and the normalisation that it does not use


@pytest.fixture(scope="module")
def network() -> EcgFounder:
    torch.manual_seed(0)
    return EcgFounder().eval()


@pytest.fixture(scope="module")
def checkpoint(network: EcgFounder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is published: with a head of 150 answers and normalisation, beside other things."""
    file = tmp_path_factory.mktemp("founder") / "12_lead.pth"
    more = {"dense.weight": torch.zeros(150, 1024), "first_bn.weight": torch.zeros(64)}
    torch.save({"epoch": 3, "state_dict": {**network.state_dict(), **more}}, file)
    return file


def test_names_and_shapes_are_those_of_its_checkpoints(network: EcgFounder) -> None:
    state = network.state_dict()
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    assert sum(value.numel() for value in state.values()) == N_PARAMETERS
    assert len({name.split(".")[3] for name in state if name.startswith("stage_list.6")}) == 4


def test_a_checkpoint_gives_the_features_of_its_network(
    network: EcgFounder, checkpoint: Path
) -> None:
    loaded, sha256 = load_founder(checkpoint)
    ecg = np.random.default_rng(0).standard_normal((2, 12, 500))
    features = founder_features(loaded, ecg, 250.0)
    assert features.shape == (2, 1024) and len(sha256) == 64
    assert np.array_equal(features, founder_features(network, ecg, 250.0))
    # Its feed has no scale of its own.
    np.testing.assert_allclose(founder_features(network, 3 * ecg, 250.0), features, atol=1e-4)


def test_its_feed_is_500_hz_between_its_corners() -> None:
    t = np.arange(2000) / 250
    slow, heart, mains = (np.sin(2 * np.pi * hz * t) for hz in (0.2, 8.0, 50.0))
    ecg = np.broadcast_to(heart + 5 * slow + mains, (1, 12, 2000))
    fed = founder_feed(ecg, 250.0)
    assert fed.shape == (1, 12, 4000) and fed.std() == pytest.approx(1, abs=1e-3)
    power = np.abs(np.fft.rfft(fed[0, 0, 500:-500])) ** 2
    hz = np.fft.rfftfreq(3000, 1 / 500)
    assert power[(hz > 6) & (hz < 10)].sum() > 0.95 * power.sum()


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"state_dict": {}}, "lacks first_conv"),
        ([1, 2], "lacks first_conv"),
        ("text", "no checkpoint"),
    ],
    ids=["empty", "a list", "no checkpoint"],
)
def test_other_files_are_refused(saved: object, said: str, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    if isinstance(saved, str):
        file.write_text(json.dumps(saved))
    else:
        torch.save(saved, file)
    with pytest.raises(QuantizeError, match=said):
        load_founder(file)
    with pytest.raises(QuantizeError, match="cannot read"):
        load_founder(tmp_path / "none.pth")


def test_another_shape_is_refused(network: EcgFounder, tmp_path: Path) -> None:
    state = network.state_dict()
    state["first_conv.conv.weight"] = state["first_conv.conv.weight"][:, :1]
    torch.save(state, tmp_path / "1_lead.pth")
    with pytest.raises(QuantizeError, match="another shape"):
        load_founder(tmp_path / "1_lead.pth")
