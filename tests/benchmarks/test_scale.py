"""What a patient takes: bytes as the formats have them, and tables that are the arithmetic of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.scale import BUSY, FORMATS, SIZES, many_table, measure_files, measure_wire
from tests.edge.sinks.blocks import block


def test_a_device_sends_nine_bytes_a_sample_and_what_frames_it() -> None:
    samples = 3 * 3 * 250  # leads, bytes, samples a second
    assert samples < measure_wire(4) < 1.15 * samples


def test_files_grow_by_what_their_formats_say() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (12, 1000)).astype(np.float32)
    sizes = measure_files([block(noise, i * 1000) for i in range(4)])
    assert set(sizes) == set(FORMATS)
    assert all(size > 12 * 2 * 250 for size in sizes.values())
    assert sizes["csv"] == max(sizes.values())


def test_many_are_one_times_their_number() -> None:
    one = {
        "engine": "c",
        "core": 0.001,
        "memory_kb": 20.0,
        "in_bytes_s": 1000.0,
        "out_bytes_s": 2000.0,
        "file_bytes_s": {"edf": 1e4},
    }
    rows = {row[0]: row[1:] for row in many_table(one).rows}
    assert rows["cores for decoding"][:3] == tuple(pytest.approx(0.001 / BUSY * n) for n in SIZES)
    assert rows["storage, edf"][1] == pytest.approx(1e4 * 86400 * 1e5 / 1e12)


@pytest.mark.slow
def test_the_command_measures_and_simulates(tmp_path: Path) -> None:
    report = tmp_path / "scale.json"
    options = ("--rounds", "2", "--patients", "4000", "--seconds", "2")
    assert main(["scale", *options, "--json", str(report)]) == 0
    results = json.loads(report.read_text())["results"]
    assert results["one"]["core"] > 0
    for one in results["failures"]:
        assert one["placed"] == 4000
        assert one["placed_again"] == one["moved"]
