"""What is given for a file and is none: a device without end, an empty name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge.cli import main
from tests.edge.commands.under import python_after

IN_4_GB = python_after("resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))")
RUN = ["run", "--source", "sim:", "--sink", "file:a.csv", "--seconds", "1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*RUN, "--report", "/dev/full"], "cannot write the report /dev/full: No space left"),
        (["run", "--profile", "x", "--config", "/dev/zero"], "is no TOML: it has more than 1 MB"),
        (["fleet", "--devices", "/dev/zero", "--add-device", "x"], "/dev/zero is a folder, a device"),
    ],
    ids=["report", "profiles", "devices"],
)  # fmt: skip
def test_a_device_without_end_is_not_read(arguments: list[str], says: str, tmp_path: Path) -> None:
    command = [*IN_4_GB, "-m", "edge.cli", *arguments]
    child = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert child.returncode in (1, 2)
    assert child.stderr.splitlines()[-1].startswith("leadlift: error: ")
    assert says in child.stderr
    assert "Traceback" not in child.stderr


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["reconstruct", "", "o.csv"], "after reconstruct"),
        (["reconstruct", "in.csv", ""], "after in.csv"),
        (["plot", "in.csv", "-o", ""], "after -o"),
        (["run", "--source", "sim:", "--report", ""], "after --report"),
        (["run", "--source", "sim:", "--patient="], "of --patient"),
        (["monitor", "sim:", "--capture", ""], "after --capture"),
        ([""], "after leadlift"),
    ],
    ids=" ".join,
)
def test_an_empty_name_is_no_folder(
    arguments: list[str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert (
        said.err
        == f"leadlift: error: the argument {where} is empty: give a name, or leave it out\n"
    )
    assert said.out == ""
