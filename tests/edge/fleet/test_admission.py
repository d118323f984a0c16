"""Who may send and listen: tokens by their hashes alone, a file that may change and may be damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.fleet.admission import Admission, add_entry


def test_a_device_and_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    device = add_entry(path, "devices", "watch-3", ["bed-3"])
    other = add_entry(path, "devices", "watch-4", None)
    some, every = (add_entry(path, "readers", n, p) for n, p in [("a", ["bed-3"]), ("b", None)])
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert not any(token in text for token in (device, other, some, every))
    admission = Admission(path)
    assert admission.patient_of("watch-3", device) == "bed-3"
    assert admission.patient_of("watch-4", other) == "watch-4"
    assert admission.reads("a", some, "bed-3") and not admission.reads("a", some, "bed-4")
    assert admission.reads("b", every, "bed-4")
    for name, token in [("watch-3", other), ("watch-3", ""), ("nobody", device), ("a", some)]:
        assert admission.patient_of(name, token) is None
    assert not admission.reads("b", some, "bed-3") and not admission.reads(
        "watch-3", device, "bed-3"
    )
    assert admission.patient_of("watch-3", "\udcff") is None


def test_the_file_may_change_and_a_damaged_one_changes_nothing(tmp_path: Path) -> None:
    path, told = tmp_path / "devices.json", []
    first = add_entry(path, "devices", "a", None)
    admission = Admission(path, told.append)
    second = add_entry(path, "devices", "a", None)
    admission.look()
    assert admission.patient_of("a", first) is None and admission.patient_of("a", second) == "a"
    path.write_text("{")
    admission.look()
    admission.look()
    assert admission.patient_of("a", second) == "a" and len(told) == 1
    path.unlink()
    admission.look()
    assert admission.patient_of("a", second) == "a" and len(told) == 2


HASH = "0" * 64


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "holds"),
        ({"device": {}}, "holds"),
        ({"devices": []}, "no table"),
        ({"devices": {"a": HASH}}, "no table"),
        ({"devices": {"../a": {"token_sha256": HASH}}}, "no name"),
        ({"devices": {"a": {"token_sha256": HASH, "patient": "a/b"}}}, "no name"),
        ({"devices": {"a": {"token_sha256": HASH, "patient": 3}}}, "no name"),
        ({"devices": {"a": {"token_sha256": HASH.upper() + "F"}}}, "SHA-256"),
        ({"devices": {"a": {"token": "secret"}}}, "SHA-256"),
        ({"readers": {"a": {"token_sha256": HASH, "patients": "b"}}}, "no list"),
        ({"readers": {"a": {"token_sha256": HASH, "patients": ["+"]}}}, "no name"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(tmp_path: Path, said: object, why: str) -> None:
    path = tmp_path / "devices.json"
    path.write_text(json.dumps(said))
    with pytest.raises(InputError, match=why) as refused:
        Admission(path)
    assert "\n" not in str(refused.value) and "secret" not in str(refused.value)


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--add-device"):
        Admission(tmp_path / "none.json")
