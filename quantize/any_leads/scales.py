"""Chooses the scale of each activation by the loss of training.

A scale that holds the largest value rounds all others more coarsely, and how much to cut off cannot be told
from the values alone. So each scale, from the first layer to the last, is multiplied by FACTORS in turn, and
the best is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from edge.progress import followed
from quantize.feed import Batch
from quantize.student import Student
from quantize.train import step_loss

FACTORS = (0.5, 0.65, 0.8, 1.25)


def refine_scales(student: Student, batches: Sequence[Batch]) -> Student:
    """Choose each scale of a calibrated student, in place, from the first layer to the last; returns it.

    That of the input stays.
    """
    best = _cost(student, batches)
    quantizers = [one for one in student.quantizers() if one is not student.input]
    for quantizer in followed(quantizers, "choosing scales", len(quantizers)):
        whole = chosen = quantizer.scale.clone()
        for factor in FACTORS:
            quantizer.scale.copy_(whole * factor)
            cost = _cost(student, batches)
            if cost < best:
                best, chosen = cost, quantizer.scale.clone()
        quantizer.scale.copy_(chosen)
    return student


@torch.no_grad()
def _cost(student: Student, batches: Sequence[Batch]) -> float:
    return float(torch.stack([step_loss(student, batch).total for batch in batches]).mean())
