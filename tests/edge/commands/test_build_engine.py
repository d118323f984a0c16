"""`leadlift build-engine`: really built by TensorRT-RTX on the CPU; into the cache with a fake GPU."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.bundle import Bundle
from edge.cli import main
from edge.commands import build_engine
from edge.engines.cache import Built, EngineCache
from edge.engines.trt import build as tensorrt_build
from edge.engines.trt.build import BuildOptions, Plan
from edge.engines.trt.key import engine_key
from edge.engines.trt.library import TensorRtLibrary
from edge.jetpack import PACKAGES, Machine, l4t_release
from tests.edge.engines.trt.rtx import DEVICE, rtx_library

ALL_HERE = Machine(gpu=True, libcuda=True, packages=dict.fromkeys(PACKAGES, "1.0"))
NO_GPU = Machine(packages=dict.fromkeys(PACKAGES))


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


# What TensorRT-RTX builds here, for a GPU that is not.


def test_it_builds_for_a_gpu_that_is_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shipped_bundle: Bundle
) -> None:
    library = rtx_library()
    pytest.importorskip("onnx", reason="building needs onnx: install '.[jetson]'")
    out, report = tmp_path / "out.engine", tmp_path / "report.json"
    arguments = ["build-engine", "--compute-capability", DEVICE, "--output", str(out)]
    assert main([*arguments, "--report", str(report)]) == 0
    said = capsys.readouterr().out
    found = json.loads(report.read_text())
    assert found["bundle_sha256"] == shipped_bundle.sha256
    assert (found["library"], found["version"]) == ("tensorrt_rtx", library.version)
    assert (found["device"], found["compute_capability"]) == (None, DEVICE)
    assert found["stepped"] is False
    assert [engine["frames"] for engine in found["engines"]] == list(build_engine.FRAMES)
    for engine in found["engines"]:
        written = tmp_path / f"out-{engine['frames']}.engine"
        assert engine["output"] == str(written)
        assert written.stat().st_size == engine["bytes"] < 4e6
        assert engine["cache"] is None
    assert "Nothing was run" in said


def test_one_length_is_written_under_the_name_that_was_given(tmp_path: Path) -> None:
    rtx_library()
    pytest.importorskip("onnx", reason="building needs onnx: install '.[jetson]'")
    out = tmp_path / "out.engine"
    arguments = ["build-engine", "--compute-capability", DEVICE, "--frames", "2"]
    assert main([*arguments, "--output", str(out)]) == 0
    assert out.stat().st_size > 1e5


def test_a_gpu_that_the_library_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    rtx_library()
    pytest.importorskip("onnx", reason="building needs onnx: install '.[jetson]'")
    assert main(["build-engine", "--compute-capability", "1.1"]) == 1
    assert "does not build for compute capability 1.1" in capsys.readouterr().err


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rtx_library()
    pytest.importorskip("onnx", reason="building needs onnx: install '.[jetson]'")
    nowhere = tmp_path / "none" / "out.engine"
    arguments = ["build-engine", "--compute-capability", DEVICE, "--frames", "1"]
    assert main([*arguments, "--output", str(nowhere)]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"cannot write the engine {nowhere}" in last


# What is missing, and what is not understood.


def test_without_a_gpu_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge.jetpack.look", lambda: NO_GPU)
    assert main(["build-engine"]) == 1
    said = error_line(capsys)
    assert "lacks an NVIDIA GPU: this machine has none" in said
    assert "not installed either: tensorrt, tensorrt_rtx, pycuda" in said
    assert "--compute-capability" not in said  # there is nothing to build it with


def test_without_a_gpu_tensorrt_rtx_can_build_for_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_rtx = Machine(packages={"tensorrt_rtx": "1.7.1"})
    monkeypatch.setattr("edge.jetpack.look", lambda: with_rtx)
    assert main(["build-engine"]) == 1
    assert "for a GPU that is not here give --compute-capability" in error_line(capsys)


def test_a_library_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PACKAGES, "tensorrt_rtx", (("no_such_rtx",), ()))
    assert main(["build-engine", "--compute-capability", "8.6"]) == 1
    assert "tensorrt_rtx is not installed" in error_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frames", "0"],
        ["--frames", "1,two"],
        ["--frames", ""],
        ["--frames", "1,9999999"],
        ["--compute-capability", "sm_86"],
        ["--compute-capability", "8.6; rm"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-engine", *arguments]) == 2
    assert "give" in error_line(capsys)


def test_the_lengths_are_those_of_the_engine() -> None:
    """Or `leadlift run` would not find in the cache what was built ahead."""
    from edge.engines.trt.engine import TensorRtEngine

    default = inspect.signature(TensorRtEngine).parameters["frames"].default
    assert default == build_engine.FRAMES


# Into the cache, with a fake GPU: nothing here was built or run by TensorRT.


class FakeCuda:
    """Fake: a GPU that is only asked for its name."""

    device_name, compute_capability = "Fake Orin", "8.7"

    def __init__(self) -> None:
        self.is_current = self.closed = False

    def current(self) -> FakeCuda:
        return self

    def __enter__(self) -> None:
        self.is_current = True

    def __exit__(self, *error: object) -> None:
        self.is_current = False

    def close(self) -> None:
        self.closed = True


class FakeBuilds:
    """Fake: builds bytes, and a runtime that takes them or refuses all."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda
        self.built: list[BuildOptions] = []
        self.refuses = False
        module = SimpleNamespace(Runtime=lambda logger: self)
        self.library = TensorRtLibrary(module, "tensorrt", "10.3.0", None)

    def build_plan(
        self, bundle: Bundle, library: TensorRtLibrary, options: BuildOptions, *_: object
    ) -> Plan:
        assert self.cuda.is_current
        self.built.append(options)
        data = f"engine {len(self.built)}".encode()
        return Plan(data, 12.5, (), library.name, library.version, options)

    def deserialize_cuda_engine(self, data: bytes) -> bytes | None:
        assert self.cuda.is_current
        return None if self.refuses else data


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBuilds:
    found = FakeBuilds(FakeCuda())
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "engines"))
    monkeypatch.setattr("edge.jetpack.look", lambda: ALL_HERE)
    monkeypatch.setattr("edge.engines.trt.cuda.open_cuda", lambda: found.cuda)
    monkeypatch.setattr("edge.engines.trt.library.load_library", lambda names: found.library)
    monkeypatch.setattr(tensorrt_build, "build_plan", found.build_plan)
    return found


def test_the_engine_finds_in_the_cache_what_was_built_ahead(
    fake: FakeBuilds, shipped_bundle: Bundle
) -> None:
    def never() -> Built:
        raise AssertionError("it was built ahead")

    assert main(["build-engine"]) == 0
    for frames in build_engine.FRAMES:  # the key as edge.engines.trt.engine makes it
        options = BuildOptions(frames=frames).as_dict()
        key = engine_key(shipped_bundle, fake.library, fake.cuda, options, l4t_release())
        assert not EngineCache().get(key, never).fresh


def test_engines_are_built_once_and_cached(
    fake: FakeBuilds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    assert main(["build-engine", "--report", str(report)]) == 0
    said = capsys.readouterr().out
    assert [options.frames for options in fake.built] == [1, 32]
    assert "for        Fake Orin, compute capability 8.7" in said
    assert "Built, not stepped" in said
    found = json.loads(report.read_text())
    for engine in found["engines"]:
        assert b"\nengine " in Path(engine["cache"]).read_bytes()
        assert engine["fresh"]
        assert engine["seconds"] == 12.5
    assert main(["build-engine"]) == 0
    assert len(fake.built) == 2
    assert "cache      from the cache" in capsys.readouterr().out
    assert main(["build-engine", "--force", "--frames", "32"]) == 0
    assert [options.frames for options in fake.built] == [1, 32, 32]
    assert fake.cuda.closed


def test_what_the_runtime_refuses_does_not_stay_in_the_cache(
    fake: FakeBuilds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.refuses = True
    assert main(["build-engine", "--frames", "1"]) == 1
    assert "tensorrt 10.3.0 does not take the engine for 1 frames" in capsys.readouterr().err
    assert list((tmp_path / "engines").glob("*.engine")) == []
    assert fake.cuda.closed


def test_a_cache_that_is_not_kept_is_said(
    fake: FakeBuilds,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LEADLIFT_CACHE", str(tmp_path / "file"))
    assert main(["build-engine", "--frames", "1"]) == 0
    assert f"cache      built, not kept: {tmp_path / 'file'}" in capsys.readouterr().out
