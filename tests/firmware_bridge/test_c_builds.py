"""The C side as compilers see it: sanitizers, a Cortex-M3's bounds, C++, what is generated for it."""

from __future__ import annotations

import configparser
import re
import struct
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.firmware.__main__ import main
from firmware_bridge.firmware.generate import SOURCES, generated
from firmware_bridge.wire import spec
from firmware_bridge.wire.decoder import CommandDecoder
from firmware_bridge.wire.spec import FrameType
from tests.firmware_bridge import wire_vectors
from tests.firmware_bridge.c_library import BUILD_S, compile_c, make, need

HERE = Path(__file__).parent
ROOT = SOURCES.parents[1]
RANDOM_INPUTS = 100_000


def test_what_python_generates_for_c_is_current() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, "run python -m firmware_bridge.firmware --write"


def test_the_command_says_where_the_sources_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "leadlift.h").is_file()


def test_every_source_is_package_data() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    data = config["options.package_data"]
    packed = {
        path
        for pattern in data["firmware_bridge.firmware"].split(",")
        for path in SOURCES.glob(pattern.strip())
    }
    sources = {
        path
        for path in SOURCES.rglob("*")
        if path.is_file()
        and path.suffix != ".py"
        and not {"__pycache__", "build"} & set(path.parts)
    }
    assert packed == sources


def test_the_guides_python_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (SOURCES / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    (promised,) = re.findall(r"# (\w.*)", block)
    assert capsys.readouterr().out.strip() == promised


def vector_lines() -> list[str]:
    """The golden vectors as c_checks.c reads them."""
    lines = []
    vectors = wire_vectors.load()
    for vector in vectors["frames"]:
        fields, kind = vector["fields"], FrameType[vector["type"].upper()]
        start = [vector["session"], vector["sequence"]]
        if kind in spec.SAMPLE_BITS:
            names = ("config_id", "first_sample", "tick_us", "lead_off", "channels")
            words = ["S", *start, *(fields[name] for name in names)]
            words += [spec.SAMPLE_BITS[kind], fields["count"], *fields["samples"]]
        elif kind is FrameType.STREAM_INFO:
            (scale,) = struct.unpack("<I", struct.pack("<f", fields["nanovolts_per_lsb"]))
            words = ["I", *start, fields["config_id"], fields["sample_bits"]]
            words += [fields["rate_millihertz"], scale, fields["channels"], *fields["leads"]]
            words += ["x" + fields[name].encode().hex() for name in ("device", "firmware")]
        elif kind is FrameType.RECONSTRUCTION:
            (scale,) = struct.unpack("<I", struct.pack("<f", fields["nanovolts_per_lsb"]))
            words = ["T", *start, fields["config_id"], fields["rate_millihertz"], scale]
            words += [fields["leads"], *fields["codes"], *fields["provenance"]]
            words.append("x" + fields["model"].encode().hex())
        elif kind is FrameType.RECONSTRUCTED:
            names = ("config_id", "first_sample", "tick_us", "count", "leads")
            words = ["E", *start, *(fields[name] for name in names)]
            words += [*fields["quality"], *fields["values"], *fields["sigmas"]]
        elif kind is FrameType.BATTERY:
            words = ["B", *start, fields["percent"]]
        else:
            continue
        lines.append(" ".join(map(str, [*words, vector["hex"]])))
    for vector in (*vectors["frames"], *vectors["bad_frames"]):
        n_commands = len(CommandDecoder().receive_data(bytes.fromhex(vector["hex"])))
        lines.append(f"R {n_commands} {vector['hex']}")
    return lines


def test_sanitizers_find_nothing_in_the_vectors_nor_in_random_inputs(tmp_path: Path) -> None:
    need("cc")
    program = tmp_path / "c_checks"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-g", "-O1"]
    command = ["cc", *flags, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [f"-I{SOURCES}", "-o", str(program)]
    command += [str(HERE / "c_checks.c"), str(SOURCES / "leadlift.c")]
    built = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("cc has no sanitizer libraries on this machine: install libasan and libubsan")
    assert built.returncode == 0, built.stderr
    lines = vector_lines()
    done = subprocess.run(
        [str(program), str(RANDOM_INPUTS)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout == f"{len(lines)} vectors, {RANDOM_INPUTS} random inputs\n"
    assert done.returncode == 0


def test_on_a_cortex_m3_it_keeps_within_its_bounds(tmp_path: Path) -> None:
    need("make", "arm-none-eabi-gcc", "awk")
    said = make("sizes", tmp_path)
    sizes = dict(re.findall(r"^(flash|static RAM|state|deepest stack) (\d+) B", said, re.MULTILINE))
    assert 500 < int(sizes["flash"]) <= 4096
    assert int(sizes["static RAM"]) == 0
    assert 32 < int(sizes["state"]) <= 64
    assert 16 < int(sizes["deepest stack"]) <= 256
    readme = (SOURCES / "README.md").read_text()
    title, *rest = said.splitlines()
    if title in readme:  # another compiler may have other sizes
        assert "\n".join(["$ make -s", title, *rest]) in readme.replace("\n    ", "\n")
    undefined = subprocess.run(
        ["arm-none-eabi-nm", "--undefined-only", str(tmp_path / "leadlift.o")],
        capture_output=True,
        text=True,
        timeout=BUILD_S,
    )
    assert undefined.stdout == "", "it calls what a board may not have"


def test_the_header_is_good_cplusplus() -> None:
    need("c++")
    header = SOURCES / "leadlift.h"
    compile_c(header, "-x", "c++", compiler="c++", standard="c++11")
