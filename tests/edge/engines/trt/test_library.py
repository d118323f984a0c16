"""Which library is taken, its one logger, and what differs between the generations."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.engines.trt.build import BuildOptions, parse, serialize
from edge.engines.trt.library import (
    LIBRARIES,
    MAX_LINES,
    TOUCHED,
    TOUCHED_WHERE_PRESENT,
    library_from_module,
    load_library,
)
from edge.errors import DriverError, EngineBuildError, EngineMissingError
from tests.edge.engines.trt.rtx import rtx_library


class Severity(SimpleNamespace):
    """As the bindings' enums: a name."""


ERROR, WARNING, VERBOSE = (Severity(name=name) for name in ("ERROR", "WARNING", "VERBOSE"))


class FakeILogger:
    """A fake of the bindings' base class."""


class FakeFlag:
    """A fake enum member: its number is what shifts."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __int__(self) -> int:
        return self.value


def fake_module(**more: Any) -> Any:
    """A fake library: nothing of it runs, it answers what a test makes it answer."""
    return SimpleNamespace(
        __version__="10.3.0",
        ILogger=FakeILogger,
        IProgressMonitor=type("FakeMonitor", (), {}),
        MemoryPoolType=SimpleNamespace(WORKSPACE=0),
        ProfilingVerbosity=SimpleNamespace(DETAILED=2),
        LayerInformationFormat=SimpleNamespace(JSON=1),
        **more,
    )


def test_nothing_is_imported_to_find_that_nothing_is_there() -> None:
    names = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "pycuda", "cuda", "onnx", "torch")
    code = (
        "import sys, importlib.util as u; u.find_spec = lambda name: None\n"
        "from edge.engines.trt import build as tensorrt_build\n"
        "from edge.engines.trt.library import load_library\n"
        "from edge.errors import EngineMissingError\n"
        "try: load_library()\n"
        "except EngineMissingError as error: print(error)\n"
        f"print([name for name in {names} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    line, imported = done.stdout.splitlines()
    assert imported == "[]"
    assert "tensorrt is not installed; tensorrt_rtx is not installed" in line
    assert "python3-libnvinfer" in line
    assert "pip install '.[trt-rtx]'" in line


def test_a_library_whose_own_libraries_are_missing_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "libnvonnxparser.so.11: cannot open shared object file"
    (tmp_path / "tensorrt.py").write_text(f"raise ImportError({reason!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(EngineMissingError, match=r"tensorrt does not import \(libnvonnxparser"):
        load_library(("tensorrt",))


def test_the_preferred_library_that_imports_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "__version__ = {!r}\nclass ILogger:\n    pass\n"
    for name, version in (("tensorrt", "10.3.0"), ("tensorrt_rtx", "1.7.1")):
        (tmp_path / f"{name}.py").write_text(text.format(version))
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert LIBRARIES == ("tensorrt", "tensorrt_rtx")
    found = load_library()
    assert (found.name, found.version) == ("tensorrt", "10.3.0")
    (tmp_path / "tensorrt.py").write_text("raise OSError('no libnvinfer')\n")
    monkeypatch.delitem(sys.modules, "tensorrt")
    importlib.invalidate_caches()
    found = load_library()
    assert (found.name, found.version) == ("tensorrt_rtx", "1.7.1")
    for name in ("tensorrt", "tensorrt_rtx"):
        sys.modules.pop(name, None)


def test_rtx_is_found_under_either_name() -> None:
    module = rtx_library().module
    found = load_library(("tensorrt_rtx",))
    assert found.name == "tensorrt_rtx"
    assert found.version == module.__version__


def test_one_library_has_one_logger_as_long_as_the_process() -> None:
    module = fake_module()
    first = library_from_module(module, "tensorrt")
    logger = id(first.logger)
    del first
    gc.collect()
    assert id(library_from_module(module, "tensorrt").logger) == logger
    assert library_from_module(fake_module(), "tensorrt").logger is not None


def test_lines_are_collected_while_someone_listens() -> None:
    library = library_from_module(fake_module(), "tensorrt")
    library.logger.log(ERROR, "before")
    with library.collected() as outer:
        library.logger.log(WARNING, " first\n")
        with library.collected() as inner:
            library.logger.log(ERROR, "second")
            library.logger.log(VERBOSE, "chatter")
        library.logger.log(WARNING, "third")
    library.logger.log(ERROR, "after")
    assert outer == [("WARNING", "first"), ("ERROR", "second"), ("WARNING", "third")]
    assert inner == [("ERROR", "second")]


def test_what_is_collected_is_bounded() -> None:
    library = library_from_module(fake_module(), "tensorrt")
    with library.collected() as lines:
        for i in range(3 * MAX_LINES):
            library.logger.log(WARNING, str(i))
    assert [line.text for line in lines] == [str(i) for i in range(2 * MAX_LINES, 3 * MAX_LINES)]


def test_strong_typing_is_a_flag_where_there_is_one() -> None:
    flags = SimpleNamespace(STRONGLY_TYPED=FakeFlag(1))
    old = fake_module(NetworkDefinitionCreationFlag=flags)
    assert library_from_module(old, "tensorrt").network_flags() == 2
    assert library_from_module(fake_module(), "tensorrt").network_flags() == 0
    without = fake_module(NetworkDefinitionCreationFlag=SimpleNamespace())
    assert library_from_module(without, "tensorrt").network_flags() == 0


def test_compute_capabilities_are_those_of_the_enum() -> None:
    members = SimpleNamespace(NONE=0, CURRENT=1, SM86=86, SM120=120)
    library = library_from_module(fake_module(ComputeCapability=members), "tensorrt_rtx")
    assert library.compute_capabilities() == {"8.6": 86, "12.0": 120}
    assert library_from_module(fake_module(), "tensorrt").compute_capabilities() == {}
    assert "8.6" in rtx_library().compute_capabilities()


def test_tensorrt_builds_for_the_device_that_is_here_alone() -> None:
    library = library_from_module(fake_module(), "tensorrt")
    with pytest.raises(EngineBuildError, match=r"builds only for the device that is here.*8\.7"):
        library.set_compute_capability(SimpleNamespace(), "8.7")


def test_a_builder_that_does_not_start_for_want_of_a_driver_is_the_drivers_fault() -> None:
    """As the bindings behave: a line in the log, and a TypeError from the constructor."""

    def no_builder(logger: Any) -> None:
        logger.log(
            ERROR, "createInferBuilder: Error Code 6: CUDA initialization failure with error: 35"
        )
        raise TypeError("pybind11::init(): factory function returned nullptr")

    library = library_from_module(fake_module(Builder=no_builder), "tensorrt")
    with pytest.raises(
        DriverError, match=r"does not start .*error: 35\): install an NVIDIA driver"
    ):
        parse(b"", library)


def test_a_builder_that_does_not_start_and_says_nothing() -> None:
    def no_builder(logger: Any) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    library = library_from_module(fake_module(Builder=no_builder), "tensorrt")
    with pytest.raises(EngineBuildError, match=r"^tensorrt 10\.3\.0: its builder does not start"):
        parse(b"", library)


def test_options_reach_the_configuration_where_it_has_them() -> None:
    """Against a fake configuration: what a generation lacks is not set on it."""
    built = []

    class Config:
        def set_memory_pool_limit(self, pool: int, size: int) -> None:
            self.limit = (pool, size)

    class LevelledConfig(Config):
        builder_optimization_level = 3

    for kind in (Config, LevelledConfig):
        config = kind()
        builder = SimpleNamespace(
            create_builder_config=lambda config=config: config,
            build_serialized_network=lambda network, config: b"engine",
        )
        library = library_from_module(fake_module(), "tensorrt")
        parsed: Any = SimpleNamespace(library=library, builder=builder, network=None)
        assert serialize(parsed, BuildOptions(optimization_level=5, workspace_mb=2)) == b"engine"
        assert config.limit == (0, 2 << 20)
        assert config.profiling_verbosity == 2
        built.append(getattr(config, "builder_optimization_level", None))
    assert built == [None, 5]


def test_what_we_touch_is_in_the_library_that_is_here() -> None:
    module = rtx_library().module
    for path in (*TOUCHED, *TOUCHED_WHERE_PRESENT):
        found = module
        for name in path.split("."):
            found = getattr(found, name)
