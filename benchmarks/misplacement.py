"""`python -m benchmarks misplacement`: exchanged or inverted leads found, and hearts doubted for nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.command import DOMAINS
from benchmarks.report import Result, Table, Target
from edge.bundle import Manifest, load_bundle
from edge.files.lead_option import parse_leads
from edge.lead_subsets import TWELVE
from edge.leads import INPUT_LEADS, lead_indices
from edge.progress import followed
from edge.signal.conditioning import Conditioner
from edge.signal.einthoven import single_mistakes
from edge.signal.misplacement import Misplacement, MisplacementCheck, Mistakes
from quantize.data import Records, load

FROM_S = 1.0  # the filters have settled
WITHIN_S = (4.0, 9.0)
FOUND, FALSE = 0.95, 0.05


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "misplacement", help="exchanged and inverted leads that are found"
    )
    add_argument = parser.add_argument
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--leads", default=",".join(INPUT_LEADS), help="measured leads")
    add_argument("--domains", nargs="+", choices=DOMAINS, default=list(DOMAINS))
    add_argument("--limit", type=int, metavar="N", help="the first N records of each data set")
    add_argument("--data", type=Path, help="folder of the recordings (default: $LEADLIFT_DATA)")
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Every record as wired, and with each single mistake; bounds were chosen on fold 9."""
    manifest = load_bundle(arguments.model).manifest
    leads = tuple(parse_leads(arguments.leads))
    mistakes = Mistakes(leads, manifest.moments)
    table = Table(
        f"Misplaced leads of {', '.join(leads)}: share flagged, 95 % interval",
        (
            "data",
            "records",
            "wired",
            *(f"within {s:g} s" for s in WITHIN_S),
            "named",
            "named first",
        ),
    )
    results: dict[str, Any] = {"not_told": list(mistakes.not_told)}
    for domain in followed(arguments.domains, "data sets"):
        records = load(domain, arguments.data)
        if arguments.limit:
            records = records.take(arguments.limit)
        ecg = _conditioned(records, leads, manifest)
        rows = {"as named": np.eye(len(leads)), **dict(single_mistakes(leads))}
        results[domain] = {"records": len(ecg), "wired": {}}
        for name, change in rows.items():
            if name != "as named" and name not in mistakes.names:
                continue
            found = {s: [_found(change @ one, leads, manifest, s) for one in ecg] for s in WITHIN_S}
            flagged = {s: [one is not None for one in found[s]] for s in WITHIN_S}
            last = [one.mistakes for one in found[WITHIN_S[-1]] if one is not None]
            scores: dict[str, Any] = {
                **{f"within_{s:g}_s": share(flagged[s]) for s in WITHIN_S},
                "named": float(np.mean([name in one for one in last])) if last else None,
                "named_first": float(np.mean([name == one[0] for one in last])) if last else None,
            }
            results[domain]["wired"][name] = scores
            named = ("", "") if name == "as named" else (scores["named"], scores["named_first"])
            shares = (_said(scores[f"within_{s:g}_s"]) for s in WITHIN_S)
            table.add(domain, len(ecg), name, *shares, *named)
    return Result(results, [table], targets(arguments.domains, mistakes.names))


def targets(domains: list[str], names: tuple[str, ...]) -> list[Target]:
    """95 % of each mistake within four seconds, at 5 % of those that are wired as named."""
    where = f"within_{WITHIN_S[0]:g}_s/share"
    return [
        Target(
            f"{domain}: {name}, within {WITHIN_S[0]:g} s",
            f"{domain}/wired/{name}/{where}",
            FALSE if name == "as named" else FOUND,
            at_least=name != "as named",
        )
        for domain in domains
        for name in ("as named", *names)
    ]


def share(flagged: list[bool]) -> dict[str, float]:
    """Share of those that are true, and its 95 % interval (Wilson)."""
    from scipy.stats import binomtest

    low, high = binomtest(sum(flagged), len(flagged)).proportion_ci(method="wilson")
    return {"share": sum(flagged) / len(flagged), "low": float(low), "high": float(high)}


def _said(found: dict[str, float]) -> str:
    return f"{found['share']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"


def _conditioned(
    records: Records, leads: tuple[str, ...], manifest: Manifest
) -> NDArray[np.float32]:
    """(n_records, n_leads, n) mV as the live path has them, from FROM_S on."""
    independent = records.ecg_uv.astype(np.float32) / np.float32(1e3)
    ecg = TWELVE[lead_indices(leads)].astype(np.float32) @ independent
    n, n_leads, length = ecg.shape
    rows = np.ascontiguousarray(
        ecg.reshape(n * n_leads, length)[:, : length // manifest.hop * manifest.hop]
    )
    how = manifest.conditioning, records.sampling_hz, len(rows), manifest.hop
    seen = Conditioner(*how).push(rows)[0]
    return seen.reshape(n, n_leads, -1)[:, :, round(FROM_S * records.sampling_hz) :]


def _found(
    ecg: NDArray[np.floating], leads: tuple[str, ...], manifest: Manifest, seconds: float
) -> Misplacement | None:
    hz = manifest.sampling_hz
    return MisplacementCheck(leads, manifest.moments, hz).push(ecg[:, : round(seconds * hz)])
