"""`python -m benchmarks fidelity --part realism`: can reconstructed leads be told from true ones?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity import scores
from benchmarks.fidelity.diagnosis import LABELLED, RocBootstrap, interval
from benchmarks.fidelity.judged import CALIBRATED, CONDITIONED, REAL, SHIPPED, Arms, judged
from benchmarks.fidelity.judges import Judge, judges
from benchmarks.fidelity.kept import kept_arrays
from benchmarks.fidelity.methods import LINEAR, sha256_of
from benchmarks.fidelity.scores import FROM_S, RESAMPLES, TO_S, Array
from benchmarks.fidelity.tables import mean_with_interval
from benchmarks.report import Result, Table, Target
from edge.bundle import load_bundle
from edge.leads import LEADS, RECONSTRUCTED_LEADS, lead_indices
from edge.progress import progress
from quantize.data import SCORE_HIGHPASS_HZ, Records

MADE = (SHIPPED, LINEAR, CALIBRATED, CONDITIONED)
"""What is compared; the last is true leads, filtered and not reconstructed."""
TOLD_FROM = dict.fromkeys(MADE, CONDITIONED) | {CONDITIONED: REAL}
"""The true leads that each is told from: those of the same filters, which alone would give it away."""
FOLDS = {"test": "validation", "test_100": "validation_100"}
"""What is told apart, and where the judge of it learned."""
IN_FEATURES = "classifier's features"
GROUPS = {lead: [LEADS.index(lead)] for lead in RECONSTRUCTED_LEADS} | {
    "five leads": lead_indices(RECONSTRUCTED_LEADS)
}
SEEDS = 5  # of the convolutions
SPLITS = 20  # into halves of patients, of the unpaired distance
TARGETS = (
    Target(
        "Frechet distance, paired, classifier's features, fold 10",
        f"test/frechet/{SHIPPED}/paired",
        0.055,
    ),
)


def measure_realism(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """Fold 10, by what a judge learned of fold 9. Raises BenchmarkError where one of them is missing."""
    pairs = {test: learn for test, learn in FOLDS.items() if {test, learn} <= set(records)}
    if not pairs:
        raise BenchmarkError("--part realism learns on fold 9: give --domains validation test")
    judge, _ = judges(arguments.classifier, arguments.data, arguments.cache)
    bundle, engine = load_bundle(arguments.model), arguments.engines[0]
    used = [name for pair in pairs.items() for name in pair]
    results: dict[str, Any] = {}
    with progress("", 2 * sum(len(records[name]) for name in used)) as work:
        arms = {
            name: Arms(
                bundle,
                engine,
                records[name],
                hop_by_hop=bool(arguments.hop_by_hop),
                folder=arguments.cache,
                advance=work.advance,
            )
            for name in used
        }
        for test, learn in pairs.items():
            work.what = f"realism, {test}"
            of = {
                name: {
                    arm: judged(judge, arms[name], arm, arguments.cache)["features"]
                    for arm in (REAL, *MADE)
                }
                for name in (learn, test)
            }
            patients, seed = records[test].patient_id, arguments.seed
            told = {
                IN_FEATURES: told_apart(
                    {IN_FEATURES: of[learn]}, {IN_FEATURES: of[test]}, patients, seed
                )
            }
            if test == "test":  # the larger fold holds nothing above 47 Hz, which would tell
                for group in GROUPS:
                    learned, asked = (
                        _by_seed(arms[name], group, arguments.cache) for name in (learn, test)
                    )
                    told[group] = told_apart(learned, asked, patients, seed)
            results[test] = {
                "n_records": len(records[test]),
                "n_patients": len(set(patients)),
                "learned_on": {"domain": learn, "n_records": len(records[learn])},
                "frechet": distances(of[test], patients),
                "told_apart": told,
            }
    about = protocol(judge, arguments, records)
    about["model"] = f"bundle {bundle.sha256[:16]}"
    return Result(results, tables(results), TARGETS, {"protocol": about})


def _by_seed(arms: Arms, group: str, folder: Path | None) -> dict[str, dict[str, Array]]:
    """Features of some leads, by seed and arm."""
    from quantize.any_leads import realism as measures

    def make(arm: str) -> dict[str, Array]:
        rows = GROUPS[group]
        ecg = np.concatenate([arms.scored(arm, at)[:, rows] for at in arms.parts()])
        return {
            str(seed): measures.features(ecg, measures.AUROC_KERNELS, seed) for seed in range(SEEDS)
        }

    code = sha256_of(*(Path(str(module.__file__)) for module in (measures, scores)))[:16]
    found: dict[str, dict[str, Array]] = {}
    for arm in (REAL, *MADE):
        name = f"realism-{group.replace(' ', '-')}-{SEEDS}-{arms.key(arm)}-{code}.npz"
        for seed, values in kept_arrays(folder and folder / name, partial(make, arm)).items():
            found.setdefault(seed, {})[arm] = values
    return found


def told_apart(
    learned: Mapping[str, Mapping[str, Array]],
    asked: Mapping[str, Mapping[str, Array]],
    patients: list[str],
    seed: int = 0,
) -> dict[str, Any]:
    """AUROC of a linear judge of each of MADE against TOLD_FROM: mean over kinds of features, and each.

    Both are by kind, then by arm, (n_records, n_features): where it learns, and where it is asked.
    """
    from quantize.any_leads.realism import linear_judge

    bootstrap = RocBootstrap(patients, seed)
    found: dict[str, Any] = {}
    for arm in MADE:
        points, draws, true = [], [], TOLD_FROM[arm]
        for kind, of in asked.items():
            judge = linear_judge(learned[kind][true], learned[kind][arm])
            says = np.concatenate([judge(of[true]), judge(of[arm])])
            is_true = np.repeat([True, False], len(of[true]))
            point, many = bootstrap.aurocs(says, is_true, pairs=True)
            points.append(point)
            draws.append(many)
        found[arm] = interval(float(np.mean(points)), np.mean(draws, axis=0)) | {"each": points}
    return found


def distances(of: Mapping[str, Array], patients: list[str]) -> dict[str, Any]:
    """Frechet distance of each of MADE from REAL: of the same records, and of other patients.

    `floor` is that of real records from real records of other patients, the same splits.
    """
    from quantize.any_leads.realism import frechet, halves

    splits = [halves(patients, seed) for seed in range(SPLITS)]

    def unpaired(made: Array) -> dict[str, Any]:
        found = [frechet(of[REAL][half], made[~half]) for half in splits]
        return {"mean": float(np.mean(found)), "range": [min(found), max(found)]}

    return {
        "floor": {"paired": 0.0, "unpaired": unpaired(of[REAL])},
        **{
            arm: {"paired": frechet(of[REAL], of[arm]), "unpaired": unpaired(of[arm])}
            for arm in MADE
        },
    }


def protocol(
    judge: Judge, arguments: argparse.Namespace, records: dict[str, Records]
) -> dict[str, Any]:
    """What a reader of the figures must know."""
    return {
        "feed": "hop by hop" if arguments.hop_by_hop else "whole records",
        "classifier": f"{judge.what}; {judge.name} {judge.sha256[:16]}",
        "frechet": "squared, per feature, pooled features of unit variance, all twelve leads; paired: of the "
        "same records, whose floor is 0; unpaired: real half of the patients against the other half, "
        f"{SPLITS} splits, whose floor is real against real. Not WearECG's: other features",
        "told_apart": "a linear judge that learned on fold 9, asked on fold 10: AUROC, 0.5 cannot tell. Of "
        f"leads: of random convolutions ({SEEDS} seeds), at 250 Hz; of the classifier's features: of twelve "
        "leads",
        "true": "true leads that passed the same causal conditioning, since it alone is told from leads as "
        f"recorded: {CONDITIONED}",
        "not": "a stand-in for the Turing test, no cardiologist's: `python -m benchmarks turing`",
        "scored_s": [FROM_S, TO_S],
        "highpass_hz": SCORE_HIGHPASS_HZ,
        "bootstrap": f"{RESAMPLES} resamples of patients, seed {arguments.seed}",
        "records_per_domain": {name: len(records[name]) for name in LABELLED if name in records},
    }


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Told apart, distances."""
    told = Table(
        "Real or reconstructed: AUROC on fold 10 of a judge of fold 9, 0.5 cannot tell [95 % over patients]",
        ("data", "seen", *MADE[:-1], f"{SHIPPED}, by seed", "filters alone, from as recorded"),
    )
    far = Table(
        "Frechet distance in the classifier's features, per feature",
        ("data", "leads", "paired", "unpaired, mean (range)"),
    )
    for domain, found in results.items():
        for group, of in found["told_apart"].items():
            each = of[SHIPPED]["each"]
            seeds = f"{min(each):.3f}-{max(each):.3f}" if len(each) > 1 else ""
            cells = [mean_with_interval(of[arm], 3) for arm in MADE]
            told.add(domain, group, *cells[:-1], seeds, cells[-1])
        for arm, of in found["frechet"].items():
            low, high = of["unpaired"]["range"]
            name = "real, other patients" if arm == "floor" else arm
            said = f"{of['unpaired']['mean']:.4f} ({low:.4f}-{high:.4f})"
            far.add(domain, name, f"{of['paired']:.4f}", said)
    return [told, far]
