"""Settings and fixtures that every test shares."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from edge.bundle import Bundle, load_bundle, read_bundle
from edge.conditioning import Conditioning
from edge.leads import INDEPENDENT_LEADS, LEADS
from firmware_bridge.simulators.ecg import EcgSimulator

if TYPE_CHECKING:
    from quantize.data import Records
    from quantize.student import Student

# A slow machine is no failure: what is claimed of speed is measured by `benchmarks`, never by a test.
settings.register_profile("leadlift", deadline=None)
settings.load_profile("leadlift")


@pytest.fixture(scope="session")
def moments() -> np.ndarray:
    """Second moments of the simulator's leads, (8, 8) mV^2, lifted from the dipole's rank of 3."""
    ecg = EcgSimulator(250.0, seed=7).read(2500)[[LEADS.index(name) for name in INDEPENDENT_LEADS]]
    ecg = ecg.astype(np.float64) - ecg.mean(1, keepdims=True)
    return ecg @ ecg.T / ecg.shape[1] + 0.01 * np.eye(8)


@pytest.fixture(scope="session")
def tiny_student() -> Student:
    """A student of small shape with random weights, heads included, folded and with scales."""
    torch = pytest.importorskip(
        "torch", reason="the tiny bundle needs torch: install leadlift[test]"
    )
    from quantize.student import Student, StudentConfig

    with torch.random.fork_rng():
        torch.manual_seed(5)
        student = Student(StudentConfig(channels=16, kernel=3, dilations=(1, 2, 4)))
        for head in (student.residual_head, student.sigma_head):
            torch.nn.init.normal_(head.conv.weight, std=0.05)
        # Twice the clipping range of the stem: no code above 127, whatever the signal.
        loud = torch.randn(8, 3, 4, 200).cumsum(-1).clamp(-8.0, 8.0)
        anchor = torch.randn(8, 5, 3)
    student.eval().fold().set_mode("observe")
    with torch.no_grad():
        student(loud, torch.ones(8, 3, 200), anchor)
    for quantizer in student.quantizers():
        if quantizer.seen:
            quantizer.scale_from_seen(1.0)
            quantizer.scale *= 1.5  # a part of the values is observed; the largest may not be
    return student.set_mode("quantize")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_student: Student, moments: np.ndarray) -> Bundle:
    """A bundle that was never trained: small, quick, and its residual is not zero."""
    pytest.importorskip("onnx", reason="the tiny bundle needs onnx: install leadlift[test]")
    from quantize.export import bundle_from_student

    return read_bundle(bundle_from_student(tiny_student, moments, Conditioning(), name="tiny"))


@pytest.fixture(scope="session")
def untrained_bundle(moments: np.ndarray) -> Bundle:
    """A bundle of a student as it is before the first step of training: the linear map."""
    torch = pytest.importorskip("torch", reason="the untrained bundle needs torch: leadlift[test]")
    from quantize.export import bundle_from_student
    from quantize.student import Student, StudentConfig

    with torch.random.fork_rng():
        torch.manual_seed(6)
        student = Student(StudentConfig(channels=8, kernel=3, dilations=(1,)))
    student.eval().fold().set_mode("quantize")
    for quantizer in student.quantizers():
        quantizer.scale.fill_(0.05)
    return read_bundle(bundle_from_student(student, moments, Conditioning(), name="untrained"))


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    """The bundle inside the package."""
    return load_bundle()


@pytest.fixture(scope="session")
def any_bundle(request: pytest.FixtureRequest) -> Bundle:
    """The tiny bundle where torch can make it, else (the device part alone) the one that ships."""
    tools = all(importlib.util.find_spec(name) for name in ("torch", "onnx"))
    found: Bundle = request.getfixturevalue("tiny_bundle" if tools else "shipped_bundle")
    return found


@pytest.fixture(scope="session")
def ptbxl_fold10() -> Records:
    """The PTB-XL records that nothing was trained on or chosen on."""
    pytest.importorskip("scipy", reason="real records need scipy: install leadlift[test]")
    from quantize.data import data_folder, load
    from quantize.errors import QuantizeError

    try:
        return load("test", data_folder())
    except QuantizeError as error:
        pytest.skip(f"real records are not here: {error}")
