"""One step of training: loss, gradients, weights, their average; on a GPU all of it as one captured graph.

A step of this network is about a thousand small kernels. Launched one by one they take longer than they run.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quantize.feed import Batch
from quantize.objective import Loss
from quantize.student import Student
from quantize.train import Averager, step_loss

if TYPE_CHECKING:
    from quantize.any_leads.adversarial import Adversary

FIRST_STEPS = 3  # launched one by one: libraries choose kernels, and the optimiser makes its state
MOST_GRADIENT = 1.0


class OneStep:
    """Takes steps with one network; all batches are of one shape."""

    def __init__(
        self,
        network: Student,
        optimiser: torch.optim.Optimizer,
        averager: Averager[Student],
        adversary: Adversary | None = None,
    ) -> None:
        self._network, self._optimiser, self._averager = network, optimiser, averager
        self._term = None if adversary is None else adversary.term
        device = next(network.parameters()).device
        self._captures = device.type == "cuda" and adversary is None
        self._taken = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None
        self._loss: Loss | None = None
        if self._captures:
            for group in optimiser.param_groups:
                group["lr"] = torch.zeros((), device=device)

    def __call__(self, batch: Batch, rate: float) -> Loss:
        """Learn from a batch at a rate; the loss before."""
        for group in self._optimiser.param_groups:
            if self._captures:
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self._averager.advance()
        self._taken += 1
        if not self._captures:
            return self._steps(batch)
        if self._taken <= FIRST_STEPS:
            return self._aside(batch)
        if self._graph is None:
            self._capture(batch)
        assert self._graph is not None and self._batch is not None and self._loss is not None
        for ours, given in zip(_tensors(self._batch), _tensors(batch), strict=True):
            ours.copy_(given)
        self._graph.replay()
        return Loss(self._loss.total.detach().clone(), self._loss.parts.clone())

    def _steps(self, batch: Batch) -> Loss:
        loss = step_loss(self._network, batch, term=self._term)
        self._optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), MOST_GRADIENT)
        self._optimiser.step()
        self._averager.blend(self._network)
        return Loss(loss.total.detach(), loss.parts)

    def _aside(self, batch: Batch) -> Loss:
        """On a stream of its own, as capturing asks for what goes before it."""
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            loss = self._steps(batch)
        torch.cuda.current_stream().wait_stream(aside)
        return loss

    def _capture(self, batch: Batch) -> None:
        copies = {
            one.name: value.clone()
            for one in fields(batch)
            if isinstance(value := getattr(batch, one.name), Tensor)
        }
        self._batch = replace(batch, **copies)
        self._optimiser.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss = self._steps(self._batch)


def _tensors(batch: Batch) -> list[Tensor]:
    values = (getattr(batch, one.name) for one in fields(batch))
    return [value for value in values if isinstance(value, Tensor)]
