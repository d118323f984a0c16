"""`make decoder`: one command from a web server's files to a decoder and its figures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quantize.published.physionet import served, tree

for package in ("torch", "onnx", "safetensors", "scipy", "requests"):
    pytest.importorskip(package, reason=f"training needs {package}: install '.[test]'")

CHECKOUT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_one_command_fetches_trains_exports_and_evaluates(tmp_path: Path) -> None:
    tree(tmp_path / "server", n_ptb_xl=24)
    with served(tmp_path / "server") as state:
        few = ["STEPS=20", "COOLDOWN=5", "QAT=5", "TRAIN=--quick"]
        scored = ["SCORE=--records 1", "FIDELITY=--limit 2"]
        where = [f"DATA={tmp_path}/data", f"RUN={tmp_path}/run", f"PYTHON={sys.executable}"]
        command = ["make", "decoder", *where, *few, *scored, f"MIRROR=--mirror {state.address}"]
        for _ in range(2):
            made = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        assert "Nothing to be done" in made.stdout
    report = json.loads((tmp_path / "run/fidelity.json").read_text())
    assert (tmp_path / "run/decoder.onnx").stat().st_size > 10_000
    assert {"test", "cpsc_ptb", "mobile"} <= set(report["results"])
