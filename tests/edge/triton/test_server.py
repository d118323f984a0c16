"""The real Triton on a repository that `leadlift export-triton` wrote: bits, errors, example, probe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.leads import LEADS
from edge.reconstructor import Reconstructor
from edge.samples import TwelveLeadBlock
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.signals import joined
from tests.edge.triton.server import ROOT, Server, served, triton_python

pytestmark = pytest.mark.slow

PATIENTS, FRAME, FRAMES = 24, 50, 40
CLIENT = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import tritonclient.grpc as triton

address, name, frame = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = triton.InferenceServerClient(address)
signals = np.load(name)
made = {}

def ask(key, ecg_mv, **options):
    samples = triton.InferInput("ecg_mv", [1, *ecg_mv.shape], "FP32")
    samples.set_data_from_numpy(np.ascontiguousarray(ecg_mv[None]))
    return client.infer("leadlift", [samples], sequence_id=key, **options)

n = next(iter(signals.values())).shape[1]
crowd = ThreadPoolExecutor(len(signals.files))
for at in range(0, n, frame):
    def next_of(key, leads):
        return ask(
            key, signals[leads][:, at : at + frame], sequence_start=at == 0, sequence_end=at + frame >= n,
            parameters={"leads": leads.split()[1]},
        )

    answers = crowd.map(next_of, range(1, len(signals.files) + 1), signals.files)
    for leads, answer in zip(signals.files, answers):
        for output in ("ecg_mv", "sigma_mv", "quality"):
            made.setdefault(f"{leads} {output}", []).append(answer.as_numpy(output)[0])
np.savez(name, **{key: np.concatenate(parts, 1) for key, parts in made.items()})
said = []
for shape, options in (((2, 8), {}), ((3, 8), {"parameters": {"leads": "V9"}})):
    try:
        ask(999, np.zeros(shape, np.float32), sequence_start=True, **options)
    except triton.InferenceServerException as error:
        said.append(error.message())
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    triton_python()
    work = tmp_path_factory.mktemp("triton")
    assert main(["export-triton", str(work / "models"), "--engine", "onnxruntime"]) == 0
    with served(work / "models", work) as running:
        yield running


def run(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [server.python, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=server.environment
    )


def test_each_patient_has_what_a_reconstructor_makes(server: Server, tmp_path: Path) -> None:
    sets = [("II", "V1", "V5"), ("I", "II"), ("V3",)]
    signals = {}
    for number in range(PATIENTS):
        leads = sets[number % len(sets)]
        ecg = EcgSimulator(250.0, 60 + number, seed=number)
        rows = [LEADS.index(lead) for lead in leads]
        signals[f"{number} {','.join(leads)}"] = ecg.read(FRAME * FRAMES)[rows].astype(np.float32)
    path = tmp_path / "signals.npz"
    np.savez(path, **signals)
    done = run(server, "-c", CLIENT, server.grpc, str(path), str(FRAME))
    assert done.returncode == 0, done.stderr + server.log.read_text()[-2000:]
    made = np.load(path)
    for name, ecg_mv in signals.items():
        with Reconstructor.open(engine="onnxruntime", leads=name.split()[1].split(",")) as r:
            alone: TwelveLeadBlock = joined(
                [r.push(ecg_mv[:, at : at + r.hop]) for at in range(0, ecg_mv.shape[1], r.hop)]
            )
        np.testing.assert_array_equal(made[f"{name} quality"], alone.quality)
        # The server's Python has a NumPy of its own: 1e-5 mV, and the same bits where it is the same one.
        np.testing.assert_allclose(made[f"{name} ecg_mv"], alone.ecg_mv, atol=1e-5, rtol=0)
        np.testing.assert_allclose(made[f"{name} sigma_mv"], alone.sigma_mv, atol=1e-5, rtol=0)
    shape, lead = json.loads(done.stdout)
    assert "sequence 999: expected (3, n) samples" in shape
    assert "unknown lead 'V9'" in lead


def test_the_example_streams(server: Server) -> None:
    done = run(server, str(ROOT / "examples" / "triton_client.py"), server.grpc, "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [int(line.split(":")[0]) for line in lines] == list(range(0, 480, 40))
    assert all("+- 0.000" not in line for line in lines), "V5 is an estimate"


def test_a_probe_tells_a_dead_model_where_readiness_does_not(server: Server) -> None:
    """The last of this file: the server is of no use after it."""
    probe = (str(ROOT / "examples" / "triton_client.py"), server.grpc, "--probe")
    assert run(server, *probe).returncode == 0
    tasks = Path(f"/proc/{server.process.pid}/task")
    children = {pid for one in tasks.glob("*/children") for pid in one.read_text().split()}
    (stub,) = [
        int(pid)
        for pid in children
        if b"python_backend_stub" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(stub, signal.SIGSTOP)
    try:
        done = run(server, *probe)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("lost 40 samples: ")
    finally:
        os.kill(stub, signal.SIGCONT)
    os.kill(stub, signal.SIGKILL)
    with urllib.request.urlopen(f"http://{server.http}/v2/health/ready", timeout=5) as ready:
        assert ready.status == 200, "this is why the probe makes an inference"
    assert run(server, *probe).returncode == 1
