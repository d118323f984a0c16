"""`python -m quantize any-leads` and `any-leads-scores`: train on every patient, cool down, score fold 9."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.lead_subsets import INDEPENDENT_ROWS, N_CLASSES, class_of, known
from edge.progress import followed
from edge.signal.conditioning import Conditioning
from quantize.any_leads.adversarial import ADVERSARIAL, adversarial
from quantize.any_leads.adversarial import STEPS as ADVERSARIAL_STEPS
from quantize.any_leads.checkpoint import keep, load_checkpoint, write_mean
from quantize.any_leads.drawn import Mixture, Source
from quantize.any_leads.feed import AnyFeed
from quantize.any_leads.int8 import QAT, Taught, quantised
from quantize.any_leads.narrower import BATCHES, narrowed
from quantize.any_leads.realism import PRELIMINARY, realism
from quantize.any_leads.sampling import NAMED_SETS, Sampling
from quantize.any_leads.scores import costly_leads, gain_by_number, score_sets
from quantize.any_leads.train import COOLDOWN, LAST, AnySchedule, Experiment, cool, train_any
from quantize.augment import Augmentation, Noise
from quantize.data import Records, load
from quantize.errors import QuantizeError
from quantize.hundred_hz import is_there, load_hundred_hz, rows_of, without_withdrawn
from quantize.prepared import PACES, prepare
from quantize.student import Student, StudentConfig

NATIVE_SHARE = 0.2  # of what is drawn, 13 % of the records: they alone hold what lies above 47 Hz
FEWER_PACES = (0.9, 1.0, 1.1)  # of six times the records: three take 5.4 GB on the disk
MANY_RECORDS = 5000  # that take FEWER_PACES
AUGMENTATION = Augmentation(gain=0.6, white_noise=0.3)
CONFIG = StudentConfig(n_inputs=12, n_outputs=8, n_sigmas=12, dropout=0.02)
QUICK_CONFIG = replace(CONFIG, channels=32, dilations=(1, 4), dropout=0.0)
QUICK_RECORDS = 64
QUICK_STEPS = 150
VALIDATION_RECORDS = 66  # records of fold 9, during a run
REALISM_SETS = (("II", "V1", "V5"), ("I",), ("I", "II"), ("II", "V2"), ("I", "II", "V2"))
VALIDATION_SETS = (0, 1, 3, 4, 6, 7, 10)  # of NAMED_SETS


def any_leads(given: argparse.Namespace) -> int:
    """Train, or go on; with `--cooldown` let the rate fall from where the run stands."""
    if given.keep:
        keep(given.keep, given.run / LAST, given.run / COOLDOWN)
        return 0
    if given.mean:
        write_mean(given.mean, given.run / COOLDOWN)
        return 0
    schedule = AnySchedule(seed=given.seed, bfloat16=given.bfloat16)
    if given.quick:
        schedule = replace(schedule, steps=QUICK_STEPS, batch=16, warm_up=20, average=0.95)
    if given.steps is not None:
        schedule = replace(schedule, steps=given.steps)
    schedule = replace(schedule, **_given(given, "batch", "rate"))
    config = QUICK_CONFIG if given.quick else CONFIG
    config = replace(config, **_given(given, "channels", "dilations", "dropout", "lookahead"))
    if given.narrow:
        config = replace(config, dropout=0.0)  # what is small has no channel to spare
    if given.narrow and given.start:
        raise QuantizeError("--start goes on from a checkpoint, --narrow begins anew: give one")
    if given.device != "cpu" and (given.narrow or given.adversarial is not None):
        raise QuantizeError("--narrow and --adversarial run on the CPU: leave --device out")
    _device(given.device)  # is there, before minutes go by
    if given.adversarial_steps and given.adversarial is None:
        raise QuantizeError("--adversarial-steps is how long --adversarial WEIGHT goes: give both")
    source = given.run / (LAST if given.cooldown else COOLDOWN)
    if given.start and not given.cooldown:  # of --adversarial and --qat
        source = given.start
    goes_on = bool(given.cooldown or given.qat or given.adversarial is not None)
    if goes_on:  # is there, before minutes go by
        load_checkpoint(source)
    last = given.run / LAST
    begun = last if last.exists() else given.start or given.narrow
    experiment = _experiment(given, source if goes_on else begun)
    if given.teacher and not given.qat:  # INT8 learns from its own float32
        of = load_checkpoint(given.teacher)
        teacher, about = of.student(), {**experiment.about, "teacher_step": of.step}
        teacher.trunk_bfloat16 = given.bfloat16
        experiment = Taught.of(replace(experiment, about=about), teacher)

    def make() -> Student:
        if begun is None or begun != given.narrow:
            return Student(config)
        wide, drawn = load_checkpoint(begun).student(), range(BATCHES)
        return narrowed(wide, config, experiment.batches(schedule, schedule.seed, drawn))

    if given.adversarial is not None:
        how = given.adversarial, given.adversarial_steps or ADVERSARIAL_STEPS
        adversarial(experiment, schedule, source, given.run, *how)
    elif given.qat:
        at_rate = _given(given, "rate")
        quantised(experiment, schedule, source, given.run, given.qat, **at_rate)
    elif given.cooldown:
        cool(make, experiment, schedule, given.run, given.cooldown)
    else:
        train_any(make, experiment, schedule, given.run, start=given.start)
    return 0


def _given(given: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among these that were given."""
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def any_leads_scores(given: argparse.Namespace) -> int:
    """Print r and RMSE on fold 9, set by set, beside the linear map's."""
    file = given.checkpoint or _newest(given.run)
    checkpoint = load_checkpoint(file)
    student = checkpoint.student()
    if given.larger and given.realism:
        raise QuantizeError("--realism looks at 40 to 100 Hz, which --larger has not: give one")
    if given.larger:
        records = load_hundred_hz("validation_100", cache=_cache(given.run))
    else:
        records = without_withdrawn(load("validation"))
    if given.records:
        records = records.take(given.records)
    feed = AnyFeed(_moments(checkpoint.about), student.config.hop)
    classes = _every_open_class() if given.every_set else [class_of(one) for one in NAMED_SETS]
    print(f"{file}: step {checkpoint.step}, {len(records)} records of {records.name}")
    if given.realism:
        return _realism(student, records, feed, given.json, checkpoint.step)
    rows = []
    for score in followed(score_sets(student, records, feed, classes), "scoring", len(classes)):
        print(score.line(), flush=True)
        rows.append(asdict(score))
    worse = [row["leads"] for row in rows if row["rmse_uv"] >= row["linear_rmse_uv"]]
    print(f"RMSE above the linear map's: {', '.join(worse) or 'none'}, of {len(rows)} sets")
    costly = costly_leads({c: row["twelve_uv"] for c, row in zip(classes, rows, strict=True)})
    worst = [f"{lead} to {leads} by {by:.2f} uV" for (leads, lead), by in costly.items()][:5]
    print(f"Leads that make a set worse: {', '.join(worst) or 'none'}")
    if given.every_set:
        gains = {c: row["r"] - row["linear_r"] for c, row in zip(classes, rows, strict=True)}
        by_number = [f"{n}: {gain:.3f}" for n, gain in gain_by_number(gains).items()]
        print(
            f"Gain in r over the linear map, mean over all subsets of n leads: {', '.join(by_number)}"
        )
    if given.json:
        about = {"step": checkpoint.step, "data": records.name, "records": len(records)}
        given.json.write_text(json.dumps({**about, "sets": rows}))
    return 0


def _realism(
    student: Student, records: Records, feed: AnyFeed, file: Path | None, step: int
) -> int:
    print(PRELIMINARY)
    rows = []
    found_of = realism(student, records, feed, [class_of(one) for one in REALISM_SETS])
    for found in followed(found_of, "scoring", len(REALISM_SETS)):
        print(found.line(), flush=True)
        rows.append(asdict(found))
    if file:
        about = {"step": step, "data": records.name, "records": len(records)}
        file.write_text(json.dumps({**about, "preliminary": PRELIMINARY, "sets": rows}))
    return 0


def _every_open_class() -> list[int]:
    return [c for c in range(1, N_CLASSES) if not known(c)[INDEPENDENT_ROWS].all()]


def _newest(run: Path) -> Path:
    """What was written last: of the run, of its cooldown, or of what went on from there."""
    found = [run / name for name in (ADVERSARIAL, QAT, COOLDOWN, LAST) if (run / name).exists()]
    if not found:
        raise QuantizeError(f"no run in {run}: run `python -m quantize any-leads --run {run}`")
    return max(found, key=lambda file: file.stat().st_mtime)


def _experiment(given: argparse.Namespace, begun: Path | None) -> Experiment:
    """All patients of folds 1-8, filtered, kept beside the run; a few records of fold 9 to look at.

    The moments are those of the checkpoint that it has `begun` from, if any.
    """
    spec, hop, cache = Conditioning(), CONFIG.hop, _cache(given.run)
    sampling = Sampling() if given.first is None else Sampling().leaning(given.first)
    native = without_withdrawn(load("train"))
    paces = FEWER_PACES if len(native) > MANY_RECORDS else PACES
    kinds: list[tuple[Records, tuple[float, ...], float]] = [(native, paces, 1.0)]
    if given.quick:  # the 250 Hz records alone: reading the others takes longer than training
        kinds = [(native.take(QUICK_RECORDS), FEWER_PACES, 1.0)]
    elif is_there("train_100"):  # not where all of PTB-XL was fetched at 500 Hz
        more = load_hundred_hz("train_100", cache=cache)
        kinds = [(native, PACES, NATIVE_SHARE), (more, FEWER_PACES, 1 - NATIVE_SHARE)]
    chosen = chosen_rows([records for records, _, _ in kinds], given.patients, given.seed)
    sources = [
        Source(prepare(records, spec, hop, paces, cache), rows, share)
        for (records, paces, share), rows in zip(kinds, chosen, strict=True)
    ]
    about: dict[str, Any] = {
        "data": {
            records.name: len(rows) for (records, _, _), rows in zip(kinds, chosen, strict=True)
        },
        "native_share": sources[0].share,
        "augmentation": asdict(AUGMENTATION),
        "sampling": asdict(sampling),
    }
    moments = mean_moments(sources) if begun is None else _moments(load_checkpoint(begun).about)
    about["moments"] = moments.tolist()
    noise = Noise.load(spec, hop)
    feed = AnyFeed(moments, hop, noise, _device(given.device))
    mixture = Mixture(*(one for one in sources if len(one.rows)))
    return Experiment(mixture, feed, AUGMENTATION, sampling, _validation(feed), about)


def _device(name: str) -> torch.device:
    """Raises QuantizeError where this torch has none such."""
    if name == "cuda" and not torch.cuda.is_available():
        raise QuantizeError("torch finds no GPU: leave --device out, or install torch for CUDA")
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    return torch.device(name)


def chosen_rows(sources: list[Records], patients: int | None, seed: int) -> list[NDArray[np.intp]]:
    """Of each source the rows of so many patients, drawn from all; who has no name counts for one record."""
    if patients is None:
        return [np.arange(len(records)) for records in sources]
    every = sorted({patient for records in sources for patient in records.patient_id})
    rng = np.random.default_rng((seed, len(every)))
    kept = {every[i] for i in rng.permutation(len(every))[:patients]}
    return [
        np.array([i for i, one in enumerate(records.patient_id) if one in kept], np.intp)
        for records in sources
    ]


def mean_moments(sources: list[Source]) -> NDArray[np.float64]:
    """(8, 8) mV^2 over all training records, each as much as every other."""
    return np.asarray(np.concatenate([one.records.moments[one.rows] for one in sources]).mean(0))


def _validation(feed: AnyFeed) -> Callable[[Student], Mapping[str, Any]]:
    """Scores of a few records and sets, for the log."""
    records = without_withdrawn(load("validation"))
    few = rows_of(
        records, np.linspace(0, len(records) - 1, VALIDATION_RECORDS).astype(int).tolist()
    )
    classes = [class_of(NAMED_SETS[i]) for i in VALIDATION_SETS]

    def look(student: Student) -> Mapping[str, Any]:
        return {
            score.leads: [round(score.r, 4), round(score.rmse_uv, 2)]
            for score in score_sets(student, few, feed, classes)
        }

    return look


def _moments(about: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array(about["moments"])


def _cache(run: Path) -> Path:
    return run.parent / "prepared"
