"""A patient's calibration as a file: what is written is read again, what is unsound is refused in a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.errors import LeadliftError, PatientError
from edge.patient.patient import (
    MAX_BYTES,
    Patient,
    load_patient,
    mask_name,
    mask_names,
    read_patient,
)
from edge.reconstructor import Reconstructor
from tests.edge.references import some_patient

few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def patient(any_bundle: Bundle) -> Patient:
    return some_patient(any_bundle)


def test_what_is_written_is_read_again(patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "patient.json"
    file.write_text(patient.as_json(), encoding="utf-8")
    again = load_patient(file)
    assert again.as_json() == patient.as_json()
    assert again.sha256 == patient.sha256
    assert again.moments == pytest.approx(patient.moments, rel=1e-6)
    assert set(again.maps) == set(mask_names(3))
    for name, one in patient.maps.items():
        assert again.maps[name].weights == pytest.approx(one.weights, rel=1e-6)
    assert len(patient.as_json()) < 40_000


def test_masks_have_names() -> None:
    assert mask_names(3) == ["111", "110", "101", "100", "011", "010", "001"]
    assert mask_name(np.array([True, False, True])) == "101"


def test_another_model_is_refused(patient: Patient, untrained_bundle: Bundle) -> None:
    with pytest.raises(PatientError, match=r"fitted with the model .* calibrate again"):
        Reconstructor.open(untrained_bundle, "onnxruntime", patient=patient)


CHANGES: dict[str, tuple[list[str | int], Any]] = {
    "schema": (["schema_version"], 2),
    "a key too much": (["more"], 1),
    "no such bundle hash": (["bundle_sha256"], "abc"),
    "inputs that are outputs": (["input_leads"], ["I", "V2", "V3"]),
    "a lead that is none": (["output_leads", 0], "V9"),
    "taps": (["taps"], [0, 1]),
    "moments of another shape": (["second_moments"], [[1.0] * 8] * 7),
    "ragged moments": (["second_moments", 0], [1.0]),
    "moments that are not symmetric": (["second_moments", 0, 1], 99.0),
    "negative power": (["second_moments", 3, 3], -1.0),
    "moments of nothing": (["second_moments"], [[0.0] * 8] * 8),
    "moments of one signal": (["second_moments"], [[1.0] * 8] * 8),
    "an infinite moment": (["second_moments", 3, 3], 1e400),
    "a map too few": (["maps"], {}),
    "a map that is a list": (["maps", "111"], []),
    "weights of another shape": (["maps", "110", "weights"], [[0.0] * 32] * 4),
    "a huge weight": (["maps", "110", "weights", 0, 0], 1e6),
    "words for weights": (["maps", "110", "weights", 0, 0], "one"),
    "null among weights": (["maps", "110", "weights", 0, 0], None),
    "no sigma": (["maps", "001", "sigma_mv", 2], 0.0),
    "sigmas beyond": (["maps", "001", "log_sigma", 2], 99.0),
    "no date": (["reference", "made_at"], "yesterday"),
    "a negative length": (["reference", "seconds"], -2.0),
    "a flag for a rate": (["reference", "sampling_hz"], True),
    "a name that is none": (["reference", "name"], 5),
    "a reference without leads": (["reference", "leads"], []),
    "quality in words": (["quality", "unexplained"], "good"),
    "quality that is a list": (["quality"], []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_unsound_file_is_refused_in_one_line(patient: Patient, change: str) -> None:
    raw = json.loads(patient.as_json())
    path, value = CHANGES[change]
    inside = raw
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    with pytest.raises(PatientError) as refused:
        read_patient(json.dumps(raw))
    assert len(str(refused.value).splitlines()) == 1
    assert "leadlift calibrate" in str(refused.value)


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity", "9" * 400, "9" * 5000, "1e999"])
def test_what_is_no_number_is_refused(patient: Patient, name: str) -> None:
    text = patient.as_json()
    at = text.index('"sigma_mv": [') + len('"sigma_mv": [')
    end = text.index(",", at)
    with pytest.raises(PatientError, match=r"sigma_mv|no JSON") as refused:
        read_patient(text[:at] + name + text[end:])
    assert len(str(refused.value)) < 400
    for key in ("seconds", "schema_version"):
        digits = re.sub(rf'"{key}": [^,]+', f'"{key}": {name}', text)
        with pytest.raises(PatientError, match=f"{key}|schema|no JSON"):
            read_patient(digits)


@pytest.mark.parametrize("text", ["", "{", "[1]", "12", "[" * 100_000, '{"schema_version": null}'])
def test_what_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(PatientError):
        read_patient(text)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    big, binary = tmp_path / "big.json", tmp_path / "binary.json"
    big.write_bytes(b" " * (MAX_BYTES + 1))
    binary.write_bytes(b"\x80\x04\x95pickle")
    for file in (big, binary, tmp_path, tmp_path / "nowhere.json"):
        with pytest.raises(PatientError) as refused:
            load_patient(file)
        assert len(str(refused.value).splitlines()) == 1
        assert isinstance(refused.value, LeadliftError)


@few
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    patient: Patient, data: st.DataObject
) -> None:
    raw = json.loads(patient.as_json())
    inside: Any = raw
    key = data.draw(st.sampled_from(sorted(raw)))
    for _ in range(data.draw(st.integers(0, 4))):
        if not isinstance(inside[key], dict | list) or not inside[key]:
            break
        inside = inside[key]
        key = data.draw(
            st.sampled_from(sorted(inside))
            if isinstance(inside, dict)
            else st.integers(0, len(inside) - 1)
        )
    anything = st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    inside[key] = data.draw(anything)
    try:
        read = read_patient(json.dumps(raw))
    except PatientError:
        return
    assert all(np.isfinite(one.weights).all() for one in read.maps.values())
