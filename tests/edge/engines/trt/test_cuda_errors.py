"""CUDA's errors by code and by text, and CUDA's own names and texts for them."""

from __future__ import annotations

import pytest

from edge.engines.trt.cuda_errors import CUDA_ERRORS, code_in, device_error, error_in_log


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cuMemAlloc failed: out of memory", 2),
        ("cuStreamQuery failed: an illegal memory access was encountered", 700),
        ("(cudaError 35: CUDA driver version is insufficient for CUDA runtime version)", 35),
        ("CUDA initialization failure with error: 35. Please check your installation", 35),
        ("Error Code 1: Cuda Runtime (unspecified launch failure)", 719),
        ("Error Code 4: API Usage Error (Network must have at least one output)", None),
        ("Requested amount of GPU memory (1024 bytes) could not be allocated.", 2),
        ("cuEventElapsedTime failed: device not ready", None),
    ],
)
def test_codes_are_read_from_what_libraries_say(text: str, code: int | None) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize("code", sorted(CUDA_ERRORS))
def test_every_error_has_its_type_name_and_one_line(code: int) -> None:
    name, text = CUDA_ERRORS[code]
    by_code = device_error("doing this", code=code)
    by_text = device_error("doing this", f"cuThis failed: {text}")
    assert type(by_code) is type(by_text)
    for error in (by_code, by_text):
        assert name in str(error)
        assert str(error).startswith("doing this: ")
        assert len(str(error).splitlines()) == 1
    in_log = error_in_log("it", ["all is well", f"Cuda Runtime ({text})"])
    assert in_log is None or type(in_log) is type(by_code)


def test_an_unknown_code_is_told_by_its_number() -> None:
    assert "CUDA error 12345" in str(device_error("doing this", code=12345))


def test_names_and_texts_of_errors_are_cudas_own() -> None:
    """The runtime gives the texts without a driver; the names are those of the driver's enum."""
    runtime, driver = (
        pytest.importorskip(
            f"cuda.bindings.{part}",
            reason="cuda.bindings is not here: install '.[jetson]'",
            exc_type=ImportError,
        )
        for part in ("runtime", "driver")
    )
    names = {int(member): member.name for member in driver.CUresult}
    for code, (name, text) in CUDA_ERRORS.items():
        assert runtime.cudaGetErrorString(runtime.cudaError_t(code))[1].decode() == text
        assert name in (names.get(code), runtime.cudaError_t(code).name)
