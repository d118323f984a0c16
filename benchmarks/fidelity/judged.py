"""What a judge says of every method's twelve leads, record by record, kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity import judges, methods, scores
from benchmarks.fidelity.judges import Judge
from benchmarks.fidelity.kept import Arrays, kept_arrays
from benchmarks.fidelity.methods import (
    CALIBRATION_S,
    LINEAR,
    Method,
    Predictions,
    cache_key,
    calibrated_name,
    linear_predictions,
    predict,
    sha256_of,
    truth_mv,
)
from benchmarks.fidelity.scores import Array, scored
from edge.bundle import Bundle
from edge.lead_subsets import TWELVE
from edge.signal.conditioning import Conditioner
from quantize.data import Records

REAL, WHOLE, CONDITIONED = "real", "real, whole record", "real, conditioned"
SHIPPED, CALIBRATED, THREE = "shipped", "calibrated", "three leads"
BATCH = 64  # records at once

Ecg = NDArray[np.floating]


class Arms:
    """Twelve leads of one data set, by method: each streamed when it is first asked for."""

    def __init__(
        self,
        bundle: Bundle,
        engine: str,
        records: Records,
        *,
        hop_by_hop: bool = False,
        folder: Path | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.records = records
        self._bundle, self._folder, self._hop_by_hop = bundle, folder, hop_by_hop
        hop = bundle.manifest.hop
        self._n = records.ecg_uv.shape[-1] // hop * hop
        self._method = {
            SHIPPED: Method(f"INT8 {engine}", f"student INT8, {engine}", bundle, engine),
            CALIBRATED: Method(
                calibrated_name(engine), "calibrated", bundle, engine, calibration_s=CALIBRATION_S
            ),
        }
        self._predict = cache(partial(self._predicted, advance))

    def _predicted(self, advance: Callable[[], None], name: str) -> Predictions:
        if name == LINEAR:
            return linear_predictions(self._bundle, self._predict(SHIPPED))
        return predict(
            self._method[name],
            self.records,
            hop_by_hop=self._hop_by_hop,
            folder=self._folder,
            advance=advance,
        )

    def key(self, arm: str) -> str:
        """Names what the leads of an arm depend on."""
        method = self._method.get(arm, self._method[SHIPPED])
        return f"{arm.replace(' ', '-').replace(',', '')}-{cache_key(method, self.records, self._hop_by_hop)}"

    def millivolts(self, arm: str, at: slice) -> Ecg:
        """(n_records, 12, n) mV: as recorded, as conditioned, or as a method made them."""
        if arm in (REAL, WHOLE, THREE):
            return truth_mv(self.records.at(at), self._n)
        if arm == CONDITIONED:
            return TWELVE @ self._conditioned(at)
        return self._predict(arm).ecg_mv[at]

    def _conditioned(self, at: slice) -> Array:
        """(n_records, 8, n) mV, each record by itself."""
        manifest, every = self._bundle.manifest, self.records.at(at).millivolts()[..., : self._n]
        rows = every.reshape(-1, every.shape[-1])
        conditioner = Conditioner(
            manifest.conditioning, self.records.sampling_hz, len(rows), manifest.hop
        )
        return np.asarray(conditioner.push(rows)[0], np.float64).reshape(every.shape)

    def scored(self, arm: str, at: slice) -> Array:
        """(n_records, 12, n) mV above 0.5 Hz; all of it of WHOLE, else what counts."""
        counts = scores.window(self.records.ecg_uv.shape[-1], self.records.sampling_hz)
        ecg_mv = self.millivolts(arm, at)
        return scored(ecg_mv, self.records.sampling_hz, slice(None) if arm == WHOLE else counts)

    def parts(self) -> list[slice]:
        """Records that are judged at once."""
        return [slice(start, start + BATCH) for start in range(0, len(self.records), BATCH)]


def judged(judge: Judge, arms: Arms, arm: str, folder: Path | None = None) -> Arrays:
    """`says` (n_records, n_superclasses) and `features` (n_records, n_features)."""

    def make() -> Arrays:
        made = [judge.ask(arms.scored(arm, at), arms.records.sampling_hz) for at in arms.parts()]
        says, features = zip(*made, strict=True)
        return {"says": np.concatenate(says), "features": np.concatenate(features)}

    code = sha256_of(*_CODE)[:16]
    name = f"judged-{arms.key(arm)}-{judge.name}-{judge.sha256[:16]}-{code}.npz"
    return kept_arrays(folder and folder / name, make)


_CODE = (
    Path(__file__),
    *(Path(str(module.__file__)) for module in (judges, methods, scores)),
)
