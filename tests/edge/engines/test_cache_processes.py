"""The engine cache and what only another process shows: one builds, one is killed, rights, a full disk."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from edge.engines.cache import EngineCache
from tests.edge.engines.test_cache import ENGINE, KEY, Builder

READ_ONLY = """
import os, sys
from pathlib import Path
from tests.edge.engines.test_cache import KEY, Builder, never
from edge.engines.cache import EngineCache
os.chdir(sys.argv[1])  # entered before the rights are dropped
if os.geteuid() == 0:
    os.chown("engines", 65534, -1)
    os.chmod(".", 0o711)
    os.seteuid(65534)
cache = EngineCache("engines")
kept = cache.get(KEY, Builder()).data
os.chmod("engines", 0o500)
assert not cache.get(KEY, never).fresh  # what is there is still used
(Path("engines") / f"{KEY.digest()}.engine").write_bytes(b"cut")
cached = cache.get(KEY, Builder())
assert cached.path is None and cached.data == kept, cached
print(cached.note)
print(EngineCache("engines/below").get(KEY, Builder()).note)
cache.forget(KEY)  # cannot, and does not mind
"""


def test_a_read_only_folder_is_read_and_otherwise_the_engine_stays_in_memory(
    tmp_path: Path,
) -> None:
    (tmp_path / "engines").mkdir(mode=0o700)
    said = in_process(READ_ONLY, str(tmp_path))
    assert said == [
        "built, not kept: engines: Permission denied",
        "built, not kept: engines/below: Permission denied",
    ]


FULL = """
import resource, sys
from tests.edge.engines.test_cache import ENGINE, KEY, Builder
from edge.engines.cache import EngineCache
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (len(ENGINE) // 2, hard))
cached = EngineCache(sys.argv[1]).get(KEY, Builder())
assert cached.path is None and cached.data == ENGINE + b"\\1", cached
print(cached.note)
"""


def test_what_cannot_be_written_whole_is_not_kept(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the write fails half way."""
    folder = tmp_path / "engines"
    (said,) = in_process(FULL, str(folder))
    assert said == f"built, not kept: {folder}: File too large"
    assert {path.name for path in folder.iterdir()} == {"lock"}


def in_process(script: str, *arguments: str) -> list[str]:
    """Lines that a Python process prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BUILDS_SLOWLY = """
import os, sys, time
from pathlib import Path
from tests.edge.engines.test_cache import KEY
from edge.engines.cache import Built, EngineCache
folder, gate = Path(sys.argv[1]), Path(sys.argv[2])
def build():
    print("building", flush=True)
    while not gate.exists():
        time.sleep(0.01)
    return Built(b"engine of " + str(os.getpid()).encode())
cached = EngineCache(folder).get(KEY, build)
print(cached.data.decode(), cached.fresh, flush=True)
"""


def starts(folder: Path, gate: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDS_SLOWLY, str(folder), str(gate)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_of_two_processes_one_builds_and_both_use_it(tmp_path: Path) -> None:
    folder, gate = tmp_path / "engines", tmp_path / "gate"
    first = starts(folder, gate)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"  # and so has the lock
    second = starts(folder, gate)
    time.sleep(1.0)  # time in which the second would build, if nothing held it
    gate.touch()
    said = first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]
    engine = f"engine of {first.pid}"
    assert said == (f"{engine} True\n", f"{engine} False\n")


def test_a_builder_that_is_killed_frees_the_lock(tmp_path: Path) -> None:
    folder, gate = tmp_path / "engines", tmp_path / "gate"
    first = starts(folder, gate)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = starts(folder, gate)
    first.kill()
    first.communicate(timeout=30)
    gate.touch()
    assert second.communicate(timeout=30)[0] == f"building\nengine of {second.pid} True\n"


def test_the_wait_for_another_process_is_bounded(tmp_path: Path) -> None:
    folder, gate = tmp_path / "engines", tmp_path / "gate"
    first = starts(folder, gate)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    cached = EngineCache(folder, lock_wait_s=0.2).get(KEY, Builder())
    assert (cached.path, cached.data) == (None, ENGINE + b"\1")
    assert cached.note == (
        "built, not kept: another process has held the cache for more than 0.2 s"
    )
    gate.touch()
    assert first.communicate(timeout=30)[0] == f"engine of {first.pid} True\n"
