"""What the live path needs of a reconstructor."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.samples import TwelveLeadBlock


class StreamReconstructor(Protocol):
    """What the runtime needs of `edge.Reconstructor`."""

    @property
    def sampling_hz(self) -> float:
        """Rate of what it takes and gives."""
        ...

    @property
    def leads(self) -> tuple[str, ...]:
        """The measured leads."""
        ...

    @property
    def moments(self) -> NDArray[np.float64]:
        """(8, 8) second moments of INDEPENDENT_LEADS in mV^2 that the anchors follow from."""
        ...

    @property
    def hop(self) -> int:
        """Samples per step."""
        ...

    def push(
        self,
        ecg_mv: NDArray[np.float32],
        valid: NDArray[np.bool_] | None = None,
        quality: NDArray[np.uint8] | None = None,
    ) -> TwelveLeadBlock:
        """(n_leads, n) mV in, a block, maybe empty, out."""
        ...

    def skip(self, n_samples: int) -> None:
        """A gap of `n_samples`."""
        ...

    def flush(self) -> TwelveLeadBlock:
        """What a look-ahead holds back; the stream ends, or has a gap next."""
        ...


def engine_name(reconstructor: StreamReconstructor) -> str:
    """The engine of one that has one; empty for any other."""
    return str(getattr(getattr(reconstructor, "engine", None), "name", ""))
