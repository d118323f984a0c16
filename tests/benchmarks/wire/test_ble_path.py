"""The BLE path in short: every frame answered, every loss survived, every sample accounted for."""

from __future__ import annotations

import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from benchmarks.errors import BenchmarkError
from benchmarks.wire.ble_path import TARGETS, run_ble, run_outages
from benchmarks.wire.bluez import private_bus
from edge.bundle import Bundle

pytestmark = pytest.mark.realtime

needs_bus = pytest.mark.skipif(
    private_bus.missing() is not None, reason=private_bus.missing() or ""
)


@needs_bus
@pytest.mark.parametrize("notify", ["start", "acquire"])
def test_every_notified_frame_is_answered_by_a_block(any_bundle: Bundle, notify: str) -> None:
    found = run_ble(any_bundle, "onnxruntime", seconds=2.0, notify=notify)
    assert found["frames_unanswered"] == 0
    assert (found["samples_lost"], found["gaps"], found["corrupt"]) == (0, 0, 0)
    # Frames of the last half second are not counted, nor is the last: how long it is nobody knows.
    assert 20 <= found["processing"]["n"] <= 2.0 * 25
    assert found["processing"]["min"] > 0


@needs_bus
def test_losses_are_survived_and_every_sample_accounted_for(any_bundle: Bundle) -> None:
    found = run_outages(any_bundle, "onnxruntime", losses=2, over_s=2.0)
    assert (found["reconnects"], found["gaps"], found["unaccounted"]) == (2, 2, 0)
    assert found["samples_lost"] >= 2 * found["away_s"] * 250
    report = {"ble_outages": found}
    judged = {target.figure: target.judge(report) for target in TARGETS}
    assert judged["ble_outages/unaccounted"]["met"] is True
    assert judged["ble_outages/resumed_s/max"]["measured"] > 0


def test_without_a_bus_it_says_what_is_missing(
    any_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BenchmarkError, match="install the package dbus"):
        run_ble(any_bundle)
