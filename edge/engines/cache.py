"""Built engines on disk: one file per key, built on this machine or not handed out.

An engine is native code: whoever can choose the bytes that are deserialised runs code as this user. So the
folder must be this user's and closed to all others (0700), and no link within it is followed. The first line
of a file says its key, the SHA-256 of what follows and the machine that it was built on: one that was copied
here, cut or altered is built anew. Who already acts as this user, or as root, is not protected against.

No failure of the cache stops an engine: it is then used from memory, and a note says why. Needs POSIX.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol

SCHEMA_VERSION = 2
LOCK_WAIT_S = 300.0  # another process builds: seconds on a workstation, maybe minutes on a Jetson
POLL_S = 0.05  # how soon the lock is asked for again
MAX_BYTES = 256 << 20  # as for a bundle: an engine of one has a few MB
MAX_ENTRIES = 32  # some 100 MB; two step lengths for each of the last upgrades of JetPack and model


class Key(Protocol):
    """Everything that a built engine depends on; another value of any makes another engine."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, exactly as they come back from JSON."""

    def digest(self) -> str:
        """SHA-256 in hex; the name of the entry."""


@dataclass(frozen=True)
class Built:
    """What a builder returns."""

    data: bytes
    report: dict[str, Any] = field(default_factory=dict)
    """Plain values for JSON; kept with the engine."""


@dataclass(frozen=True)
class Cached:
    """An engine, and where it came from."""

    data: bytes
    path: Path | None
    """Where it is kept; None: in memory alone, `note` says why."""
    fresh: bool
    """It was built now, by this call."""
    note: str
    """One line: from the cache, or built, and why."""
    report: dict[str, Any] = field(default_factory=dict)
    """The builder's, also when it was built long ago."""


class _UnusableError(Exception):
    """Why the folder, or an entry of it, is not used."""


def default_folder() -> Path:
    """$LEADLIFT_CACHE, else leadlift/engines in $XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("LEADLIFT_CACHE"):
        return Path(chosen)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "leadlift" / "engines"
    try:
        return Path.home() / ".cache" / "leadlift" / "engines"
    except RuntimeError:  # a service's user without a home
        return Path(tempfile.gettempdir()) / f"leadlift-{os.geteuid()}"


class EngineCache:
    """A folder of built engines; used by any number of processes at once."""

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        lock_wait_s: float = LOCK_WAIT_S,
        machine_id: Path = Path("/etc/machine-id"),
    ) -> None:
        """Nothing is opened or made before the first `get`."""
        self.folder = default_folder() if folder is None else Path(folder)
        self._lock_wait_s, self._machine_id = lock_wait_s, machine_id

    def get(self, key: Key, build: Callable[[], Built]) -> Cached:
        """The engine of `key`: from the cache, or from `build`, which one process at a time runs.

        Raises what `build` raises, and nothing else.
        """
        built = None
        try:
            self._check_folder()
            with suppress(OSError, _UnusableError):  # asked again under the lock
                return self._read(key)
            with self._locked():
                try:
                    return self._read(key)
                except (OSError, _UnusableError) as error:
                    why = self._why(error)
                built = build()
                self._write(key, built)
                return Cached(built.data, self._path(key), True, f"built: {why}", built.report)
        except (OSError, _UnusableError) as error:
            built = built or build()
            return Cached(
                built.data, None, True, f"built, not kept: {self._why(error)}", built.report
            )

    def find(self, key: Key) -> Cached | None:
        """The engine of `key`, if a sound one is in the cache."""
        try:
            self._check_folder()
            return self._read(key)
        except (OSError, _UnusableError):
            return None

    def trouble(self) -> str | None:
        """Why nothing can be kept here; None where it can."""
        try:
            self._check_folder()
            return (
                None if os.access(self.folder, os.W_OK | os.X_OK) else f"{self.folder}: read-only"
            )
        except (OSError, _UnusableError) as error:
            return self._why(error)

    def forget(self, key: Key) -> None:
        """Remove the entry of `key`, if there is one: the runtime refuses it, or it shall be built anew."""
        with suppress(OSError, _UnusableError):
            self._check_folder()
            self._path(key).unlink(missing_ok=True)

    def entries(self) -> list[tuple[dict[str, Any], bytes]]:
        """What each entry says of itself (`key`, `sha256`, `report`), and its engine."""
        return [_parsed(_bytes_of(path)) for path in sorted(self.folder.glob("*.engine"))]

    def _path(self, key: Key) -> Path:
        return self.folder / f"{key.digest()}.engine"

    def _check_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.stat()
        if status.st_uid != os.geteuid():
            raise _UnusableError(
                f"{self.folder} belongs to user {status.st_uid}, not to {os.geteuid()}: "
                "set LEADLIFT_CACHE to a folder of your own"
            )
        if status.st_mode & 0o077:
            raise _UnusableError(
                f"{self.folder} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}), "
                f"and an engine is native code: chmod 700 {self.folder}"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock, which the death of a process frees. Raises _UnusableError in the end."""
        until = monotonic() + self._lock_wait_s
        with open(self.folder / "lock", "a", opener=_private) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if monotonic() >= until:
                        raise _UnusableError(
                            f"another process has held the cache for more than {self._lock_wait_s:g} s"
                        ) from None
                    sleep(POLL_S)
            yield

    def _read(self, key: Key) -> Cached:
        path = self._path(key)
        try:
            header, data = _parsed(_bytes_of(path))
        except FileNotFoundError:
            raise _UnusableError("none was cached for this model, library and device") from None
        if header.get("key") != key.as_dict():
            raise _UnusableError("the cached one belongs to another key")
        if header.get("machine") != self._machine():
            raise _UnusableError("the cached one was built on another machine")
        if hashlib.sha256(data).hexdigest() != header.get("sha256"):
            raise _UnusableError("the cached one is truncated or altered")
        return Cached(data, path, False, "from the cache", dict(header.get("report", {})))

    def _write(self, key: Key, built: Built) -> None:
        """Whole or not at all; under the lock. Raises OSError."""
        header = {
            "schema": SCHEMA_VERSION,
            "key": key.as_dict(),
            "machine": self._machine(),
            "sha256": hashlib.sha256(built.data).hexdigest(),
            "report": built.report,
        }
        path, partial = self._path(key), self.folder / "partial"
        partial.unlink(missing_ok=True)  # the lock is ours: it is of a process that died
        try:
            with open(partial, "xb", opener=_private) as file:
                file.write(json.dumps(header).encode() + b"\n" + built.data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        by_age = sorted(self.folder.glob("*.engine"), key=lambda one: one.lstat().st_mtime_ns)
        for old in by_age[:-MAX_ENTRIES]:
            old.unlink(missing_ok=True)

    def _machine(self) -> str:
        found = b""
        with suppress(OSError):  # not every system has one
            found = self._machine_id.read_bytes().strip()
        return hashlib.sha256(b"leadlift" + found).hexdigest()  # the id itself is not to be shown

    def _why(self, error: OSError | _UnusableError) -> str:
        return f"{self.folder}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def _bytes_of(path: Path) -> bytes:
    with open(path, "rb", opener=_private) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise _UnusableError(f"{path.name} is no engine of ours")
        return file.read(MAX_BYTES)


def _parsed(content: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, data = content.partition(b"\n")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise _UnusableError("what the cached one says of itself is damaged") from None
    if not isinstance(header, dict) or header.get("schema") != SCHEMA_VERSION:
        raise _UnusableError("the cached one is of another schema")
    return header, data
