"""What a machine offers TensorRT, on sample files of Jetsons and PCs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge import jetpack
from edge.jetpack import (
    JETPACKS,
    PACKAGES,
    Machine,
    Missing,
    board_model,
    driver_release,
    l4t_release,
    look,
    missing,
    nvidia_on_pci,
    package_version,
    row_for,
)

R36 = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n"
)
ALL = {"tensorrt": "10.3.0", "pycuda": "2026.1", "cuda-bindings": "12.9.4", "onnx": "1.19.0"}
ORIN = Machine(l4t="36.4.3", gpu=True, libcuda=True, packages=ALL, nvcc="/usr/local/cuda/bin/nvcc")
PC = replace(
    ORIN, l4t=None, packages={**ALL, "tensorrt": None, "tensorrt_rtx": "1.7.1"}, nvcc_on_path=True
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("text", "release"),
    [
        (R36, "36.4.3"),
        ("# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64", "38.2.0"),
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64", "35.4.1"),
        ("# R32 (release), REVISION: 7.1, GCID: 29689809", "32.7.1"),
        ("# R39 (release), REVISION: 2, GCID: 1", "39.2"),
        ("", None),
        ("something else\n", None),
        ("\0\xff", None),
    ],
)
def test_l4t_release(text: str, release: str | None, tmp_path: Path) -> None:
    write(tmp_path, {"etc/nv_tegra_release": text})
    assert l4t_release(tmp_path) == release


def test_without_the_files_it_is_no_jetson(tmp_path: Path) -> None:
    assert l4t_release(tmp_path) is board_model(tmp_path) is driver_release(tmp_path) is None
    assert not nvidia_on_pci(tmp_path)


def test_the_board_has_a_name_without_its_nul(tmp_path: Path) -> None:
    name = "NVIDIA Jetson AGX Orin Developer Kit"
    assert board_model(write(tmp_path, {"proc/device-tree/model": f"{name}\0"})) == name


@pytest.mark.parametrize(
    ("l4t", "row"),
    [
        ("36.4.0", "6.1, 6.2"),
        ("36.4.3", "6.1, 6.2"),
        ("36.4", "6.1, 6.2"),
        ("36.5.2", "6.2.2, 6.2.3"),
        ("36.7.1", "6.2.2, 6.2.3"),
        ("36.40", "6.2.2, 6.2.3"),
        ("38.9", "7.0, 7.1"),
        ("39.0", None),
        ("39.20.0", "7.2"),
        ("38.2.0", "7.0, 7.1"),
        ("39.2.0", "7.2"),
        ("36.3.0", None),
        ("35.4.1", None),
        ("99.0", None),
        (None, None),
    ],
)
def test_the_row_that_applies(l4t: str | None, row: str | None) -> None:
    found = row_for(l4t)
    assert (found.jetpack if found else None) == row


def test_a_release_belongs_to_one_row() -> None:
    for row in JETPACKS:
        assert [other for other in JETPACKS if f"{row.l4t}.1.".startswith(f"{other.l4t}.")] == [row]


NVRM = "NVRM version: NVIDIA UNIX {}  {}  Release Build  (builder)  Wed Jan  8 2025\nGCC version:\n"


@pytest.mark.parametrize(
    ("kind", "release"),
    [
        ("x86_64 Kernel Module", "580.159.03"),
        ("Open Kernel Module for aarch64", "540.4.0"),
        ("Open Kernel Module for x86_64", "570.86.10"),
    ],
)
def test_the_driver_says_its_release(kind: str, release: str, tmp_path: Path) -> None:
    write(tmp_path, {"proc/driver/nvidia/version": NVRM.format(kind, release)})
    assert driver_release(tmp_path) == release


def test_the_module_says_its_release_where_the_driver_does_not(tmp_path: Path) -> None:
    assert driver_release(write(tmp_path, {"sys/module/nvidia/version": "540.4.0\n"})) == "540.4.0"


def test_a_gpu_without_a_driver_is_seen_on_the_bus(tmp_path: Path) -> None:
    bus = "sys/bus/pci/devices/0000:0{}:00.0/{}"
    write(tmp_path, {bus.format(1, "vendor"): "0x10de\n", bus.format(1, "class"): "0x040300\n"})
    assert not nvidia_on_pci(tmp_path)  # its sound device
    write(tmp_path, {bus.format(2, "vendor"): "0x8086\n", bus.format(2, "class"): "0x030000\n"})
    assert not nvidia_on_pci(tmp_path)  # of another vendor
    write(tmp_path, {bus.format(3, "vendor"): "0x10de\n", bus.format(3, "class"): "0x030200\n"})
    assert nvidia_on_pci(tmp_path)


def loads(name: str) -> object:
    assert name == "libcuda.so.1"
    return object()


def does_not_load(name: str) -> object:
    raise OSError(f"{name}: cannot open shared object file")


def test_look_at_a_jetson(tmp_path: Path) -> None:
    files = {
        "etc/nv_tegra_release": R36,
        "proc/device-tree/model": "NVIDIA Jetson Orin NX\0",
        "sys/module/nvidia/version": "540.4.0\n",
        "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
        "usr/local/cuda/bin/nvcc": "",
    }
    machine = look(write(tmp_path, files), loads)
    assert (machine.l4t, machine.board, machine.driver) == (
        "36.4.3",
        "NVIDIA Jetson Orin NX",
        "540.4.0",
    )
    assert machine.gpu
    assert machine.libcuda
    assert machine.system_tensorrt
    assert machine.nvcc is not None
    assert machine.nvcc_on_path or machine.nvcc == str(tmp_path / "usr/local/cuda/bin/nvcc")
    assert machine.as_dict()["jetpack"]["tensorrt"] == "10.3"
    assert "JetPack 6.1, 6.2 (L4T 36.4.3): TensorRT 10.3" in machine.in_words()


def test_look_at_a_machine_without_a_gpu(tmp_path: Path) -> None:
    machine = look(tmp_path, does_not_load)
    assert not machine.gpu
    assert machine.in_words() == "no Jetson"
    assert machine.as_dict()["jetpack"] is None
    assert set(machine.packages or {}) == set(PACKAGES)


def test_a_package_that_is_there_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy, other = (("numpy",), ("numpy",)), (("json",), ("no-such-distribution",))
    monkeypatch.setattr(
        jetpack, "PACKAGES", {"numpy": numpy, "json": other, "none": (("a.b",), ("a",))}
    )
    assert package_version("numpy") not in (None, "unknown")
    assert package_version("json") == "unknown"
    assert package_version("none") is None


@pytest.mark.parametrize("machine", [ORIN, PC, replace(PC, packages=ALL)])
def test_nothing_is_missing_where_all_is_there(machine: Machine) -> None:
    assert missing(machine) == []


@pytest.mark.parametrize(
    ("machine", "what", "command"),
    [
        (replace(ORIN, libcuda=False), "NVIDIA driver", "nvidia-l4t-cuda"),
        (replace(PC, libcuda=False), "NVIDIA driver", "ubuntu-drivers"),
        (replace(ORIN, packages={**ALL, "tensorrt": None}), "tensorrt", "install nvidia-jetpack"),
        (
            replace(ORIN, packages={**ALL, "tensorrt": None}, system_tensorrt=True, in_venv=True),
            "this virtual environment does not see JetPack's",
            "python3.10 -m venv --system-site-packages .venv",
        ),
        (
            replace(ORIN, packages={**ALL, "tensorrt": None}, system_tensorrt=True, python="3.12"),
            "JetPack's is for Python 3.10, this is 3.12",
            "python3.10 -m venv --system-site-packages .venv",
        ),
        (
            replace(ORIN, l4t="35.4.1", packages={**ALL, "tensorrt": None}, system_tensorrt=True),
            "L4T 35.4.1 brings one that is older than 10.3",
            "flash JetPack 6.2 or newer",
        ),
        (
            replace(PC, packages={**ALL, "tensorrt": None}),
            "tensorrt or tensorrt_rtx",
            "pip install '.[trt-rtx]'",
        ),
        (
            replace(ORIN, packages={**ALL, "pycuda": None}),
            "pycuda",
            "PATH=/usr/local/cuda/bin:$PATH pip install '.[jetson]'",
        ),
        (
            replace(ORIN, packages={**ALL, "pycuda": None}, nvcc=None),
            "nor is nvcc, which builds it",
            "sudo apt install nvidia-jetpack, then pip install '.[jetson]'",
        ),
        (replace(PC, packages={**ALL, "pycuda": None}), "pycuda", "pip install pycuda"),
        (replace(ORIN, packages={**ALL, "onnx": None}), "onnx", "pip install onnx"),
    ],
)
def test_one_thing_is_missing_and_one_command_mends_it(
    machine: Machine, what: str, command: str
) -> None:
    (found,) = missing(machine)
    assert found.needed
    assert what in str(found)
    assert command in found.command
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("l4t", "installed", "wanted"),
    [
        ("36.4.3", "13.1.0", "'cuda-bindings>=12.9,<13'"),
        ("39.2.0", "12.9.4", "'cuda-bindings>=13,<14'"),
        ("36.4.3", None, "'cuda-bindings>=12.9,<13'"),
        (None, None, "'cuda-bindings'"),
        ("36.5.2", "13.4.4", "'cuda-bindings>=12.9,<13'"),
        ("35.4.1", None, "'cuda-bindings'"),
    ],
)
def test_cuda_bindings_go_with_the_cuda_of_the_row_and_are_not_needed(
    l4t: str | None, installed: str | None, wanted: str
) -> None:
    (found,) = missing(replace(ORIN, l4t=l4t, packages={**ALL, "cuda-bindings": installed}))
    assert not found.needed
    assert found.command == f"pip install {wanted}"


def test_bindings_that_do_not_say_their_version_are_not_judged() -> None:
    assert missing(replace(ORIN, packages={**ALL, "cuda-bindings": "unknown"})) == []


def test_tensorrt_rtx_does_not_serve_a_jetson() -> None:
    packages = {**ALL, "tensorrt": None, "tensorrt_rtx": "1.7.1"}
    assert [part.what for part in missing(replace(ORIN, packages=packages))] == ["tensorrt"]


def test_a_machine_without_a_gpu_lacks_that_first_and_nothing_mends_it() -> None:
    (found,) = missing(Machine(packages=dict.fromkeys(PACKAGES)))
    assert found == Missing(
        "an NVIDIA GPU",
        "this machine has none (libcuda.so.1 does not load); not installed either: "
        "tensorrt, tensorrt_rtx, pycuda, cuda-bindings, onnx",
        "",
    )
    (found,) = missing(replace(PC, gpu=False))
    assert found.why == "this machine has none (libcuda.so.1 does not load)"


def test_a_release_that_is_not_in_the_table_says_so() -> None:
    assert Machine(l4t="35.5.0").in_words() == (
        "L4T 35.5.0 is not in the table (36.4, 36.5, 38, 39.2)"
    )
    assert (
        Machine(l4t="36.9.1")
        .in_words()
        .startswith("L4T 36.9.1, newer than the table: taken for JetPack 6.2.2, 6.2.3 (L4T 36.5): ")
    )
