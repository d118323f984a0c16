"""Where a run of any-lead training stands, in one safetensors file: weights, their average, the optimiser.

Small (6.7 MB at 128 channels) and never pickled, so that a run can be kept with the code and go on from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from quantize.errors import QuantizeError
from quantize.student import Student, StudentConfig
from quantize.train import Averager

_KEY = "leadlift"  # of the metadata: the format's own allows text alone
NETWORK, AVERAGED, OPTIMISER = "network", "averaged", "optimiser"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, before it is put into a network."""

    tensors: dict[str, torch.Tensor]
    about: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps trained."""
        return int(self.about["step"])

    def config(self) -> StudentConfig:
        """Shape of the network."""
        config = self.about["config"]
        return StudentConfig(**{**config, "dilations": tuple(config["dilations"])})

    def student(self) -> Student:
        """The averaged network, in evaluation mode; with its numbers rounded if it was trained so."""
        student = Student(self.config())
        quantised = bool(self.about.get("quantised"))
        if quantised:
            student.fold()
        student.load_state_dict(self.under(AVERAGED))
        student.eval()
        return student.set_mode("quantize") if quantised else student

    def put_into(
        self, network: Student, averager: Averager[Student], optimiser: torch.optim.Optimizer
    ) -> None:
        """Go on from here, whatever the dropout. Raises QuantizeError for a network of another shape.

        Of a network alone, as `write_mean` leaves it, the optimiser begins anew.
        """
        if replace(self.config(), dropout=network.config.dropout) != network.config:
            raise QuantizeError(
                f"the run has a network of {self.config()}, not {network.config}: take another --run"
            )
        if not self.under(NETWORK):
            if self.about.get("quantised"):
                raise QuantizeError(
                    "this checkpoint was trained for INT8: go on from one of float32"
                )
            network.load_state_dict(self.under(AVERAGED))
            averager.averaged.load_state_dict(self.under(AVERAGED))
            return
        network.load_state_dict(self.under(NETWORK))
        averager.averaged.load_state_dict(self.under(AVERAGED))
        averager.steps = int(self.about["averaged_steps"])
        self.put_into_optimiser(OPTIMISER, optimiser)

    def put_into_optimiser(self, prefix: str, optimiser: torch.optim.Optimizer) -> None:
        """What `optimiser_tensors` made, into an optimiser of the same weights."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in self.under(prefix).items():
            index, _, what = name.partition(".")
            state.setdefault(int(index), {})[what] = value
        optimiser.load_state_dict(
            {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
        )

    def under(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors of one part, by their names in it."""
        return {
            name.removeprefix(f"{prefix}."): value.clone()
            for name, value in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


def save_checkpoint(
    file: Path,
    network: Student,
    averager: Averager[Student],
    optimiser: torch.optim.Optimizer,
    about: Mapping[str, Any],
    beside: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write all of it, and tensors of what learns beside it, or nothing.

    The file before stays until the new one is whole.
    """
    tensors = {
        **{f"{NETWORK}.{name}": value for name, value in network.state_dict().items()},
        **{f"{AVERAGED}.{name}": value for name, value in averager.averaged.state_dict().items()},
        **optimiser_tensors(OPTIMISER, optimiser),
        **(beside or {}),
    }
    more = {"config": network.config.as_dict(), "averaged_steps": averager.steps}
    _write(file, tensors, {**about, **more})


def optimiser_tensors(prefix: str, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Its state by the names under which a checkpoint holds it."""
    return {
        f"{prefix}.{index}.{what}": value
        for index, of in optimiser.state_dict()["state"].items()
        for what, value in of.items()
    }


def keep(folder: Path, run: Path, trained: Path) -> None:
    """Put into a folder, to be kept with the code, what a later session needs.

    `run.safetensors` is the checkpoint to go on from, `student.safetensors` the averaged network of another
    checkpoint in float16, to be used and scored.
    """
    load_checkpoint(run)
    student = load_checkpoint(trained)
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in student.tensors.items()
        if name.startswith(f"{AVERAGED}.")
    }
    _write(folder / "student.safetensors", tensors, student.about)
    (folder / "run.safetensors").write_bytes(run.read_bytes())


def write_mean(files: Sequence[Path], out: Path) -> None:
    """Write the mean of several averaged networks, a network alone; what else is kept is the last one's.

    Cooled from one run they lie in one valley, and their mean is better than each (Wortsman et al. 2022,
    arXiv 2203.05482). Raises QuantizeError for files of networks of different shapes.
    """
    found = [load_checkpoint(file) for file in files]
    last = found[-1]
    tensors = {}
    for name, value in last.tensors.items():
        if not name.startswith(f"{AVERAGED}."):
            continue
        every = [one.tensors.get(name) for one in found]
        if any(one is None or one.shape != value.shape for one in every):
            raise QuantizeError(f"{', '.join(map(str, files))}: networks of different shapes")
        if value.is_floating_point():
            value = torch.stack([one.double() for one in every if one is not None]).mean(0).float()
        tensors[name] = value
    _write(out, tensors, {**last.about, "mean_of": [one.step for one in found]})


def _write(file: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """The whole file, or QuantizeError and what was there before."""
    from safetensors.torch import save_file

    partial = file.with_suffix(".partial")
    whole = {name: value.contiguous() for name, value in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(whole, partial, {_KEY: json.dumps(dict(about), sort_keys=True)})
        partial.replace(file)
    except OSError as error:
        raise QuantizeError(f"cannot write {file}: {error.strerror}") from error


def load_checkpoint(file: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote. Raises QuantizeError for a file that is missing or is another."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as stored:
            about = json.loads((stored.metadata() or {})[_KEY])
            return Checkpoint({name: stored.get_tensor(name) for name in stored.keys()}, about)  # noqa: SIM118
    except FileNotFoundError as error:
        raise QuantizeError(f"{file} is missing: run `python -m quantize any-leads`") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise QuantizeError(f"{file} is no checkpoint of any-lead training: {error}") from error
