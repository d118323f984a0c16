"""What a teacher makes of whole records, once for all: students draw it with their crops.

The teacher sees the record as it is, with all inputs on and no noise. A student that is given less of it is
then taught what more would have told (privileged information: Lopez-Paz et al. 2016, arXiv 1511.03643), and
an ensemble costs a step of training nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge.leads import INDEPENDENT_LEADS, INPUT_LEADS, lead_indices
from quantize.feed import Feed, samples_from_frames
from quantize.objective import zero_phase
from quantize.prepared import SEEN, Prepared, kept
from quantize.teacher import Teacher
from quantize.train import SAMPLING_HZ

BATCH = 16
_INPUTS = lead_indices(INPUT_LEADS, INDEPENDENT_LEADS)


def with_lessons(
    records: Prepared, teacher: Teacher, sha256: str, feed: Feed, folder: Path | None = None
) -> Prepared:
    """The records with what the teacher makes of them, at every pace.

    `sha256` names the teacher; with a folder the lessons stay there, and are taken from there the next time.
    Raises QuantizeError if the folder cannot be written.
    """
    taught = []
    for signals in records.signals:
        of = hashlib.sha256(repr((sha256, feed.spec, feed.hop, signals.shape)).encode())
        for part in (feed.moments, records.moments):
            of.update(np.ascontiguousarray(part).tobytes())
        file = None if folder is None else folder / f"taught-{of.hexdigest()[:16]}.npy"
        taught.append(kept(file, lambda signals=signals: _made(signals, teacher, feed)))  # type: ignore[misc]
    return replace(records, taught=tuple(taught))


@torch.no_grad()
def _made(signals: NDArray[np.float16], teacher: Teacher, feed: Feed) -> NDArray[np.float16]:
    """(n_records, 5, n_samples) mV, zero-phase high-passed, of one pace."""
    made = []
    for start in range(0, len(signals), BATCH):
        some = signals[start : start + BATCH]
        batch = feed.whole(some)
        residual, _ = teacher(batch.ecg, batch.mask, batch.anchor)
        shown = zero_phase(samples_from_frames(residual), SAMPLING_HZ)
        base = batch.anchor.numpy() @ some[:, SEEN][:, _INPUTS].astype(np.float32)
        made.append((base + shown.numpy()).astype(np.float16))
    return np.concatenate(made)
