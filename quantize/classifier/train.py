"""Train the classifier on real records, keep it, and ask it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize.classifier.auroc import auroc
from quantize.classifier.network import Classifier, ClassifierConfig
from quantize.classifier.records import CLASSIFIER_HZ, SUPERCLASSES, Diagnosed
from quantize.epochs import EpochSchedule, Learner, run_epochs
from quantize.weights import CLASSIFIER_FILE, load_weights, refused, save_weights

BATCH = 64  # records at once, when it is asked


@dataclass(frozen=True)
class ClassifierSchedule(EpochSchedule):
    """How long and how fast, and what each record shows of itself."""

    epochs: int = 12
    batch: int = 128
    peak_lr: float = 1e-2
    weight_decay: float = 0.02
    gain: float = 0.1
    average: float = 0.99
    crop_s: float = 5.0
    dropout: float = 0.3
    """Of the features."""
    bfloat16: bool = False
    """Half the time, where the processor has it."""


class _ClassifierLearner(Learner[Classifier]):
    def __init__(
        self, network: Classifier, labels: NDArray[np.float32], schedule: ClassifierSchedule
    ) -> None:
        super().__init__(network)
        self._labels, self._schedule = torch.from_numpy(labels), schedule

    def loss(
        self,
        ecg: Tensor,
        rows: NDArray[np.intp],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        how, n = self._schedule, round(self._schedule.crop_s * CLASSIFIER_HZ)
        first = int(rng.integers(max(1, ecg.shape[-1] - n + 1)))
        with torch.autocast("cpu", torch.bfloat16, enabled=how.bfloat16):
            features = self.network.features(ecg[..., first : first + n])
        kept = torch.rand(features.shape, generator=generator) >= how.dropout
        says = self.network.head(features.float() * kept / (1 - how.dropout))
        of = self._labels[torch.from_numpy(rows)]
        return torch.nn.functional.binary_cross_entropy_with_logits(says, of), {}


def train_classifier(
    records: Diagnosed,
    validation: Diagnosed,
    config: ClassifierConfig,
    schedule: ClassifierSchedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> Classifier:
    """Train, or go on from `folder/last.pt`; returns the averaged network in evaluation mode.

    Raises QuantizeError for too few records, and when `folder` holds a run of another kind.
    """
    torch.manual_seed(schedule.seed)
    return run_epochs(
        _ClassifierLearner(Classifier(config), records.labels, schedule),
        lambda: records.ecg_mv,
        len(records),
        schedule,
        config.as_dict(),
        lambda network: aurocs(network, validation),
        folder,
        say,
    )


def aurocs(network: Classifier, of: Diagnosed) -> dict[str, float]:
    """By superclass, and their mean `macro`, of real records."""
    says = asked(network.eval(), of.ecg_mv)[0]
    found = {
        name: float(auroc(says[:, i], of.labels[:, i] > 0)) for i, name in enumerate(SUPERCLASSES)
    }
    every = {**found, "macro": float(np.mean(list(found.values())))}
    return {name: round(value, 4) for name, value in every.items()}


def asked(
    network: Classifier, ecg_mv: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits (n_records, len(SUPERCLASSES)) and features (n_records, n_features).

    Of (n_records, n_leads, n) mV, any number at once.
    """
    says, features = [], []
    with torch.no_grad():
        for start in range(0, len(ecg_mv), BATCH):
            some = np.asarray(ecg_mv[start : start + BATCH], np.float32)
            features.append(network.features(torch.from_numpy(some)))
            says.append(network.head(features[-1]))
    both = (torch.cat(one).double().numpy() for one in (says, features))
    first, second = both
    return first, second


def save_classifier(file: Path, network: Classifier, card: Mapping[str, Any]) -> None:
    """Write it in float16, with its shape and a card."""
    save_weights(file, network.state_dict(), network.config.as_dict(), card)


def load_classifier(file: Path = CLASSIFIER_FILE) -> tuple[Classifier, dict[str, Any]]:
    """The network in a file that `save_classifier` wrote, in evaluation mode, and its card.

    Raises QuantizeError when there is none, or when it is no classifier.
    """
    state, config, card = load_weights(file, "classifier")
    try:
        network = Classifier(ClassifierConfig(**config))
        network.load_state_dict(state)
    except (TypeError, RuntimeError) as error:
        raise refused(file, error) from error
    return network.eval(), card
