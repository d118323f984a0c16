"""Building with TensorRT-RTX on the CPU: the engine's bytes, its report, and every refusal as a typed line.

Nothing here runs an engine: that needs a GPU.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.trt.build import BuildOptions, build_plan, parse, serialize
from edge.engines.trt.library import TensorRtLibrary
from edge.errors import EngineBuildError
from tests.edge.engines.trt.rtx import DEVICE, node_of, rtx_library, set_constant, spoiled

onnx = pytest.importorskip("onnx", reason="graphs are rewritten with onnx: install '.[test]'")

from edge.engines.trt.graph import static_int8_graph

OPTIONS = BuildOptions(compute_capability=DEVICE)


@pytest.fixture(scope="module")
def library() -> TensorRtLibrary:
    return rtx_library()


@pytest.mark.parametrize("frames", [1, 32])
def test_the_bundle_that_ships_builds_into_a_small_engine(
    shipped_bundle: Bundle, library: TensorRtLibrary, frames: int
) -> None:
    said: list[str] = []
    plan = build_plan(shipped_bundle, library, BuildOptions(frames, DEVICE), said.append)
    assert 100_000 < len(plan.data) <= 4 << 20
    assert plan.seconds > 0
    assert plan.messages == ()
    assert [line.split()[0] for line in said] == ["writing", "parsing", "building"]


def test_a_rebuild_is_byte_identical(tiny_bundle: Bundle, library: TensorRtLibrary) -> None:
    one, other = (build_plan(tiny_bundle, library, OPTIONS).data for _ in range(2))
    assert one == other
    assert build_plan(tiny_bundle, library, BuildOptions(2, DEVICE)).data != one


def test_the_report_is_plain_and_names_what_was_built(
    tiny_bundle: Bundle, library: TensorRtLibrary
) -> None:
    plan = build_plan(tiny_bundle, library, OPTIONS)
    report = json.loads(json.dumps(plan.report()))
    assert report["library"] == "tensorrt_rtx"
    assert report["version"] == library.version
    assert report["options"] == OPTIONS.as_dict()
    assert report["bytes"] == len(plan.data)
    assert report["messages"] == []


def test_progress_is_told_by_phase(tiny_bundle: Bundle, library: TensorRtLibrary) -> None:
    told: list[tuple[str, int, int]] = []
    build_plan(tiny_bundle, library, OPTIONS, progress=lambda *step: told.append(step))
    assert {phase for phase, _, _ in told} > {"Building engine", "Optimizing graph"}
    assert all(0 <= done <= steps for _, done, steps in told)
    assert told[-1][1] == told[-1][2]


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A shell starts what it puts into the background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("stop", [raise_interrupt, press_ctrl_c])
def test_ctrl_c_ends_a_build(
    tiny_bundle: Bundle, library: TensorRtLibrary, stop: Callable[[], None]
) -> None:
    """The library swallows what its callbacks raise: the interrupt comes out once it has stopped."""
    phases: list[str] = []

    def interrupt(phase: str, done: int, steps: int) -> None:
        phases.append(phase)
        if done == 2:
            stop()

    with pytest.raises(KeyboardInterrupt):
        build_plan(tiny_bundle, library, OPTIONS, progress=interrupt)
    assert "Optimizing graph" not in phases  # stopped where it was, not at its end
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert build_plan(tiny_bundle, library, OPTIONS).data  # and the next build is none the worse


def test_two_threads_build_at_once(tiny_bundle: Bundle, library: TensorRtLibrary) -> None:
    built: dict[int, bytes] = {}

    def build(frames: int) -> None:
        built[frames] = build_plan(tiny_bundle, library, BuildOptions(frames, DEVICE)).data

    threads = [threading.Thread(target=build, args=(frames,)) for frames in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for frames, data in built.items():
        assert data == build_plan(tiny_bundle, library, BuildOptions(frames, DEVICE)).data
    assert sorted(built) == [1, 2]


def nonzero_zero_point(graph: Any) -> None:
    set_constant(graph, "block_1_out_zero", np.array(7, np.int8))


def open_frames(graph: Any) -> None:
    for value in graph.input:
        if value.name in ("ecg", "mask"):
            value.type.tensor_type.shape.dim[3].dim_param = "frames"


def unheard_operator(graph: Any) -> None:
    node_of(graph, "predicted").op_type = "Unheard"


def uint8_left_in(graph: Any) -> None:
    for value in graph.input:
        if value.name.startswith("state_"):
            value.type.tensor_type.elem_type = onnx.TensorProto.UINT8


def nothing_in_it(graph: Any) -> None:
    for part in ("node", "output", "initializer"):
        graph.ClearField(part)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            nonzero_zero_point,
            r"refuses node 'block_1_out_codes' \(QuantizeLinear\): .*Non-zero zero point is not"
            r" supported.* \(log: .*While parsing node number \d+",
        ),
        (open_frames, r"ecg has a dynamic dimension, \(1, 3, 4, -1\): .* static_int8_graph"),
        (unheard_operator, r"refuses node 'predicted' \(Unheard\): .*Plugin not found"),
        (uint8_left_in, r"refuses node 'rows_history_0' \(Concat\): .*unsupported .*UINT8"),
        (
            nothing_in_it,
            r"its builder refuses the network \(log: .*Network must have at least one output",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_graph_is_a_typed_error_with_the_node_and_the_log(
    tiny_bundle: Bundle, library: TensorRtLibrary, change: Callable[[Any], None], says: str
) -> None:
    graph = spoiled(static_int8_graph(tiny_bundle, 1), change)
    with pytest.raises(EngineBuildError, match=says) as caught:
        serialize(parse(graph, library), OPTIONS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2500


@pytest.mark.parametrize("length", [1, 1000, -100])
def test_a_truncated_graph_is_a_typed_error(
    tiny_bundle: Bundle, library: TensorRtLibrary, length: int
) -> None:
    graph = static_int8_graph(tiny_bundle, 1)[:length]
    with pytest.raises(EngineBuildError, match=r"its parser refuses the graph: .*Failed to parse"):
        parse(graph, library)


def test_the_bundle_itself_is_refused_for_its_uint8_codes(
    tiny_bundle: Bundle, library: TensorRtLibrary
) -> None:
    with pytest.raises(EngineBuildError, match="Clip"):
        parse(tiny_bundle.data, library)


def test_too_little_scratch_memory_is_said(
    shipped_bundle: Bundle, library: TensorRtLibrary
) -> None:
    options = dataclasses.replace(OPTIONS, workspace_mb=0)
    with pytest.raises(EngineBuildError, match=r"its builder refuses the network .*workspace"):
        build_plan(shipped_bundle, library, options)


def test_a_device_that_it_does_not_know_is_named_with_those_it_does(
    tiny_bundle: Bundle, library: TensorRtLibrary
) -> None:
    with pytest.raises(
        EngineBuildError, match=r"not build for compute capability 8\.7: .*8\.6, 8\.9"
    ):
        build_plan(tiny_bundle, library, BuildOptions(compute_capability="8.7"))


def test_a_failed_build_leaves_the_library_usable(
    tiny_bundle: Bundle, library: TensorRtLibrary
) -> None:
    """A second logger in one process is ignored: were there one, the second error would say nothing."""
    graph = spoiled(static_int8_graph(tiny_bundle, 1), nonzero_zero_point)
    texts = []
    for _ in range(2):
        with pytest.raises(EngineBuildError) as caught:
            parse(graph, library)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert "While parsing node" in texts[0]
    assert build_plan(tiny_bundle, library, OPTIONS).data
