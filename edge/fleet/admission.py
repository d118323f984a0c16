"""Who may send and who may listen: a file of names and hashes of tokens. No token is kept, shown or logged.

    {"devices": {"watch-3": {"token_sha256": "...", "patient": "bed-3"}},
     "readers": {"station": {"token_sha256": "...", "patients": ["bed-3"]}}}

Without `patient` a device's patient has its name; without `patients` a reader may listen to all.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import InputError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
"""Of devices, patients and readers: they stand in topics, paths and names of files."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN_BYTES = 24
_NOBODY = hashlib.sha256(secrets.token_bytes(_TOKEN_BYTES)).hexdigest()
"""Compared where there is no such name: an unknown one takes as long as a known one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One device or reader."""

    token_sha256: str
    patients: frozenset[str] | None
    """Whom a reader may listen to, or the one patient of a device; None for all."""

    def reads(self, patient: str) -> bool:
        """Whether it may listen to `patient`."""
        return self.patients is None or patient in self.patients


class Admission:
    """The file at `path`, read anew when it has changed; one that is damaged then leaves all as it was."""

    def __init__(self, path: str | Path, say: Callable[[str], object] | None = None) -> None:
        """Raises InputError for a file that cannot be read or is not as it must be."""
        self._path, self._say = Path(path), say or (lambda line: None)
        self.devices: dict[str, Entry] = {}
        self.readers: dict[str, Entry] = {}
        self._seen = self._stamp()
        self._load()

    def patient_of(self, device: str, token: str) -> str | None:
        """The patient of a device that shows its token; None for anyone else."""
        entry = self._found(self.devices, device, token)
        return None if entry is None or not entry.patients else next(iter(entry.patients))

    def reads(self, reader: str, token: str, patient: str) -> bool:
        """Whether a reader that shows its token may listen to `patient`."""
        entry = self._found(self.readers, reader, token)
        return entry is not None and entry.reads(patient)

    def _found(self, entries: dict[str, Entry], name: str, token: str) -> Entry | None:
        entry = entries.get(name)
        known = _NOBODY if entry is None else entry.token_sha256
        return entry if hmac.compare_digest(_digest(token), known) else None

    def look(self) -> None:
        """Read the file again if it has changed."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._load()
        except InputError as error:
            self._say(f"warning: {error}; who was admitted before still is")

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            if getattr(self, "_seen", None) is None:
                raise InputError(_unreadable(self._path, error)) from error
            return (0, 0)
        return found.st_mtime_ns, found.st_size

    def _load(self) -> None:
        devices, readers = read_entries(self._path)
        self.devices, self.readers = devices, readers


def read_entries(path: Path) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Devices and readers of a file. Raises InputError, saying what is wrong in it."""
    said = _read(path)
    devices = {
        name: Entry(_hash(path, name, about), frozenset({_named(path, about.get("patient", name))}))
        for name, about in _table(path, said, "devices").items()
    }
    readers = {}
    for name, about in _table(path, said, "readers").items():
        patients = about.get("patients")
        if patients is not None and not isinstance(patients, list):
            raise InputError(f"{path}: the patients of reader {name!r} are no list")
        some = None if patients is None else frozenset(_named(path, one) for one in patients)
        readers[name] = Entry(_hash(path, name, about), some)
    return devices, readers


def add_entry(path: Path, kind: str, name: str, patients: list[str] | None) -> str:
    """Put a new device (`devices`) or reader (`readers`) into the file, which is made if need be; its token.

    A name that is there gets a new token, and the old one is worth nothing. Raises InputError.
    """
    said = _read(path) if path.exists() else {}
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    about: dict[str, Any] = {"token_sha256": _digest(token)}
    if patients:
        if kind == "devices":
            about["patient"] = patients[0]
        else:
            about["patients"] = patients
    entries = {**_table(path, said, kind), _named(path, name): about}
    for patient in patients or ():
        _named(path, patient)
    new = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        new.touch(0o600, exist_ok=False)
        new.write_text(json.dumps({**said, kind: entries}, indent=2) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return token


def is_entry(path: Path, kind: str, name: str) -> bool:
    """Whether the file has this device (`devices`) or reader (`readers`). Raises InputError."""
    return path.exists() and name in _table(path, _read(path), kind)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a folder, a device or a pipe: give the file of devices")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    if not isinstance(said, dict) or not said.keys() <= {"devices", "readers"}:
        raise InputError(f"{path} is no file of devices: it holds `devices` and `readers` alone")
    return said


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"cannot read {path}: {error.strerror}; "
        f"make it with  leadlift fleet --add-device NAME --devices {path}"
    )


def _table(path: Path, said: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    table = said.get(kind, {})
    if not isinstance(table, dict) or not all(isinstance(one, dict) for one in table.values()):
        raise InputError(f"{path}: `{kind}` is no table of names")
    for name in table:
        _named(path, name)
    return table


def _named(path: Path, name: object) -> str:
    if isinstance(name, str) and NAME.fullmatch(name):
        return name
    raise InputError(
        f"{path}: {name!r} is no name: take up to 64 letters, digits, `_`, `-` and `.`, no `.` or `-` first"
    )


def _hash(path: Path, name: str, about: dict[str, Any]) -> str:
    found = about.get("token_sha256")
    if isinstance(found, str) and _SHA256.fullmatch(found):
        return found
    raise InputError(f"{path}: the token_sha256 of {name!r} is no SHA-256 in lower-case hex digits")
