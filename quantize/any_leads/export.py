"""From a checkpoint of any-lead training to a bundle, with the cards of its training and its fidelity."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import default_bundle_path, load_bundle
from edge.signal.conditioning import Conditioning
from quantize.any_leads.amplitude import fitted
from quantize.any_leads.card import read_scores, sets_card
from quantize.any_leads.checkpoint import load_checkpoint
from quantize.any_leads.int8 import QAT
from quantize.any_leads.train import COOLDOWN
from quantize.data import load
from quantize.errors import QuantizeError
from quantize.export import bundle_from_student
from quantize.hundred_hz import without_withdrawn

DATA = (
    "PTB-XL folds 1-8, 250 Hz subset and all the rest at 100 Hz (CC BY 4.0, doi 10.13026/kfzx-aw45);"
    " MIT-BIH Noise Stress Test, first half of each channel"
)
CARD_KEYS = (
    "config",
    "data",
    "native_share",
    "schedule",
    "augmentation",
    "sampling",
    "step",
    "cooled_from",
    "cooled_to",
    "float32_step",
    "qat_steps",
    "teacher_step",
    "adversarial_weight",
    "adversarial_steps",
    "adversarial_seed",
)


def any_leads_export(given: argparse.Namespace) -> int:
    """Write the bundle of what INT8 training made, or with `--float32` of what was cooled."""
    file = given.checkpoint or given.run / (COOLDOWN if given.float32 else QAT)
    checkpoint = load_checkpoint(file)
    if not (given.float32 or checkpoint.about.get("quantised")):
        raise QuantizeError(
            f"{file} is not quantised: run `python -m quantize any-leads --qat 500`, or add --float32"
        )
    student = checkpoint.student().fold()
    fidelity = _read(given.fidelity) if given.fidelity else {}
    fidelity = dict(fidelity.get("card", fidelity))
    if given.sets:
        fidelity["sets"] = sets_card(read_scores(given.sets))
    card: dict[str, Any] = {
        "sources": DATA,
        "chosen_on": "PTB-XL fold 9",
        **{key: checkpoint.about[key] for key in CARD_KEYS if key in checkpoint.about},
        **({"remark": given.remark} if given.remark else {}),
    }
    moments, share = np.array(checkpoint.about["moments"]), 0.0
    if given.sigma_amplitude:
        found = fitted(student, without_withdrawn(load("validation")), moments)
        print(found.line())
        share, card["sigma_amplitude"] = found.put_into(student), asdict(found)
    data = bundle_from_student(
        student,
        moments,
        Conditioning(),
        name=given.name,
        float32=given.float32,
        training=card,
        fidelity=fidelity,
        sigma_amplitude=share,
    )
    output: Path = given.output or default_bundle_path()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(data)
    print(f"{output}: {len(data)} bytes, sha256 {load_bundle(output).sha256}")
    return 0


def _read(file: Path) -> dict[str, Any]:
    """A report in JSON. Raises QuantizeError for what is none."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise QuantizeError(f"cannot read {file}: {error}") from error
    if not isinstance(found, dict):
        raise QuantizeError(f"{file} is no report: it holds no object")
    return found
