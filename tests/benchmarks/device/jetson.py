"""A machine as files and tools describe it: an AGX Orin on JetPack 6.2, and a PC with one or two GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

BOARD = "NVIDIA Jetson AGX Orin Developer Kit"
RELEASE = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64,"
    " DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
)
NVPMODEL = """
< PARAM TYPE=CLOCK NAME=GPU >
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MODE_30W >
CPU_ONLINE CORE_0 1
"""
TEGRASTATS = (
    "11-22-2026 12:00:00 RAM 3021/62841MB (lfb 8x4MB) SWAP 0/31420MB (cached 0MB) CPU"
    " [3%@1190,0%@1190,off] EMC_FREQ 0%@2133 GR3D_FREQ 7%@[305,305] cpu@45.2C tj@46C gpu@-256C"
    " VDD_GPU_SOC 2000mW/1900mW VDD_CPU_CV 400mW/400mW VIN_SYS_5V0 3100mW/3000mW\n"
)
FILES = {
    "proc/device-tree/model": f"{BOARD}\0",
    "proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0",
    "etc/nv_tegra_release": RELEASE,
    "etc/nvpmodel.conf": NVPMODEL,
    "var/lib/nvpmodel/status": "pmode:0002",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "45156\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",  # asleep: reading it fails
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "1300500000\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "2201600\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "2201600\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2201600\n",
    "sys/devices/system/cpu/cpufreq/boost": "1\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/in1_label": "VDD_GPU_SOC\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/in1_input": "19984\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/curr1_input": "120\n",
    "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/in7_label": "sum of shunt voltages\n",
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
}


def jetson_root(folder: Path, without: Sequence[str] = ()) -> Path:
    """The files of an AGX Orin under `folder`, but for those whose path holds one of `without`."""
    for name, text in FILES.items():
        if not any(part in name for part in without):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


class Tools:
    """Tools that print what they are given to print; the others are missing."""

    def __init__(self, **prints: str) -> None:
        self.prints, self.asked = prints, list[str]()

    def __call__(self, command: Sequence[str], seconds: float) -> str | None:
        self.asked.append(command[0])
        return self.prints.get(command[0].replace("-", "_"))
