"""Published methods on any set of measured leads: offline, whole records at once, scored as ours are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.methods import sha256_of
from benchmarks.fidelity.set_scores import SetScores, Streamed, Truth, kept, scores_of
from edge.bundle import Manifest
from edge.lead_subsets import (
    INDEPENDENT_ROWS,
    TWELVE,
    class_of,
    known,
    projection,
    restored,
)
from edge.leads import INPUT_LEADS
from edge.signal.conditioning import Conditioner
from quantize.data import Records
from quantize.weights import AAE_FILE, VAE_FILE

WEARECG, L2G = "WearECG VAE", "L2G-ECG AAE"


@dataclass(frozen=True)
class Rival:
    """A way from some measured leads to twelve that cannot stream, and gives no sigma."""

    name: str
    what: str
    """For the reader of a report."""
    sha256: str
    predict: Callable[[Records, Sequence[str]], NDArray[np.float32]]
    """From records and measured leads to (n_records, 12, n_samples) mV, rows LEADS."""
    leads: tuple[str, ...] | None = None
    """The only set that it takes, or None for any."""

    def takes(self, leads: Sequence[str]) -> bool:
        """Whether it can be asked for this set."""
        return self.leads is None or class_of(leads) == class_of(self.leads)


def rivals(vae: Path = VAE_FILE, aae: Path = AAE_FILE) -> tuple[Rival, ...]:
    """Those whose weights are there."""
    made = ((vae, wearecg), (aae, l2g))
    return tuple(make(file) for file, make in made if file.exists())


def score_rival(
    rival: Rival,
    manifest: Manifest,
    leads: Sequence[str],
    truth: Truth,
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> SetScores:
    """As `set_scores.score_set`; beside the linear map on the conditioned leads of `manifest`."""

    def make() -> SetScores:
        made = _predictions(rival, manifest, leads, truth)
        return scores_of(manifest.moments, leads, made, truth, advance=advance)

    parts = truth.records.name, rival.sha256[:16], truth.sha256[:16], sha256_of(*_CODE)[:16]
    return kept(folder, "-".join(parts), leads, truth, make, advance=advance)


def _predictions(
    rival: Rival, manifest: Manifest, leads: Sequence[str], truth: Truth
) -> Iterator[tuple[slice, Streamed]]:
    hz, which = truth.records.sampling_hz, class_of(leads)
    certain, twelve = known(which), TWELVE.astype(np.float32)
    free, held = (one.astype(np.float32) for one in (projection(which), restored(which)))
    for at in truth.parts():
        eight = truth.recorded_mv(at)
        made = rival.predict(truth.records.at(at), leads)[..., : truth.n_samples]
        # What is measured stays as our own decoder has it: so both stand beside the same linear map.
        rows = eight.reshape(-1, truth.n_samples)
        conditioner = Conditioner(manifest.conditioning, hz, len(rows), manifest.hop)
        conditioned = twelve @ conditioner.push(rows)[0].reshape(eight.shape)
        conditioned[:, ~certain] = 0
        ecg = twelve @ (free @ made[:, INDEPENDENT_ROWS] + held @ conditioned)
        yield at, (ecg, np.zeros_like(ecg), np.zeros(len(ecg), bool))


def wearecg(file: Path) -> Rival:
    """Of II, V1, V5 alone. Raises QuantizeError for weights that do not fit."""
    from quantize.vae_train import load_vae, predict

    vae, card = load_vae(file)
    what = f"posterior mean, width {vae.config.width}, offline, sha256 {card['sha256'][:16]}"
    return Rival(
        WEARECG, what, card["sha256"], lambda records, _: predict(vae, records), INPUT_LEADS
    )


def l2g(file: Path) -> Rival:
    """Of any leads. Raises QuantizeError for weights that do not fit."""
    from quantize.aae_train import load_aae, predict_aae

    aae, card = load_aae(file)
    what = f"width {aae.config.width}, offline, sha256 {card['sha256'][:16]}"
    return Rival(L2G, what, card["sha256"], lambda records, leads: predict_aae(aae, records, leads))


_CODE = (Path(__file__),)
