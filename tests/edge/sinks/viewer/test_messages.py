"""What goes to a browser: samples within half a microvolt, what is missing stays missing, JSON is JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.expected import card_of
from edge.files.recording import Metadata
from edge.leads import LEADS
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.picture import LivePicture
from edge.sinks.viewer.messages import (
    HEADER,
    MAX_SAMPLES,
    MISSING_ECG,
    MISSING_SIGMA,
    VERSION,
    pack,
    state,
)
from tests.edge.cards import carded
from tests.edge.sinks.blocks import block, ecg


def unpacked(
    message: bytes,
) -> tuple[int, NDArray[np.int16], NDArray[np.uint16], NDArray[np.uint8]]:
    version, leads, n, zero, first = HEADER.unpack_from(message)
    assert (version, zero) == (VERSION, 0)
    assert len(message) == HEADER.size + leads * n * 5
    ends = HEADER.size + np.array([0, 2, 4, 5]) * leads * n
    kinds = ("<i2", "<u2", "u1")
    rows = [
        np.frombuffer(message[a:b], kind).reshape(leads, n)
        for kind, a, b in zip(kinds, ends, ends[1:], strict=False)
    ]
    return int(first), rows[0], rows[1], rows[2]


def test_samples_sigma_and_quality_come_back() -> None:
    b = block(ecg(100), quality=Quality.NOISY)
    (message,) = pack(12345678901, b.ecg_mv, b.sigma_mv, b.quality)
    first, uv, sigma, quality = unpacked(message)
    assert first == 12345678901
    assert np.abs(uv / 1000 - b.ecg_mv).max() <= 0.0005 + 1e-6
    assert (sigma == 50).all()
    assert (quality == Quality.NOISY).all()


def test_what_is_missing_or_too_large() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 40.0, -40.0, 0.0]], np.float32)
    (message,) = pack(0, values, np.abs(values) * 2, np.zeros((1, 6), np.uint8))
    _, uv, sigma, _ = unpacked(message)
    assert uv.tolist() == [[MISSING_ECG, 32767, -32767, 32767, -32767, 0]]
    assert sigma.tolist() == [[MISSING_SIGMA, 65534, 65534, 65534, 65534, 0]]


@pytest.mark.parametrize("n", [0, 1, MAX_SAMPLES, MAX_SAMPLES + 1, 3 * MAX_SAMPLES + 7])
def test_long_blocks_come_in_parts(n: int) -> None:
    b = block(ecg(n))
    parts = [unpacked(message) for message in pack(7, b.ecg_mv, b.sigma_mv, b.quality)]
    assert sum(uv.shape[1] for _, uv, _, _ in parts) == n
    at = 7
    for first, uv, _, _ in parts:
        assert first == at and 0 < uv.shape[1] <= MAX_SAMPLES
        at += uv.shape[1]


def strict(text: str) -> dict[str, object]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, object] = json.loads(text, parse_constant=refuse)
    return found


def test_the_state_before_the_first_block_is_json() -> None:
    found = strict(state(LivePicture(250.0).snapshot(), "r"))
    assert found["provenance"] == []
    assert found["bpm"] is None and found["latency_p50_ms"] is None and found["expected"] is None


def test_the_state_says_what_a_person_must_know() -> None:
    status = LiveStatus(
        latency_p50_ms=3.25,
        latency_p99_ms=8.5,
        samples_lost=4,
        gaps=2,
        in_outage=True,
        device="a wearable",
        battery_percent=87,
        recording=("/home/someone/out.edf",),
        warnings=("the rate is odd",),
    )
    live = LivePicture(
        250.0, Metadata(calibration="12 leads, 10 s", simulated=True), lambda: status
    )
    values = block(ecg(250))
    values.quality[LEADS.index("V1")] = Quality.LEAD_OFF
    live.push(values)
    found = strict(state(live.snapshot(), "r", dropped=3))
    assert (
        found
        | {
            "run": "r",
            "latency_p50_ms": 3.25,
            "samples_lost": 4,
            "gaps": 2,
            "in_outage": True,
            "battery_percent": 87,
            "device": "a wearable",
            "simulated": True,
            "calibration": "12 leads, 10 s",
            "warnings": ["the rate is odd"],
            "off": ["V1"],
            "dropped": 3,
        }
        == found
    )
    assert found["recording"] == ["out.edf"], "no path of this machine leaves it"
    assert found["provenance"] == [str(source) for source in values.provenance]


def test_the_state_says_what_to_expect_of_each_reconstructed_lead() -> None:
    live = LivePicture(250.0, Metadata(card=card_of(carded())))
    live.push(block(ecg(250)))
    found = strict(state(live.snapshot(), "r"))
    assert found["word"] == "fair"
    by_lead = found["by_lead"]
    assert isinstance(by_lead, dict)
    assert not {"II", "V1", "V5"} & set(by_lead)
    assert by_lead["V2"] == "V2 r .90, 119 uV: rough"
