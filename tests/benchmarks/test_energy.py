"""Sensors of a machine that is files in a folder; without any the reason is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.energy import Rapl, counters, measure_energy
from tests.benchmarks.device.jetson import jetson_root

FULL_UJ = 262_143_328_850


def powercap(root: Path, uj: int) -> Path:
    folder = root / "sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "max_energy_range_uj").write_text(f"{FULL_UJ}\n")
    (folder / "energy_uj").write_text(f"{uj}\n")
    return folder / "energy_uj"


@pytest.mark.parametrize(
    ("before", "after", "joules"),
    [(1_000_000, 3_500_000, 2.5), (FULL_UJ - 499_999, 1_500_000, 2.0), (7, 7, 0.0)],
)
def test_a_counter_that_is_full_begins_anew(
    before: int, after: int, joules: float, tmp_path: Path
) -> None:
    file = powercap(tmp_path, before)
    [rapl], why = counters(tmp_path)
    assert (rapl, why) == (Rapl("package-0", file, FULL_UJ), "")
    assert rapl.joules(lambda: file.write_text(str(after))) == pytest.approx(joules)


def test_energy_of_a_hop_is_what_lies_beyond_idling(tmp_path: Path) -> None:
    file, hops = powercap(tmp_path, 0), 0

    def step() -> None:
        nonlocal hops
        hops += 1
        file.write_text(str(int(file.read_text()) + 2_000))  # 2 mJ

    found = measure_energy(step, 0.01, 0.05, tmp_path)
    assert found["source"] == "RAPL, package-0"
    assert found["idle"] == 0
    assert 0 < found["paced"] < found["back_to_back"]
    assert found["hop_mj"] == pytest.approx(2.0, rel=0.5)  # the last hop may end late
    assert hops > 5


def test_rails_of_a_jetson(tmp_path: Path) -> None:
    found = measure_energy(lambda: None, 0.01, 0.02, jetson_root(tmp_path))
    assert found["source"] == "the board's rails"
    assert found["idle"]["VDD_GPU_SOC"] == pytest.approx(19.984 * 0.12)


@pytest.mark.parametrize(("file", "said"), [("energy_uj", "no RAPL"), ("name", "no RAPL")])
def test_where_nothing_measures_it_is_said(file: str, said: str, tmp_path: Path) -> None:
    (powercap(tmp_path, 0).parent / file).unlink()
    found = measure_energy(lambda: None, 0.01, 0.02, tmp_path)
    assert said in found["absent"]
