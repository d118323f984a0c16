"""Weights of the teachers as files: float16 safetensors with what is needed to build them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantize.errors import QuantizeError

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).parent / "models"
TEACHER_FILE = SHIPPED / "teacher.safetensors"
VAE_FILE = SHIPPED / "wearecg_vae.safetensors"
AAE_FILE = SHIPPED / "l2g_aae.safetensors"
CLASSIFIER_FILE = SHIPPED / "classifier_12.safetensors"
THREE_LEADS_FILE = SHIPPED / "classifier_II_V1_V5.safetensors"
_KEY = "leadlift"  # of the metadata: the format's own allows text alone


def save_weights(
    file: Path, state: Mapping[str, Tensor], config: Mapping[str, Any], card: Mapping[str, Any]
) -> None:
    """Write the tensors, those of floating point in float16, with a configuration and a card."""
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }
    about = json.dumps({"config": dict(config), "card": dict(card)}, sort_keys=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, {_KEY: about})


def load_weights(
    file: Path, made_by: str = "teacher"
) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """Tensors in float32, configuration, and card with the `sha256` of the file.

    Lists of the configuration come back as tuples. Raises QuantizeError for a file that is missing, or that
    `save_weights` did not write.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as stored:
            about = json.loads((stored.metadata() or {})[_KEY])
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        config = {k: tuple(v) if isinstance(v, list) else v for k, v in about["config"].items()}
        card = {**about["card"], "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    except FileNotFoundError as error:
        raise QuantizeError(f"{file} is missing: run `python -m quantize {made_by}`") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise refused(file, error) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, config, card


def refused(file: Path, error: Exception) -> QuantizeError:
    """What to raise for weights that do not fit."""
    said = str(error).splitlines() or [type(error).__name__]
    return QuantizeError(f"{file} does not fit this version: {said[0]}; train it anew")
