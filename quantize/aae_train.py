"""Train L2G-ECG's adversarial autoencoder on real records, offline, any leads shown; and ask it.

It is a rival, never what ships, so it may see a record's future: input and target are the same zero-phase
high-passed twelve leads. Each record shows a set of leads drawn as for our own decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.lead_subsets import INDEPENDENT_ROWS, N_CLASSES, class_of, known
from quantize.aae import AaeConfig, L2gAae, VisualTuringTest
from quantize.any_leads.adversarial import BETAS, DISCRIMINATOR_RATE, PATCH_STRIDE
from quantize.any_leads.sampling import Sampling
from quantize.any_leads.scores import r_and_rmse
from quantize.data import SCORED_S, Records
from quantize.epochs import EpochSchedule, Learner, run_epochs
from quantize.vae_train import check_rate, prepare
from quantize.weights import AAE_FILE, load_weights, refused, save_weights

BATCH = 16  # records at once, when it is asked
VALIDATION_SETS = (("II", "V1", "V5"), ("I",), ("I", "II", "V2"))
VALIDATION_RECORDS = 64

_SEEN = np.stack([known(which) for which in range(N_CLASSES)])


@dataclass(frozen=True)
class AaeSchedule(EpochSchedule):
    """How long and how fast, and what the discriminator is worth."""

    epochs: int = 24
    peak_lr: float = 3e-3
    crop_s: float = 4.0
    adversarial: float = 1e-3
    """Of what the discriminator says (LSGAN), beside the squared error of the missing leads in mV^2."""


class _AaeLearner(Learner[L2gAae]):
    def __init__(self, network: L2gAae, schedule: AaeSchedule) -> None:
        super().__init__(network)
        self._schedule = schedule
        self._samples = round(schedule.crop_s * network.config.sampling_hz)
        self._discriminator = VisualTuringTest()
        self._optimiser = torch.optim.Adam(
            self._discriminator.parameters(), DISCRIMINATOR_RATE, betas=BETAS
        )
        self._pair: tuple[Tensor, Tensor] | None = None

    def loss(
        self,
        ecg: Tensor,
        rows: NDArray[np.intp],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        first = int(rng.integers(max(1, ecg.shape[-1] - self._samples + 1)))
        ecg = ecg[..., first : first + self._samples]
        seen = torch.from_numpy(_SEEN[Sampling().draw(len(ecg), rng)])
        made = self.network(ecg, seen)
        error = (made - ecg).square().mean(-1)[~seen].mean()
        # Patches begin anywhere in a frame, so that none learns to know its place in one.
        shift = int(rng.integers(PATCH_STRIDE))
        self._pair = ecg[..., shift:], made[..., shift:].detach()
        self._discriminator.requires_grad_(False)
        says = self._discriminator(made[..., shift:])
        self._discriminator.requires_grad_(True)
        told = {"rmse_uv": 1000 * error.item() ** 0.5}
        return error + self._schedule.adversarial * (says - 1).square().mean(), told

    def learn_beside(self) -> dict[str, float]:
        assert self._pair is not None
        true, made = (self._discriminator(one) for one in self._pair)
        loss = (true - 1).square().mean() + made.square().mean()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return {"told_apart": float((true.mean() - made.mean()).detach())}

    def state(self) -> dict[str, Any]:
        return {
            "discriminator": self._discriminator.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def resume(self, saved: Mapping[str, Any]) -> None:
        self._discriminator.load_state_dict(saved["discriminator"])
        self._optimiser.load_state_dict(saved["optimiser"])


def train_aae(
    records: Records,
    validation: Records,
    config: AaeConfig,
    schedule: AaeSchedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> L2gAae:
    """Train, or resume from `folder/last.pt`; returns the averaged network in evaluation mode.

    Raises QuantizeError when the records do not fit, or when `folder` holds a run of another kind.
    """
    for given in (records, validation):
        check_rate(config.sampling_hz, given)
    torch.manual_seed(schedule.seed)
    few = validation.take(VALIDATION_RECORDS)
    return run_epochs(
        _AaeLearner(L2gAae(config), schedule),
        lambda: prepare(records),
        len(records),
        schedule,
        config.as_dict(),
        lambda aae: validate_aae(aae, few),
        folder,
        say,
    )


def save_aae(file: Path, aae: L2gAae, card: Mapping[str, Any]) -> None:
    """Write it in float16, with its shape and a card."""
    save_weights(file, aae.state_dict(), aae.config.as_dict(), card)


def load_aae(file: Path = AAE_FILE) -> tuple[L2gAae, dict[str, Any]]:
    """The network in a file that `save_aae` wrote, in evaluation mode, and its card.

    Raises QuantizeError when there is none, or when it is no adversarial autoencoder.
    """
    state, config, card = load_weights(file)
    try:
        aae = L2gAae(AaeConfig(**config))
        aae.load_state_dict(state)
    except (TypeError, RuntimeError) as error:
        raise refused(file, error) from error
    return aae.eval(), card


def predict_aae(aae: L2gAae, records: Records, leads: Sequence[str]) -> NDArray[np.float32]:
    """All twelve leads when some are measured: (n_records, 12, n_samples) float32 mV, rows LEADS.

    What follows from the measured leads is shown as well. The made leads are zero-phase high-passed as the
    targets were.
    """
    check_rate(aae.config.sampling_hz, records)
    seen = torch.from_numpy(_SEEN[class_of(leads)])
    aae.eval()
    with torch.no_grad():
        ecg = torch.from_numpy(prepare(records))
        parts = [aae(part, seen.expand(len(part), -1)).numpy() for part in torch.split(ecg, BATCH)]
    return np.concatenate(parts)


def validate_aae(aae: L2gAae, records: Records) -> dict[str, list[float]]:
    """Mean r and RMSE in uV over the records and the missing independent leads, of a few sets."""
    scored = slice(*(round(s * records.sampling_hz) for s in SCORED_S))
    truth = prepare(records)[..., scored].astype(np.float64)
    found = {}
    for leads in VALIDATION_SETS:
        rows = [row for row in INDEPENDENT_ROWS if not _SEEN[class_of(leads)][row]]
        r, rmse = r_and_rmse(truth[:, rows], predict_aae(aae, records, leads)[:, rows][..., scored])
        found["+".join(leads)] = [
            round(float(np.nanmean(r)), 4),
            round(1000 * float(rmse.mean()), 2),
        ]
    return found
