"""The C sources on small processors: AVR, where `int` has 16 bits, and Cortex-M, without any library."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.encoder import frame_samples
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge import wire_vectors
from tests.firmware_bridge.c_library import BUILD_S, need

HERE = Path(__file__).parent
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
C_SOURCES = [SOURCES / "leadlift.c", SOURCES / "examples" / "ads1293.c"]
LEVELS = ["-O0", "-Os", "-O2", "-O3"]


def build(*command: str) -> None:
    done = subprocess.run(
        [*command, f"-I{SOURCES}"], capture_output=True, text=True, timeout=BUILD_S
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mcu", ["atmega328p", "atmega2560", "attiny1614"])
@pytest.mark.parametrize("level", LEVELS)
def test_it_compiles_without_a_warning_where_int_has_16_bits(
    tmp_path: Path, mcu: str, level: str
) -> None:
    need("avr-gcc")
    for source in C_SOURCES:
        out = str(tmp_path / "avr.o")
        build("avr-gcc", f"-mmcu={mcu}", level, *WARNINGS, "-c", str(source), "-o", out)


@pytest.mark.parametrize("cpu", ["m0", "m0plus", "m3", "m4", "m23"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("library", [[], ["-ffreestanding"]], ids=["hosted", "freestanding"])
def test_on_a_cortex_m_it_calls_nothing(
    tmp_path: Path, cpu: str, level: str, library: list[str]
) -> None:
    """No division helper of the compiler's run-time library, which a Cortex-M0 has instead of a divider."""
    need("arm-none-eabi-gcc", "arm-none-eabi-nm")
    for source in C_SOURCES:
        out = str(tmp_path / "arm.o")
        target = [f"-mcpu=cortex-{cpu}", "-mthumb", level, *library]
        # What only a hosted compiler needs its C library's headers for is not used.
        build("arm-none-eabi-gcc", *target, *WARNINGS, "-c", str(source), "-o", out)
        nm = ["arm-none-eabi-nm", "--undefined-only", out]
        undefined = subprocess.run(nm, capture_output=True, text=True, timeout=BUILD_S)
        assert undefined.stdout == ""


def c_bytes(data: bytes) -> str:
    return "{" + ", ".join(map(str, data)) + "}"


def vector_calls() -> str:
    """The golden vectors as C, for avr_checks.c."""
    arrays, calls = [], []

    def array(kind: str, body: str) -> str:
        arrays.append(f"static const {kind} v{len(arrays)}[] = {body};")
        return f"v{len(arrays) - 1}"

    def call(function: str, *arguments: object) -> None:
        calls.append(f"    {function}({', '.join(map(str, arguments))});")

    vectors = wire_vectors.load()
    for vector in (*vectors["frames"], *vectors["bad_frames"]):
        data = bytes.fromhex(vector["hex"])
        expected = (array("uint8_t", c_bytes(data)), len(data))
        call("received", len(CommandDecoder().receive_data(data)), *expected)
        if vector in vectors["bad_frames"] or FrameType[vector["type"].upper()] >= FrameType.START:
            continue
        fields, kind = vector["fields"], FrameType[vector["type"].upper()]
        start = (vector["session"], vector["sequence"])
        if kind in spec.SAMPLE_BITS:
            names = ("config_id", "first_sample", "tick_us", "lead_off", "channels")
            numbers = [f"{fields[name]}u" for name in names]
            codes = array("int32_t", "{" + ", ".join(map(str, fields["samples"])) + "}")
            size = (spec.SAMPLE_BITS[kind], fields["count"])
            call("samples", *start, *numbers, *size, codes, *expected)
        elif kind is FrameType.STREAM_INFO:
            device, firmware = (
                array("char", c_bytes(fields[name].encode() + b"\0"))
                for name in ("device", "firmware")
            )
            (scale,) = struct.unpack("<f", struct.pack("<f", fields["nanovolts_per_lsb"]))
            body = [device, firmware, f"{fields['rate_millihertz']}u", f"{scale:.9e}f"]
            body += [str(fields[name]) for name in ("config_id", "sample_bits", "channels")]
            body.append(c_bytes(bytes(fields["leads"])))
            said = array("leadlift_stream_info_t", "{{" + ", ".join(body) + "}}")
            call("stream_info", *start, said, *expected)
        elif kind is FrameType.BATTERY:
            call("battery", *start, fields["percent"], *expected)
    for fewest, most in ((7, 13), (11, 21), (1, 1), (0, 255)):
        total = sum(frame_samples(sequence, fewest, most) for sequence in range(1000))
        call("lengths", fewest, most, f"{total}u")
    return "\n".join([*arrays, "", "static void run_vectors(void)", "{", *calls, "}", ""])


def test_the_golden_vectors_hold_on_a_simulated_avr(tmp_path: Path) -> None:
    need("avr-gcc", "simavr")
    calls = vector_calls()
    (tmp_path / "vectors.h").write_text(calls)
    image = str(tmp_path / "checks.elf")
    mcu = "atmega1284p"  # 16 KB of RAM: all vectors fit
    sources = [str(HERE / "avr_checks.c"), str(SOURCES / "leadlift.c")]
    flags = ["-Os", "-std=gnu99", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}"]
    build("avr-gcc", f"-mmcu={mcu}", *flags, *sources, "-o", image)
    done = subprocess.run(
        ["simavr", "-m", mcu, "-f", "16000000", image], capture_output=True, timeout=BUILD_S
    )
    n_vectors = calls.count(");\n")
    assert f"int 16 bits, {n_vectors} vectors, 0 bad" in (done.stdout + done.stderr).decode()
