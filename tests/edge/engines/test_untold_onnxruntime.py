"""ONNX Runtime reports nothing to its makers, unless somebody asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
from edge.bundle import load_bundle
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
OnnxRuntimeEngine(load_bundle()).close()
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


@pytest.mark.parametrize(("given", "kept"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_telemetry_is_off_and_without_a_home_nothing_is_said(
    given: dict[str, str], kept: str
) -> None:
    pytest.importorskip("onnxruntime")
    asked = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")  # each switches it off
    environment = {k: v for k, v in os.environ.items() if k not in asked}
    nowhere = {"HOME": "/proc/nope", "XDG_CACHE_HOME": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment | nowhere | given,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == f"{kept}\n"
    assert done.stderr == "" or given
