"""`leadlift simulate`: what cannot be is said as by every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--device", "cyton", "--port", "ble"], 2, "a virtual cyton cannot be on --port ble"),
        (["--record", "none.npz"], 1, "no recording none.npz"),
        (["--hr", "0"], 1, "heart rate"),
        (["--clock-ppm", "nan"], 1, "a clock that runs fast by nan ppm"),
        (["--write-times", "old.csv"], 1, "cannot write the times old.csv: it exists"),
        (["--write-times", "no/times.csv"], 1, "make the folder"),
        (["--port", "ble", "--wait"], 1, "--wait and --write-times are for --port pty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_error_is_one_line_of_leadlift(
    arguments: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.csv").write_text("old")
    assert main(["simulate", "--seconds", "0.1", *arguments]) == code
    said = capsys.readouterr()
    assert said.err.startswith("leadlift: error: ")
    assert says in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert (tmp_path / "old.csv").read_text() == "old"
