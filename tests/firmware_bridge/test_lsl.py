"""Sources over LSL from a second process: values, time, loss and return, and what cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mne_lsl", reason="LSL needs MNE-LSL: pip install '.[lsl]'")

from firmware_bridge.errors import NotFoundError, PeerError, TransportError, TransportLost
from firmware_bridge.events import Gap, Marked, Notice, RateSource, Samples, StreamInfo
from firmware_bridge.source import Timed, open_source
from tests.lsl_outlet import outlet, values

pytestmark = pytest.mark.realtime
BOUND_S = 60.0


def read(
    spec: str,
    until: Callable[[list[Timed]], bool],
    act: Callable[[], Any] | None = None,
    **more: Any,
) -> list[Timed]:
    """The events of a source until `until`; `act` is called once the first samples are there."""

    async def go() -> list[Timed]:
        taken: list[Timed] = []
        waiting = act
        async with open_source(spec, **more) as source:
            async for timed in source:
                taken.append(timed)
                if waiting is not None and isinstance(timed.event, Samples):
                    waiting()
                    waiting = None
                if until(taken):
                    break
        return taken

    return asyncio.run(asyncio.wait_for(go(), BOUND_S))


def of(taken: list[Timed], kind: type) -> list[Any]:
    return [timed.event for timed in taken if isinstance(timed.event, kind)]


def after(n: int) -> Callable[[list[Timed]], bool]:
    return lambda taken: sum(e.counts.shape[1] for e in of(taken, Samples)) >= n


def numbers_of(taken: list[Timed]) -> np.ndarray:
    """Samples as they were numbered, by the first channel of microvolts."""
    counts = np.concatenate([e.counts for e in of(taken, Samples)], axis=1)
    return np.rint(counts / 1000.0)


@pytest.mark.parametrize("kind", ["float64", "int16"])
def test_what_is_sent_arrives(kind: str) -> None:
    with outlet(name="ecg a", format=kind):
        taken = read("lsl:ecg a", after(700))
    (info,) = of(taken, StreamInfo)
    assert (info.leads, info.sampling_hz, info.rate_source) == (
        ("II", "V1", "V5"),
        250.0,
        RateSource.DEVICE,
    )
    found = numbers_of(taken)
    first = int(found[0, 0])
    np.testing.assert_array_equal(found, values(first + np.arange(found.shape[1]), 3).T)
    assert not of(taken, Gap)
    for timed in taken[-5:]:  # the first have waited while the stream was opened
        if isinstance(timed.event, Samples):
            assert timed.event.acquired_ns is not None
            assert -1e6 < timed.arrival_ns - timed.event.acquired_ns < 0.5e9


def test_dropped_samples_are_a_gap_of_their_number() -> None:
    with outlet(drop=[900, 130]):  # 3.6 s after the start: the source has been open for long
        taken = read("lsl:ecg", lambda taken: bool(of(taken, Gap)) and after(200)(taken))
    (gap,) = of(taken, Gap)
    assert gap.n_samples == 130


def test_no_rate_units_of_the_user_and_channels_by_name() -> None:
    with outlet(rate=0.0, unit="", labels=["CH1", "CH2", "ECG chest"]):
        with pytest.raises(PeerError, match=r"leads=II=CH1,V1=CH2"):
            read("lsl:?type=ECG", after(1))
        with pytest.raises(PeerError, match=r"CH2 .*states no unit"):
            read("lsl:ecg?leads=V2=CH2", after(1))
        taken = read("lsl:ecg?leads=V2=CH2,I=1&unit=uV", after(1000))
    (info,) = of(taken, StreamInfo)
    assert (info.leads, info.sampling_hz) == (("V2", "I"), 250.0)
    assert info.rate_source is RateSource.TIME_COLUMN
    assert "says no rate" in of(taken, Notice)[0].text
    assert numbers_of(taken)[:, 0].tolist() == [
        numbers_of(taken)[1, 0] + 100,
        numbers_of(taken)[1, 0],
    ]


def test_a_unit_that_is_no_voltage() -> None:
    with outlet(unit="furlongs"), pytest.raises(PeerError, match="'furlongs', which is no voltage"):
        read("lsl:ecg", after(1))


def test_none_and_several_are_told_in_one_line() -> None:
    with outlet(name="other", type="EEG"):
        with pytest.raises(
            NotFoundError, match=r"lsl:ecg: no such stream .*there is 'other' \(type=EEG"
        ):
            read("lsl:ecg?resolve=1", after(1))
        with outlet(name="other", source_id="two", labels=["I"]):
            with pytest.raises(
                TransportError, match=r"2 streams fit: 'other' .* source_id=one"
            ) as said:
                read("lsl:other?resolve=1", after(1))
            assert "\n" not in str(said.value)
            taken = read("lsl:other?source_id=two", after(1))
    assert of(taken, StreamInfo)[0].leads == ("I",)


def test_a_stream_that_is_lost_is_found_again() -> None:
    said: list[str] = []
    with outlet() as first:

        def restart() -> None:
            first.kill()
            first.wait()
            stack.append(outlet())
            stack[0].__enter__()

        stack: list[Any] = []
        try:
            taken = read(
                "lsl:ecg?reconnect=30",
                lambda taken: bool(of(taken, Gap)) and after(300)(taken),
                restart,
                say=said.append,
            )
        finally:
            for entered in stack:
                entered.__exit__(None, None, None)
    (gap,) = of(taken, Gap)
    start = next(i for i, timed in enumerate(taken) if timed.event is gap)
    before = [t for t in taken[:start] if isinstance(t.event, Samples)][-1].event
    later = next(t for t in taken[start:] if isinstance(t.event, Samples)).event
    period_ns = 1e9 / 250
    away_ns = later.acquired_ns - (later.counts.shape[1] - 1) * period_ns - before.acquired_ns
    assert gap.n_samples == pytest.approx(away_ns / period_ns - 1, abs=2)
    assert "is gone" in said[0] and said[-1].endswith("is back")


def test_a_stream_that_does_not_come_back() -> None:
    with outlet() as process, pytest.raises(TransportLost, match="not back within 2 s"):
        read("lsl:ecg?reconnect=2&resolve=1", after(10**9), process.kill)


def test_a_stream_of_texts_is_no_source_and_gives_markers() -> None:
    with outlet(), outlet(name="events", format="string") as events:
        with pytest.raises(NotFoundError):
            read("lsl:events?resolve=1", after(1))
        assert events.stdin is not None
        sent_ns = 0

        def lines(line: str) -> None:
            nonlocal sent_ns
            if line.startswith("markers come"):
                time.sleep(0.5)  # liblsl subscribes in the background
                sent_ns = time.monotonic_ns()
                print("stimulus on", file=events.stdin, flush=True)

        taken = read("lsl:ecg?markers=events", lambda taken: bool(of(taken, Marked)), say=lines)
    (marked,) = of(taken, Marked)
    assert marked.text == "stimulus on"
    assert 0 <= marked.at_ns - sent_ns < 0.5e9


def test_a_capture_replays(tmp_path: Any) -> None:
    path = tmp_path / "lsl.llcap"
    with outlet():
        taken = read("lsl:ecg", after(300), capture=path)
    again = read(f"replay:{path}?speed=inf", lambda taken: False)
    n = numbers_of(taken).shape[1]
    np.testing.assert_array_equal(numbers_of(again)[:, :n], numbers_of(taken))


def test_a_player_of_mne_is_read_in_volts() -> None:
    mne = pytest.importorskip("mne")
    from mne_lsl.player import PlayerLSL

    uv = values(np.arange(2500), 2).T.astype(float)
    info = mne.create_info(["II", "V2"], 250.0, "ecg")
    raw = mne.io.RawArray(uv * 1e-6, info, verbose="error")
    with PlayerLSL(raw, chunk_size=10, name="player"):
        taken = read("lsl:player", after(200))
    assert of(taken, StreamInfo)[0].leads == ("II", "V2")
    found = numbers_of(taken)
    first = int(found[0, 0])
    steps = np.diff(found[0])
    assert set(steps.tolist()) <= {1.0, -96.0, float(0 - 2499 % 97)}, "in order, and round again"
    np.testing.assert_array_equal(found[1] - found[0], 100.0)
    assert 0 <= first < 97
