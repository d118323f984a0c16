"""`leadlift export-c` as it is typed; and docs/c.md, whose program is compiled and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import Bundle, default_bundle_path
from edge.cli import main
from tests.edge.c_export.boards import BOARDS

PAGE = Path(__file__).parents[3] / "docs" / "c.md"
FILES = {
    *("leadlift_decoder.h", "leadlift_decoder.c", "leadlift_decoder_config.h"),
    *("leadlift_decoder_tables.h", "leadlift_decoder_check.c", "leadlift_decoder_check.h"),
    "leadlift_decoder_golden.h",
}


def test_it_writes_seven_files_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "decoder"
    assert main(["export-c", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == FILES
    said = capsys.readouterr().out
    assert said.startswith(f"{out}: 7 files, leadlift-any-to-12 (any leads) as C99\n")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "leadlift_decoder.c").write_text("mine")
    assert main(["export-c", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "leadlift_decoder.c").read_text() == "mine"
    assert main(["export-c", str(default_bundle_path()), str(out), "--overwrite"]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_time_in_the_name_makes_a_new_folder(tmp_path: Path) -> None:
    assert main(["export-c", str(tmp_path / "decoder-{time}")]) == 0
    (folder,) = tmp_path.iterdir()
    assert re.fullmatch(r"decoder-\d{8}T\d{6}", folder.name)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
@pytest.mark.parametrize(
    ("command", "there"), [("export-c", False), ("export-triton", False), ("export-triton", True)]
)
def test_an_export_that_fails_midway_can_be_tried_again(
    command: str, there: bool, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "export"
    if there:
        out.mkdir(parents=True)
    program = [sys.executable, "-m", "edge.cli", command, str(out)]
    limited = ["sh", "-c", 'ulimit -f 16 && exec "$@"', "sh", *program]  # a disk that fills
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert "nothing of it was left there: make room" in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert main([command, str(out)]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing.onnx", "out"], 1, "cannot read the model nothing.onnx"),
        (["out", "--leads", "I,V9"], 2, "--leads: unknown lead 'V9'"),
        (["out", "--leads", ""], 2, "--leads: no lead is named"),
        (["out", "--leads", "I,I"], 2, "I is given twice"),
        (["out", "--leads", "I='CH1'"], 2, "name leads alone, such as I,II"),
        (["file/out"], 1, "cannot make the folder file/out"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["export-c", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_model_of_three_leads_takes_no_others(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "three.onnx"
    model.write_bytes(tiny_bundle.data)
    assert main(["export-c", str(model), str(tmp_path / "out")]) == 0
    assert main(["export-c", str(model), str(tmp_path / "other"), "--leads", "I,II"]) == 2
    assert "takes II, V1, V5, got I, II" in capsys.readouterr().err


def test_the_pages_program_compiles_and_runs(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine: install gcc to test the C export")
    assert main(["export-c", str(tmp_path)]) == 0
    (program,) = re.findall(r"```c\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "example.c").write_text(program)
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    sources = ["example.c", "leadlift_decoder.c"]
    subprocess.run(["cc", *flags, *sources, "-o", "example"], cwd=tmp_path, check=True, timeout=120)
    done = subprocess.run(
        ["./example"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert re.fullmatch(r".+: 8 leads a hop, the first [+-]\d\.\d\d mV\n", done.stdout)
    (check,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        ["sh", "-c", check], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert "0 differ" in done.stdout


def test_the_page_names_every_board() -> None:
    rows = re.findall(r"^\| Cortex-M(\w+)", PAGE.read_text(), re.MULTILINE)
    assert [f"m{row.lower()}" for row in rows] == [
        *BOARDS,
        *BOARDS,
    ]  # the default, and the small one
