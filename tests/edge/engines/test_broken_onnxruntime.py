"""An ONNX Runtime that is hollow, broken, too old or missing: one line says what mends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KINDS = {
    "hollow": ("", "is a folder without its library", "--force-reinstall"),
    "no library": (
        "raise ImportError('libonnxruntime.so.1: cannot open shared object file\\nmore')",
        "does not import (libonnxruntime.so.1: cannot open",
        "--force-reinstall",
    ),
    "another NumPy": (
        "raise AttributeError('_ARRAY_API not found')",
        "does not import (_ARRAY_API not found)",
        "--force-reinstall",
    ),
    "a part is missing": ("import onnxruntime.gone", "does not import (No module", "--force"),
    "too old": (
        "__version__ = '1.9.0'\nInferenceSession = SessionOptions = capi = None",
        "1.9.0 is older than 1.18",
        "--upgrade",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_in_one_line_and_doctor_goes_on(kind: str, tmp_path: Path) -> None:
    source, said, remedy = KINDS[kind]
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def leadlift(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from edge.cli import main; sys.exit(main())"]
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )

    opened = leadlift("demo", "--headless", "--seconds", "1")
    assert opened.returncode == 1
    (line,) = opened.stderr.strip().splitlines()[-1:]
    assert said in line and remedy in line
    assert "Traceback" not in opened.stderr
    doctor = leadlift("doctor")
    assert doctor.returncode == 1
    assert "Traceback" not in doctor.stderr
    (engine,) = [row for row in doctor.stdout.splitlines() if row.startswith("engine     onnxr")]
    assert said in engine and "pip install" in engine and remedy in engine
    assert "cannot reconstruct" in doctor.stdout
