"""Channels of one tensor to like ranges before they share a scale; the network computes what it did.

After a ReLU a channel may be made larger by any factor if what reads it is made smaller by the same (Nagel et
al. 2019, arXiv 1906.04721). Here an activation has one scale for all its channels and a weight one for each
output, so what is levelled is the range of the activations.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from quantize.feed import Batch
from quantize.student import Block, CausalConv, Student

QUANTILE = 0.9999
SHARE = 0.6  # of the way, in logarithms: all of it leaves codes of weights unused
MOST = 8.0  # a channel that hardly ever speaks is no wider than this for it


def equalise(student: Student, batches: Iterable[Batch], share: float = SHARE) -> Student:
    """Level the channels of a folded student in float32, in place; returns it."""
    blocks = [block for block in student.blocks if isinstance(block, Block)]
    stream, inner = _ranges(student, blocks, batches)
    for block, seen in zip(blocks, inner, strict=True):
        factors = _factors(seen, share)
        _scale_outputs(block.dilated, factors)
        _scale_inputs(block.pointwise, factors)
    factors = _factors(stream, share)
    _scale_outputs(student.stem, factors)
    for block in blocks:
        _scale_inputs(block.dilated, factors)
        _scale_outputs(block.pointwise, factors)
    for head in (student.residual_head, student.sigma_head):
        _scale_inputs(head, factors)
    return student


def _ranges(
    student: Student, blocks: list[Block], batches: Iterable[Batch]
) -> tuple[Tensor, list[Tensor]]:
    """Per channel the QUANTILE of what passes between the blocks, the widest of them; and inside each."""
    seen: dict[str, list[Tensor]] = {}

    def hook(name: str, _module: object, _inputs: object, output: Tensor) -> None:
        flat = output.detach().abs().transpose(0, 1).flatten(1)
        seen.setdefault(name, []).append(flat.quantile(QUANTILE, dim=1))

    named: dict[str, torch.nn.Module] = {"stem": student.stem_out}
    for i, block in enumerate(blocks):
        named |= {f"{i} inner": block.inner, f"{i} branch": block.branch, f"{i} out": block.out}
    hooks = [module.register_forward_hook(partial(hook, name)) for name, module in named.items()]
    with torch.no_grad():
        for one in batches:
            student(one.ecg, one.mask, one.anchor)
    for one_hook in hooks:
        one_hook.remove()
    ranges = {name: torch.stack(found).amax(0) for name, found in seen.items()}
    # Each tensor of the stream has a scale of its own: a channel counts by its share of that.
    wide = [found / found.amax() for name, found in ranges.items() if "inner" not in name]
    return torch.stack(wide).amax(0), [ranges[f"{i} inner"] for i in range(len(blocks))]


def _factors(ranges: Tensor, share: float) -> Tensor:
    return (ranges.amax() / ranges.clamp_min(1e-9)).clamp(max=MOST).pow(share)


def _scale_outputs(layer: CausalConv, factors: Tensor) -> None:
    conv = layer.conv
    conv.weight.data *= factors[:, None, None]
    if conv.bias is not None:
        conv.bias.data *= factors


def _scale_inputs(layer: CausalConv, factors: Tensor) -> None:
    layer.conv.weight.data /= factors[None, :, None]
