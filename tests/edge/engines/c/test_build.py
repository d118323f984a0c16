"""Compilers that are missing, fail or miscompile; and what is kept of the one that works."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.engines import registry
from edge.engines.c.build import Compiler, find_compiler, library_key, processor
from edge.engines.c.engine import CEngine
from edge.engines.cache import EngineCache
from edge.errors import EngineBuildError, EngineError, EngineMissingError


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def compiler_script(folder: Path, body: str) -> Compiler:
    """A compiler of ours: a program in front of the real one."""
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine: install gcc to test the c engine")
    script = folder / "mycc"
    script.write_text(f"#!{sys.executable}\nimport pathlib, subprocess, sys\n{body}\n")
    script.chmod(0o755)
    return find_compiler({"CC": str(script), "PATH": ""})


def test_a_compiler_may_be_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is run in a folder of its own."""
    script = Path(compiler_script(tmp_path, "").command[0])
    monkeypatch.chdir(tmp_path)
    assert find_compiler({"CC": f"./{script.name}", "PATH": ""}).command == (str(script),)


FAILS = """
print("x.c:1: fatal error: stdint.h: No such file", file=sys.stderr)
print("compilation terminated.", file=sys.stderr)
sys.exit(1)
"""
NOTHING = "sys.exit(0)"
MISCOMPILES = """
for name in sys.argv:
    path = pathlib.Path(name[2:]) / "leadlift_decoder.c"
    if name.startswith("-I"):
        path.write_text(path.read_text().replace("v + 12582912.0f", "v + 12582912.4f"))
        path.write_text(path.read_text().replace("0x4B400000", "0x4B400001"))
sys.exit(subprocess.call(["cc", *sys.argv[1:]]))
"""
COUNTS = """
with open(__file__ + ".calls", "a") as calls:
    calls.write("x")
sys.exit(subprocess.call(["cc", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PATH": "/nowhere"}, "there is no C compiler here: install gcc or clang"),
        ({"CC": "no-such-cc", "PATH": "/nowhere"}, "$CC is 'no-such-cc', which is not there"),
        ({"CC": "'", "PATH": "/nowhere"}, '$CC is "\'", which is not there'),
    ],
)
def test_no_compiler_is_one_line_that_says_what_to_do(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(EngineMissingError) as refused:
        find_compiler(environment)
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)
    assert "apt install gcc" in str(refused.value)
    assert "--engine onnxruntime" in str(refused.value)


@pytest.mark.parametrize(
    ("body", "said"), [(FAILS, "stdint.h: No such file"), (NOTHING, "says nothing")]
)
def test_a_compiler_that_fails_is_one_line(
    shipped_bundle: Bundle, cache: EngineCache, tmp_path: Path, body: str, said: str
) -> None:
    with pytest.raises(EngineBuildError, match=said) as refused:
        CEngine(shipped_bundle, cache=cache, compiler=compiler_script(tmp_path, body))
    assert "\n" not in str(refused.value)
    assert not list(cache.folder.glob("*.engine"))


def test_a_compiler_that_miscompiles_is_refused_and_auto_goes_on(
    shipped_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = compiler_script(tmp_path, MISCOMPILES)
    monkeypatch.setenv("CC", compiler.command[0])
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "engines"))
    with pytest.raises(
        EngineError, match="the c engine does not compute what onnxruntime computes"
    ):
        registry.open_engine(shipped_bundle, "c")
    choice = registry.open_engine(shipped_bundle)
    assert choice.engine.name != "c"
    assert "codes of the state differ" in choice.skipped["c"]


def test_it_is_compiled_once_and_anew_when_the_cached_one_is_altered(
    shipped_bundle: Bundle, cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = compiler_script(tmp_path, COUNTS)
    calls = tmp_path / "mycc.calls"
    said: list[str] = []

    def opened() -> CEngine:
        # As another process would: nothing is open yet.
        monkeypatch.setattr("edge.engines.c.library._open", {})
        return CEngine(shipped_bundle, cache=cache, compiler=compiler, say=said.append)

    with opened() as engine:
        assert (
            engine.details()["note"] == "built: none was cached for this model, library and device"
        )
    (kept,) = cache.folder.glob("*.engine")
    assert kept.stat().st_mode & 0o077 == 0
    with opened() as engine:
        assert engine.details()["note"] == "from the cache"
    assert calls.read_text() == "x"
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    with opened() as engine:
        assert "truncated or altered" in str(engine.details()["note"])
    assert calls.read_text() == "xx"
    assert len(said) == 2 and all(line.startswith("compiling the c engine") for line in said)


def test_engines_of_one_process_share_the_code(shipped_bundle: Bundle, cache: EngineCache) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine: install gcc to test the c engine")
    with CEngine(shipped_bundle, cache=cache) as one, CEngine(shipped_bundle, cache=cache) as other:
        assert one.library is other.library


def test_the_key_changes_with_bundle_compiler_and_processor(
    shipped_bundle: Bundle, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    one, other = Compiler(("cc",), "/usr/bin/gcc 1 2"), Compiler(("cc",), "/usr/bin/gcc 1 3")
    digests = {
        library_key(bundle, compiler).digest()
        for bundle in (shipped_bundle, tiny_bundle)
        for compiler in (one, other)
    }
    assert len(digests) == 4
    cpuinfo = tmp_path / "cpuinfo"
    found = set()
    for flags in ("avx2", "avx2 avx512f"):
        cpuinfo.write_text(
            f"processor: 0\nmodel name: x\nflags: {flags}\ncpu MHz: 1\n\nprocessor: 1\n"
        )
        found.add(processor(cpuinfo))
    assert len(found) == 2
    cpuinfo.write_text("processor: 0\nmodel name: x\nflags: avx2\ncpu MHz: 2\n\n")
    assert processor(cpuinfo) in found, "the clock is no other processor"


IMPORTS = "import sys, edge; print(any('engines.c' in name or 'c_export' in name for name in sys.modules))"


def test_import_edge_loads_none_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
