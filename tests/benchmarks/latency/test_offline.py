"""Every stage takes the whole signal."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.latency.offline import stages


@pytest.mark.parametrize("kind", ["any_bundle", "shipped_bundle"])  # of three leads, of any
def test_every_stage_takes_every_sample(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle = request.getfixturevalue(kind)
    model = tmp_path / "model.onnx"
    model.write_bytes(bundle.data)
    for name, (make, hz) in stages(model, "auto", 2.0).items():
        assert make()() == 2.0 * hz, name
