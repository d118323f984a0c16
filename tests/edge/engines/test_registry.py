"""Which engine is taken, and what is said of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.registry import AUTO, MAKERS, NOT_OPENED, OK, Say, available, open_engine
from edge.errors import EngineError, EngineMissingError, InputError
from edge.jetpack import look, missing
from edge.reconstructor import Reconstructor

NO_TENSORRT = any(part.needed for part in missing(look()))


def refuse(bundle: Bundle, say: Say | None) -> None:
    raise EngineError("no such device here")


def test_auto_never_takes_torch() -> None:
    assert AUTO == ("tensorrt", "c", "litert", "onnxruntime")
    assert set(AUTO) < set(MAKERS)


@pytest.mark.skipif(not NO_TENSORRT, reason="TensorRT works here")
def test_where_nothing_else_works_auto_takes_onnxruntime_and_says_what_is_missing(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr("edge.engines.litert.library.MODULES", ("no_such_litert",))
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.engine.bundle is shipped_bundle
    assert list(choice.skipped) == ["tensorrt", "c", "litert"]
    assert choice.skipped["c"].startswith(
        "$CC is 'no-such-compiler', which is not there: install gcc"
    )
    first = next(part for part in missing(look()) if part.needed)
    assert choice.skipped["tensorrt"].startswith(f"the tensorrt engine lacks {first}")
    with pytest.raises(EngineMissingError) as refused:
        open_engine(shipped_bundle, "tensorrt")
    assert str(refused.value) == choice.skipped["tensorrt"]


def test_an_engine_by_name(shipped_bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="the torch engine needs torch: install '.[test]'")
    for name in ("onnxruntime", "torch"):
        with open_engine(shipped_bundle, name).engine as engine:
            assert engine.name == name


def test_what_is_built_is_said(shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(bundle: Bundle, say: Say | None) -> Engine:
        assert say is not None
        say("building")
        return MAKERS["onnxruntime"](bundle, say)

    monkeypatch.setitem(MAKERS, "slow", build)
    said: list[str] = []
    with Reconstructor.open(shipped_bundle, "slow", say=said.append):
        assert said == ["building"]


def test_work_that_was_said_to_begin_and_failed_is_said(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(bundle: Bundle, say: Say | None) -> Engine:
        if say is not None and announces:
            say("compiling, once: seconds")
        raise EngineError("the compiler says: no")

    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path))
    monkeypatch.setitem(MAKERS, "c", fail)
    monkeypatch.setitem(MAKERS, "litert", lambda *_: fail(shipped_bundle, None))
    for announces in (True, False):
        said: list[str] = []
        with Reconstructor.open(shipped_bundle, "auto", say=said.append) as opened:
            assert opened.engine.name == "onnxruntime"
        wanted = ["compiling, once: seconds", "another engine runs: the compiler says: no"]
        assert said == (wanted if announces else [])


def test_an_unknown_engine_is_named_with_those_there_are(shipped_bundle: Bundle) -> None:
    with pytest.raises(
        InputError, match="unknown engine 'tpu': use auto, tensorrt, c, litert, onnxruntime, torch"
    ):
        open_engine(shipped_bundle, "tpu")


def test_auto_passes_over_what_does_not_work_and_says_why(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path))
    monkeypatch.setattr("edge.engines.registry.AUTO", ("broken", "onnxruntime"))
    monkeypatch.setitem(MAKERS, "broken", refuse)  # type: ignore[arg-type]
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.skipped == {"broken": "no such device here"}
    with pytest.raises(EngineError, match=r"^no such device here$"):
        open_engine(shipped_bundle, "broken")
    with Reconstructor.open(shipped_bundle) as reconstructor:
        assert reconstructor.skipped == choice.skipped
    found = available(shipped_bundle)
    assert found["broken"].status == "no such device here"
    assert found["onnxruntime"].status == OK


LOADS = """
import sys
from edge.bundle import load_bundle
from edge.engines.registry import available
found = available(load_bundle())
print(found["torch"].status)
heavy = {"torch", "onnx", "tensorrt", "tensorrt_rtx", "pycuda", "cuda.bindings"}
print(",".join(sorted(heavy & set(sys.modules))))
"""


@pytest.mark.skipif(not NO_TENSORRT, reason="TensorRT works here")
def test_nothing_heavy_is_imported_to_say_what_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS], capture_output=True, text=True, timeout=60, check=True
    )
    status, loaded = done.stdout.splitlines()
    assert loaded == ""
    assert status == NOT_OPENED or status.startswith("not installed: torch")


def test_no_engine_at_all(shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.engines.registry.AUTO", ("broken",))
    monkeypatch.setitem(MAKERS, "broken", refuse)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no engine works here: broken: no such device here"):
        open_engine(shipped_bundle)
