"""Built TensorRT engines on disk: one file per key, written by this cache or not handed out.

An engine is native code: whoever can choose the bytes that are deserialised runs code as this user. So:

- The folder must be this user's and closed to all others (0700), files likewise (0600, no links). Another
  user of the machine cannot plant an engine. The folder is opened once; every file is opened within it.
- Every entry is sealed: an HMAC over its key and its SHA-256, with a secret that lies in the folder and the
  machine's id. An engine file that was copied in, downloaded, or comes with a folder from another machine
  is rebuilt, as is one that is truncated or altered, or that belongs to another key or version.
- Not protected against: whoever already acts as this user, or as root. They can read the secret, but they
  can run code anyway. Nor against a disk image that is cloned with its machine id: that copy is ours.

No failure of the cache stops an engine: a folder that is refused, read-only or full, a lock that is held
for too long, each leaves an engine that is used from memory, and a note that says so. Needs POSIX.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from edge.engines.trt.key import CODE, EngineKey, canonical, engine_key

__all__ = ["Built", "Cached", "EngineCache", "EngineKey", "default_folder", "engine_key"]

SCHEMA_VERSION = 1
LOCK_WAIT_S = (
    300.0  # another process builds: seconds on a workstation, maybe minutes on a small Jetson
)
POLL_S = 0.05  # how soon the lock is asked for again
MAX_BYTES = 256 << 20  # as for a bundle: an engine of one has a few MB
MAX_SIDECAR_BYTES = 8 << 20  # the report lists some hundred layers
MAX_ENTRIES = 32  # some 100 MB; two step lengths for each of the last upgrades of JetPack and model
_SECRET, _SECRET_BYTES, _LOCK = "secret", 32, "lock"


@dataclass(frozen=True)
class Built:
    """What a builder returns."""

    data: bytes
    report: dict[str, Any] = field(default_factory=dict)
    """Plain values for JSON; kept beside the engine."""


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
        self._lock_wait_s = lock_wait_s
        self._machine_id = machine_id

    def get(self, key: EngineKey, build: Callable[[], Built]) -> Cached:
        """The engine of `key`: from the cache, or from `build`, which one process at a time runs.

        Raises what `build` raises, and nothing else.
        """
        try:
            folder = self._open()
        except (OSError, _UnusableError) as error:
            return _in_memory(build(), _why(error, self.folder))
        with folder:
            with suppress(
                OSError, _UnusableError
            ):  # asked again under the lock: it may be half written
                return self._hit(folder, key)
            with folder.lock(self._lock_wait_s) as refused:
                if refused:
                    return _in_memory(build(), refused)
                try:
                    return self._hit(folder, key)
                except (OSError, _UnusableError) as error:
                    why = _why(error, self.folder)
                built = build()
                try:
                    folder.write_entry(key, built)
                except OSError as error:
                    return _in_memory(built, _why(error, self.folder))
                return Cached(built.data, self._path(key), True, f"built: {why}", built.report)

    def forget(self, key: EngineKey) -> None:
        """Remove the entry of `key`, if there is one: the runtime refuses it, or it shall be built anew."""
        with suppress(OSError, _UnusableError), self._open() as folder:
            folder.remove(key.digest())

    def _open(self) -> _Folder:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        machine = b""
        with suppress(OSError):  # not every system has one
            machine = self._machine_id.read_bytes().strip()
        return _Folder(self.folder, machine)

    def _hit(self, folder: _Folder, key: EngineKey) -> Cached:
        data, report = folder.read_entry(key)
        return Cached(data, self._path(key), False, "from the cache", report)

    def _path(self, key: EngineKey) -> Path:
        return self.folder / f"{key.digest()}.engine"


class _Folder:
    """The open folder. Files are named within it, so that it cannot be exchanged under our hands."""

    def __init__(self, path: Path, machine: bytes) -> None:
        self._machine = machine
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(self._fd)
            if status.st_uid != os.geteuid():
                raise _UnusableError(
                    f"{path} belongs to user {status.st_uid}, not to {os.geteuid()}: "
                    "set LEADLIFT_CACHE to a folder of your own"
                )
            if status.st_mode & 0o077:
                raise _UnusableError(
                    f"{path} is open to other users (mode {stat.S_IMODE(status.st_mode):04o}), "
                    f"and an engine is native code: chmod 700 {path}"
                )
        except _UnusableError:
            os.close(self._fd)
            raise

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    @contextmanager
    def lock(self, wait_s: float) -> Iterator[str]:
        """Hold the folder's lock; yields why not, empty when it is held. The death of a process frees it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = None
        try:
            fd = os.open(_LOCK, flags, 0o600, dir_fd=self._fd)
            refused = _lock_within(fd, wait_s)
        except OSError as error:
            refused = f"no lock in the cache ({error.strerror})"
        try:
            yield refused
        finally:
            if fd is not None:
                os.close(fd)

    def read_entry(self, key: EngineKey) -> tuple[bytes, dict[str, Any]]:
        """Engine and report. Raises OSError or _UnusableError, which say why it must be built."""
        digest = key.digest()
        try:
            sidecar = _parsed(self._read(f"{digest}.json", MAX_SIDECAR_BYTES))
        except FileNotFoundError:
            raise _UnusableError(self._nearest(key)) from None
        if sidecar.get("key") != key.as_dict():
            raise _UnusableError("the cached one belongs to another key")
        try:
            data = self._read(f"{digest}.engine", MAX_BYTES)
        except FileNotFoundError:
            raise _UnusableError("the cached one has no engine file") from None
        if hashlib.sha256(data).hexdigest() != sidecar.get("sha256"):
            raise _UnusableError("the cached one is truncated or altered")
        seal = str(sidecar.get("seal")).encode()
        if not hmac.compare_digest(seal, self._seal(key, data).encode()):
            raise _UnusableError("the cached one was not written by this cache on this machine")
        report = sidecar.get("report")
        return data, report if isinstance(report, dict) else {}

    def write_entry(self, key: EngineKey, built: Built) -> None:
        """Engine, then sidecar, each whole or not at all; under the lock. Raises OSError."""
        digest = key.digest()
        try:
            self._secret()
        except _UnusableError:
            self._write(_SECRET, secrets.token_bytes(_SECRET_BYTES))
        sidecar = {
            "schema": SCHEMA_VERSION,
            "key": key.as_dict(),
            "sha256": hashlib.sha256(built.data).hexdigest(),
            "seal": self._seal(key, built.data),
            "report": built.report,
        }
        self._unlink(f"{digest}.json")  # between the two writes an older one would not fit
        self._write(f"{digest}.engine", built.data)
        self._write(f"{digest}.json", json.dumps(sidecar, indent=1).encode())
        self._prune()

    def remove(self, digest: str) -> None:
        """Remove an entry, whether it is there or not. Raises OSError."""
        for suffix in ("json", "engine"):
            self._unlink(f"{digest}.{suffix}")

    def _seal(self, key: EngineKey, data: bytes) -> str:
        sealed = canonical(key.as_dict()) + hashlib.sha256(data).digest()
        return hmac.new(self._secret() + self._machine, sealed, hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """The folder's own random bytes, made with its first entry."""
        found = b""
        with suppress(FileNotFoundError):
            found = self._read(_SECRET, _SECRET_BYTES)
        if len(found) != _SECRET_BYTES:
            raise _UnusableError("the secret that sealed the cache is gone")
        return found

    def _read(self, name: str, limit: int) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=self._fd), "rb") as file:
            status = os.fstat(file.fileno())
            ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
            if not ours or status.st_mode & 0o077:
                raise _UnusableError(f"{name} is no file of ours alone")
            if status.st_size > limit:
                raise _UnusableError(f"{name} has {status.st_size} bytes, more than any of ours")
            return file.read(limit)

    def _write(self, name: str, data: bytes) -> None:
        temporary = f"{name}.tmp"  # the lock is ours: what lies there is of a process that died
        self._unlink(temporary)
        try:
            self._create(temporary, data)
            os.replace(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            self._unlink(temporary)
            raise

    def _create(self, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=self._fd), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def _sidecars(self) -> list[str]:
        """Names, the oldest first."""
        found = []
        for name in os.listdir(self._fd):  # noqa: PTH208 - Path cannot list an open folder
            if name.endswith(".json"):
                with suppress(FileNotFoundError):
                    written = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mtime_ns
                    found.append((written, name))
        return [name for _, name in sorted(found)]

    def _prune(self) -> None:
        for name in self._sidecars()[:-MAX_ENTRIES]:
            self.remove(name.removesuffix(".json"))

    def _nearest(self, key: EngineKey) -> str:
        """What sets `key` apart from the entry that is nearest to it: why there is nothing to reuse."""
        wanted, nearest = _flat(key.as_dict()), dict[str, object]()
        for name in self._sidecars():
            with suppress(OSError, _UnusableError):
                found = _flat(_parsed(self._read(name, MAX_SIDECAR_BYTES)).get("key"))
                changed = {n: found[n] for n in found if found[n] != wanted.get(n)}
                same_use = found.get("options") == wanted["options"]
                if same_use and changed and (not nearest or len(changed) <= len(nearest)):
                    nearest = changed
        if not nearest:
            return "none was cached"
        words = {n: (str(old)[:12], str(wanted.get(n))[:12]) for n, old in nearest.items()}
        return "the cached one is for another " + ", ".join(
            f"{n} ({old}, not {new})" for n, (old, new) in words.items()
        )


def _lock_within(fd: int, wait_s: float) -> str:
    until = monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= until:
                return f"another process has held the cache for more than {wait_s:g} s"
            sleep(POLL_S)
        else:
            return ""


def _parsed(sidecar: bytes) -> dict[str, Any]:
    try:
        found = json.loads(sidecar)
    except ValueError:
        raise _UnusableError("the sidecar of the cached one is damaged") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA_VERSION:
        raise _UnusableError("the sidecar of the cached one is of another schema")
    return found


def _flat(key: object) -> dict[str, Any]:
    """A key in which the code that built it stands beside the options, not among them."""
    if not isinstance(key, dict) or not isinstance(key.get("options"), dict):
        return {}
    options = dict(key["options"])
    return {**key, CODE: options.pop(CODE, None), "options": options}


def _why(error: OSError | _UnusableError, folder: Path) -> str:
    return f"{folder}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _in_memory(built: Built, why: str) -> Cached:
    return Cached(built.data, None, True, f"built, not kept: {why}", built.report)
