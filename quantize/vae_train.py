"""Train WearECG's VAE on real records, offline: zero-phase leads, one cycle, averaged weights; and ask it.

It is a rival and a possible teacher, never what ships, so it may see a record's future: input and target are
the same zero-phase high-passed twelve leads, of which the network masks all but its input leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.leads import INDEPENDENT_LEADS, RECONSTRUCTED_LEADS, lead_indices, twelve_from
from quantize.data import SCORED_S, Records, zero_phase_highpass
from quantize.epochs import EpochSchedule, Learner, run_epochs
from quantize.errors import QuantizeError
from quantize.vae import VaeConfig, WearEcgVae, draw, kl_divergence, vae_loss
from quantize.weights import VAE_FILE, load_weights, refused, save_weights

PREPARED_AT_ONCE = 128  # records: the filter works in float64

_RECONSTRUCTED = lead_indices(RECONSTRUCTED_LEADS)


@dataclass(frozen=True)
class VaeSchedule(EpochSchedule):
    """WearECG's AdamW, one cycle and batch; gain, clipping and averaging are ours.

    The rate is of a narrow network: WearECG has 5e-5 at width 128, and 10 epochs of far more records.
    """


class _VaeLearner(Learner[WearEcgVae]):
    def loss(
        self,
        ecg: Tensor,
        rows: NDArray[np.intp],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        decoded, mean, log_variance = self.network(ecg, generator)
        with torch.no_grad():
            square = (decoded - ecg).square().mean().item()
            divergence = kl_divergence(mean, log_variance).item()
        told = {"rmse_uv": 1000 * square**0.5, "kl": divergence}
        return vae_loss(decoded, ecg, mean, log_variance), told


def prepare(records: Records) -> NDArray[np.float32]:
    """What the network is given and has to give, (n_records, 12, n_samples) float32 mV, rows LEADS."""
    twelve = twelve_from(INDEPENDENT_LEADS)
    made = np.empty((len(records), len(twelve), records.ecg_uv.shape[-1]), np.float32)
    for start in range(0, len(records), PREPARED_AT_ONCE):
        part = slice(start, start + PREPARED_AT_ONCE)
        ecg_mv = records.ecg_uv[part].astype(np.float32) / np.float32(1000)
        eight = zero_phase_highpass(ecg_mv, records.sampling_hz).astype(np.float32)
        made[part] = twelve @ eight
    return made


def train_vae(
    records: Records,
    validation: Records,
    config: VaeConfig,
    schedule: VaeSchedule,
    folder: Path,
    say: Callable[[str], None] = print,
) -> WearEcgVae:
    """Train, or resume from `folder/last.pt`; returns the averaged network in evaluation mode.

    Writes `folder/log.jsonl`, a line an epoch. The score on `validation` is for the
    reader and for choosing between runs, never for choosing an epoch.

    Raises QuantizeError when the records do not fit, or when `folder` holds a run of another kind.
    """
    for given in (records, validation):
        check_rate(config.sampling_hz, given)
    torch.manual_seed(schedule.seed)
    return run_epochs(
        _VaeLearner(WearEcgVae(config)),
        lambda: prepare(records),
        len(records),
        schedule,
        config.as_dict(),
        lambda vae: validate_vae(vae, validation),
        folder,
        say,
    )


def save_vae(file: Path, vae: WearEcgVae, card: Mapping[str, Any]) -> None:
    """Write it in float16, with its shape and a card."""
    save_weights(file, vae.state_dict(), vae.config.as_dict(), card)


def load_vae(file: Path = VAE_FILE) -> tuple[WearEcgVae, dict[str, Any]]:
    """The network in a file that `save_vae` wrote, in evaluation mode, and its card.

    Raises QuantizeError when there is none, or when it is no VAE.
    """
    state, config, card = load_weights(file)
    try:
        vae = WearEcgVae(VaeConfig(**config))
        vae.load_state_dict(state)
    except (TypeError, RuntimeError) as error:
        raise refused(file, error) from error
    return vae.eval(), card


def predict(vae: WearEcgVae, records: Records, batch: int = 16) -> NDArray[np.float32]:
    """All twelve leads, from the posterior mean: (n_records, 12, n_samples) float32 mV, rows LEADS.

    The measured leads are decoded too: what a caller shows as measured it takes from the record.
    """
    vae.eval()
    with torch.no_grad():
        return np.concatenate([vae(part)[0].numpy() for part in _parts(vae, records, batch)])


def spread(
    vae: WearEcgVae, records: Records, draws: int = 8, seed: int = 0, batch: int = 16
) -> NDArray[np.float64]:
    """How far draws of the latent lie apart, (5,) uV, in the order of RECONSTRUCTED_LEADS.

    Standard deviation over draws, root mean square over samples and records.
    """
    if draws < 2:
        raise QuantizeError(f"a spread needs at least 2 draws, not {draws}")
    generator = torch.Generator().manual_seed(seed)
    total, count = torch.zeros(len(_RECONSTRUCTED), dtype=torch.float64), 0
    vae.eval()
    with torch.no_grad():
        for part in _parts(vae, records, batch):
            mean, log_variance = vae.encode(part)
            drawn = torch.stack(
                [vae.decode(draw(mean, log_variance, generator)) for _ in range(draws)]
            )[:, :, _RECONSTRUCTED, : part.shape[-1]]
            total += drawn.var(0).sum((0, 2), dtype=torch.float64)
            count += part.shape[0] * part.shape[-1]
    spread_uv: NDArray[np.float64] = 1000 * np.sqrt(total.numpy() / count)
    return spread_uv


def validate_vae(vae: WearEcgVae, records: Records) -> dict[str, float]:
    """Mean r and RMSE in uV over the records and the five reconstructed leads, as PROTOCOL.md scores them."""
    scored = slice(*(round(s * records.sampling_hz) for s in SCORED_S))
    leads = lead_indices(RECONSTRUCTED_LEADS, INDEPENDENT_LEADS)
    # The truth is filtered once, as in `prepare`; so is the prediction, whatever the network adds below.
    true, predicted = (
        zero_phase_highpass(ecg_mv, records.sampling_hz)[..., scored]
        for ecg_mv in (
            records.ecg_uv[:, leads] / np.float32(1000),
            predict(vae, records)[:, _RECONSTRUCTED],
        )
    )
    rmse = np.sqrt(np.square(predicted - true).mean(-1))
    t, p = (x - x.mean(-1, keepdims=True) for x in (true, predicted))
    power = np.square(p).sum(-1) * np.square(t).sum(-1)
    r = (p * t).sum(-1)[power > 0] / np.sqrt(power[power > 0])  # a flat lead defines none
    return {
        "r": round(float(r.mean()) if len(r) else float("nan"), 4),
        "rmse_uv": round(1000 * float(rmse.mean()), 2),
    }


def _parts(vae: WearEcgVae, records: Records, batch: int) -> Iterator[Tensor]:
    """The records as the network wants them, `batch` at a time: one batch in memory, not the set."""
    check_rate(vae.config.sampling_hz, records)
    for start in range(0, len(records), batch):
        yield torch.from_numpy(prepare(records.at(slice(start, start + batch))))


def check_rate(sampling_hz: float, records: Records) -> None:
    """Raises QuantizeError for records of another rate than a network is made for."""
    if records.sampling_hz != sampling_hz:
        raise QuantizeError(
            f"{records.name} is sampled at {records.sampling_hz:g} Hz, the network is made for "
            f"{sampling_hz:g} Hz: resample the records"
        )
