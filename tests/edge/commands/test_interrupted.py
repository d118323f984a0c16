"""A reconstruction, or a sheet, that is interrupted: what was there stays, and it can be done again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge.cli import main
from edge.files.records import open_record
from firmware_bridge.aside import PREFIX
from tests.edge.commands.conftest import Spawn
from tests.edge.commands.under import python_of_files_up_to

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them"),
]
HZ = 250


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three leads of twenty minutes."""
    monkeypatch.chdir(tmp_path)
    ecg = np.random.default_rng(1).normal(0, 0.2, (3, 1200 * HZ)).astype(np.float32)
    np.savez("in.npz", ecg_mv=ecg, leads=np.array(["II", "V1", "V5"]), sampling_hz=float(HZ))
    return tmp_path


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("o.csv", signal.SIGINT),
        ("o.csv", signal.SIGTERM),
        ("o.csv", signal.SIGKILL),
        ("o.npz", signal.SIGTERM),
        ("o.hea", signal.SIGKILL),
        ("o.pdf", signal.SIGTERM),
    ],
)
def test_what_was_there_stays_and_it_can_be_done_again(
    output: str, number: signal.Signals, here: Path, leadlift: Spawn
) -> None:
    sheet = output.endswith(".pdf")
    if sheet:
        pytest.importorskip("matplotlib", reason="sheets are drawn with it: install '.[plot]'")
    (here / output).write_text("old")
    command = ["plot", "in.npz", "-o", output, "--seconds", "600"]
    command = command if sheet else ["reconstruct", "in.npz", output]
    child = leadlift(*command, "--overwrite")
    for _ in range(1200):
        if list(here.glob(f"{PREFIX}*/*")):
            break
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    names = {path.name for path in here.iterdir() if not path.name.startswith(PREFIX)}
    assert names == {"in.npz", output}
    assert (here / output).read_text() == "old"
    if number is not signal.SIGKILL:
        assert child.returncode == 1
        assert said.splitlines()[-1] == "leadlift: interrupted"
        assert not list(here.glob(f"{PREFIX}*"))
    with np.load("in.npz") as whole:
        short = {**whole, "ecg_mv": whole["ecg_mv"][:, : 5 * HZ]}
    np.savez("in.npz", **short)
    command[-1] = "5" if sheet else output
    assert main([*command, "--overwrite"]) == 0
    if not sheet:
        with open_record(output) as record:
            assert record.n_samples == 5 * HZ


def test_a_full_disk_leaves_nothing(here: Path) -> None:
    command = [*python_of_files_up_to(50_000), "-m", "edge.cli", "reconstruct", "in.npz", "o.csv"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 1
    (line,) = (one for one in child.stderr.splitlines() if "error" in one)
    assert line.startswith(
        "leadlift: error: cannot write o.csv: File too large; nothing of it was left"
    )
    assert {path.name for path in here.iterdir()} == {"in.npz"}


def test_what_a_format_cannot_be_called_is_said_of_the_name_that_was_given(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", "in.npz", "no name.hea"]) == 2
    assert "error: no name.hea: a WFDB record's name" in capsys.readouterr().err
