"""The wire benchmark in short: damage accounted for to the sample, clocks, memory, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.errors import BenchmarkError
from benchmarks.wire import encoder as wire_encoder
from benchmarks.wire.bluez import private_bus
from benchmarks.wire.clock import bursts, connection_events
from benchmarks.wire.command import TARGETS
from benchmarks.wire.damage import _damaged, _run, cyton_damage, wire_damage
from benchmarks.wire.decoders import DECODERS, decoder_speed, garbage
from firmware_bridge.events import Gap, Samples

pytestmark = pytest.mark.realtime


def test_every_frame_is_accounted_for() -> None:
    found = wire_damage(4_000, seed=3)
    assert found["frames"] == 4_000
    assert 120 <= found["frames_damaged"] <= 140  # 100 flips and 40 deletions
    assert (found["corrupt_accepted"], found["good_frames_lost"]) == (0, 0)
    assert found["samples_miscounted"] == 0
    assert found["samples_sent"] == found["samples_received"] + found["samples_told_lost"] == 38_400
    assert found["samples_told_lost"] >= 10 * 100


def test_what_has_no_crc_accepts_what_is_wrong_and_still_counts() -> None:
    found = cyton_damage(10_000, seed=3)
    assert found["corrupt_accepted"] > 30
    assert (found["good_frames_lost"], found["samples_miscounted"]) == (0, 0)


class _Liar:
    """Says what `lies` makes of three frames of one sample each."""

    def __init__(self, events: list) -> None:
        self.events = events

    def receive_data(self, data: bytes) -> list:
        events, self.events = self.events, []
        return events


@pytest.mark.parametrize(
    ("first", "gap", "value", "figure"),
    [
        (2, 1, 9, "corrupt_accepted"),
        (2, 0, 2, "samples_miscounted"),
        (2, 1, 2, "good_frames_lost"),
    ],
)
def test_the_ledger_notices(first: int, gap: int, value: int, figure: str) -> None:
    events: list = [Samples(0, np.zeros((3, 1), np.int32))]
    if gap:
        events.append(Gap(1, gap, gap))
    events.append(Samples(first, np.full((3, 1), value, np.int32)))
    counts = np.tile(np.arange(3, dtype=np.int32), (3, 1))
    block = (b"abc", np.array([1, 2, 3]), np.arange(3), counts)
    assert _run(_Liar(events), iter([block]), 3, 1, seed=1)[figure] > 0


def test_damage_is_where_it_is_said_to_be() -> None:
    ends = np.arange(1, 2001) * 20
    data = bytes(40_000)
    damaged, touched = _damaged(data, ends, np.random.default_rng(1))
    assert len(damaged) == 40_000 - 20
    assert 0 < len(damaged) - damaged.count(0) <= 50
    assert 60 <= touched.sum() <= 70
    assert not touched[-2:].any()


def test_time_through_bursts_and_connection_events() -> None:
    for found in (bursts(1), connection_events(48.75, 1)):
        assert found["error"]["p99"] < 2.0
    # What 40 ms packets at 30 ms events hide, packets of many lengths show.
    assert connection_events(30.0, 1, (10,))["error"]["p99"] > 2.5
    assert connection_events(30.0, 1)["error"]["p99"] < 1.0


def test_memory_under_garbage() -> None:
    found = garbage(1, reads=20)
    assert set(found["devices"]) == set(DECODERS)
    assert found["peak_kb"] < 256
    assert all(row["held_bytes"] <= 1100 for row in found["devices"].values())


def test_every_decoder_is_fed_what_it_decodes() -> None:
    assert all(row["samples_per_s"] > 0 for row in decoder_speed(1.5, 1).values())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "wire.json"
    arguments = ["wire", "--parts", "damage", "--frames", "400", "--json", str(out)]
    assert main(arguments) == 0
    report = json.loads(out.read_text())
    assert report["results"]["damage"]["corrupt_accepted"] == 0
    assert report["arguments"]["seed"] == 1
    met = {row["name"]: row["met"] for row in report["targets"]}
    assert set(met) == {target.name for target in TARGETS}
    assert met["lost samples miscounted"] is True
    assert met["frames damaged or not"] is False  # 400 are no million
    assert "| corrupt accepted " in capsys.readouterr().out


@pytest.mark.skipif(private_bus.missing() is not None, reason=private_bus.missing() or "")
def test_the_ble_part(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast")
    assert main(["wire", "--parts", "ble", "--seconds", "2"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "block, p50" in line]
    assert float(row.split("|")[2].replace(",", "")) > 0


@pytest.mark.skipif(wire_encoder.missing() is not None, reason=wire_encoder.missing() or "")
def test_the_encoders_sizes_stand_beside_the_other_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wire.json"
    assert main(["wire", "--parts", "encoder", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert 500 < report["results"]["encoder"]["flash_bytes"] <= 4096
    met = {row["name"]: row["met"] for row in report["targets"]}
    assert [met[target.name] for target in wire_encoder.TARGETS] == [True] * 3
    assert "C encoder, Cortex-M3, gcc " in capsys.readouterr().out


def test_the_encoders_sizes_are_those_of_the_build() -> None:
    said = "Cortex-M3, gcc 12.2.1 -Os\nflash 1152 B\nstatic RAM 0 B\nstate 56 B, the caller's\n"
    found = wire_encoder.parse_sizes(said + "deepest stack 104 B (leadlift_encode_samples)\n")
    assert found == {
        "build": "Cortex-M3, gcc 12.2.1 -Os",
        "flash_bytes": 1152,
        "ram_bytes": 0,
        "state_bytes": 56,
        "stack_bytes": 104,
    }
    with pytest.raises(BenchmarkError, match="does not say its deepest stack"):
        wire_encoder.parse_sizes(said)


def test_a_part_that_cannot_be_run_here_is_said_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["wire", "--parts", "encoder", "ble_outages"]) == 0
    said = capsys.readouterr()
    assert "encoder is left out: no make here" in said.err
    assert "ble_outages is left out: no dbus-daemon here" in said.err
    assert "**encoder: not measured**" in said.out
