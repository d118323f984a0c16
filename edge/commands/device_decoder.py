"""The decoder inside a virtual wearable that reconstructs its leads itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import InputError
from edge.leads import LEADS
from edge.reconstructor import Reconstructor
from firmware_bridge.events import Reconstruction

NANOVOLTS_PER_LSB = 1000.0  # as the C code has it: +-32.8 mV


class DeviceDecoder:
    """An `OwnDecoder`: the shipped model on this machine, in place of the C code on a wearable."""

    def __init__(self, leads: Sequence[str], sampling_hz: float, config_id: int = 1) -> None:
        """Raises InputError for leads that no model takes, or a rate that is not the model's."""
        self._reconstructor = r = Reconstructor.open(leads=leads)
        if sampling_hz != r.sampling_hz:
            raise InputError(
                f"--rate {sampling_hz:g}: a wearable that reconstructs samples at its model's "
                f"{r.sampling_hz:g} Hz; leave --rate out"
            )
        self.said = Reconstruction(
            leads=LEADS,
            provenance=tuple(map(str, r.provenance)),
            sampling_hz=r.sampling_hz,
            nanovolts_per_lsb=NANOVOLTS_PER_LSB,
            config_id=config_id,
            model=r.bundle.manifest.name[:32],
        )

    def reset(self) -> None:
        """A session begins."""
        self._reconstructor.reset()

    def push(
        self, ecg_mv: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """(n_leads, n) mV in, what whole hops give out: (12, m) mV, sigma, quality."""
        block = self._reconstructor.push(ecg_mv)
        return block.ecg_mv, block.sigma_mv, block.quality
