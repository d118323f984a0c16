"""LSL without MNE-LSL: one line that says how to get it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from edge.commands.lsl_devices import lsl_lines
from edge.commands.wiring import takes_labels, wired
from edge.errors import InputError, SinkError
from edge.sinks import open_sink
from firmware_bridge.errors import TransportError
from firmware_bridge.source import open_source


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mne_lsl.lsl", None)


@pytest.mark.usefixtures("missing")
def test_the_sink_and_the_source_say_how_to_get_it() -> None:
    with pytest.raises(SinkError, match=r"pip install '\.\[lsl\]'") as said:
        open_sink("lsl:", 250.0)
    assert "\n" not in str(said.value)

    async def read(spec: str) -> None:
        async with open_source(spec):
            pass

    for spec in ("lsl:x", "sim:?markers=x"):
        with pytest.raises(TransportError, match=r"pip install '\.\[lsl\]'"):
            asyncio.run(read(spec))
    (line,) = lsl_lines(0.1)
    assert line.startswith("no LSL here: lsl: needs MNE-LSL")


@pytest.mark.parametrize(
    ("spec", "leads", "becomes"),
    [
        ("lsl:ecg", "II='CH1'", "lsl:ecg?leads=II=CH1"),
        ("lsl:ecg?unit=uV", "II='CH 1',V1=b&c", "lsl:ecg?unit=uV&leads=II=CH%201,V1=b%26c"),
        ("udp:5000?device=csv", "V1='3'", "udp:5000?device=csv&leads=V1=3"),
        ("lsl:ecg", "II,V1", "lsl:ecg"),
        ("lsl:ecg", None, "lsl:ecg"),
        ("serial:/dev/x", "II='CH1'", "serial:/dev/x"),
    ],
)
def test_leads_that_are_named_for_channels_go_to_the_source(
    spec: str, leads: str | None, becomes: str
) -> None:
    assert wired(spec, leads) == becomes
    assert takes_labels(spec) == ("lsl" in spec or "csv" in spec)


def test_which_channel_is_which_is_said_once() -> None:
    with pytest.raises(InputError, match="say it once"):
        wired("lsl:ecg?leads=II=A", "II='B'")
