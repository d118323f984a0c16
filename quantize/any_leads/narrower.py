"""A narrower network out of a wide one: it begins as the channels that count most, and learns from there.

64 of 128 channels are after 250 steps where a network of 128 that begins at random is after 2,000 (II, V1,
V5, 66 records of fold 9). All blocks share the channels between them, each has others inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from quantize.errors import QuantizeError
from quantize.feed import Batch
from quantize.student import Block, CausalConv, Quantizer, Student, StudentConfig

BATCHES = 6  # of which the activations are measured


def narrowed(wide: Student, config: StudentConfig, batches: Iterable[Batch]) -> Student:
    """A network of this config, which has fewer channels than the wide one; the rest is to be the same.

    Raises QuantizeError for a network of INT8, and for one that is not as the config asks.
    """
    channels = config.channels
    if not isinstance(wide.stem.norm, nn.BatchNorm1d):
        raise QuantizeError("a network of INT8 cannot be made narrower: give one in float32")
    had = replace(wide.config, channels=channels, dropout=config.dropout)
    if channels > wide.config.channels or had != config:
        raise QuantizeError(f"{wide.config} does not become {config} by channels that are left out")
    blocks = [block for block in wide.blocks if isinstance(block, Block)]
    rms = _rms([wide.stem_out, *(q for one in blocks for q in (one.inner, one.out))], wide, batches)
    between, inside = [rms[0], *rms[2::2]], rms[1::2]
    worth = torch.zeros(wide.config.channels)
    for one, at in zip(blocks, between[:-1], strict=True):
        worth += _share(at * _effect(one.dilated))
    # The head is read by all that is scored, a block by the next alone.
    kept = _strongest(worth + 2 * _share(between[-1] * _effect(wide.residual_head)), channels)

    every = torch.arange(wide.config.stem_channels)
    narrow = Student(config)
    _copy(wide.stem, narrow.stem, kept, every)
    for one, to, at in zip(blocks, narrow.blocks, inside, strict=True):
        assert isinstance(to, Block)
        own = _strongest(at * _effect(one.pointwise, kept), channels)
        _copy(one.dilated, to.dilated, own, kept)
        _copy(one.pointwise, to.pointwise, kept, own)
    for head, to_head in (
        (wide.residual_head, narrow.residual_head),
        (wide.sigma_head, narrow.sigma_head),
    ):
        _copy(head, to_head, torch.arange(head.conv.out_channels), kept)
    return narrow


def _rms(read: list[Quantizer], wide: Student, batches: Iterable[Batch]) -> list[Tensor]:
    """Of each channel where it is read."""
    squares: dict[Quantizer, Tensor] = {}

    def add(at: nn.Module, _: object, made: Tensor) -> None:
        assert isinstance(at, Quantizer)
        squares[at] = squares.get(at, torch.zeros(())) + made.float().square().mean((0, 2))

    hooks = [one.register_forward_hook(add) for one in read]
    with torch.no_grad():
        for batch in batches:
            wide(batch.ecg, batch.mask, batch.anchor)
    for hook in hooks:
        hook.remove()
    return [squares[one].sqrt() for one in read]


def _effect(reader: CausalConv, rows: Tensor | None = None) -> Tensor:
    """Norm of what a convolution makes of each of its inputs, over all outputs or some."""
    weight = reader.conv.weight.detach()
    if isinstance(reader.norm, nn.BatchNorm1d):
        assert reader.norm.running_var is not None
        gain = reader.norm.weight.detach() / (reader.norm.running_var + reader.norm.eps).sqrt()
        weight = weight * gain[:, None, None]
    return (weight if rows is None else weight[rows]).square().sum((0, 2)).sqrt()


def _share(worth: Tensor) -> Tensor:
    return worth / worth.sum()


def _strongest(worth: Tensor, n: int) -> Tensor:
    return worth.topk(n).indices.sort().values


def _copy(source: CausalConv, to: CausalConv, rows: Tensor, columns: Tensor) -> None:
    with torch.no_grad():
        to.conv.weight.copy_(source.conv.weight[rows][:, columns])
        if source.conv.bias is not None and to.conv.bias is not None:
            to.conv.bias.copy_(source.conv.bias[rows])
        if isinstance(source.norm, nn.BatchNorm1d):
            kept = {
                name: value if value.ndim == 0 else value[rows]
                for name, value in source.norm.state_dict().items()
            }
            to.norm.load_state_dict(kept)
