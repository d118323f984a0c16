"""The classifier: of any length, kept as it is, trained so that a stop costs nothing, and it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the classifier needs torch: install '.[test]'")
pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")
pytest.importorskip("safetensors", reason="weights need safetensors: install '.[test]'")

from quantize.__main__ import main
from quantize.classifier.network import Classifier, ClassifierConfig
from quantize.classifier.records import SUPERCLASSES, Diagnosed
from quantize.classifier.train import (
    ClassifierSchedule,
    asked,
    aurocs,
    load_classifier,
    save_classifier,
    train_classifier,
)
from quantize.data import Records
from quantize.errors import QuantizeError
from quantize.weights import CLASSIFIER_FILE, THREE_LEADS_FILE

SMALL = ClassifierConfig(("II", "V1"), widths=(8, 8, 8))
SCHEDULE = ClassifierSchedule(epochs=3, batch=16, crop_s=1.5)


@pytest.fixture(scope="module")
def told() -> Diagnosed:
    """Noise, and in the first lead a sine of a rate of its own for each superclass."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (96, len(SUPERCLASSES))).astype(np.float32)
    sines = np.sin(2 * np.pi * np.outer((3, 7, 13, 20, 30), np.arange(200) / 100))
    ecg = 0.2 * rng.standard_normal((96, 2, 200))
    ecg[:, 0] += labels @ sines
    return Diagnosed(ecg.astype(np.float16), labels)


def test_of_any_length_and_one_by_one_as_together() -> None:
    network = Classifier(SMALL).eval()
    ecg = np.random.default_rng(1).standard_normal((3, 2, 333)).astype(np.float32)
    says, features = asked(network, ecg)
    assert says.shape == (3, 5) and features.shape == (3, 8)
    alone = np.concatenate([asked(network, ecg[i : i + 1])[0] for i in range(3)])
    np.testing.assert_allclose(says, alone, atol=1e-5)
    assert asked(network, ecg[..., :57])[0].shape == (3, 5)


def test_it_learns_and_a_stop_costs_nothing(told: Diagnosed, tmp_path: Path) -> None:
    whole = train_classifier(told, told, SMALL, SCHEDULE, tmp_path / "a", say=lambda _: None)
    assert aurocs(whole, told)["macro"] > aurocs(Classifier(SMALL), told)["macro"]
    torch.manual_seed(1)  # another process has drawn other numbers

    class StoppedError(Exception):
        pass

    def stop(_: str) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        train_classifier(told, told, SMALL, SCHEDULE, tmp_path / "b", say=stop)
    again = train_classifier(told, told, SMALL, SCHEDULE, tmp_path / "b", say=lambda _: None)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    rows = [json.loads(line) for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3] and "macro" in rows[-1]["validation"]


def test_kept_in_half_precision_with_its_card(tmp_path: Path) -> None:
    file, network = tmp_path / "c.safetensors", Classifier(SMALL).eval()
    save_classifier(file, network, {"seed": 0})
    back, card = load_classifier(file)
    assert back.config == SMALL and card["seed"] == 0 and len(card["sha256"]) == 64
    ecg = np.random.default_rng(2).standard_normal((2, 2, 200))
    np.testing.assert_allclose(asked(back, ecg)[0], asked(network, ecg)[0], atol=0.01)


def test_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(QuantizeError, match="run `python -m quantize classifier`"):
        load_classifier(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(QuantizeError, match="does not fit"):
        load_classifier(tmp_path / "other.safetensors")


@pytest.mark.parametrize("file", [CLASSIFIER_FILE, THREE_LEADS_FILE], ids=lambda f: f.stem)
def test_what_ships_says_what_it_is(file: Path) -> None:
    network, card = load_classifier(file)
    assert card["command"].startswith("python -m quantize classifier")
    assert card["fold_9_auroc"]["macro"] > 0.85 and "PTB-XL" in card["data"]
    assert file.stat().st_size < 2_000_000
    assert len(network.config.leads) == (12 if file == CLASSIFIER_FILE else 3)


def test_the_command_on_a_few_records(
    ptbxl_fold10: Records, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    asked_for = ["classifier", "--quick", "--epochs", "1", "--leads", "II,V1,V5", "--run", str(run)]
    assert main(asked_for) == 0
    network, card = load_classifier(run / THREE_LEADS_FILE.name)
    assert network.config.leads == ("II", "V1", "V5")
    assert "--leads II,V1,V5 --epochs 1" in card["command"] and card["records"] == 64
    assert "macro" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["classifier", "--leads", "II,X1"])
