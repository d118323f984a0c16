"""Muon: momentum made orthogonal for convolutions, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch

# Coefficients of the quintic iteration: they drive every singular value near 1 in five steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for weights of two or more dimensions, AdamW for the others and for `plain`.

    A step of a weight has the root mean square of an AdamW step (Liu et al. 2025, arXiv 2502.16982), so both
    kinds share one rate and one weight decay. A convolution of (out, in, width) counts as (out, in * width).
    The state of an AdamW run is taken over: its moments where they are used, else momentum begins anew.
    Nothing in a step waits for a GPU, so that it can be captured as a graph; there `lr` is a tensor.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        plain: Collection[torch.nn.Parameter] = (),
    ) -> None:
        super().__init__(
            parameters,
            {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas},
        )
        self._plain = {id(weight) for weight in plain}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step along the gradients that are there."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[weight]
                plain = weight.ndim < 2 or id(weight) in self._plain
                change = self._adam if plain else self._orthogonal
                weight.sub_(group["lr"] * change(weight.grad, state, group))

    @staticmethod
    def _adam(gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
        if not state:
            state["step"] = torch.zeros((), device=gradient.device)
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["step"] = state["step"].to(gradient.device).add_(1)
        first, second = group["betas"]
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].lerp_(gradient * gradient, 1 - second)
        steps = state["step"]
        mean: torch.Tensor = state["exp_avg"] / (1 - first**steps)
        deviation: torch.Tensor = (state["exp_avg_sq"] / (1 - second**steps)).sqrt()
        return mean / (deviation + 1e-8)

    @staticmethod
    def _orthogonal(
        gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> torch.Tensor:
        if "momentum" not in state:
            state.clear()
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"])
        change = orthogonal(ahead.flatten(1))
        scale: float = 0.2 * max(change.shape) ** 0.5
        return (change * scale).view_as(gradient)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The nearest half-orthogonal matrix, about: every singular value between .7 and 1.2."""
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    found: torch.Tensor = x if matrix.shape[0] <= matrix.shape[1] else x.T
    return found
