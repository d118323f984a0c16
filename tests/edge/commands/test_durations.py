"""Durations: what lasts at all never reads as nothing."""

from __future__ import annotations

import pytest

from edge.commands.durations import lasting


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (1e-4, "1 ms"),
        (0.02, "20 ms"),
        (0.9994, "999 ms"),
        (1, "1.0 s"),
        (119, "119.0 s"),
        (120, "2.0 min"),
        (7199, "120.0 min"),
        (86400, "24.00 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert lasting(seconds) == said
