"""The export on every Cortex-M that QEMU has: codes equal to ONNX Runtime's, and what it takes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle, load_bundle
from edge.c_export.export import exported_files
from tests.edge.c_export.boards import BOARDS, run_on

MOST_INSTRUCTIONS = {"m3": 1_600_000, "m4f": 800_000, "m7": 800_000, "m33": 800_000, "m55": 200_000}


@pytest.fixture(scope="module")
def export(shipped_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    for name, text in exported_files(shipped_bundle).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", BOARDS)
def test_codes_equal_and_it_keeps_within_its_bounds(
    export: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = BOARDS[name]
    found = run_on(board, export, tmp_path)
    with capsys.disabled():
        print(f"\n{name}: {found}")
    assert (found.kernel, found.hops, found.states) == (board.kernel, 216, 54)
    assert (found.wrong_hops, found.wrong_states) == (0, 0)
    assert 400_000 < found.flash <= 440_000
    assert found.static_ram == 0
    assert 1_000 < found.stack <= 2_048
    assert 50_000 < found.instructions <= MOST_INSTRUCTIONS[name]


def test_the_small_model_takes_a_third(tmp_path: Path) -> None:
    export, out = tmp_path / "export", tmp_path / "out"
    export.mkdir()
    out.mkdir()
    for name, text in exported_files(load_bundle("small")).items():
        (export / name).write_text(text)
    found = run_on(BOARDS["m4f"], export, out)
    assert (found.hops, found.wrong_hops, found.wrong_states) == (216, 0, 0)
    assert found.flash <= 150_000
    assert found.stack <= 2_048
    assert found.instructions <= 250_000
