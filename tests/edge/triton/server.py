"""The real Triton, of the wheel `nvidia-pytriton`, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STARTS_S = 60.0
HOW = (
    "Triton is not here: `python -m venv T && T/bin/pip install nvidia-pytriton onnxruntime`, and"
    " LEADLIFT_TRITON_PYTHON=T/bin/python (200 MB; in a place of its own, since it takes NumPy 1.26)"
)
_PLACES = (
    "import os, pytriton, site, sys; print(os.path.dirname(pytriton.__file__), site.getsitepackages()[0],"
    " sys.base_prefix, '%d.%d' % sys.version_info[:2], sep='\\n')"
)


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    python: str
    """Of the environment with the server and its client."""
    environment: dict[str, str]
    http: str
    grpc: str
    process: subprocess.Popen[bytes]
    log: Path


def triton_python() -> str:
    """The Python that has Triton; skips the test where none has."""
    python = os.environ.get("LEADLIFT_TRITON_PYTHON", sys.executable)
    found = subprocess.run(
        [python, "-c", "import pytriton, tritonclient.grpc"], capture_output=True, check=False
    )
    if found.returncode:
        pytest.skip(HOW)
    return python


@contextmanager
def served(repository: Path, work: Path) -> Iterator[Server]:
    """A server of this model repository; `work` is for what it writes."""
    python = triton_python()
    places = subprocess.run([python, "-c", _PLACES], capture_output=True, text=True, check=True)
    package, site, base, version = map(str, places.stdout.split("\n")[:4])
    backends = work / "backends"
    shutil.copytree(Path(package) / "tritonserver/backends/python", backends / "python")
    stub = "triton_python_backend_stub"
    shutil.copy(
        Path(package) / "tritonserver/python_backend_stubs" / version / stub, backends / "python"
    )
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{base}/lib:{Path(site) / 'nvidia_pytriton.libs'}",
        "PATH": f"{Path(python).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{site}",
    }
    http, grpc = _free_ports(2)
    command = [
        str(Path(package) / "tritonserver/bin/tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        *("--http-address=127.0.0.1", f"--http-port={http}"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={grpc}"),
        "--allow-metrics=false",
        "--exit-timeout-secs=5",
    ]
    log = work / "triton.log"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{http}/v2/health/ready", process, log)
            yield Server(
                python, environment, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", process, log
            )
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_ports(n: int) -> list[int]:
    found = []
    for _ in range(n):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
    return found


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"Triton did not start: {log.read_text(errors='replace')[-3000:]}")
