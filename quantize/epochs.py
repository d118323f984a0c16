"""Train an offline network on whole records by epochs: one cycle, averaged weights, stopped and gone on."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.progress import followed
from quantize.errors import QuantizeError
from quantize.train import Averager

VALIDATED_EVERY = 4  # epochs

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class EpochSchedule:
    """How long and how fast."""

    epochs: int = 24
    batch: int = 16
    peak_lr: float = 5e-3
    weight_decay: float = 0.01
    rising: float = 0.2
    """Share of the steps in which the rate rises."""
    gain: float = 0.15
    """Each record is made louder or softer by up to this share."""
    average: float = 0.997
    """Decay per step of the averaged weights."""
    seed: int = 0


class Learner(ABC, Generic[ModuleT]):
    """A network and its loss; what learns beside it, if anything does."""

    def __init__(self, network: ModuleT) -> None:
        self.network = network

    @abstractmethod
    def loss(
        self,
        ecg: Tensor,
        rows: NDArray[np.intp],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        """Of (batch, n_leads, n) mV, the records `rows` of all; and its parts, for the log."""

    def learn_beside(self) -> dict[str, float]:
        """After each step of the network; what there is to say of it."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds beside the network."""
        return {}

    def resume(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state`."""


def run_epochs(
    learner: Learner[ModuleT],
    prepare: Callable[[], NDArray[np.floating]],
    n_records: int,
    schedule: EpochSchedule,
    config: Mapping[str, object],
    validate: Callable[[ModuleT], Mapping[str, Any]],
    folder: Path,
    say: Callable[[str], None] = print,
) -> ModuleT:
    """Train on the (n_records, n_leads, n) mV that `prepare` makes, or go on from `folder/last.pt`.

    Returns the averaged network in evaluation mode. Writes `folder/log.jsonl`, a line an epoch; `validate` is
    for the reader and for choosing between runs, never for choosing an epoch.

    Raises QuantizeError for too few records, and when `folder` holds a run of another configuration.
    """
    if n_records < schedule.batch:
        raise QuantizeError(f"{n_records} records do not fill a batch of {schedule.batch}")
    steps = n_records // schedule.batch
    averager = Averager(learner.network, schedule.average)
    averaged = averager.averaged
    optimiser = torch.optim.AdamW(
        learner.network.parameters(), schedule.peak_lr, weight_decay=schedule.weight_decay
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        schedule.peak_lr,
        total_steps=steps * schedule.epochs,
        pct_start=schedule.rising,
    )
    this_run = {"config": dict(config), "schedule": dict(vars(schedule))}
    parts: dict[str, Any] = {
        "network": learner.network,
        "averaged": averaged,
        "optimiser": optimiser,
        "cycle": cycle,
    }
    last, first_epoch = folder / "last.pt", 0
    if last.exists():
        saved = torch.load(last, weights_only=True)
        if {key: saved.get(key) for key in this_run} != this_run:
            raise QuantizeError(f"{last} is of another configuration: use an empty folder")
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        learner.resume(saved["beside"])
        first_epoch = saved["epoch"]
        averager.steps = first_epoch * steps
        say(f"resuming after epoch {first_epoch} from {last.name}")
    ecg = prepare()
    folder.mkdir(parents=True, exist_ok=True)
    for epoch in range(first_epoch, schedule.epochs):
        begun = time.monotonic()
        told: list[dict[str, float]] = []
        name, all_steps = f"epoch {epoch + 1} of {schedule.epochs}", steps * schedule.epochs
        batches = _batches(ecg, schedule, epoch)
        shown = followed(batches, name, all_steps, skipped=steps * epoch)
        for given, rows, rng, generator in shown:
            learner.network.train()
            loss, said = learner.loss(given, rows, rng, generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learner.network.parameters(), 1.0)
            optimiser.step()
            cycle.step()
            averager.update(learner.network)
            told.append({"loss": loss.item(), **said, **learner.learn_beside()})
        row: dict[str, object] = {
            "epoch": epoch + 1,
            **{name: round(float(np.mean([one[name] for one in told])), 6) for name in told[0]},
            "seconds": round(time.monotonic() - begun),
        }
        if (epoch + 1) % VALIDATED_EVERY == 0 or epoch + 1 == schedule.epochs:
            row["validation"] = validate(averaged)
        states = {name: part.state_dict() for name, part in parts.items()}
        saved = {**this_run, **states, "beside": learner.state(), "epoch": epoch + 1}
        torch.save(saved, folder / "last.tmp")
        (folder / "last.tmp").replace(last)
        with (folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        say(json.dumps(row))
    return averaged.eval()


def _batches(
    ecg: NDArray[np.floating], schedule: EpochSchedule, epoch: int
) -> Iterator[tuple[Tensor, NDArray[np.intp], np.random.Generator, torch.Generator]]:
    """One shuffled pass; its randomness is that of the epoch alone, so that a resumed run repeats it."""
    rng = np.random.default_rng((schedule.seed, epoch))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    order = rng.permutation(len(ecg))
    for start in range(0, len(order) - schedule.batch + 1, schedule.batch):
        rows = order[start : start + schedule.batch]
        chosen = ecg[rows]
        gain = 1 + schedule.gain * rng.uniform(-1, 1, (len(chosen), 1, 1))
        yield torch.from_numpy(chosen * gain.astype(np.float32)), rows, rng, generator
