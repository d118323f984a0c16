"""`leadlift export-triton`: what is in the repository, and what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.bundle import Bundle, load_bundle
from edge.cli import main
from edge.engines.registry import MAKERS
from edge.errors import InputError
from edge.triton.repository import BACKENDS, Settings, repository_files

TENSOR = re.compile(r'name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([-\d, ]+) \]')
STATE = re.compile(
    r'input_name: "(\w+)" output_name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([\d, ]+) \]'
)
NUMPY = {"FP32": 1, "UINT8": 2, "INT8": 3}  # onnx.TensorProto


def written(folder: Path, *options: str) -> dict[str, bytes]:
    assert main(["export-triton", str(folder), *options]) == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_python_backend_has_all_that_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shipped_bundle: Bundle
) -> None:
    files = written(
        tmp_path / "new" / "models", "--slots", "32", "--engine", "onnxruntime", "--mains", "60"
    )
    config = files["leadlift/config.pbtxt"].decode()
    assert files["leadlift/1/leadlift.onnx"] == shipped_bundle.data
    assert files.keys() == {
        f"leadlift/{n}" for n in ("config.pbtxt", "1/model.py", "1/leadlift.onnx")
    }
    assert "NOT RUN HERE" not in config
    assert "max_candidate_sequences: 32 preferred_batch_size: [32]" in config
    assert 'key: "engine" value: { string_value: "onnxruntime" }' in config
    assert 'key: "mains_hz" value: { string_value: "60.0" }' in config
    module: dict[str, object] = {}
    exec(compile(files["leadlift/1/model.py"], "model.py", "exec"), module)
    assert {"initialize", "execute", "finalize"} <= set(dir(module["TritonPythonModel"]))
    assert "3 files, leadlift-any-to-12 for Triton's python backend" in capsys.readouterr().out


@pytest.mark.parametrize("model", [None, "small"])
@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_the_decoder_alone_has_the_tensors_of_its_graph(
    backend: str, model: str | None, tmp_path: Path
) -> None:
    """Held to the graph itself; for TensorRT to the one that its engine is built from."""
    onnx = pytest.importorskip("onnx")
    bundle = load_bundle(model)
    options = ("--model", model) if model else ()
    files = written(tmp_path / "models", "--backend", backend, *options)
    config = files["leadlift_decoder/config.pbtxt"].decode()
    assert config.startswith("# NOT RUN HERE")
    graph = bundle.data
    if backend == "tensorrt":
        from edge.engines.trt.graph import static_int8_graph

        graph = static_int8_graph(bundle, 1)
    else:
        assert files["leadlift_decoder/1/model.onnx"] == bundle.data
    ends = onnx.load_from_string(graph).graph
    batch = (
        1 if backend == "onnxruntime" else 0
    )  # Triton's dims leave out the batch where it has one
    wanted = {}
    for end in [*ends.input, *ends.output]:
        kind = end.type.tensor_type
        wanted[end.name] = (
            kind.elem_type,
            [one.dim_value or -1 for one in kind.shape.dim][batch:],
        )
    found = {}
    for name, kind, dims in TENSOR.findall(config):
        if name != "zero":
            found[name] = (NUMPY[kind], [int(size) for size in dims.split(",")])
    for taken, given, kind, dims in STATE.findall(config):
        found[taken] = found[given] = (NUMPY[kind], [int(size) for size in dims.split(",")])
    assert found == wanted


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["full"], 2, "full holds something already: name a new folder"),
        (["file"], 2, "file is a file: name a new folder"),
        (["new", "--model", "nothing.onnx"], 1, "cannot read the model nothing.onnx"),
        (["new", "--engine", "abacus"], 2, "unknown engine 'abacus': use auto, tensorrt"),
        (["new", "--lowpass", "900"], 2, "filter corner 900 Hz does not fit"),
        (["new", "--slots", "0"], 2, "0 slots: give a number from 1"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    for path in (tmp_path / "file", tmp_path / "full" / "mine"):
        path.write_text("mine")
    assert main(["export-triton", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "mine"]


def test_the_command_offers_every_backend_and_the_engines_are_known(
    shipped_bundle: Bundle,
) -> None:
    from edge.commands.export_triton import CHOICES

    assert [*BACKENDS] == [*CHOICES]
    for engine in MAKERS:
        files = repository_files(shipped_bundle, "python", Settings(engine=engine))
        assert engine.encode() in files["leadlift/config.pbtxt"]
    with pytest.raises(InputError, match="unknown backend 'openvino': use python"):
        repository_files(shipped_bundle, "openvino", Settings())
