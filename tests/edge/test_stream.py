"""The live path as an iterator, on the in-process simulator and the model that ships."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import edge
from edge.errors import InputError
from edge.leads import INDEPENDENT_LEADS, LEADS
from edge.stream import open_stream
from firmware_bridge.errors import SourceSpecError, TransportError

pytestmark = pytest.mark.realtime


def acquiring() -> bool:
    return "acquisition" in [thread.name for thread in threading.enumerate()]


def test_a_stream_is_an_iterator_and_a_context_manager() -> None:
    with open_stream("sim:") as stream:
        first = next(stream)
        second = next(iter(stream))
        assert acquiring()
    assert first.ecg_mv.shape == (len(LEADS), first.n_samples)
    assert second.first_sample == first.first_sample + first.n_samples
    assert not acquiring()
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.runtime.report()["samples_lost"] == 0


def test_a_stream_that_is_dropped_stops_its_acquisition() -> None:
    for block in open_stream("sim:"):
        assert block.n_samples
        break
    assert not acquiring()


@pytest.mark.parametrize(
    "leads", [("V5", "II", "V1"), ("I",), ("aVF", "V2"), INDEPENDENT_LEADS], ids="+".join
)
def test_any_leads_may_be_named_in_any_order(leads: tuple[str, ...]) -> None:
    source = f"sim:?leads={','.join(sorted(leads))}"
    with open_stream(source, leads=leads) as stream:
        block = next(stream)
        assert stream.reconstructor.leads == leads
        measured = [
            lead for lead, p in zip(LEADS, block.provenance, strict=True) if p == "measured"
        ]
        assert set(measured) == set(leads)
        assert stream.runtime.report()["leads"] == list(leads)


def test_without_names_the_leads_are_those_that_the_source_has() -> None:
    with open_stream("sim:?leads=V2,I,II") as stream:
        block = next(stream)
        assert stream.reconstructor.leads == ("I", "II", "V2")
        assert [str(p) for p in block.provenance[:3]] == ["measured", "measured", "derived"]
        assert stream.runtime.warnings == ("measured leads: I, II, V2 (the device has no V1, V5)",)


def test_leads_that_cannot_be_are_one_line() -> None:
    with pytest.raises(InputError, match="no lead is measured"):
        open_stream("sim:", leads=())
    with pytest.raises(InputError, match="named twice"):
        open_stream("sim:", leads=("I", "I"))
    with pytest.raises(InputError, match="a sequence of names in the order of the rows"):
        open_stream("sim:", leads={"I", "II"})  # type: ignore[arg-type]
    three = "sim:?leads=II,V1,V5"
    with open_stream(three, leads=("I", "V2")) as stream, pytest.raises(InputError) as refused:
        next(stream)
    assert str(refused.value) == (
        "the stream has no lead I, V2: it gives II, V1, V5, needed are I, V2; ask for what it has with "
        "--leads II,V1,V5, or say what you wired in the source's leads="
    )
    with open_stream(three, leads=("II", "V2")) as stream, pytest.raises(InputError) as refused:
        next(stream)
    assert str(refused.value) == (
        "the stream has no lead V2: it gives II, V1, V5, needed are II, V2; ask for what it has with "
        "--leads II, say what you wired in the source's leads=, or go without: missing=V2"
    )


def test_the_simulator_measures_what_is_asked_for() -> None:
    with open_stream("sim:", leads=("aVF", "V2")) as stream:
        next(stream)
        assert stream.runtime.report()["leads"] == ["aVF", "V2"]
        assert stream.runtime.warnings == ()


def test_what_fails_is_raised_where_it_is_noticed() -> None:
    with pytest.raises(SourceSpecError, match="start it with one of"):
        open_stream("cable:x")
    with (
        open_stream("serial:/dev/nowhere") as stream,
        pytest.raises(TransportError, match="no serial"),
    ):
        next(stream)


@pytest.mark.realtime
def test_a_file_beside_a_stream_has_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    begun = datetime.now().astimezone()
    with (
        edge.open_stream("sim:") as stream,
        edge.open_sink(f"file:{path}", 250.0, metadata=stream.metadata) as sink,
    ):
        for block in stream:
            sink.write(block)
            if block.first_sample > 100:
                break
    with np.load(path) as arrays:
        assert bool(arrays["simulated"])
        assert str(arrays["source"]) == "sim:"
        assert str(arrays["device"])
        started = datetime.fromisoformat(str(arrays["started_at"]))
    assert timedelta(0) <= started - begun < timedelta(seconds=10)
