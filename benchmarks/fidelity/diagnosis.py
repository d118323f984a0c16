"""`python -m benchmarks fidelity --part diagnosis`: does a classifier see the same in reconstructed leads?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.judged import (
    CALIBRATED,
    REAL,
    SHIPPED,
    THREE,
    WHOLE,
    Arms,
    judged,
)
from benchmarks.fidelity.judges import Judge, judges
from benchmarks.fidelity.methods import CALIBRATION_S, LINEAR
from benchmarks.fidelity.plots import draw_diagnosis
from benchmarks.fidelity.scores import ENDS, FROM_S, RESAMPLES, TO_S, Array, Bootstrap
from benchmarks.fidelity.tables import mean_with_interval
from benchmarks.report import Result, Table, Target
from edge.bundle import load_bundle
from edge.notices import LOG
from edge.progress import progress
from quantize.classifier.auroc import auroc
from quantize.classifier.records import SUPERCLASSES, superclasses
from quantize.data import SCORE_HIGHPASS_HZ, Records

LABELLED = ("validation", "test", "validation_100", "test_100")
ARMS = (REAL, SHIPPED, LINEAR, CALIBRATED, THREE, WHOLE)
PAIRS = (
    *((REAL, other) for other in (SHIPPED, LINEAR, CALIBRATED, THREE)),
    *((SHIPPED, other) for other in (LINEAR, THREE)),
)
"""Differences that are told: first less second."""
MARGIN = 0.02  # PROTOCOL.md: of non-inferiority, in macro AUROC
MACRO = "macro"
_FOLD_10 = {"test": "fold 10", "test_100": "whole fold 10"}
TARGETS = tuple(
    target
    for domain, said in _FOLD_10.items()
    for target in (
        Target(
            f"macro AUROC lost, real - reconstructed, {said}",
            f"{domain}/differences/{REAL} - {SHIPPED}/{MACRO}/mean",
            0.015,
        ),
        Target(
            f"macro AUROC lost at most (upper end of the 95 % interval), {said}",
            f"{domain}/non_inferiority/lost_at_most",
            MARGIN,
        ),
        *(
            Target(
                f"macro AUROC, reconstructed - {other}, {said}",
                f"{domain}/differences/{SHIPPED} - {other}/{MACRO}/mean",
                0.0,
                at_least=True,
            )
            for other in (LINEAR, THREE)
        ),
    )
)


def measure_diagnosis(arguments: argparse.Namespace, records: dict[str, Records]) -> Result:
    """Every data set that has superclasses."""
    kept = labelled(records, "diagnosis")
    judge, of_three = judges(arguments.classifier, arguments.data, arguments.cache)
    bundle, engine = load_bundle(arguments.model), arguments.engines[0]
    results: dict[str, Any] = {}
    with progress("", 2 * sum(map(len, kept.values()))) as work:
        for domain, some in kept.items():
            work.what = f"diagnosis, {domain}"
            arms = Arms(
                bundle,
                engine,
                some,
                hop_by_hop=bool(arguments.hop_by_hop),
                folder=arguments.cache,
                advance=work.advance,
            )
            says = {
                arm: judged(asked, arms, arm, arguments.cache)["says"]
                for arm in ARMS
                for asked in (of_three if arm == THREE else judge,)
                if asked is not None
            }
            labels = superclasses(some, arguments.data) > 0
            results[domain] = summaries(says, labels, some.patient_id, arguments.seed)
            if arguments.plots is not None:
                draw_diagnosis(arguments.plots, domain, says, labels, results[domain])
    about = protocol(judge, of_three, arguments, kept)
    return Result(results, tables(results), TARGETS, {"protocol": about | _of_bundle(bundle)})


def labelled(records: Mapping[str, Records], part: str) -> dict[str, Records]:
    """Those of PTB-XL. Raises BenchmarkError if there is none."""
    kept = {name: one for name, one in records.items() if name in LABELLED}
    if not kept:
        raise BenchmarkError(f"--part {part} needs PTB-XL: give --domains validation or test")
    if len(kept) < len(records):
        LOG.info("%s: without superclasses, left out", ", ".join(set(records) - set(kept)))
    return kept


class RocBootstrap(Bootstrap):
    """Draws of patients, for areas under the ROC curve."""

    def aurocs(
        self, says: Array, is_so: NDArray[np.bool_], pairs: bool = False
    ) -> tuple[float, Array]:
        """Of (n_records,), and of each draw (resamples,).

        With `pairs`, each record is there twice: first all that are so, then all that are not.
        """
        weights = np.tile(self._weights, 2) if pairs else self._weights
        return float(auroc(says, is_so)), auroc(says, is_so, weights)


def interval(value: float, draws: Array) -> dict[str, Any]:
    """As the tables take it."""
    defined = draws[np.isfinite(draws)]
    ends = [float(end) for end in np.percentile(defined, ENDS)] if len(defined) else None
    return {"mean": value, "mean_95": ends}


def summaries(
    says: Mapping[str, Array], labels: NDArray[np.bool_], patients: list[str], seed: int = 0
) -> dict[str, Any]:
    """AUROC of each arm by superclass and their mean, and paired differences; of labelled records alone."""
    rows = np.flatnonzero(labels.any(1))
    labels = labels[rows]
    if not len(rows):
        raise BenchmarkError("no record has a superclass: give more records")
    bootstrap = RocBootstrap([patients[i] for i in rows], seed)
    points: dict[str, dict[str, float]] = {}
    draws: dict[str, dict[str, Array]] = {}
    for arm, of in says.items():
        both = [bootstrap.aurocs(of[rows, i], labels[:, i]) for i in range(len(SUPERCLASSES))]
        points[arm] = dict(zip(SUPERCLASSES, (one for one, _ in both), strict=True))
        draws[arm] = dict(zip(SUPERCLASSES, (many for _, many in both), strict=True))
        points[arm][MACRO] = float(np.mean([one for one, _ in both]))
        draws[arm][MACRO] = np.mean([many for _, many in both], axis=0)
    found: dict[str, Any] = {
        "n_records": len(rows),
        "n_patients": len({patients[i] for i in rows}),
        "without_superclass": len(says[REAL]) - len(rows),
        "n": dict(zip(SUPERCLASSES, labels.sum(0).tolist(), strict=True)),
        "auroc": {
            arm: {name: interval(value, draws[arm][name]) for name, value in of.items()}
            for arm, of in points.items()
        },
        "differences": {
            f"{a} - {b}": {
                name: interval(points[a][name] - points[b][name], draws[a][name] - draws[b][name])
                for name in points[a]
            }
            for a, b in PAIRS
            if a in points and b in points
        },
    }
    ends = found["differences"][f"{REAL} - {SHIPPED}"][MACRO]["mean_95"]
    most = float("nan") if ends is None else ends[1]
    found["non_inferiority"] = {
        "margin": MARGIN,
        "lost_at_most": most,
        "non_inferior": most < MARGIN,
    }
    return found


def protocol(
    judge: Judge, of_three: Judge | None, arguments: argparse.Namespace, records: dict[str, Records]
) -> dict[str, Any]:
    """What a reader of the figures must know."""
    return {
        "feed": "hop by hop" if arguments.hop_by_hop else "whole records",
        "classifier": f"{judge.what}; {judge.name} {judge.sha256[:16]}",
        "classifier_of_three_leads": None
        if of_three is None
        else f"{of_three.what}; {of_three.name} {of_three.sha256[:16]}",
        "arms": {
            REAL: "twelve leads as recorded",
            SHIPPED: "II, V1, V5 as conditioned and the rest from them",
            LINEAR: "the same, by the population's linear map",
            CALIBRATED: f"the same as {SHIPPED}, calibrated on the first {CALIBRATION_S:g} s",
            THREE: "II, V1, V5 as recorded, asked of the network that was trained on them alone",
            WHOLE: "as recorded, from the first sample to the last",
        },
        "scored_s": [FROM_S, TO_S],
        "highpass_hz": SCORE_HIGHPASS_HZ,
        "left_out": "records without any of the five superclasses, as in PTB-XL's benchmark",
        "non_inferiority_margin": MARGIN,
        "bootstrap": f"{RESAMPLES} resamples of patients, the same for all arms, seed {arguments.seed}",
        "records_per_domain": {name: len(r) for name, r in records.items()},
    }


def _of_bundle(bundle: Any) -> dict[str, str]:
    return {"model": f"bundle {bundle.sha256[:16]}"}


def tables(results: Mapping[str, Any]) -> list[Table]:
    """AUROC by arm, differences."""
    columns = (MACRO, *SUPERCLASSES)
    areas = Table(
        "AUROC of a 12-lead classifier, mean over superclasses and each [95 % over patients]",
        ("data", "records", "leads", *columns),
    )
    differences = Table(
        "Paired differences in AUROC [95 % over patients]", ("data", "first - second", *columns)
    )
    for domain, found in results.items():
        for arm, of in found["auroc"].items():
            cells = (mean_with_interval(of[name], 3) for name in columns)
            areas.add(domain, found["n_records"], arm, *cells)
        areas.add(domain, "", "records that are so", "", *found["n"].values())
        for pair, of in found["differences"].items():
            differences.add(domain, pair, *(signed(of[name]) for name in columns))
    return [areas, differences]


def signed(of: Mapping[str, Any]) -> str:
    """+0.0123 [-0.0010 to 0.0250]."""
    ends = of["mean_95"]
    said = "" if ends is None else f" [{ends[0]:.4f} to {ends[1]:.4f}]"
    return f"{of['mean']:+.4f}{said}"
