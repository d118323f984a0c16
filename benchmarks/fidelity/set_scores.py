"""Any set of measured leads against the truth: what each record scores, lead by lead, kept in a folder.

All arrays have the records first and then the twelve LEADS; NaN where a lead is known from those measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity import methods, scores, segments, ssim
from benchmarks.fidelity.methods import Method, calibrated, file_of, sha256_of
from benchmarks.fidelity.scores import FROM_S, Array, record_scores, scored, window
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.fidelity.segments import segments as segments_of
from benchmarks.fidelity.ssim import Local
from edge.engines.base import Engine
from edge.lead_subsets import INDEPENDENT_ROWS, TWELVE, anchor_of, class_of, known
from edge.leads import LEADS, lead_indices
from edge.reconstructor import Reconstructor
from quantize.data import Records
from quantize.prepared import partial_of

BATCH = 32  # records scored at once
OF_MAP = ("r", "rmse_uv", "variance_ratio", "slope")
OF_IMAGE = ("ssim", "relative_mse")
N_BINS, BINS_PER_SIGMA = 512, 50  # of |error| / sigma, the last for all above
N_PLACES = len(SEGMENTS) + 1  # the last is outside all segments


Streamed = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]
"""(n_records, 12, n) mV, its sigma, and which calibrations were refused."""


@dataclass(frozen=True)
class SetScores:
    """What one method scores with one set of leads on one data set."""

    leads: tuple[str, ...]
    ours: dict[str, Array]
    """By name of OF_MAP, and `sigma_uv`, `in_sigmas` (mean of |error| / sigma), (n_records, 12); of OF_IMAGE,
    where asked for, also of the known leads."""
    linear: dict[str, Array]
    """The same of the population's linear map, without sigma."""
    twelve_uv: Array
    """(n_records,) RMSE over all twelve leads, of known ones 0."""
    linear_twelve_uv: Array
    errors: NDArray[np.uint16]
    """(n_records, N_PLACES, N_BINS) samples of the unknown independent leads, by |error| / sigma."""
    errors_by_lead: NDArray[np.int64]
    """(12, N_PLACES, N_BINS), over all records."""
    missing: Array
    """(n_records,) share of the twelve leads' samples that the reconstructor gave as NaN."""
    refused: NDArray[np.bool_]
    """(n_records,) whether calibration refused the record's beginning as a reference."""


class Truth:
    """What predictions of one data set are compared with: made once for all sets of leads."""

    def __init__(self, records: Records, hop: int, from_s: float = FROM_S) -> None:
        hz = records.sampling_hz
        self.records = records
        self.n_samples = records.ecg_uv.shape[-1] // hop * hop
        self.counts = window(records.ecg_uv.shape[-1], hz, from_s)
        self.sha256 = hashlib.sha256(np.ascontiguousarray(records.ecg_uv).tobytes()).hexdigest()
        self._local: dict[int, Local] = {}
        shown, labels = [], []
        for at in self.parts():
            eight = self.recorded_mv(at)
            shown.append(scored(eight, hz, self.counts).astype(np.float32))
            labels += [segments_of(x, hz)[self.counts] for x in eight[:, LEADS.index("II")]]
        self.eight_mv = np.concatenate(shown)
        """(n_records, 8, n) INDEPENDENT_LEADS as scored."""
        self.place = np.stack(labels)
        """(n_records, n) number of the segment, or N_PLACES - 1."""
        self.place[self.place < 0] = N_PLACES - 1

    def local(self, at: slice) -> Local:
        """Of `parts`, of all twelve leads: what SSIM needs of the truth."""
        if at.start not in self._local:
            self._local[at.start] = ssim.local_of(TWELVE @ self.eight_mv[at])
        return self._local[at.start]

    def parts(self) -> list[slice]:
        """Records that are scored at once."""
        return [slice(start, start + BATCH) for start in range(0, len(self.records), BATCH)]

    def recorded_mv(self, at: slice) -> NDArray[np.float32]:
        """(n, 8, n_samples) INDEPENDENT_LEADS as recorded."""
        return self.records.ecg_uv[at, :, : self.n_samples].astype(np.float32) / np.float32(1000)


def score_set(
    method: Method,
    engine: Engine,
    leads: Sequence[str],
    truth: Truth,
    *,
    hop_by_hop: bool = False,
    images: bool = False,
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> SetScores:
    """Stream every record through a reconstructor of these leads, and score it.

    Taken from `folder` if it was done before by the same code. `images` adds OF_IMAGE. Raises BenchmarkError
    for a rate other than the decoder's.
    """
    records, manifest = truth.records, engine.manifest
    if records.sampling_hz != manifest.sampling_hz:
        raise BenchmarkError(
            f"{records.name} is at {records.sampling_hz:g} Hz, the decoder at {manifest.sampling_hz:g}"
        )

    def make() -> SetScores:
        r = Reconstructor(engine, leads=leads)
        streamed = (
            (at, _stream(method, r, truth.recorded_mv(at), hop_by_hop)) for at in truth.parts()
        )
        return scores_of(manifest.moments, leads, streamed, truth, images, advance)

    name = file_of(method, records.name, truth.sha256, hop_by_hop)
    return kept(folder, name, leads, truth, make, images, advance)


def scores_of(
    moments: Array,
    leads: Sequence[str],
    streamed: Iterable[tuple[slice, Streamed]],
    truth: Truth,
    images: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> SetScores:
    """What was streamed of some records, part by part, against the truth and the linear map of `moments`."""
    parts = []
    for at, one in streamed:
        parts.append(_score(moments, leads, one, truth, at, images))
        advance(len(one[0]))
    return _joined(tuple(leads), parts)


def kept(
    folder: Path | None,
    name: str,
    leads: Sequence[str],
    truth: Truth,
    make: Callable[[], SetScores],
    images: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> SetScores:
    """From `folder` if the same code made it before: `name` says what predictions depend on."""
    code = f"{truth.counts.start}-{sha256_of(*_CODE)[:16]}{'-images' if images else ''}"
    file = None if folder is None else folder / f"set-{'+'.join(leads)}-{name}-{code}.npz"
    if file is not None and file.exists():
        advance(len(truth.records))
        return _read(file, leads)
    made = make()
    if file is not None:
        _write(file, made)
    return made


def _stream(
    method: Method, r: Reconstructor, eight: NDArray[np.float32], hop_by_hop: bool
) -> Streamed:
    ecg = np.empty((len(eight), len(LEADS), eight.shape[-1]), np.float32)
    sigma, refused = np.empty_like(ecg), np.zeros(len(eight), bool)
    step = r.hop if hop_by_hop else max(1, eight.shape[-1])
    measure = TWELVE[lead_indices(r.leads)].astype(np.float32)
    for i, record in enumerate(eight):
        streamed = r
        r.reset()
        if method.calibration_s is not None:
            streamed, refused[i] = calibrated(r, record, method.calibration_s)
        measured = measure @ record
        blocks = (streamed.push(measured[:, k : k + step]) for k in range(0, len(record[0]), step))
        for block in (*blocks, streamed.flush()):
            at = slice(block.first_sample, block.first_sample + block.n_samples)
            ecg[i, :, at], sigma[i, :, at] = block.ecg_mv, block.sigma_mv
    return ecg, sigma, refused


def _score(
    moments: Array,
    leads: Sequence[str],
    streamed: Streamed,
    truth: Truth,
    at: slice,
    images: bool,
) -> SetScores:
    ecg, sigma, refused = streamed
    which, hz = class_of(leads), truth.records.sampling_hz
    certain = known(which)
    missing = np.isnan(ecg).mean((1, 2))
    # Scored as a flat line: a method gains nothing by refusing.
    eight = scored(np.nan_to_num(ecg[:, INDEPENDENT_ROWS]), hz, truth.counts)
    shown, real = TWELVE @ eight, TWELVE @ truth.eight_mv[at]
    # The filter is linear: what it makes of the map is the map of what it makes of the leads.
    mapped = TWELVE @ (anchor_of(moments, which) @ (shown * certain[:, None]))
    of_ours, of_linear = (_of_leads(real, one, certain) for one in (shown, mapped))
    if images:
        of_ours |= _of_images(real, shown, truth.local(at))
        of_linear |= _of_images(real, mapped, truth.local(at), ~certain)
        for name in OF_IMAGE:  # what is known is the same in both
            of_linear[name][:, certain] = of_ours[name][:, certain]
    error = np.abs(shown - real)
    with np.errstate(divide="ignore", invalid="ignore"):
        given = np.nan_to_num(sigma[..., truth.counts])
        in_sigmas = np.where(given > 0, error / given, np.inf)
    in_sigmas[:, certain] = np.nan
    of_ours["in_sigmas"] = in_sigmas.mean(-1)
    of_ours["sigma_uv"] = np.where(certain, np.nan, 1e3 * given.mean(-1))
    by_record, by_lead = _counted(in_sigmas, truth.place[at], ~certain)
    return SetScores(
        tuple(leads),
        of_ours,
        of_linear,
        _of_twelve(shown - real, certain),
        _of_twelve(mapped - real, certain),
        by_record,
        by_lead,
        missing,
        refused,
    )


def _of_leads(real: Array, shown: Array, certain: NDArray[np.bool_]) -> dict[str, Array]:
    found = {name: np.full(real.shape[:2], np.nan) for name in OF_MAP}
    of_unknown = record_scores(real[:, ~certain], shown[:, ~certain])
    for name, values in found.items():
        values[:, ~certain] = of_unknown[name]
    return found


def _of_images(
    real: Array, shown: Array, local: Local, rows: NDArray[np.bool_] | None = None
) -> dict[str, Array]:
    """OF_IMAGE of these rows, or all."""
    at = np.arange(real.shape[1]) if rows is None else np.flatnonzero(rows)
    found = {name: np.full(real.shape[:2], np.nan) for name in OF_IMAGE}
    of = Local(*(one[:, at] for one in local))
    found["ssim"][:, at] = ssim.ssim(real[:, at], shown[:, at], of)
    found["relative_mse"][:, at] = ssim.relative_mse(real[:, at], shown[:, at])
    return found


def _of_twelve(error: Array, certain: NDArray[np.bool_]) -> Array:
    squares = np.square(error).mean(-1)
    squares[:, certain] = 0
    return np.asarray(1e3 * np.sqrt(squares).mean(-1))


def _counted(
    in_sigmas: Array, place: NDArray[np.int8], unknown: NDArray[np.bool_]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """How many samples fall into each bin: by record of the independent leads, by lead of all records."""
    n = len(in_sigmas)
    rows = np.flatnonzero(unknown)
    bins = np.minimum(in_sigmas[:, rows] * BINS_PER_SIGMA, N_BINS - 1).astype(np.intp)
    bins += place[:, None].astype(np.intp) * N_BINS
    size = N_PLACES * N_BINS
    independent = bins[:, np.isin(rows, INDEPENDENT_ROWS)]
    by_record = np.stack([np.bincount(one.ravel(), minlength=size) for one in independent])
    by_lead = np.zeros((len(LEADS), size), np.int64)
    for i, row in enumerate(rows.tolist()):
        by_lead[row] = np.bincount(bins[:, i].ravel(), minlength=size)
    shape = (N_PLACES, N_BINS)
    return by_record.reshape(n, *shape).astype(np.uint16), by_lead.reshape(-1, *shape)


def _joined(leads: tuple[str, ...], parts: list[SetScores]) -> SetScores:
    def of(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for part in parts])

    def of_each(name: str) -> dict[str, Array]:
        return {
            key: np.concatenate([getattr(part, name)[key] for part in parts])
            for key in getattr(parts[0], name)
        }

    by_lead = np.sum([part.errors_by_lead for part in parts], 0)
    arrays = ("twelve_uv", "linear_twelve_uv", "errors", "missing", "refused")
    return SetScores(
        leads,
        of_each("ours"),
        of_each("linear"),
        errors_by_lead=by_lead,
        **{name: of(name) for name in arrays},  # type: ignore[arg-type]
    )


_CODE = (
    Path(__file__),
    *(Path(str(module.__file__)) for module in (methods, scores, segments, ssim)),
)


def _write(file: Path, made: SetScores) -> None:
    arrays = {name: value for name, value in vars(made).items() if isinstance(value, np.ndarray)}
    for kind in ("ours", "linear"):
        arrays |= {f"{kind}.{name}": value for name, value in getattr(made, kind).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(file)
    with partial.open("wb") as stream:  # a name that only a whole file bears
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    partial.replace(file)


def _read(file: Path, leads: Sequence[str]) -> SetScores:
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    of: dict[str, dict[str, Array]] = {"ours": {}, "linear": {}}
    for name in [name for name in arrays if "." in name]:
        kind, _, what = name.partition(".")
        of[kind][what] = arrays.pop(name)
    return SetScores(tuple(leads), **of, **arrays)  # type: ignore[arg-type]
