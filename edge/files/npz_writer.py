"""NPZ recording: arrays of any length through a spool of .npy files beside the output.

A zip archive cannot grow several members at once. So the arrays grow as .npy files in `OUT.npz.part`,
each readable with `numpy.load` at any time (its header is brought up to date every second), and are
packed at close. Their layout is Fortran order, (12, n) with a sample's twelve leads side by side, so
that appending needs no knowledge of n. After a crash the spool is what was recorded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge.errors import SinkError
from edge.files.recording import MetadataSource, RecordingSink
from edge.files.repair import pack_spool
from edge.leads import LEADS
from edge.quality import Quality
from edge.samples import TwelveLeadBlock
from firmware_bridge.file_lock import held_folder, is_held
from firmware_bridge.new_file import IN_USE, INTERRUPTED, publish, remedy

_HEADER_BYTES = 128  # fixed, so that it can be rewritten in place; the text needs about 100
_SMALL_BYTES = 16_384  # of what is beside the growing arrays, at most
_FILL_SAMPLES = 16_384  # a gap is written in pieces of this size: 0.8 MB at most


class NpzSink(RecordingSink):
    """Writes `ecg_mv`, `sigma_mv` (12, n) float32 mV and `quality` (12, n) uint8, and what they mean.

    Also `sampling_hz`, `first_sample` (stream index of column 0), `leads`, `provenance`, `restarts`
    (columns where the stream began anew), `markers` (columns) and `marker_texts`, `prefilter`, `device`,
    `model`, `calibration`, `source`, `started_at` (ISO, empty if unknown), `simulated`. A gap is NaN with
    `Quality.GAP`, so column i is always (first_sample + i) / sampling_hz but after a restart.
    """

    def __init__(
        self, path: Path, sampling_hz: float, metadata: MetadataSource, *, overwrite: bool = False
    ) -> None:
        """As every recording; what an interrupted one left in the spool is refused, too."""
        super().__init__(path, sampling_hz, metadata, overwrite=overwrite)
        self._spool = self.output.part
        self._held: int | None = None  # the spool, against another run
        self._growing: dict[str, _GrowingArray] = {}
        self._first_sample = 0
        self._restarts: list[int] = []
        self._markers: list[tuple[int, str]] = []
        self._saved_markers = 0
        self._saved_until = 0
        self._refuse_interrupted()
        if self.output.is_stream:
            raise SinkError(f"cannot write {self.target}: NPZ needs a file, write .csv to a pipe")

    def _refuse_interrupted(self, error: OSError | None = None) -> None:
        if os.path.lexists(self._spool):
            why = IN_USE if is_held(self._spool) else f"{self._spool} {INTERRUPTED}"
            raise SinkError(f"cannot write {self.target}: {why}") from error

    @staticmethod
    def size_of(n_samples: int, sampling_hz: float) -> int:
        """As of every recording: while it grows; what is packed is smaller."""
        return _SMALL_BYTES + len(LEADS) * (4 + 4 + 1) * n_samples

    def _open(self) -> None:
        self.output.check()
        try:
            with remedy():
                self._spool.mkdir()  # exclusive: whoever makes it has the name
        except FileExistsError as error:
            self._refuse_interrupted(error)
            raise
        with suppress(OSError):  # a drive without locks: no other run is kept off
            self._held = held_folder(self._spool)

    def _begin(self, block: TwelveLeadBlock) -> None:
        self._first_sample = block.first_sample
        for name, dtype in (("ecg_mv", "<f4"), ("sigma_mv", "<f4"), ("quality", "|u1")):
            self._growing[name] = _GrowingArray(self._spool / f"{name}.npy", np.dtype(dtype))
        self._save(self._small())

    def _append(self, block: TwelveLeadBlock, onset: int) -> None:
        self._extend(block.ecg_mv, block.sigma_mv, block.quality)

    def _gap(self, n_samples: int, onset: int) -> None:
        for start in range(0, n_samples, _FILL_SAMPLES):
            shape = (len(LEADS), min(_FILL_SAMPLES, n_samples - start))
            missing = np.full(shape, np.nan, np.float32)
            self._extend(missing, missing, np.full(shape, Quality.GAP, np.uint8))

    def _restart(self, onset: int) -> None:
        self._restarts.append(onset)
        self._save({"restarts": np.array(self._restarts, np.int64)})

    def _mark(self, onset: int, text: str) -> None:
        self._markers.append((onset, text))

    def _save_markers(self) -> None:
        if self._saved_markers < len(self._markers):
            self._save(self._marks())
            self._saved_markers = len(self._markers)

    def _marks(self) -> dict[str, NDArray[np.generic]]:
        return {
            "markers": np.array([at for at, _ in self._markers], np.int64),
            "marker_texts": np.array([text for _, text in self._markers], np.str_),
        }

    def _save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        for name, array in arrays.items():
            # At once or not at all: a process may be killed here, and a disk be full.
            path = self._spool / f"{name}.npy"
            new = path.with_suffix(".new")
            try:
                with new.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
                new.replace(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def _extend(
        self, ecg_mv: NDArray[np.float32], sigma_mv: NDArray[np.float32], quality: NDArray[np.uint8]
    ) -> None:
        for name, part in (("ecg_mv", ecg_mv), ("sigma_mv", sigma_mv), ("quality", quality)):
            self._growing[name].append(part)
        if self._growing["quality"].n - self._saved_until >= self.sampling_hz:
            for growing in self._growing.values():
                growing.save()
            self._save_markers()
            self._saved_until = self._growing["quality"].n

    def _small(self) -> dict[str, NDArray[np.generic]]:
        """The members beside the growing ones."""
        start = self.metadata.started_at
        started_at = "" if start is None else start.isoformat()
        return {
            "sampling_hz": np.array(self.sampling_hz),
            "first_sample": np.array(self._first_sample),
            "leads": np.array(LEADS),
            "provenance": np.array([str(source) for source in self.provenance or ()]),
            "restarts": np.array(self._restarts, np.int64),
            **self._marks(),
            "prefilter": np.array(self.metadata.prefilter),
            "device": np.array(self.metadata.device),
            "model": np.array(self.metadata.model),
            "calibration": np.array(self.metadata.calibration),
            "started_at": np.array(started_at),
            "source": np.array(self.metadata.source),
            "simulated": np.array(self.metadata.simulated),
        }

    def _finish(self) -> None:
        try:
            self._pack()
        finally:
            if self._held is not None:
                os.close(self._held)

    def _pack(self) -> None:
        with ExitStack() as all_of_them:
            for growing in self._growing.values():
                all_of_them.callback(growing.close)
            self._save_markers()
        if "quality" not in self._growing or not self._growing["quality"].n:
            shutil.rmtree(self._spool)
            return
        if self._failed:  # there is no room to pack: the spool is the recording
            return
        packed = self._spool / "packed.npz"
        try:
            with packed.open("wb") as target:
                pack_spool(self._spool, target)
            publish(packed, self.output.path, overwrite=self.output.overwrite)
        except OSError:
            packed.unlink(missing_ok=True)
            raise
        shutil.rmtree(self._spool)

    def failure(self, error: OSError) -> SinkError:
        """The one line for a system error, with where the recording is."""
        if not self._opened or not self._spool.exists():
            return super().failure(error)
        return SinkError(
            f"cannot write {self.target}: {error.strerror or error}; what was recorded is kept in "
            f"{self._spool}: make room, then `leadlift repair {self._spool}`"
        )


class _GrowingArray:
    """A (12, n) .npy file whose n grows."""

    def __init__(self, path: Path, dtype: np.dtype[np.generic]) -> None:
        self.path = path
        self.n = 0
        self._dtype = dtype
        self._file: BinaryIO = path.open("wb")
        self.save()

    def append(self, part: NDArray[np.generic]) -> None:
        """Append a (12, m) part."""
        self._file.write(np.ascontiguousarray(part.T, self._dtype).tobytes())
        self.n += part.shape[1]

    def save(self) -> None:
        """Bring the header up to date and hand everything to the system."""
        fields = {"descr": self._dtype.str, "fortran_order": True, "shape": (len(LEADS), self.n)}
        magic = b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little")
        text = repr(fields).ljust(_HEADER_BYTES - 11) + "\n"
        self._file.flush()  # samples first: the header never promises more than is there
        self._file.seek(0)
        self._file.write(magic + text.encode())
        self._file.seek(0, 2)
        self._file.flush()

    def close(self) -> None:
        """Bring the header up to date and close."""
        if not self._file.closed:
            try:
                self.save()
            finally:
                self._file.close()
