"""The engine cache: what is kept, what is rebuilt and why, what is never handed out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.engines import cache as engine_cache
from edge.engines.cache import Built, EngineCache, default_folder
from edge.engines.trt.key import EngineKey
from edge.errors import EngineBuildError

KEY = EngineKey(
    "b" * 64, "tensorrt", "10.3.0", "8.7", "Orin", "36.4.3", {"frames": 1, "of": (1, 2)}
)
ENGINE = bytes(range(256)) * 40
OPEN_FILES = Path("/proc/self/fd")


class Builder:
    """Counts its builds; each gives other bytes."""

    def __init__(self, data: bytes = ENGINE) -> None:
        self.built = 0
        self._data = data

    def __call__(self) -> Built:
        self.built += 1
        return Built(self._data + bytes([self.built]), {"seconds": float(self.built)})


def never() -> Built:
    raise AssertionError("it was in the cache")


@pytest.fixture
def machine_id(tmp_path: Path) -> Path:
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef\n")
    return path


@pytest.fixture
def cache(tmp_path: Path, machine_id: Path) -> EngineCache:
    return EngineCache(tmp_path / "made" / "engines", machine_id=machine_id)


def test_the_second_time_nothing_is_built(cache: EngineCache) -> None:
    first = cache.get(KEY, Builder())
    assert (first.fresh, first.note) == (
        True,
        "built: none was cached for this model, library and device",
    )
    assert first.path is not None
    assert first.path.read_bytes().endswith(b"\n" + first.data)
    assert first.data == ENGINE + b"\1"
    second = cache.get(KEY, never)
    assert second == replace(first, fresh=False, note="from the cache")
    assert second.report == {"seconds": 1.0}


def test_a_folder_and_its_files_are_closed_to_others(cache: EngineCache) -> None:
    cache.get(KEY, Builder())
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    names = {path.name for path in cache.folder.iterdir()}
    digest = KEY.digest()
    assert names == {f"{digest}.engine", "lock"}  # nothing half written
    assert {path.stat().st_mode & 0o777 for path in cache.folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "10.16.2"},
        {"l4t": None},
        {"bundle_sha256": "c" * 64},
        {"compute_capability": "11.0", "device": "Thor"},
        {"library": "tensorrt_rtx"},
        {"options": {"frames": 32}},
    ],
)
def test_another_key_is_another_engine(changes: dict[str, object], cache: EngineCache) -> None:
    build = Builder()
    kept = cache.get(KEY, build)
    other = cache.get(replace(KEY, **changes), build)  # type: ignore[arg-type]
    assert other.fresh
    assert other.data != kept.data
    assert cache.get(KEY, never).data == kept.data


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


def file_of(cache: EngineCache) -> Path:
    return cache.folder / f"{KEY.digest()}.engine"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_altered_byte_is_ever_handed_out(cache: EngineCache, data: st.DataObject) -> None:
    """Cut, flipped or lengthened: rebuilt, unless its first line means the same still."""
    cache.forget(KEY)
    good = cache.get(KEY, Builder()).data
    victim = file_of(cache)
    whole = victim.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[at] ^ data.draw(st.integers(1, 255))])
    victim.write_bytes(
        data.draw(
            st.sampled_from([whole[:at], whole[:at] + flipped + whole[at + 1 :], whole + b"x"])
        )
    )
    build = Builder(b"rebuilt")
    cached = cache.get(KEY, build)
    assert cached.data == (b"rebuilt\1" if build.built else good)
    assert build.built or at < whole.index(b"\n")
    assert cache.get(KEY, never).data == cached.data  # and what was damaged has been mended


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda b: b[:-100], "truncated or altered"),
        (lambda b: b[: b.index(b"\n") + 1], "truncated or altered"),
        (lambda b: b"", "is damaged"),
        (lambda b: b[:40], "is damaged"),
        (lambda b: b"[" * 100_000, "is damaged"),
        (lambda b: b"[]\n" + b, "of another schema"),
        (lambda b: b.replace(b'"schema": 2', b'"schema": 9'), "of another schema"),
        (lambda b: b.replace(b"10.3.0", b"10.3.1"), "belongs to another key"),
    ],
)
def test_a_damaged_entry_is_rebuilt_and_the_reason_said(
    how: Callable[[bytes], bytes], says: str, cache: EngineCache
) -> None:
    cache.get(KEY, Builder())
    change(file_of(cache), how)
    cached = cache.get(KEY, Builder(b"again"))
    assert (cached.data, cached.fresh) == (b"again\1", True)
    assert says in cached.note
    assert cache.get(KEY, never).data == b"again\1"


def test_an_engine_of_another_key_is_not_passed_off_as_this_one(cache: EngineCache) -> None:
    other = replace(KEY, version="9")
    cache.get(KEY, Builder(b"good"))
    cache.get(other, Builder(b"other"))
    (cache.folder / f"{other.digest()}.engine").replace(file_of(cache))
    assert "another key" in cache.get(KEY, Builder()).note


def test_entries_that_were_copied_here_are_not_handed_out(
    cache: EngineCache, tmp_path: Path
) -> None:
    cache.get(KEY, Builder())
    other_machine = tmp_path / "other-id"
    other_machine.write_text("fedcba\n")
    copied = EngineCache(cache.folder, machine_id=other_machine)
    assert "built on another machine" in copied.get(KEY, Builder()).note
    assert not copied.get(KEY, never).fresh


def test_links_and_pipes_are_rebuilt(cache: EngineCache, tmp_path: Path) -> None:
    planted, file = tmp_path / "planted", file_of(cache)
    cache.get(KEY, Builder())
    planted.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(planted)
    assert cache.get(KEY, Builder()).fresh
    assert not file.is_symlink()
    file.unlink()
    os.mkfifo(file, 0o600)
    assert cache.get(KEY, Builder()).fresh
    assert file.is_file()


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    for mode in (0o777, 0o755, 0o770, 0o1777):
        folder.chmod(mode)
        cached = EngineCache(folder).get(KEY, Builder())
        assert (cached.path, cached.data) == (None, ENGINE + b"\1")
        assert cached.note.startswith("built, not kept: ")
        assert f"chmod 700 {folder}" in cached.note
    assert list(folder.iterdir()) == []


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = Path("/")  # root's, for everybody else
    if os.geteuid() == 0:
        folder = tmp_path / "theirs"
        folder.mkdir(mode=0o700)
        os.chown(folder, 65534, -1)
    cached = EngineCache(folder).get(KEY, Builder())
    assert cached.path is None
    assert "belongs to user" in cached.note
    assert "set LEADLIFT_CACHE to a folder of your own" in cached.note


def test_a_path_that_cannot_be_a_folder_leaves_the_engine_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside", Path("/proc/leadlift")):
        cached = EngineCache(folder).get(KEY, Builder())
        assert (cached.path, cached.fresh, cached.data) == (None, True, ENGINE + b"\1")
        assert cached.note.startswith(f"built, not kept: {folder}: ")
        EngineCache(folder).forget(KEY)  # nothing to forget, and no error


def test_a_build_that_fails_is_raised_and_leaves_no_entry(cache: EngineCache) -> None:
    def fails() -> Built:
        raise EngineBuildError("node 7 is refused")

    with pytest.raises(EngineBuildError, match="node 7"):
        cache.get(KEY, fails)
    assert cache.get(KEY, Builder()).fresh  # the lock is free again


def test_forget_removes_one_entry(cache: EngineCache) -> None:
    other = replace(KEY, version="9")
    for key in (KEY, other):
        cache.get(key, Builder())
    cache.forget(KEY)
    assert cache.get(other, never).data == ENGINE + b"\1"
    assert cache.get(KEY, Builder()).fresh


def test_the_oldest_entries_make_room(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cache, "MAX_ENTRIES", 3)
    keys = [replace(KEY, version=str(n)) for n in range(5)]
    for n, key in enumerate(keys):
        path = cache.get(key, Builder()).path
        assert path is not None
        os.utime(path, (n, n))
    assert len(list(cache.folder.glob("*.engine"))) == 3
    for key in keys[2:]:
        assert not cache.get(key, never).fresh


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="open files are counted in Linux's /proc")
def test_no_open_file_is_left_behind(cache: EngineCache) -> None:
    cache.get(KEY, Builder())
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(20):
        cache.get(KEY, never)
        cache.forget(replace(KEY, version="9"))
        cache.get(replace(KEY, version="9"), Builder())
        EngineCache("/").get(KEY, Builder())
    assert len(list(OPEN_FILES.iterdir())) == before


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LEADLIFT_CACHE", raising=False)
    assert default_folder() == tmp_path / "home/.cache/leadlift/engines"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert EngineCache().folder == tmp_path / "xdg/leadlift/engines"
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "mine"))
    assert EngineCache().folder == tmp_path / "mine"
    assert not (tmp_path / "mine").exists()


def test_a_user_without_a_home_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LEADLIFT_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", none)
    assert default_folder() == Path(tempfile.gettempdir()) / f"leadlift-{os.geteuid()}"
