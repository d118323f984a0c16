"""What a machine offers TensorRT: JetPack, board, driver, libraries; what is missing and what mends it.

Nothing is imported or run to find out: files, `find_spec` and package metadata answer in milliseconds.
Where the files are read from, and how libcuda is loaded, are given, so that a test can be a Jetson.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.errors import EngineMissingError
from edge.installed import UNKNOWN, installed_version

ROOT = Path("/")
LIBCUDA = "libcuda.so.1"
OLDEST_L4T = (36, 4)
NVIDIA, DISPLAY = "0x10de", "0x03"  # PCI vendor; the first byte of a PCI class


@dataclass(frozen=True)
class JetPack:
    """A generation of JetPack, and what it brings."""

    jetpack: str
    l4t: str
    """The beginning of its L4T releases."""
    tensorrt: str
    cuda: str
    python: str
    """The one that its `tensorrt` is built for."""
    cuda_bindings: str
    """The range of cuda-bindings that goes with its CUDA."""
    boards: str


JETPACKS = (
    JetPack("6.1, 6.2", "36.4", "10.3", "12.6", "3.10", ">=12.9,<13", "Orin"),
    JetPack("6.2.2, 6.2.3", "36.5", "10.3", "12.6", "3.10", ">=12.9,<13", "Orin"),
    JetPack("7.0, 7.1", "38", "10.13.3", "13.0", "3.12", ">=13,<14", "Thor"),
    JetPack("7.2", "39.2", "10.16.2", "13.2", "3.12", ">=13,<14", "Orin, Thor"),
)
"""As read in NVIDIA's documents and in reports of owners; not yet seen on a Jetson of ours. 5.x and 6.0 are
not here: their TensorRT 8 is older than what leadlift builds with, and was not looked up."""


def l4t_release(root: Path = ROOT) -> str | None:
    """`36.4.3`, from /etc/nv_tegra_release; None where that is no Jetson."""
    found = re.match(
        r"#\s*R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", _text(root / "etc/nv_tegra_release")
    )
    return None if found is None else f"{found[1]}.{found[2].rstrip('.')}"


def board_model(root: Path = ROOT) -> str | None:
    """`NVIDIA Jetson Orin Nano Developer Kit`, from the device tree; None where there is none."""
    return _text(root / "proc/device-tree/model").strip("\0 \n") or None


def row_for(l4t: str | None) -> JetPack | None:
    """The row of an L4T release: its own, or the newest older one of the same major, whose CUDA it has.

    None for no Jetson, and for a release that is older than the table or of another major.
    """
    if l4t is None:
        return None
    release = _release(l4t)
    rows = [r for r in JETPACKS if _release(r.l4t) <= release and _release(r.l4t)[0] == release[0]]
    return max(rows, key=lambda row: _release(row.l4t), default=None)


def in_table(l4t: str) -> bool:
    """Whether the table names this release itself."""
    return any(f"{l4t}.".startswith(f"{row.l4t}.") for row in JETPACKS)


def driver_release(root: Path = ROOT) -> str | None:
    """Version of the loaded NVIDIA kernel module, `540.4.0`; None without one."""
    said = _text(root / "proc/driver/nvidia/version")
    found = re.search(r"Kernel Module\D*?(?:for \S+)?\s+(\d+\.[\d.]+)", said)
    return (found[1] if found else _text(root / "sys/module/nvidia/version").strip()) or None


def nvidia_on_pci(root: Path = ROOT) -> bool:
    """Whether a PCI device is an NVIDIA GPU, with a driver or without."""
    try:
        vendors = sorted((root / "sys/bus/pci/devices").glob("*/vendor"))
    except OSError:  # not ours to read
        return False
    return any(
        _text(vendor).strip() == NVIDIA and _text(vendor.with_name("class")).startswith(DISPLAY)
        for vendor in vendors
    )


@dataclass(frozen=True)
class Machine:
    """What was found; plain values, so that a test can write any machine down."""

    l4t: str | None = None
    board: str | None = None
    driver: str | None = None
    """Of the kernel module."""
    gpu: bool = False
    """There is an NVIDIA GPU: a Jetson, a loaded driver or a PCI device."""
    libcuda: bool = False
    """The driver's library loads."""
    packages: Mapping[str, str | None] | None = None
    """PACKAGES -> version, None where it cannot be imported; `unknown` where it does not say."""
    python: str = "3.10"
    in_venv: bool = False
    system_tensorrt: bool = False
    """JetPack's `tensorrt` lies in the system's site packages, seen from here or not."""
    nvcc: str | None = None
    """Its path, on the PATH or in /usr/local/cuda."""
    nvcc_on_path: bool = False

    @property
    def row(self) -> JetPack | None:
        """The row of JETPACKS that applies."""
        return row_for(self.l4t)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        row = self.row
        return asdict(self) | {"jetpack": None if row is None else asdict(row)}

    def in_words(self) -> str:
        """The JetPack row that applies, in one line."""
        if self.l4t is None:
            return "no Jetson"
        if self.row is None:
            return f"L4T {self.l4t} is not in the table ({', '.join(r.l4t for r in JETPACKS)})"
        r = self.row
        brings = f"TensorRT {r.tensorrt}, CUDA {r.cuda}, Python {r.python}, cuda-bindings {r.cuda_bindings}"
        if not in_table(self.l4t):
            return (
                f"L4T {self.l4t}, newer than the table: taken for JetPack {r.jetpack} (L4T {r.l4t}): "
                f"{brings}"
            )
        return f"JetPack {r.jetpack} (L4T {self.l4t}): {brings}"


PACKAGES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "tensorrt": (("tensorrt",), ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")),
    "tensorrt_rtx": (
        ("tensorrt_rtx", "tensorrt_rtx_bindings"),  # with its shim package, or without
        ("tensorrt-rtx", "tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu12-bindings"),
    ),
    "pycuda": (("pycuda",), ("pycuda",)),
    "cuda-bindings": (("cuda.bindings",), ("cuda-bindings",)),
    "onnx": (("onnx",), ("onnx",)),
}
"""What the tensorrt engine takes: name -> modules, any of which will do; distributions, for the version."""


def package_version(name: str) -> str | None:
    """Version of one of PACKAGES, `unknown` if it does not say; None where it cannot be imported."""
    modules, distributions = PACKAGES[name]
    if not any(importable(module) for module in modules):
        return None
    return next(filter(None, map(installed_version, distributions)), UNKNOWN)


def look(root: Path = ROOT, load: Callable[[str], object] = ctypes.CDLL) -> Machine:
    """This machine. `load` opens a shared library or raises OSError."""
    try:
        load(LIBCUDA)
        libcuda = True
    except OSError:
        libcuda = False
    l4t, driver = l4t_release(root), driver_release(root)
    on_path = shutil.which("nvcc")
    beside = root / "usr/local/cuda/bin/nvcc"
    return Machine(
        l4t=l4t,
        board=board_model(root),
        driver=driver,
        gpu=bool(l4t or driver or libcuda or nvidia_on_pci(root)),
        libcuda=libcuda,
        packages={name: package_version(name) for name in PACKAGES},
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        in_venv=sys.prefix != sys.base_prefix,
        system_tensorrt=any((root / "usr/lib").glob("python3*/dist-packages/tensorrt/__init__.py")),
        nvcc=on_path or (str(beside) if beside.exists() else None),
        nvcc_on_path=on_path is not None,
    )


@dataclass(frozen=True)
class Missing:
    """Something that the tensorrt engine lacks here."""

    what: str
    why: str
    command: str
    """What mends it; empty where nothing does."""
    needed: bool = True
    """False: it works without, in a slower way."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" + (f": {self.command}" if self.command else "")


def missing(machine: Machine) -> list[Missing]:
    """What the tensorrt engine lacks on `machine`, in the order in which to mend it."""
    packages = machine.packages or {}
    lacks = [name for name in PACKAGES if packages.get(name) is None]
    if machine.l4t is None and not {"tensorrt", "tensorrt_rtx"} <= set(lacks):
        lacks = [name for name in lacks if not name.startswith("tensorrt")]  # one of them is enough
    if not machine.gpu:
        why = f"this machine has none ({LIBCUDA} does not load)"
        if lacks:
            why += f"; not installed either: {', '.join(lacks)}"
        return [Missing("an NVIDIA GPU", why, "")]
    found = [] if machine.libcuda else [_driver(machine)]
    if "tensorrt" in lacks:
        found.append(_tensorrt(machine))
    if "pycuda" in lacks:
        found.append(_pycuda(machine))
    if "onnx" in lacks:
        found.append(Missing("onnx", "not installed", "pip install onnx"))
    if bindings := _bindings(machine, packages.get("cuda-bindings")):
        found.append(bindings)
    return found


def require(machine: Machine) -> None:
    """Raise EngineMissingError with all that the tensorrt engine cannot do without and lacks, in a line."""
    lacks = [str(part) for part in missing(machine) if part.needed]
    if lacks:
        raise EngineMissingError(f"the tensorrt engine lacks {'; '.join(lacks)}")


def _driver(machine: Machine) -> Missing:
    if machine.l4t is not None:
        command = "sudo apt install --reinstall nvidia-l4t-cuda (in a container: docker run --runtime nvidia)"
    else:
        command = "sudo ubuntu-drivers install, or as your distribution says; then restart"
    return Missing("NVIDIA driver", f"{LIBCUDA} does not load", command)


def _tensorrt(machine: Machine) -> Missing:
    if machine.l4t is None:
        return Missing("tensorrt or tensorrt_rtx", "not installed", "pip install '.[trt-rtx]'")
    if _release(machine.l4t) < OLDEST_L4T:
        why = f"L4T {machine.l4t} brings one that is older than 10.3"
        return Missing("tensorrt", why, "flash JetPack 6.2 or newer")
    if not machine.system_tensorrt:
        return Missing("tensorrt", "not installed", "sudo apt install nvidia-jetpack")
    python = machine.row.python if machine.row else machine.python
    venv = f"python{python} -m venv --system-site-packages .venv, and install leadlift into it"
    if python != machine.python:
        return Missing(
            "tensorrt", f"JetPack's is for Python {python}, this is {machine.python}", venv
        )
    where = "this virtual environment" if machine.in_venv else f"this Python {machine.python}"
    return Missing("tensorrt", f"{where} does not see JetPack's", venv)


def _pycuda(machine: Machine) -> Missing:
    package = "'.[jetson]'" if machine.l4t is not None else "pycuda"
    if machine.nvcc is None:
        toolkit = (
            "sudo apt install nvidia-jetpack"
            if machine.l4t is not None
            else "install the CUDA toolkit"
        )
        why = "not installed, nor is nvcc, which builds it"
        return Missing("pycuda", why, f"{toolkit}, then pip install {package}")
    path = "" if machine.nvcc_on_path else f"PATH={Path(machine.nvcc).parent}:$PATH "
    return Missing("pycuda", "not installed", f"{path}pip install {package}")


def _bindings(machine: Machine, installed: str | None) -> Missing | None:
    row = machine.row
    if installed is None:
        why = "not installed"
    elif row and installed != UNKNOWN and installed.split(".")[0] != row.cuda.split(".")[0]:
        why = f"{installed} does not go with CUDA {row.cuda}"
    else:
        return None
    why += ", so that each step is enqueued, not launched as a graph"
    wanted = row.cuda_bindings if row else ""
    return Missing("cuda-bindings", why, f"pip install 'cuda-bindings{wanted}'", needed=False)


def importable(module: str) -> bool:
    """Whether there is such a module; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (
        ImportError,
        ValueError,
        AttributeError,
    ):  # of the package around it, or one without a spec
        return False


def _release(l4t: str) -> tuple[int, ...]:
    """Its first two numbers."""
    return tuple(int(n) for n in re.findall(r"\d+", l4t)[:2])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
