"""Two engines on the same streamed records: how far their outputs and state codes lie apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Manifest
from edge.engines.base import Array, Engine
from edge.lead_set import LeadSet
from edge.leads import lead_indices
from edge.signal.conditioning import Conditioner
from firmware_bridge.simulators.ecg import EcgSimulator
from quantize.data import data_folder, load
from quantize.errors import QuantizeError

RMSE_UV, LEAST_R = (
    2.0,
    0.9999,
)  # ARCHITECTURE.md: across engines, per lead, over 200 streamed records
RECORDS, RECORD_S = 200, 10.0
SIMULATED = "the simulator"
Given = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Streams:
    """Records to stream, and where they come from."""

    source: str
    ecg_mv: NDArray[np.float32]
    """(n_records, n_measured, n_samples) mV of the leads that the decoder takes by default."""

    def __len__(self) -> int:
        return len(self.ecg_mv)

    def given(self, manifest: Manifest) -> Iterable[Given]:
        """Of each record what a reconstructor gives an engine; see `given_from_leads`."""
        return (given_from_leads(manifest, record) for record in self.ecg_mv)


def streams(manifest: Manifest, n: int = RECORDS, folder: Path | None = None) -> Streams:
    """The first `n` records of PTB-XL's fold 10; where they are not here, the simulator's, which it says.

    Engines may be compared on simulated signals; fidelity may not be measured on them.
    """
    try:
        records = load("test", folder or data_folder()).take(n)
    except QuantizeError:
        return Streams(SIMULATED, _simulated(manifest, n))
    if records.sampling_hz != manifest.sampling_hz:
        return Streams(SIMULATED, _simulated(manifest, n))
    return Streams("PTB-XL fold 10", records.millivolts(LeadSet(manifest).measured))


def given_from_leads(manifest: Manifest, ecg_mv: NDArray[np.float32]) -> Given:
    """`ecg`, `mask` and `anchor` of a batch of 1 from (n_measured, n) mV, all leads on, whole hops of it."""
    m, leads = manifest, LeadSet(manifest)
    n = ecg_mv.shape[1] // m.hop * m.hop
    conditioner = Conditioner(m.conditioning, m.sampling_hz, len(ecg_mv), m.hop)
    seen = conditioner.push(ecg_mv[:, :n])[1]
    present = leads.all_present
    ecg = np.ascontiguousarray(leads.engine_rows(present, seen), np.float32)
    mask = np.ascontiguousarray(np.broadcast_to(present.mask, ecg.shape), np.float32)
    return ecg, mask, present.engine_anchor


def hops(given: Given) -> list[Given]:
    """The steps of one frame each, contiguous, as a reconstructor hands them over."""
    ecg, mask, anchor = given
    return [
        (
            np.ascontiguousarray(ecg[..., i : i + 1]),
            np.ascontiguousarray(mask[..., i : i + 1]),
            anchor,
        )
        for i in range(ecg.shape[-1])
    ]


def stream(engine: Engine, given: Given) -> tuple[Array, Array]:
    """`ecg_mv` and `log_sigma` of all frames, one step at a time from reset; (n_outputs, hop, frames)."""
    engine.reset()
    results = [[a.copy() for a in engine.step(*hop)] for hop in hops(given)]
    ecg_mv, log_sigma = (np.concatenate(parts, -1) for parts in zip(*results, strict=True))
    return ecg_mv, log_sigma


def agreement(
    engine: Engine,
    reference: Engine,
    records: Streams,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """RMSE in uV, r and largest difference of each lead over all records; state codes that differ.

    Leads that are known from the default ones are left out, as the reconstructor leaves them out. Every
    record is streamed hop by hop from reset on both engines; the codes are compared at its end.
    """
    m = engine.manifest
    unknown = LeadSet(m).unknown
    rows, sigma_rows = (
        [i for i, row in enumerate(lead_indices(leads)) if unknown[row]]
        for leads in (m.output_leads, m.sigma_leads)
    )
    sums = np.zeros((len(rows), 6))  # d^2, x, y, x^2, y^2, xy of each lead
    largest = np.zeros(len(rows))
    count = codes = changed = steps = code_largest = 0
    sigma_largest = 0.0
    for number, given in enumerate(records.given(m), 1):
        (x, x_sigma), (y, y_sigma) = (
            (ecg[rows].astype(np.float64), log_sigma[sigma_rows].astype(np.float64))
            for ecg, log_sigma in (stream(e, given) for e in (engine, reference))
        )
        d = x - y
        parts = (d * d, x, y, x * x, y * y, x * y)
        sums += np.stack([part.sum((1, 2)) for part in parts], 1)
        largest = np.maximum(largest, np.abs(d).max((1, 2)))
        sigma_largest = max(sigma_largest, float(np.abs(x_sigma - y_sigma).max()))
        ours, theirs = _codes(engine), _codes(reference)
        apart = np.abs(ours - theirs)
        codes, changed = codes + apart.size, changed + int((apart > 0).sum())
        code_largest = max(code_largest, int(apart.max(initial=0)))
        count, steps = count + x[0].size, steps + x.shape[-1]
        if number % 50 == 0 or number == len(records):
            say(f"  agreement: {number} of {len(records)} records")
    rmse_uv = 1000 * np.sqrt(sums[:, 0] / count)
    r = _correlation(sums[:, 1:], count)
    return {
        "records": records.source,
        "n_records": len(records),
        "steps": steps,
        "reference": reference.name,
        "by_lead": {
            m.output_leads[row]: {
                "rmse_uv": rmse_uv[i],
                "r": r[i],
                "largest_uv": 1000 * largest[i],
            }
            for i, row in enumerate(rows)
        },
        "rmse_uv": float(rmse_uv.max()),
        "r": float(r.min()),
        "largest_uv": 1000 * float(largest.max()),
        "largest_log_sigma": sigma_largest,
        "codes": codes,
        "codes_changed": changed,
        "codes_changed_share": changed / codes if codes else 0.0,
        "largest_code_difference": code_largest,
    }


def same_bits(one: Engine, other: Engine, given: Given) -> dict[str, int]:
    """Steps of a stream after which two engines' outputs, or codes of the state, are not the same bits."""
    one.reset()
    other.reset()
    outputs = states = 0
    steps = hops(given)
    for hop in steps:
        pairs = zip(one.step(*hop), other.step(*hop), strict=True)
        outputs += not all(a.tobytes() == b.tobytes() for a, b in pairs)
        states += not np.array_equal(_codes(one), _codes(other))
    return {"steps": len(steps), "outputs_differ": outputs, "states_differ": states}


def _simulated(manifest: Manifest, n: int) -> NDArray[np.float32]:
    rows = LeadSet(manifest).rows
    samples = round(RECORD_S * manifest.sampling_hz)
    made = [
        EcgSimulator(
            manifest.sampling_hz, 55 + seed % 60, baseline_mv=0.1, muscle_mv=0.01, seed=seed
        ).read(samples)[rows]
        for seed in range(n)
    ]
    return np.stack(made)


def _codes(engine: Engine) -> NDArray[np.int16]:
    """All codes of the state, in a type in which they may be subtracted."""
    state = engine.state()
    return np.concatenate([state[s.input].ravel().astype(np.int16) for s in engine.manifest.states])


def _correlation(sums: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """r from columns x, y, x^2, y^2, xy; a lead that is constant in either has none."""
    x, y, xx, yy, xy = sums.T
    varies = (n * xx - x * x) * (n * yy - y * y)
    found = np.full(len(sums), np.nan)
    np.divide(n * xy - x * y, np.sqrt(np.maximum(varies, 0)), out=found, where=varies > 0)
    return found
