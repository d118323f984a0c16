"""An export as a C compiler sees it: golden vectors, warnings, sanitizers, what it says of itself."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.c_export.export import decoder_files, exported_files
from edge.c_export.tables import NOT_STATED, attribution

BUILD_S = 120.0
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-Wvla")
BASE = ("-std=c99", "-ffp-contract=off", *WARNINGS)
SOURCES = ("leadlift_decoder.c", "leadlift_decoder_check.c")
FOUND = re.compile(
    r"(.+): (\d+) hops, (\d+) with codes at the ceiling, 0 differ; (\d+) states, 0 differ\n"
)


@pytest.fixture(scope="module")
def export(shipped_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(exported_files(shipped_bundle), tmp_path_factory.mktemp("export"))


def written(files: dict[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    return folder


def need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine: install gcc to test the C export")


def built(folder: Path, *options: str) -> Path:
    need("cc")
    program = folder / "check"
    sources = [str(folder / name) for name in SOURCES]
    command = ["cc", *BASE, *options, "-DLEADLIFT_DECODER_MAIN", *sources, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S, check=False)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip("cc has no sanitizer libraries on this machine: install libasan and libubsan")
    assert done.returncode == 0, done.stderr[-3000:]
    return program


def checked(program: Path) -> re.Match[str]:
    done = subprocess.run([program], capture_output=True, text=True, timeout=BUILD_S, check=False)
    found = FOUND.fullmatch(done.stdout)
    assert done.returncode == 0 and done.stderr == "" and found is not None, done
    return found


@pytest.mark.parametrize(
    "options",
    [
        ("-O2", "-DLEADLIFT_DECODER_PLAIN"),
        ("-O3", "-march=native"),
        ("-O0",),
        ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    ],
    ids=["plain", "native", "unoptimised", "sanitizers"],
)
def test_the_golden_vectors_of_onnxruntime_come_out(export: Path, options: tuple[str, ...]) -> None:
    found = checked(built(export, *options))
    hops, at_ceiling, states = (int(n) for n in found.groups()[1:])
    assert hops == 3 * 72 and states == hops // 4 and at_ceiling > 100


@pytest.mark.parametrize("kernel", ["avx2", "avxvnni", "avx512vnni"])
def test_every_x86_kernel_gives_the_same_codes(export: Path, kernel: str) -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    known = {"avx2": "avx2", "avxvnni": "avx_vnni", "avx512vnni": "avx512_vnni"}
    if known[kernel] not in flags.split():
        pytest.skip(f"this processor has no {kernel}")
    options = {
        "avx2": ("-mavx2",),
        "avxvnni": ("-mavx2", "-mavxvnni"),
        "avx512vnni": ("-mavx512f", "-mavx512vl", "-mavx512vnni", "-mavx512dq", "-mavx512bw"),
    }
    said = checked(built(export, "-O2", *options[kernel]))[1]
    assert said.replace(" ", "") == kernel


@pytest.mark.parametrize("leads", [("I", "II"), ("II", "V1", "V5"), ("V2",)])
def test_leads_that_are_always_measured_give_a_smaller_decoder_with_the_same_codes(
    shipped_bundle: Bundle, tmp_path: Path, export: Path, leads: tuple[str, ...]
) -> None:
    folder = written(exported_files(shipped_bundle, leads), tmp_path)
    assert int(checked(built(folder, "-O2"))[2]) == 2 * 72
    tables = "leadlift_decoder_tables.h"
    assert (folder / tables).stat().st_size < (export / tables).stat().st_size
    assert "#define LEADLIFT_DECODER_MASK 0\n" in (folder / "leadlift_decoder_config.h").read_text()


@pytest.mark.parametrize("bundle", ["tiny_bundle", "any_bundle"])
def test_bundles_of_other_shapes(
    request: pytest.FixtureRequest, bundle: str, tmp_path: Path
) -> None:
    found: Bundle = request.getfixturevalue(bundle)
    checked(built(written(exported_files(found), tmp_path), "-O2", "-march=native"))


def test_a_wrong_weight_is_found(export: Path, tmp_path: Path) -> None:
    """The check can fail: one weight of the last block differs."""
    files = {path.name: path.read_text() for path in export.glob("leadlift_*.[ch]")}
    name = "leadlift_decoder_tables.h"
    before = "POINTWISE_3_WEIGHT[16384] ALIGNED = {\n"
    start = files[name].index(before) + len(before)
    end = files[name].index(",", start)
    other = "-100" if int(files[name][start:end]) > 0 else "100"
    files[name] = files[name][:start] + other + files[name][end:]
    program = built(written(files, tmp_path), "-O2")
    done = subprocess.run([program], capture_output=True, text=True, timeout=BUILD_S, check=False)
    assert done.returncode == 1 and " 0 differ; 54" not in done.stdout


def test_it_needs_memcpy_and_memset_alone_and_keeps_nothing(export: Path, tmp_path: Path) -> None:
    need("cc", "nm")
    made = tmp_path / "decoder.o"
    command = [
        "cc",
        *BASE,
        "-O2",
        "-fno-stack-protector",
        "-fno-pie",
        "-c",
        str(export / SOURCES[0]),
        "-o",
        str(made),
    ]
    subprocess.run(command, check=True, timeout=BUILD_S)
    done = subprocess.run(["nm", made], capture_output=True, text=True, check=True, timeout=BUILD_S)
    symbols = [line.split()[-2:] for line in done.stdout.splitlines()]
    undefined = {name for kind, name in symbols if kind == "U"}
    assert undefined - {"_GLOBAL_OFFSET_TABLE_"} <= {"memcpy", "memset"}
    assert not [name for kind, name in symbols if kind in "bBdDcC"], "writable static data"


def test_the_headers_are_good_cplusplus(export: Path) -> None:
    need("c++")
    for name in ("leadlift_decoder.h", "leadlift_decoder_check.h"):
        command = ["c++", "-std=c++11", *WARNINGS, "-fsyntax-only", "-x", "c++", str(export / name)]
        subprocess.run(command, check=True, timeout=BUILD_S)


def test_generated_files_say_which_bundle_whose_data_and_which_licence(
    shipped_bundle: Bundle, export: Path
) -> None:
    for name in ("config", "tables", "golden"):
        head = (export / f"leadlift_decoder_{name}.h").read_text()[:1000]
        assert shipped_bundle.sha256 in head and "Licence: Apache-2.0" in head
        assert "PTB-XL" in head and "not a medical device" in head
    config = (export / "leadlift_decoder_config.h").read_text()
    assert f'#define LEADLIFT_DECODER_BUNDLE_SHA256 "{shipped_bundle.sha256}"\n' in config
    assert "CC BY 4.0" in config


def test_the_same_bundle_gives_the_same_bytes(shipped_bundle: Bundle) -> None:
    assert decoder_files(shipped_bundle) == decoder_files(shipped_bundle)


def test_no_text_of_a_bundle_breaks_out_of_its_comment(
    shipped_bundle: Bundle, tmp_path: Path
) -> None:
    need("cc")
    manifest = replace(
        shipped_bundle.manifest,
        name='my "model" */ int x; /* \\ ??/ \n é',
        training={"sources": ["one */ two", 'a "b"']},
    )
    folder = written(decoder_files(replace(shipped_bundle, manifest=manifest)), tmp_path)
    command = ["cc", *BASE, "-fsyntax-only", str(folder / SOURCES[0])]
    subprocess.run(command, check=True, timeout=BUILD_S)
    assert attribution(replace(manifest, training={})) == NOT_STATED


def test_what_is_no_number_reads_as_zero(export: Path, tmp_path: Path) -> None:
    need("cc")
    library = tmp_path / "decoder.so"
    flags = (*BASE, "-O2", "-fPIC", "-shared")
    command = ["cc", *flags, str(export / SOURCES[0]), "-o", str(library)]
    subprocess.run(command, check=True, timeout=BUILD_S)
    step = ctypes.CDLL(str(library)).leadlift_decoder_step

    def outcome(bad: float) -> bytes:
        state = np.zeros(27136 + 64, np.uint8)
        ecg = np.linspace(-1, 1, 48, dtype=np.float32)
        ecg[:8] = bad
        arrays = [ecg, np.zeros(32, np.float32), np.ones(12, np.float32)]
        out = [np.zeros(32, np.float32), np.zeros(48, np.float32)]
        step(*(ctypes.c_void_p(array.ctypes.data) for array in (state, *arrays, *out)))
        return b"".join(array.tobytes() for array in (*out, state))

    assert outcome(np.nan) == outcome(0.0)
    assert outcome(np.inf) == outcome(1e30) != outcome(0.0)
