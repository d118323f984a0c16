"""What the shell completes on TAB, asked of a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main

pytest.importorskip("shtab", reason="completion needs shtab: install '.[completion]'")
BASH = shutil.which("bash")

ASK = """
source "$1"
shift
COMP_WORDS=(leadlift "$@")
COMP_CWORD=$#
COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
entry=$(complete -p leadlift | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$entry leadlift "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "leadlift"
    command = [sys.executable, "-m", "edge.cli", "completion", "bash"]
    file.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    return file


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["reco"], {"reconstruct"}),
        (["re"], {"reconstruct", "repair"}),
        (["--vers"], {"--version"}),
        (["run", "--prof"], {"--profile"}),
        (["run", "--mains", ""], {"bundle", "50", "60", "none"}),
        (["devices", "--js"], {"--json"}),
        (["completion", ""], {"bash", "zsh", "tcsh"}),
        (["reconstruct", "rec"], {"recording.edf"}),
        (["run", "--patient", "rec"], {"recording.edf"}),
    ],
)
def test_bash_completes(
    script: Path, tmp_path: Path, typed: list[str], completed: set[str]
) -> None:
    (tmp_path / "recording.edf").touch()
    done = subprocess.run(
        [str(BASH), "--norc", "-c", ASK, "bash", str(script), *typed],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.strip() for line in done.stdout.splitlines()} == completed


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_get_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "leadlift" in capsys.readouterr().out
