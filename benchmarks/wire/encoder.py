"""What the C encoder takes of a Cortex-M3: its Makefile's `sizes`, where the cross compiler is here."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import Target
from firmware_bridge.firmware.generate import SOURCES

TOOLS = ("make", "arm-none-eabi-gcc", "awk")
BUILD_S = 120.0
_SIZES = {"flash_bytes": "flash", "ram_bytes": "static RAM", "state_bytes": "state"}
_SIZES |= {"stack_bytes": "deepest stack"}

TARGETS = (
    Target("C encoder on a Cortex-M3, flash", "encoder/flash_bytes", 4096, "B"),
    Target("C encoder on a Cortex-M3, state", "encoder/state_bytes", 64, "B"),
    Target("C encoder on a Cortex-M3, stack", "encoder/stack_bytes", 256, "B"),
)


def missing() -> str | None:
    """Why the sizes cannot be measured here; None if they can."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"no {absent[0]} here: install it" if absent else None


def encoder_sizes() -> dict[str, Any]:
    """Build for a Cortex-M3, and read what the build says. Raises BenchmarkError where it fails."""
    with tempfile.TemporaryDirectory() as out:
        command = ["make", "-s", "-C", str(SOURCES), f"OUT={out}", "sizes"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(
                f"the C encoder is not built after {BUILD_S:.0f} s: try again"
            ) from error
    if done.returncode:
        why = (done.stderr.strip() or "make says nothing").splitlines()[-1]
        raise BenchmarkError(f"the C encoder does not build: {why}; try `make -C {SOURCES}`")
    return parse_sizes(done.stdout)


def parse_sizes(said: str) -> dict[str, Any]:
    """The build's lines as numbers. Raises BenchmarkError where one is not there."""
    sizes: dict[str, Any] = {"build": said.partition("\n")[0]}
    for name, words in _SIZES.items():
        found = re.search(rf"^{words} (\d+) B", said, re.MULTILINE)
        if found is None:
            raise BenchmarkError(f"the build of the C encoder does not say its {words}: {said!r}")
        sizes[name] = int(found[1])
    return sizes
