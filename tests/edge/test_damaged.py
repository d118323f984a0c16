"""`leadlift` where a package that it needs is damaged: one line that says which, and what mends it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge


def leadlift(shadow: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`leadlift` run where the modules in `shadow` come first."""
    path = os.pathsep.join([str(shadow), str(Path(edge.__file__).parents[1])])
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", *arguments],
        env=os.environ | {"PYTHONPATH": path},
        cwd=shadow,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "text", "package"),
    [
        ("numpy", "raise ImportError('multiarray failed to import')", "numpy"),
        ("numpy", "raise AttributeError('_ARRAY_API not found')", "numpy"),
        ("numpy", "", "numpy"),
        ("rich", "raise ImportError('no console')", "rich"),
        ("serial", "", "pyserial"),
    ],
)
def test_a_damaged_package_is_one_line(
    tmp_path: Path, module: str, text: str, package: str
) -> None:
    (tmp_path / f"{module}.py").write_text(text)
    command = ["monitor", "serial:/dev/ttyS0" if module == "serial" else "sim:", "--seconds", "1"]
    done = leadlift(tmp_path, *command)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("leadlift: error: ")
    assert module in line
    assert package in line.partition("pip ")[2]


def test_doctor_and_version_speak_without_numpy(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('multiarray failed to import')")
    version = leadlift(tmp_path, "--version")
    assert version.returncode == 0
    assert version.stdout.startswith("leadlift ")
    doctor = leadlift(tmp_path, "doctor")
    assert doctor.returncode == 1
    assert "package    numpy" in doctor.stdout
    assert "numpy does not import" in doctor.stderr
