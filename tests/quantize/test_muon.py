"""Muon: half-orthogonal steps for convolutions, AdamW's for the rest, and a state that it goes on from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: install '.[test]'")

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from quantize.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16), (1, 5)])
def test_every_singular_value_comes_near_one_and_the_directions_stay(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    torch.testing.assert_close(
        found, left @ torch.diag(_along(found, left, right)) @ right, atol=1e-4, rtol=0
    )


def _along(found: Tensor, left: Tensor, right: Tensor) -> Tensor:
    along: Tensor = torch.diagonal(left.T @ found @ right.T)
    return along


def trained(optimiser: Optimizer, weights: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        optimiser.zero_grad()
        aim = torch.Generator().manual_seed(step)
        loss = torch.stack(
            [(w - torch.randn(w.shape, generator=aim)).square().sum() for w in weights]
        )
        loss.sum().backward()
        optimiser.step()


def some(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    made = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=made)) for shape in shapes]


def test_biases_and_plain_weights_move_as_with_adamw() -> None:
    shapes: list[tuple[int, ...]] = [(6,), (3, 4, 1)]
    ours, theirs = some(shapes), some(shapes)
    trained(Muon(ours, 1e-2, weight_decay=0.1, plain=[ours[1]]), ours, range(20))
    trained(AdamW(theirs, 1e-2, weight_decay=0.1), theirs, range(20))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_of_a_convolution_has_the_size_of_one_of_adamw_whatever_the_gradient() -> None:
    for scale in (1e-4, 1.0, 1e4):
        weight = nn.Parameter(torch.zeros(16, 8, 5))
        weight.grad = scale * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
        Muon([weight], 1e-2).step()
        assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2e-2, rel=0.25)


def test_it_goes_on_from_its_state_and_from_that_of_adamw() -> None:
    shapes: list[tuple[int, ...]] = [(8, 4, 3), (8,)]
    whole, stopped = some(shapes), some(shapes)
    trained(Muon(whole, 1e-2), whole, range(8))
    first = Muon(stopped, 1e-2)
    trained(first, stopped, range(5))
    second = Muon(stopped, 1e-2)
    second.load_state_dict(first.state_dict())
    trained(second, stopped, range(5, 8))
    assert all(torch.equal(a, b) for a, b in zip(whole, stopped, strict=True))

    taken_over = some(shapes)
    adam = AdamW(taken_over, 1e-2)
    trained(adam, taken_over, range(5))
    before = [w.detach().clone() for w in taken_over]
    muon = Muon(taken_over, 1e-2)
    ours = muon.state_dict()["param_groups"]
    muon.load_state_dict({"state": adam.state_dict()["state"], "param_groups": ours})
    trained(muon, taken_over, range(5, 6))
    assert not any(torch.equal(a, b) for a, b in zip(before, taken_over, strict=True))
    assert float(muon.state[taken_over[1]]["step"]) == 6
    assert set(muon.state[taken_over[0]]) == {"momentum"}
