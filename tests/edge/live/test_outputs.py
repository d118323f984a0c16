"""The sinks of a run as one: what fails is told once, and the rest goes on."""

from __future__ import annotations

import pytest

from edge.errors import SinkError
from edge.live.outputs import Outputs
from tests.edge.fakes import ListSink
from tests.edge.sinks.blocks import block, ecg


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SinkError("cannot write out.edf: disk full"), "cannot write out.edf: disk full"),
        (BrokenPipeError(32, "Broken pipe"), "bad failed: BrokenPipeError: [Errno 32] Broken pipe"),
        (KeyError("V9"), "bad failed: KeyError: 'V9'"),
    ],
)
@pytest.mark.parametrize("fail_at", [0, 3, None])
def test_one_that_fails_is_told_once_and_the_others_go_on(
    error: Exception, says: str, fail_at: int | None
) -> None:
    before, bad, after = ListSink(), ListSink(fail_at, error), ListSink()
    said: list[str] = []
    outputs = Outputs({"before": before, "bad": bad, "after": after}, said.append)
    for at in range(5):
        outputs.write(block(ecg(8), 8 * at))
    outputs.close()
    outputs.close()
    assert before.ecg_mv.shape == after.ecg_mv.shape == (12, 40)
    assert (before.closed, bad.closed, after.closed) == (1, 1, 1)
    assert outputs.failures == {"bad": says}
    assert said == [f"warning: {says}; the other outputs go on"]
    outputs.raise_if_none_is_left()


def test_without_sinks_nothing_fails() -> None:
    outputs = Outputs({}, print)
    outputs.write(block(ecg(8)))
    outputs.close()
    outputs.raise_if_none_is_left()


def test_what_sinks_could_not_hold_is_added_up() -> None:
    class Counting(ListSink):
        def counters(self) -> dict[str, int]:
            return {"samples_clipped": 3}

    outputs = Outputs({"a": Counting(), "b": Counting(), "c": ListSink()}, print)
    assert outputs.counters() == {"annotations_dropped": 0, "samples_clipped": 6}
