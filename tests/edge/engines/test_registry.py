"""Which engine is taken, and what is said of the others."""

from __future__ import annotations

import pytest

from edge.bundle import Bundle
from edge.engines.registry import AUTO, MAKERS, available, open_engine
from edge.errors import EngineError, InputError


def refuse(bundle: Bundle) -> None:
    raise EngineError("no such device here")


def test_auto_takes_onnxruntime(shipped_bundle: Bundle) -> None:
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.skipped == {}
    assert choice.engine.bundle is shipped_bundle
    assert "torch" not in AUTO


def test_an_engine_by_name(shipped_bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="the torch engine needs torch: install leadlift[test]")
    for name in MAKERS:
        with open_engine(shipped_bundle, name).engine as engine:
            assert engine.name == name


def test_an_unknown_engine_is_named_with_those_there_are(shipped_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="unknown engine 'tpu': use auto, onnxruntime, torch"):
        open_engine(shipped_bundle, "tpu")


def test_auto_passes_over_what_does_not_work_and_says_why(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.engines.registry.AUTO", ("broken", "onnxruntime"))
    monkeypatch.setitem(MAKERS, "broken", refuse)  # type: ignore[arg-type]
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.skipped == {"broken": "no such device here"}
    with pytest.raises(EngineError, match=r"^no such device here$"):
        open_engine(shipped_bundle, "broken")
    assert available(shipped_bundle)["broken"] == "no such device here"
    assert available(shipped_bundle)["onnxruntime"] == "ok"


def test_no_engine_at_all(shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.engines.registry.AUTO", ("broken",))
    monkeypatch.setitem(MAKERS, "broken", refuse)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no engine works here: broken: no such device here"):
        open_engine(shipped_bundle)
