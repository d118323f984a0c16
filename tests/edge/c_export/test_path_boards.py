"""The wearable's whole path on Cortex-M in QEMU: the bits of this machine, within what a product may take."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.cli import main
from firmware_bridge.firmware.generate import SOURCES

RUN_S = 400.0
PATH = SOURCES / "path"
KERNELS = {"m3": "plain", "m4f": "arm dsp", "m7": "arm dsp", "m33": "arm dsp", "m55": "mve"}
MOST = {  # bytes of flash, of RAM with the stack, instructions a hop
    "m4f": (440_000, 48 << 10, 900_000),
    "m7": (440_000, 48 << 10, 900_000),
    "m33": (440_000, 48 << 10, 900_000),
    "m55": (440_000, 48 << 10, 400_000),
    "m3": (440_000, 48 << 10, 1_700_000),
}


def make(target: str, export: Path, out: Path, *tools: str, **variables: str) -> dict[str, str]:
    """What `make TARGET` prints, by name; skips, naming the tool, where one is missing."""
    for tool in ("make", *tools):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine: install it to run the path on a board")
    options = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", "-s", "-C", str(PATH), target, f"EXPORT={export}", f"OUT={out}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(re.findall(r"^(\w+) (.+)$", done.stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def export(shipped_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="golden vectors are ONNX Runtime's")
    out = tmp_path_factory.mktemp("export")
    assert shipped_bundle.path is not None
    arguments = ["export-c", str(shipped_bundle.path), str(out), "--path", "II,V1,V5"]
    assert main([*arguments, "--overwrite"]) == 0
    return out


@pytest.fixture(scope="module")
def here(export: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make("host-run", export, tmp_path_factory.mktemp("host"), "cc")


@pytest.mark.parametrize(
    "board",
    [
        "m4f",
        *(pytest.param(board, marks=pytest.mark.slow) for board in ("m3", "m7", "m33", "m55")),
    ],
)
def test_a_board_gives_the_bits_of_this_machine_within_its_bounds(
    export: Path, here: dict[str, str], tmp_path: Path, board: str
) -> None:
    tools = ("arm-none-eabi-gcc", "qemu-system-arm")
    found = make("run", export, tmp_path, *tools, BOARD=board)
    assert found["hops"] == here["hops"] == "2000"
    assert found["crc"] == here["crc"]
    assert found["kernel"] == KERNELS[board]
    flash, ram, instructions = MOST[board]
    assert 100_000 < int(found["flash"]) <= flash
    assert 20_000 < int(found["state"]) + int(found["stack"]) <= ram
    assert 50_000 < int(found["instructions"]) <= int(found["most_instructions"]) <= instructions


def test_the_sources_have_no_warning_where_int_has_16_bits(tmp_path: Path) -> None:
    """All but the check's vectors, and not assembled: no AVR has room for the decoder's weights."""
    pytest.importorskip("onnxruntime", reason="golden vectors are ONNX Runtime's")
    if shutil.which("avr-gcc") is None:
        pytest.skip("no avr-gcc on this machine: install it to compile the path for an AVR")
    assert main(["export-c", "small", str(tmp_path), "--path", "II,V1,V5"]) == 0
    sources = [str(path) for path in tmp_path.glob("*.c") if not path.stem.endswith("_check")]
    assert len(sources) == 5
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
    command = ["avr-gcc", "-mmcu=atmega2560", "-fsyntax-only", *flags, *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_small_model_takes_a_third(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="golden vectors are ONNX Runtime's")
    assert main(["export-c", "small", str(tmp_path / "export"), "--path", "II,V1,V5"]) == 0
    tools = ("arm-none-eabi-gcc", "qemu-system-arm")
    found = make("run", tmp_path / "export", tmp_path / "out", *tools, BOARD="m4f")
    assert int(found["flash"]) <= 160_000
    assert int(found["state"]) + int(found["stack"]) <= 24 << 10
    assert int(found["most_instructions"]) <= 300_000
