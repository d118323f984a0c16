"""Cortex-M boards that QEMU has: an export is built for one, run there, and what it found is read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
BUILD_S, RUN_S = 120.0, 300.0
FLAGS = (
    *("-std=c99", "-ffp-contract=off", "-fno-math-errno", "-ffunction-sections", "-fstack-usage"),
    *("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"),
)

BOARD_FLAGS = ("-std=c99", "-O2", "-fno-tree-loop-distribute-patterns", "-fno-strict-aliasing")


class Board(NamedTuple):
    """A processor, the machine that QEMU has with it, and where its memories are."""

    machine: str
    cpu: tuple[str, ...]
    flash_at: int
    flash_kb: int
    golden_at: int
    ram_at: int
    clock_hz: float
    kernel: str
    optimisation: str = "-O2"


MPS2 = (0x0, 4096 - 2048, 0x200000, 0x20000000)
BOARDS = {
    "m3": Board("mps2-an385", ("-mcpu=cortex-m3",), *MPS2, 25e6, "plain"),
    "m4f": Board(
        "mps2-an386",
        ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
        *MPS2,
        25e6,
        "arm dsp",
    ),
    "m7": Board(
        "mps2-an500",
        ("-mcpu=cortex-m7", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        *MPS2,
        25e6,
        "arm dsp",
    ),
    "m33": Board(
        "mps2-an505",
        ("-mcpu=cortex-m33", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"),
        *(0x10000000, 2048, 0x10200000, 0x38000000),
        20e6,
        "arm dsp",
    ),
    "m55": Board(
        "mps3-an547",
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
        *(0x0, 512, 0x11000000, 0x30000000),
        32e6,
        "mve",
    ),
}


class Found(NamedTuple):
    """What a board said, and what the build takes there."""

    kernel: str
    hops: int
    wrong_hops: int
    states: int
    wrong_states: int
    instructions: int
    """A hop, mean."""
    flash: int
    """Bytes of the decoder's code and constants."""
    static_ram: int
    stack: int
    """Bytes of the deepest function of the decoder."""


def run_on(board: Board, export: Path, out: Path, *options: str) -> Found:
    """Build the export in folder `export` for `board` and run its check there; skips without the tools."""
    for tool in ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine: install gcc-arm-none-eabi and qemu-system-arm")
    machines = _run("qemu-system-arm", "-M", "help")
    if board.machine not in machines:
        pytest.skip(f"qemu-system-arm here has no {board.machine}")
    gcc = ("arm-none-eabi-gcc", "-mthumb", *board.cpu)
    script = (HERE / "board.ld").read_text()
    for name, value in (
        ("FLASH_AT", hex(board.flash_at)),
        ("FLASH_BYTES", f"{board.flash_kb}K"),
        ("GOLDEN_AT", hex(board.golden_at)),
        ("RAM_AT", hex(board.ram_at)),
    ):
        script = script.replace(name, value)
    (out / "board.ld").write_text(script)
    objects = []
    for source in ("leadlift_decoder.c", "leadlift_decoder_check.c", "board.c"):
        ours = source == "board.c"
        path = (HERE if ours else export) / source
        objects.append(str(out / f"{path.stem}.o"))
        flags = BOARD_FLAGS if ours else (*FLAGS, board.optimisation, *options)
        _run(*gcc, *flags, f"-I{export}", "-c", str(path), "-o", objects[-1])
    image, linker = (
        out / "board.elf",
        ("-nostdlib", "-T", str(out / "board.ld"), "-Wl,--gc-sections"),
    )
    _run(*gcc, *linker, *objects, "-lgcc", "-o", str(image))
    qemu = (
        "qemu-system-arm",
        "-M",
        board.machine,
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "none",
    )
    said = _run(
        *qemu, "-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel", str(image),
        seconds=RUN_S,
    )  # fmt: skip
    numbers = {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", said, re.MULTILINE)}
    (kernel,) = re.findall(r"^kernel (.+)$", said, re.MULTILINE)
    text, data, bss = map(int, _run("arm-none-eabi-size", objects[0]).splitlines()[1].split()[:3])
    stacks = re.findall(r"\t(\d+)\t", (out / "leadlift_decoder.su").read_text())
    ticks = numbers.pop("ticks_a_hop")
    return Found(
        kernel=kernel,
        **numbers,
        instructions=round(ticks * 1e9 / board.clock_hz),
        flash=text + data,
        static_ram=data + bss,
        stack=max(map(int, stacks)),
    )


def _run(*command: str, seconds: float = BUILD_S) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout + done.stderr
