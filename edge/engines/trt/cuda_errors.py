"""What CUDA says went wrong, as typed errors: by code, or by the text that pycuda and TensorRT give."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge.errors import DeviceError, DeviceLostError, DeviceMemoryError, DriverError

OUT_OF_MEMORY = 2

CUDA_ERRORS: dict[int, tuple[str, str]] = {
    1: ("CUDA_ERROR_INVALID_VALUE", "invalid argument"),
    OUT_OF_MEMORY: ("CUDA_ERROR_OUT_OF_MEMORY", "out of memory"),
    3: ("CUDA_ERROR_NOT_INITIALIZED", "initialization error"),
    35: (
        "cudaErrorInsufficientDriver",
        "CUDA driver version is insufficient for CUDA runtime version",
    ),
    36: (
        "cudaErrorCallRequiresNewerDriver",
        "API call is not supported in the installed CUDA driver",
    ),
    46: ("CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"),
    100: ("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"),
    101: ("CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"),
    201: ("CUDA_ERROR_INVALID_CONTEXT", "invalid device context"),
    214: ("CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"),
    222: (
        "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        "the provided PTX was compiled with an unsupported toolchain.",
    ),
    700: ("CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"),
    702: ("CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"),
    709: ("CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"),
    710: ("CUDA_ERROR_ASSERT", "device-side assert triggered"),
    714: ("CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error"),
    715: ("CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"),
    716: ("CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"),
    717: (
        "CUDA_ERROR_INVALID_ADDRESS_SPACE",
        "operation not supported on global/shared address space",
    ),
    718: ("CUDA_ERROR_INVALID_PC", "invalid program counter"),
    719: ("CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"),
    803: (
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "system has unsupported display driver / cuda driver combination",
    ),
    804: (
        "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
        "forward compatibility was attempted on non supported HW",
    ),
    900: (
        "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        "operation not permitted when stream is capturing",
    ),
    901: (
        "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        "operation failed due to a previous error during capture",
    ),
    999: ("CUDA_ERROR_UNKNOWN", "unknown error"),
}
"""Code -> CUDA's name and text. Driver and runtime share the numbers; 35 and 36 have the runtime's names."""

DRIVER = frozenset({3, 35, 36, 222, 803, 804})
LOST = frozenset({46, 100, 201, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})
NO_DEVICE = frozenset({46, 100, 101, 802, 999})
"""While opening these say that there is no usable GPU, later that it went away."""

_BY_LENGTH = sorted(CUDA_ERRORS, key=lambda code: -len(CUDA_ERRORS[code][1]))
_CODE = re.compile(r"(?:cudaError|Cuda failure:?|with error:?)\s*(\d+)")
_NO_MEMORY = re.compile(r"GPU memory .* could not be allocated|OutOfMemory|out of memory", re.I)

_DRIVER_ADVICE = (
    "on a Jetson take the driver, CUDA and TensorRT of one JetPack; on a workstation update the driver"
    " (nvidia-smi names it)"
)
_MEMORY_ADVICE = "close other programs that use the GPU"
_LOST_ADVICE = (
    "open the engine again; if it comes back, dmesg says what the driver saw (Xid or nvgpu)"
)


def code_in(text: str) -> int | None:
    """The CUDA error that a message of pycuda or a line of TensorRT's log is about, if any."""
    if found := _CODE.search(text):
        return int(found.group(1))
    if _NO_MEMORY.search(text):
        return OUT_OF_MEMORY
    return next((code for code in _BY_LENGTH if CUDA_ERRORS[code][1] in text), None)


def device_error(
    what: str, text: str = "", code: int | None = None, *, opening: bool = False
) -> DeviceError:
    """The typed error of `what` was being done when CUDA said `text` or `code`; one line."""
    if code is None:
        code = code_in(text)
    name, meaning = CUDA_ERRORS.get(code or 0, (f"CUDA error {code}" if code else "", ""))
    said = " ".join((text or meaning).split())
    told = f"{what}: {said} ({name})" if said and name else f"{what}: {said or name}"
    if code in DRIVER or (opening and code in NO_DEVICE):
        return DriverError(f"{told}: {_DRIVER_ADVICE}")
    if code == OUT_OF_MEMORY:
        return DeviceMemoryError(f"{told}: {_MEMORY_ADVICE}")
    if code in LOST:
        return DeviceLostError(f"{told}: {_LOST_ADVICE}")
    return DeviceError(f"{told}: if it comes back, report it with this line")


def error_in_log(what: str, lines: Iterable[str]) -> DeviceError | None:
    """The typed error of the first line that blames the GPU, if one does."""
    for line in lines:
        code = code_in(line)
        if code in DRIVER or code in LOST or code == OUT_OF_MEMORY:
            return device_error(what, line, code)
    return None
