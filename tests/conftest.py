"""Settings and fixtures that every test shares."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from edge.bundle import Bundle, load_bundle, read_bundle
from edge.leads import (
    INDEPENDENT_LEADS,
    INPUT_LEADS,
    LEADS,
    RECONSTRUCTED_LEADS,
    lead_indices,
)
from edge.signal.anchor import anchor_from_moments
from edge.signal.conditioning import Conditioner, Conditioning
from firmware_bridge.simulators.ecg import EcgSimulator

if TYPE_CHECKING:
    from torch import Tensor

    from quantize.data import Records
    from quantize.student import Quantizer, Student

# A shell's background job ignores Ctrl-C, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LSL_CONFIGURATION = """[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
ListenAddress = 127.0.0.1
[lab]
SessionID = {session}
KnownPeers = {{127.0.0.1}}
[log]
level = -3
"""
NOT_BY_DEFAULT = "not slow and not gpu"
MOST_PROCESSES = 4
SLOW_S = 3600.0  # a day of a recording is a quarter of an hour

# A slow machine is no failure: what is claimed of speed is measured by `benchmarks`, never by a test.
settings.register_profile("leadlift", deadline=None)
settings.load_profile("leadlift")


def pytest_configure(config: pytest.Config) -> None:
    """What tests do over LSL stays on this machine, and apart from other runs and processes of the tests.

    Engines are compiled and timed once a run, as on a fresh machine; its processes share them.
    """
    if "LEADLIFT_CACHE" not in os.environ:
        os.environ["LEADLIFT_CACHE"] = str(_folder(config, "leadlift-engines-"))
    if "LSLAPICFG" not in os.environ or hasattr(config, "workerinput"):
        name = _folder(config, "leadlift-lsl-") / "lsl_api.cfg"
        name.write_text(LSL_CONFIGURATION.format(session=f"tests-{os.getpid()}"))
        os.environ["LSLAPICFG"] = str(name)


def _folder(config: pytest.Config, prefix: str) -> Path:
    """A new folder that lives as long as this process of the tests."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite, as `pytest` alone runs it, takes a process for each core, up to four.

    `-n 0` takes one. What is selected by path, name or mark is mostly short, or needs the machine for itself.
    """
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or option.numprocesses is not None:
        return
    if hasattr(config, "workerinput"):  # this is one of them
        return
    whole = config.args_source is config.ArgsSource.TESTPATHS and option.markexpr == NOT_BY_DEFAULT
    by_name = option.keyword or option.collectonly or config.getoption("lf", False)
    cores = min(MOST_PROCESSES, os.cpu_count() or 1)
    if whole and not by_name and option.capture != "no" and cores > 1:
        option.numprocesses, option.dist = (
            cores,
            "worksteal",
        )  # neighbours share fixtures: stay together


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs against the wall clock is tried again: a virtual machine may stop for half a second.

    Browsers do, too. What is slow has more time than setup.cfg gives.
    """
    for item in items:
        if item.get_closest_marker("realtime") or item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_S))


@pytest.fixture(scope="session")
def moments() -> np.ndarray:
    """Second moments of the simulator's leads, (8, 8) mV^2, lifted from the dipole's rank of 3."""
    ecg = EcgSimulator(250.0, seed=7).read(2500)[[LEADS.index(name) for name in INDEPENDENT_LEADS]]
    ecg = ecg.astype(np.float64) - ecg.mean(1, keepdims=True)
    return ecg @ ecg.T / ecg.shape[1] + 0.01 * np.eye(8)


@pytest.fixture(scope="session")
def tiny_student(moments: np.ndarray) -> Student:
    """A student of small shape with random weights, heads included, folded and with scales."""
    torch = pytest.importorskip("torch", reason="the tiny bundle needs torch: install '.[test]'")
    from quantize.student import Student, StudentConfig

    with torch.random.fork_rng():
        torch.manual_seed(5)
        student = Student(StudentConfig(channels=16, kernel=3, dilations=(1, 2, 4)))
        for head in (student.residual_head, student.sigma_head):
            torch.nn.init.normal_(head.conv.weight, std=0.1)
    simulator = EcgSimulator(250.0, 80, baseline_mv=0.1, muscle_mv=0.02, seed=9)
    leads = simulator.read(4000)[lead_indices(INPUT_LEADS)]
    seen = Conditioner(Conditioning(), 250.0, 3, 4).push(leads)[1]
    ecg = torch.from_numpy(seen.reshape(1, 3, -1, 4).swapaxes(2, 3).copy())
    anchor = torch.from_numpy(anchor_from_moments(moments, INPUT_LEADS, RECONSTRUCTED_LEADS))
    student.eval().fold().set_mode("off")

    def set_scale(quantizer: Quantizer, inputs: tuple[Tensor], _: Tensor) -> None:
        quantizer.scale.copy_(1.3 * inputs[0].abs().max() / 127)  # no code above 127

    # The range of the first is chosen, not observed.
    hooks = [q.register_forward_hook(set_scale) for q in student.quantizers()[1:]]
    with torch.no_grad():
        student(ecg, torch.ones(1, 3, ecg.shape[-1]), anchor[None])
    for hook in hooks:
        hook.remove()
    return student.set_mode("quantize")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_student: Student, moments: np.ndarray) -> Bundle:
    """A bundle that was never trained: small, quick, and its residual is not zero."""
    pytest.importorskip("onnx", reason="the tiny bundle needs onnx: install '.[test]'")
    from quantize.export import bundle_from_student

    return read_bundle(bundle_from_student(tiny_student, moments, Conditioning(), name="tiny"))


@pytest.fixture(scope="session")
def untrained_bundle(moments: np.ndarray) -> Bundle:
    """A bundle of a student as it is before the first step of training: the linear map."""
    torch = pytest.importorskip("torch", reason="the untrained bundle needs torch: '.[test]'")
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
    pytest.importorskip("scipy", reason="real records need scipy: install '.[test]'")
    from quantize.data import data_folder, load
    from quantize.errors import QuantizeError

    try:
        return load("test", data_folder())
    except QuantizeError as error:
        pytest.skip(f"real records are not here: {error}")
