"""`python -m quantize classifier`: train the judge of a diagnosis on real records, and write its weights."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from edge.leads import LEADS
from quantize.classifier.network import ClassifierConfig
from quantize.classifier.records import diagnosed, joined
from quantize.classifier.train import (
    ClassifierSchedule,
    aurocs,
    load_classifier,
    save_classifier,
    train_classifier,
)
from quantize.data import load
from quantize.hundred_hz import load_hundred_hz, without_withdrawn
from quantize.weights import CLASSIFIER_FILE, THREE_LEADS_FILE

QUICK_RECORDS = 64
QUICK_BATCH = 16
DATA = "PTB-XL 1.0.3, folds 1-8 at 250 and 100 Hz (CC BY 4.0, doi 10.13026/kfzx-aw45)"


def classifier(given: argparse.Namespace) -> int:
    """Folds 1-8 train, fold 9 is reported; fold 10 is not read."""
    leads = tuple(given.leads)
    how = ClassifierSchedule(
        epochs=given.epochs or ClassifierSchedule.epochs,
        batch=QUICK_BATCH if given.quick else ClassifierSchedule.batch,
        seed=given.seed,
        bfloat16=given.bfloat16,
    )
    sets = [without_withdrawn(load(name)) for name in ("train", "validation")]
    if given.quick:
        records, validation = (diagnosed(one.take(QUICK_RECORDS), leads) for one in sets)
    else:
        more = [
            without_withdrawn(load_hundred_hz(name, as_stored=True))
            for name in ("train_100", "validation_100")
        ]
        records = joined(*(diagnosed(one, leads) for one in (sets[0], more[0])))
        validation = diagnosed(more[1], leads)
    made = train_classifier(records, validation, ClassifierConfig(leads), how, given.run)
    file = CLASSIFIER_FILE if leads == LEADS else THREE_LEADS_FILE
    output = given.output or given.run / file.name
    card = {
        "data": DATA,
        "records": len(records),
        "schedule": asdict(how),
        "command": "python -m quantize classifier"
        + (f" --leads {','.join(leads)}" if leads != LEADS else "")
        + (f" --epochs {how.epochs} --seed {how.seed}")
        + (" --bfloat16" if how.bfloat16 else "")
        + (" --quick" if given.quick else ""),
    }
    save_classifier(output, made, card)
    # What ships is rounded to float16: its own figures stand on its card.
    made = load_classifier(output)[0]
    card["fold_9_auroc"] = aurocs(made, validation)
    save_classifier(output, made, card)
    print(json.dumps(card))
    print(f"{output}: {Path(output).stat().st_size} bytes")
    return 0
