"""The device report on fakes: every target finds its figure, and nothing of it passes for measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main, parser
from benchmarks.device.command import INJECTED, TARGETS, measure_device
from benchmarks.device.nvidia import System
from benchmarks.report import Result, Target, cell, write_json
from edge import jetpack
from edge.bundle import Bundle
from edge.engines.trt.cuda_graph import GraphCaptureError
from edge.errors import EngineError
from tests.benchmarks.device.fake_device import (
    LITTLE,
    InspectedTensorRt,
    two_records,
)
from tests.benchmarks.device.jetson import Tools, jetson_root
from tests.edge.engines.trt.fake_cuda import open_fake
from tests.edge.engines.trt.fake_gpu import FakeGpu

FEW = ("p50", "p99", "p99_over_p50")  # None when a run this short cannot tell


@pytest.fixture
def heard() -> list[str]:
    return []


def report(
    bundle: Bundle,
    root: Path,
    trt: InspectedTensorRt,
    heard: list[str],
    bindings: Any = None,
    injected: bool = True,
) -> Result:
    cuda = open_fake(trt.gpu, bindings=bindings)
    result = measure_device(
        bundle,
        cuda,
        two_records(),
        LITTLE,
        system=System(jetson_root(root), Tools()),
        library=trt.library(),
        injected=injected,
        say=heard.append,
    )
    cuda.close()
    assert trt.gpu.accidents == []
    assert trt.gpu.leftovers() == {}
    return result


def assert_finds(targets: tuple[Target, ...], results: dict[str, Any]) -> None:
    for target in targets:
        *parents, name = target.figure.split("/")
        at = results
        for key in parents:
            at = at[key]
        assert name in at, target
        assert at[name] is not None or name in FEW, target


def shown(result: Result) -> str:
    return "\n".join(
        f"{table.title}: " + " | ".join(cell(value) for value in row)
        for table in result.tables
        for row in table.rows
    )


@pytest.fixture(scope="module")
def made(
    any_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Result, InspectedTensorRt, list[str]]:
    trt, heard = InspectedTensorRt(FakeGpu()), list[str]()
    return report(any_bundle, tmp_path_factory.mktemp("root"), trt, heard), trt, heard


def test_a_report_on_fakes(
    made: tuple[Result, InspectedTensorRt, list[str]], tmp_path: Path
) -> None:
    result, trt, heard = made
    results = result.results
    assert_finds(TARGETS, results)
    assert results["parts_failed"] == 0
    assert results["agreement"]["n_records"] == 2
    assert results["agreement"]["rmse_uv"] < 2
    assert results["chunking"] == {
        "frames": [2, 32, 33],
        "largest_uv": pytest.approx(0, abs=0.01),
        "codes_changed": 0,
    }
    assert results["graph_and_enqueue"]["steps"] == 80
    assert results["graph_and_enqueue"]["outputs_differ"] == 0
    assert trt.builds == 2  # one for each step length; every later opening is from the cache
    built = results["build"]["engines"]
    assert [engine["frames"] for engine in built] == [1, 32]
    assert all(len(engine["sha256"]) == 64 and engine["bytes"] > 1000 for engine in built)
    assert built[0]["key"]["device"] == "fake GPU"
    assert results["build"]["details_from_cache"]["built_s"] == 0
    layers = results["layers"]["by_frames"]["1"]
    assert layers["convolutions"] == layers["convolutions_int8"] == 2
    assert layers["by_precision"] == {"int8": 2, "fp32": 1}
    for mode in ("graph", "enqueue"):
        latency = results["latency"][mode]
        assert latency["host"]["back_to_back"]["n"] == LITTLE.steps
        assert latency["host"]["paced"]["n"] == round(LITTLE.paced_s / 0.016)
        assert latency["events"]["back_to_back"]["n"] == LITTLE.steps
        assert latency["first_step_us"] > 0
    assert any("ONNX Runtime" in line for line in heard)
    write_json(tmp_path / "report.json", results)
    assert json.loads((tmp_path / "report.json").read_text())["device"]["l4t"] == "36.4.3"


def test_a_report_of_an_injected_device_never_looks_measured(
    made: tuple[Result, InspectedTensorRt, list[str]],
) -> None:
    result, _, heard = made
    assert result.judged() == []
    assert result.results["device"]["injected"]
    assert heard[0] == INJECTED
    assert all(INJECTED in table.title for table in result.tables)
    assert "VDD_GPU_SOC 2.398 | VDD_GPU_SOC 2.398" in shown(result)


def test_where_tensorrt_refuses_it_is_one_line(
    any_bundle: Bundle, tmp_path: Path, heard: list[str]
) -> None:
    trt = InspectedTensorRt(FakeGpu())
    trt.refuses["Runtime"] = ["createInferRuntime: this GPU is not supported"]
    with pytest.raises(EngineError, match="this GPU is not supported"):
        report(any_bundle, tmp_path, trt, heard)


def test_a_graph_that_is_not_captured_gives_no_graph_latency(
    any_bundle: Bundle, tmp_path: Path, heard: list[str]
) -> None:
    def missing() -> Any:
        raise GraphCaptureError("cuda.bindings does not import")

    trt = InspectedTensorRt(FakeGpu())
    result = report(any_bundle, tmp_path, trt, heard, bindings=missing, injected=False)
    assert INJECTED not in shown(result)
    results = result.results
    assert results["latency"]["graph"] is None
    assert results["latency"]["enqueue"]["host"]["back_to_back"]["n"] == LITTLE.steps
    assert results["graph_and_enqueue"]["outputs_differ"] is None
    assert "cuda.bindings does not import" in results["build"]["details"]["why_no_graph"]
    assert "graph: not captured" in shown(result)
    judged = {row["figure"]: row for row in result.judged()}
    assert judged["agreement/rmse_uv"]["met"]
    assert judged["latency/graph/host/back_to_back/p50"]["undecided"]
    assert judged["graph_and_enqueue/outputs_differ"]["undecided"]


def test_a_part_that_fails_does_not_cost_the_report(
    any_bundle: Bundle, tmp_path: Path, heard: list[str]
) -> None:
    result = report(any_bundle, tmp_path, InspectedTensorRt(FakeGpu(), says=""), heard)
    assert list(result.results["failed"]) == ["layers"]
    assert result.results["parts_failed"] == 1
    assert "inspector" in result.results["failed"]["layers"]
    assert result.results["latency"]["graph"] is not None
    assert "FAILED: layers" in shown(result)


def test_without_a_gpu_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    if jetpack.look().libcuda:
        pytest.skip("there is a driver here: python -m benchmarks device")
    assert main(["device"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("benchmarks device: no NVIDIA driver here")


def test_the_engine_is_not_chosen_on_the_command_line() -> None:
    arguments = parser().parse_args(["device", "--paced-seconds", "3", "--json", "out.json"])
    assert arguments.engine is None
    assert arguments.paced_seconds == 3.0
    assert arguments.records == 200
