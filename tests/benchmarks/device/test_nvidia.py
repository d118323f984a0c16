"""Provenance from files and tools: read where they speak, None where they do not, and no PC is a Jetson."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest

from benchmarks.device.nvidia import System, ask_tool
from tests.benchmarks.device.jetson import BOARD, RELEASE, TEGRASTATS, Tools, jetson_root

SMI = "NVIDIA RTX A2000, 570.86.15, P8, 210, 2100, 405, 41, 6.32, 70.00, 3\n"
OTHER = "NVIDIA H200, 570.86.15, P0, 1980, 1980, 3201, 33, 77.10, 700.00, 0\n"
ORIN_SMI = "Orin (nvgpu), 540.4.0, [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]\n"


def test_a_jetson_by_its_files(tmp_path: Path) -> None:
    system = System(jetson_root(tmp_path), Tools(nvidia_smi=ORIN_SMI))
    told = system.provenance("Orin (nvgpu)")
    assert told["machine"] == f"{BOARD} (Orin (nvgpu))"
    assert told["is_jetson"]
    assert told["board"] == BOARD
    assert told["l4t"] == "36.4.3"
    assert told["jetpack"].startswith("6.")
    assert told["nvpmodel"] == "MODE_30W (2)"
    assert told["clocks_pinned"] == {"cpu": True, "gpu": False}
    assert told["driver"] == "540.4.0"
    assert told["cuda_toolkit"] == "12.6.11"


def test_clocks_temperatures_and_power_of_a_jetson(tmp_path: Path) -> None:
    system = System(jetson_root(tmp_path), Tools(tegrastats=TEGRASTATS))
    state = system.state("Orin")
    assert state["gpu_mhz"] == pytest.approx(306)
    assert state["gpu_max_mhz"] == pytest.approx(1300.5)
    assert state["memory_mhz"] == 2133  # the file is root's: tegrastats says it
    assert state["cpu_mhz"] == [pytest.approx(2201.6)]
    assert state["temperatures_c"] == {"cpu-thermal": pytest.approx(45.156)}
    assert state["power_w"] == {"VDD_GPU_SOC": pytest.approx(19.984 * 0.12)}
    assert state["gpu_busy_percent"] == 7


def test_tegrastats_stands_in_for_files_that_are_not_there(tmp_path: Path) -> None:
    root = jetson_root(tmp_path, without=("thermal", "ina3221"))
    system = System(root, Tools(tegrastats=TEGRASTATS + TEGRASTATS[: len(TEGRASTATS) // 2]))
    state = system.state("Orin")  # the second line is not whole yet
    assert state["temperatures_c"] == {"cpu": 45.2, "tj": 46.0, "gpu": -256.0}
    assert state["power_w"] == {"VDD_GPU_SOC": 2.0, "VDD_CPU_CV": 0.4, "VIN_SYS_5V0": 3.1}


def test_the_memory_clock_of_root(tmp_path: Path) -> None:
    rate = jetson_root(tmp_path) / "sys/kernel/debug/bpmp/debug/clk/emc/rate"
    rate.parent.mkdir(parents=True)
    rate.write_text("3199000000\n")
    assert System(tmp_path, Tools()).state(None)["memory_mhz"] == pytest.approx(3199)


@pytest.mark.parametrize(
    ("status", "conf", "prints", "expected"),
    [
        ("pmode:0000", "< POWER_MODEL ID=0 NAME=MAXN >", "", "MAXN (0)"),
        ("pmode:0003", "< POWER_MODEL ID=0 NAME=MAXN >", "", "unnamed (3)"),
        (None, "", "NV Power Mode: 15W\n1\n", "15W (1)"),
        (None, "", "NV Power Mode: MAXN_SUPER\n", "MAXN_SUPER (?)"),
        (None, "", "", None),
    ],
)
def test_power_mode(
    tmp_path: Path, status: str | None, conf: str, prints: str, expected: str | None
) -> None:
    root = jetson_root(tmp_path, without=("nvpmodel",))
    if status is not None:
        (root / "var/lib/nvpmodel").mkdir(parents=True)
        (root / "var/lib/nvpmodel/status").write_text(status)
    (root / "etc/nvpmodel.conf").write_text(conf)
    assert System(root, Tools(nvpmodel=prints)).power_mode() == expected


def test_a_pc_by_nvidia_smi(tmp_path: Path) -> None:
    tools = Tools(nvidia_smi=OTHER + SMI, tegrastats=TEGRASTATS)
    system = System(tmp_path, tools)
    told, state = system.provenance("NVIDIA RTX A2000"), system.state("NVIDIA RTX A2000")
    assert told["machine"] == "NVIDIA RTX A2000, not a Jetson"
    assert told["driver"] == "570.86.15"
    assert told["clocks_pinned"] == {"cpu": None, "gpu": None}
    assert state["gpu_mhz"] == 210
    assert state["pstate"] == "P8"
    assert state["power_w"] == {"gpu": 6.32}
    assert state["temperatures_c"] == {"nvidia-smi gpu": 41}
    assert state["gpu_busy_percent"] == 3
    assert "tegrastats" not in tools.asked


def test_which_of_two_alike_was_measured_is_not_guessed(tmp_path: Path) -> None:
    state = System(tmp_path, Tools(nvidia_smi=SMI + SMI)).state("NVIDIA RTX A2000")
    assert state["gpu_mhz"] is None
    assert state["power_w"] is None


def test_jetson_software_does_not_make_a_jetson(tmp_path: Path) -> None:
    release = tmp_path / "etc/nv_tegra_release"
    release.parent.mkdir()
    release.write_text(RELEASE)
    system = System(tmp_path, Tools(nvidia_smi=OTHER))
    assert system.name_of("NVIDIA H200") == "NVIDIA H200, not a Jetson"
    assert not system.provenance("NVIDIA H200")["is_jetson"]


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    system = System(tmp_path, Tools())
    told = system.provenance(None)
    for name in ("board", "l4t", "jetpack", "nvpmodel", "driver", "cuda_toolkit"):
        assert told[name] is None, name
    assert set(system.state(None).values()) == {None}
    assert system.power_w(None) == {}


def test_the_driver_module_speaks_where_nvidia_smi_does_not(tmp_path: Path) -> None:
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n"
    )
    assert System(tmp_path, Tools()).provenance("x")["driver"] == "540.4.0"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo here", "here\n"),
        ("echo said; exit 1", None),
        ("echo a line; exec sleep 60", "a line\n"),
        ("exec sleep 60", None),
    ],
)
def test_a_tool_is_waited_for_no_longer_than_asked(script: str, expected: str | None) -> None:
    begun = monotonic()
    assert ask_tool(["sh", "-c", script], 1.0) == expected
    assert monotonic() - begun < 30  # bounded; how fast is the machine's business


def test_a_missing_tool_says_nothing() -> None:
    assert ask_tool(["no-such-tool-as-this"]) is None
