"""The live path as an iterator, on the in-process simulator and the model that ships."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import edge
from edge.errors import InputError
from edge.leads import LEADS
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


def test_leads_may_be_named_in_any_order_and_must_be_those_of_the_model() -> None:
    open_stream("sim:", leads=("V5", "II", "V1")).close()
    with pytest.raises(InputError, match="takes II, V1, V5, got II, V1"):
        open_stream("sim:", leads=("II", "V1"))


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
