"""What a virtual wearable plays: the simulator, or a recording that loops or ends."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import SourceSpecError


class Signal(Protocol):
    """Leads as a function of the sample index; `EcgSimulator` and `Recording` are two."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the rows."""
        ...

    @property
    def sampling_hz(self) -> float:
        """Samples per second."""
        ...

    def read(self, n_samples: int) -> NDArray[np.float32]:
        """The next samples, (n_leads, n_samples) mV; fewer at the end of a finite signal."""
        ...


class Recording:
    """Plays `ecg_mv`, (n_leads, n) mV with rows `leads`, once or in a loop.

    Raises SourceSpecError for a shape that does not fit or a sample that is not finite.
    """

    def __init__(
        self,
        ecg_mv: NDArray[np.float32],
        sampling_hz: float,
        leads: Sequence[str],
        *,
        loop: bool = False,
    ) -> None:
        if ecg_mv.ndim != 2 or ecg_mv.shape[0] != len(leads) or ecg_mv.shape[1] == 0:
            raise SourceSpecError(
                f"a recording of shape {ecg_mv.shape} with {len(leads)} lead names: "
                "expected (n_leads, n_samples) with at least one sample"
            )
        if not np.isfinite(ecg_mv).all():
            raise SourceSpecError("the recording has samples that are not finite: fill them first")
        if not sampling_hz > 0:
            raise SourceSpecError(f"a recording at {sampling_hz:g} Hz: give its sampling rate")
        self.leads = tuple(leads)
        self.sampling_hz = float(sampling_hz)
        self._ecg_mv = np.asarray(ecg_mv, np.float32)
        self._loop = loop
        self._position = 0

    @classmethod
    def load(cls, path: str | Path, *, loop: bool = False) -> Recording:
        """Read an NPZ file with arrays ecg_mv (n_leads, n), sampling_hz and leads.

        Raises SourceSpecError if it is missing or holds something else.
        """
        try:
            # Opened here, since NumPy leaves a file that is no NPZ open.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                ecg_mv = np.asarray(arrays["ecg_mv"], np.float32)
                sampling_hz = float(arrays["sampling_hz"])
                leads = [str(name) for name in arrays["leads"]]
        except FileNotFoundError as error:
            raise SourceSpecError(f"no recording {path}: give an NPZ file") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise SourceSpecError(
                f"{path} is no recording: expected an NPZ file with ecg_mv, sampling_hz and leads"
            ) from error
        return cls(ecg_mv, sampling_hz, leads, loop=loop)

    def read(self, n_samples: int) -> NDArray[np.float32]:
        """The next samples, (n_leads, n_samples) float32 mV; fewer once it has ended."""
        total = self._ecg_mv.shape[1]
        stop = self._position + n_samples
        index = np.arange(self._position, stop if self._loop else min(stop, total))
        self._position += len(index)
        return self._ecg_mv[:, index % total]
