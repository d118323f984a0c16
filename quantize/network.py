"""What every network of the feed has in common, so that one loop trains students and teachers."""

from __future__ import annotations

from torch import nn

FIRST_LOG_SIGMA = -2.3  # 0.1 mV: what the linear map misses


class Network(nn.Module):
    """Leads, mask and anchor of the residual branch in; residual and log sigma out.

    `forward(ecg, mask, anchor)`: `ecg` (batch, n_inputs, hop, frames) mV with leads that are off at zero,
    `mask` (batch, n_inputs, frames) 1 where on, `anchor` (batch, n_outputs, n_inputs). Gives the residual
    in mV and log sigma of mV, both (batch, n_outputs, hop, frames).
    """

    @property
    def late_samples(self) -> int:
        """By how many samples what comes out lies before what goes in."""
        return 0
