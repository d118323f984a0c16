"""Who judges twelve leads: a classifier of the superclasses, frozen, that never saw a reconstructed lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.kept import kept_arrays
from benchmarks.fidelity.methods import truth_mv
from benchmarks.fidelity.scores import Array, scored
from edge.leads import LEADS, lead_indices
from edge.progress import followed
from firmware_bridge.extras import install_extra
from quantize.classifier.auroc import auroc
from quantize.classifier.records import at_classifier_rate, superclasses
from quantize.data import load
from quantize.hundred_hz import without_withdrawn
from quantize.weights import CLASSIFIER_FILE, THREE_LEADS_FILE

ECGFOUNDER = "ecgfounder:"
RIDGES = (1.0, 10.0, 100.0, 1e3, 1e4)  # of the head on ECGFounder's features; fold 9 chooses
BATCH = 64

Answers = tuple[Array, Array]
"""(n_records, len(SUPERCLASSES)) the higher, the likelier; (n_records, n_features) pooled."""


@dataclass(frozen=True)
class Judge:
    """A classifier, asked of twelve leads as they are scored."""

    name: str
    what: str
    """For the reader of a report."""
    sha256: str
    ask: Callable[[Array, float], Answers]
    """Of (n_records, 12, n) mV and their rate in Hz."""


def ours(file: Path = CLASSIFIER_FILE) -> Judge:
    """One that `python -m quantize classifier` made, of twelve leads or of fewer."""
    from quantize.classifier.train import asked, load_classifier

    network, card = load_classifier(file)
    leads = network.config.leads
    said = "twelve leads" if leads == LEADS else ", ".join(leads)
    what = f"residual network on {said} at 100 Hz, {card.get('command', 'no card')}"
    rows = lead_indices(leads)

    def ask(ecg_mv: Array, sampling_hz: float) -> Answers:
        return asked(network, at_classifier_rate(ecg_mv[:, rows], sampling_hz))

    return Judge(file.stem, what, card["sha256"], ask)


def judges(chosen: str | None, data: Path | None, cache: Path | None) -> tuple[Judge, Judge | None]:
    """The judge of twelve leads, and the one of the measured three alone if there is one of its kind.

    Raises BenchmarkError without torch, or for another name than ECGFOUNDER with a path, or a file.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise BenchmarkError(
            f"a classifier needs torch ({error}): {install_extra('train')}"
        ) from error
    if chosen is None:
        return ours(), ours(THREE_LEADS_FILE)
    if chosen.startswith(ECGFOUNDER):
        return ecgfounder(Path(chosen.removeprefix(ECGFOUNDER)), data, cache), None
    if not Path(chosen).suffix == ".safetensors":
        raise BenchmarkError(
            f"no classifier {chosen!r}: give {ECGFOUNDER}PATH, or a file of `quantize classifier`"
        )
    return ours(Path(chosen)), None


def ecgfounder(file: Path, data: Path | None, cache: Path | None) -> Judge:
    """ECGFounder's features, frozen, and a linear head of the superclasses: least squares on real folds 1-8.

    Its own head answers other questions. The ridge is chosen on fold 9.
    """
    from quantize.classifier.ecgfounder import founder_features, load_founder

    network, sha256 = load_founder(file)
    features, labels = {}, {}
    for name in ("train", "validation"):
        records = without_withdrawn(load(name, data))
        labels[name] = superclasses(records, data) > 0

        def make(name: str = name) -> dict[str, Array]:
            made = []
            records = without_withdrawn(load(name, data))
            for start in followed(range(0, len(records), BATCH), f"ECGFounder, {name}"):
                some = records.at(slice(start, start + BATCH))
                ecg_mv = scored(truth_mv(some, some.ecg_uv.shape[-1]), records.sampling_hz)
                made.append(founder_features(network, ecg_mv, records.sampling_hz))
            return {"features": np.concatenate(made)}

        kept = cache and cache / f"ecgfounder-{name}-{len(records)}-{sha256[:16]}.npz"
        features[name] = kept_arrays(kept, make)["features"]
    head = _head(features, labels)

    def ask(ecg_mv: Array, sampling_hz: float) -> Answers:
        of = founder_features(network, ecg_mv, sampling_hz)
        return head(of), of

    what = "ECGFounder's features, frozen; a linear head fitted to real folds 1-8 at 250 Hz"
    return Judge("ecgfounder", what, sha256, ask)


def _head(
    features: dict[str, Array], labels: dict[str, NDArray[np.bool_]]
) -> Callable[[Array], Array]:
    of, y = features["train"], np.where(labels["train"], 1.0, -1.0)
    centre, scale, mean = of.mean(0), of.std(0) + 1e-9, y.mean(0)
    x = (of - centre) / scale
    best, weight = -1.0, np.zeros((of.shape[1], y.shape[1]))
    for ridge in RIDGES:
        made = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - mean))
        says = (features["validation"] - centre) / scale @ made
        by_class = [auroc(one, so) for one, so in zip(says.T, labels["validation"].T, strict=True)]
        if np.nanmean(by_class) > best:
            best, weight = float(np.nanmean(by_class)), made
    return lambda given: np.asarray((given - centre) / scale @ weight)
