"""How leads and units are spelled: what is understood, and what is better refused than guessed."""

from __future__ import annotations

import pytest

from firmware_bridge.lead_names import lead_of, leads_of, split_unit, unit_named, unknown_unit
from firmware_bridge.wire.spec import LEADS

SPELLED = {
    "I": [
        "I",
        "i",
        "Lead I",
        "lead 1",
        "DI",
        "D1",
        "MLI",
        "ECG I",
        "MDC_ECG_LEAD_I",
        "Lead I (mV)",
    ],
    "II": [
        *("ECG II", "EKG-II", "MLII", "ECG_II", "lead_ii", "ECG Lead II", "ECGII", "II-Ref", "D2"),
        *("DII", "II (filtered)", "II filtered", "II+", "ECG II-Ra", "II_uV", "II [mV]", " II "),
    ],
    "III": ["III", "Lead-3", "DIII", "MDC_ECG_LEAD_III"],
    "aVR": ["aVR", "AVR", "avr", "a VR", "VR", "ECG aVR", "MDC_ECG_LEAD_AVR", "aVR (mV)"],
    "aVF": ["AVF", "ecg_avf"],
    "V1": [
        "v1",
        "C1",
        "ECG V1",
        "LeadV1",
        "Lead V1 (mV)",
        "V1 mV",
        "EKG V1-Ref",
        "ECG V1 [\u00b5V]",
    ],
    "V6": ["V6 raw", "C6", "V6_mv", '"V6"'],
}
NO_LEADS = [
    *(
        "",
        "V7",
        "V1-V2",
        "V1 - V2",
        "ECG I-II",
        "C3-A2",
        "EEG C3",
        "1",
        "ECG",
        "ECG 1",
        "Channel 1",
    ),
    *("EXG Channel 0", "Temp", "index", "mV", "-aVR", "V1,V2", "Lead", "EMG", "Resp", "V", "(mV)"),
]


@pytest.mark.parametrize(
    ("lead", "label"), [(lead, label) for lead, labels in SPELLED.items() for label in labels]
)
def test_a_lead_is_understood_as_it_is_spelled(lead: str, label: str) -> None:
    assert lead_of(label) == lead


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("write", [str, str.lower, str.upper, "ECG {}".format, "{} (uV)".format])
def test_every_lead_has_its_own_name(lead: str, write: object) -> None:
    assert callable(write)
    assert lead_of(write(lead)) == lead


@pytest.mark.parametrize("label", NO_LEADS)
def test_what_is_ambiguous_is_no_lead(label: str) -> None:
    assert lead_of(label) is None


@pytest.mark.parametrize(
    ("label", "name", "unit"),
    [
        ("V1 (mV)", "V1", "mV"),
        ("II_uV", "II", "uV"),
        ("II/mV", "II", "mV"),
        ("II [\u03bcV]", "II", "uV"),
        ("II (\u00b5V)", "II", "uV"),
        ("Lead II microvolts", "Lead II", "uV"),
        ("V5 (filtered)", "V5 (filtered)", None),
        ("V", "V", None),
    ],
)
def test_a_unit_behind_a_name_is_split_off(label: str, name: str, unit: str | None) -> None:
    assert split_unit(label) == (name, unit)


def test_what_stands_where_a_unit_does_and_is_none_is_found() -> None:
    labels = [
        "I (furlong)",
        "V1 [LSB]",
        "II{counts}",
        "II (filtered)",
        "II (mV)",
        "II_uV",
        "II raw",
    ]
    assert [unknown_unit(label) for label in labels] == [
        *("furlong", "LSB", "counts", "filtered", None, None, None)
    ]


def test_units_are_voltages() -> None:
    assert [unit_named(text) for text in ("mV", "MV", "MUV", "v", "nV", " uV ")] == [
        *("mV", "mV", "uV", "V", "nV", "uV")
    ]
    assert [unit_named(text) for text in ("millivol", "microvol", "mVolt", "uVolt")] == [
        *("mV", "uV", "mV", "uV")
    ]
    assert [unit_named(text) for text in ("", "bpm", "ohm", "counts", "m", "%")] == [None] * 6


@pytest.mark.parametrize(
    ("labels", "leads"),
    [
        (["C1", "C2", "II"], ["V1", "V2", "II"]),
        (["C3", "C4", "Resp", "SpO2", "ACC X"], ["V3", "V4", None, None, None]),
        (["C3", "C4", "O1"], [None, None, None]),
        (["ECG II", "C3", "V1", "EEG C4"], ["II", None, "V1", None]),
        (["EKG C3", "E1-M2", "I"], [None, None, "I"]),
        (["V3", "MDC_ECG_LEAD_V4", "Fp1"], ["V3", "V4", None]),
    ],
)
def test_c3_and_c4_beside_eeg_are_eeg(labels: list[str], leads: list[str | None]) -> None:
    assert leads_of(labels) == leads
