"""What keys do to the view."""

from __future__ import annotations

import pytest

from edge.sinks.picture import LivePicture
from edge.sinks.traces import SCALES_MV
from edge.sinks.view import HELP, LAYOUTS, SPANS_S, View, default_span_s

PICTURE = LivePicture(250.0).snapshot()


def press(keys: str, view: View | None = None) -> View:
    view = view or View()
    for key in keys:
        view = view.press(key, PICTURE, view.gain_mv or 3.0, view.span_s or 10.0)
    return view


@pytest.mark.parametrize(
    ("keys", "gain_mv", "span_s"),
    [
        ("", None, None),
        ("+", 2.0, None),
        ("+=", 1.5, None),
        ("-", 4.0, None),
        ("+a", None, None),
        ("+" * 30, SCALES_MV[0], None),
        ("-" * 30, SCALES_MV[-1], None),
        ("]", None, 7.5),
        ("[[", None, 20.0),
        ("]" * 30, None, SPANS_S[0]),
        ("xyz\r\n\t1", None, None),
    ],
)
def test_gain_and_speed(keys: str, gain_mv: float | None, span_s: float | None) -> None:
    view = press(keys)
    assert (view.gain_mv, view.span_s) == (gain_mv, span_s)


def test_freeze_layout_and_help() -> None:
    assert press(" ").frozen is PICTURE and press("f").frozen is PICTURE
    assert press(" f").frozen is None
    assert [press("l" * n).layout for n in range(len(LAYOUTS) + 1)] == [*LAYOUTS, LAYOUTS[0]]
    assert press("?").help
    left = press("?+")
    assert not left.help and left.gain_mv is None  # the key that leaves the help does nothing else
    assert {"q", "+  -", "[  ]", "l"} <= {key for key, _ in HELP}


def test_a_narrow_screen_shows_fewer_seconds() -> None:
    spans = [default_span_s(dots) for dots in (40, 80, 120, 160, 240, 600)]
    assert spans == sorted(spans) and spans[-1] == 10.0
