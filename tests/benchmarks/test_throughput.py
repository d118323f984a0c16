"""Every stage takes the whole signal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.throughput import stages

pytestmark = pytest.mark.realtime


@pytest.mark.parametrize("kind", ["any_bundle", "shipped_bundle"])  # of three leads, of any
def test_every_stage_takes_every_sample(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle = request.getfixturevalue(kind)
    model = tmp_path / "model.onnx"
    model.write_bytes(bundle.data)
    arguments = argparse.Namespace(seconds=2.0, engine="auto", model=model)
    for name, (make, hz) in stages(bundle, arguments).items():
        assert make()() == 2.0 * hz, name


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "throughput.json"
    assert main(["throughput", "--seconds", "2", "--records", "0", "--json", str(out)]) == 0
    results = json.loads(out.read_text())["results"]
    assert {"decoder", "conditioning", "engine_offline", "reconstruct"} <= set(results)
    for stage in results.values():
        assert stage["times_real_time"] == pytest.approx(
            stage["samples_per_s"] / stage["sampling_hz"]
        )
    assert "| decoder " in capsys.readouterr().out
