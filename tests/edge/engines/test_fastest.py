"""What `auto` takes: the faster of what works, timed once on a machine and remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.engines import fastest, registry
from edge.engines.base import Array
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.registry import Say, open_engine
from edge.errors import EngineError

DELAY_S = 0.002


class Slow(OnnxRuntimeEngine):
    """ONNX Runtime on a worse machine."""

    name = "slow"

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        time.sleep(DELAY_S)
        return super().step(ecg, mask, anchor)


def slow(bundle: Bundle, say: Say | None) -> Slow:
    return Slow(bundle)


def broken(bundle: Bundle, say: Say | None) -> Slow:
    raise EngineError("no such device here")


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "engines"))
    monkeypatch.setattr(fastest, "SECONDS", 0.05)
    monkeypatch.setitem(registry.MAKERS, "slow", slow)
    monkeypatch.setattr(registry, "AUTO", ("slow", "onnxruntime"))
    return tmp_path / "engines"


def never(*_: object) -> dict[str, float]:
    raise AssertionError("it was timed before")


def test_the_faster_is_taken_and_that_is_said_and_remembered(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with (choice := open_engine(shipped_bundle, say=said.append)).engine as engine:
        assert engine.name == "onnxruntime"
        assert engine.state().keys() == engine.zero_state().keys()
        assert not any(codes.any() for codes in engine.state().values()), "it begins anew"
    assert choice.us["slow"] > 1000 * DELAY_S * 1000 / 2 > choice.us["onnxruntime"]
    assert choice.skipped["slow"].startswith("works, and is slower here: ")
    (line,) = said
    assert line.startswith("timed once on this machine: onnxruntime ") and ", slow " in line
    monkeypatch.setattr(registry, "timed", never)
    with (again := open_engine(shipped_bundle, say=said.append)).engine as engine:
        assert engine.name == "onnxruntime"
    assert again.us == choice.us and again.skipped == choice.skipped
    assert len(said) == 1
    assert fastest.remembered(shipped_bundle)["measured_at"].endswith("+00:00")


def test_one_that_works_since_is_timed(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "AUTO", ("broken", "slow", "onnxruntime"))
    monkeypatch.setitem(registry.MAKERS, "broken", broken)
    choice = open_engine(shipped_bundle)
    assert choice.us.keys() == {"slow", "onnxruntime"}
    assert choice.skipped["broken"] == "no such device here"
    monkeypatch.setitem(registry.MAKERS, "broken", slow)
    assert open_engine(shipped_bundle).us.keys() == {"broken", "slow", "onnxruntime"}


def test_one_that_stopped_to_work_is_passed_over(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest.remember(shipped_bundle, {"slow": 1.0, "onnxruntime": 2.0})
    assert open_engine(shipped_bundle).engine.name == "slow"
    monkeypatch.setitem(registry.MAKERS, "slow", broken)
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.skipped == {"slow": "no such device here"}


def test_what_was_remembered_on_another_machine_or_version_is_not_taken(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fastest.remember(shipped_bundle, {"slow": 1.0, "onnxruntime": 2.0})
    assert fastest.recall(shipped_bundle)
    monkeypatch.setattr(fastest, "installed_version", lambda name: "99")
    assert fastest.recall(shipped_bundle) == {}


def test_two_bundles_of_one_shape_are_timed_once(
    shipped_bundle: Bundle, tiny_bundle: Bundle
) -> None:
    fastest.remember(shipped_bundle, {"slow": 1.0, "onnxruntime": 2.0})
    other = Bundle(shipped_bundle.data + b"", shipped_bundle.manifest)
    assert fastest.recall(other) and fastest.recall(tiny_bundle) == {}


def test_where_nothing_can_be_kept_nothing_is_timed_or_compiled(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(registry, "timed", never)
    monkeypatch.setattr(registry, "AUTO", ("c", "onnxruntime"))
    monkeypatch.setitem(registry.MAKERS, "c", never)  # type: ignore[arg-type]
    choice = open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime"
    assert choice.skipped["c"].startswith("nothing can be kept in the cache, so it is not compiled")


def test_whole_files_stay_with_onnxruntime(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    import edge
    from tests.edge.signals import three_leads

    opened: list[str] = []
    make = registry.MAKERS["onnxruntime"]

    def counted(bundle: Bundle, say: Say | None) -> object:
        opened.append("onnxruntime")
        return make(bundle, say)

    monkeypatch.setitem(registry.MAKERS, "onnxruntime", counted)  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "AUTO", ())
    assert edge.reconstruct(three_leads(500, 0)).shape == (12, 500)
    assert opened == ["onnxruntime"]
