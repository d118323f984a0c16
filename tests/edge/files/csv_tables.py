"""Tables of samples as text, for the tests of CSV."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

N = 1000
MV = np.random.default_rng(7).normal(0, 1, (3, N)).round(4)
HEAD = "time_s,II,V1,V5\n"
EPOCH = datetime.fromtimestamp(1.7e9, timezone.utc)
TEN = datetime(2024, 3, 1, 10, tzinfo=timezone.utc)
START = datetime(2024, 3, 1, 23, 59, 58, tzinfo=timezone(timedelta(hours=1)))


def seconds(i: int) -> str:
    return f"{i / 250:.3f}"


def rows(
    separator: str = ",",
    decimal: str = ".",
    time: Callable[[int], str] | None = seconds,
    quote: str = "",
    scale: float = 1.0,
    end: str = "\n",
) -> str:
    return "".join(
        separator.join(
            f"{quote}{cell}{quote}"
            for cell in (
                *([time(i).replace(".", decimal)] if time else []),
                *(f"{value * scale:.4f}".replace(".", decimal) for value in MV[:, i]),
            )
        )
        + end
        for i in range(N)
    )


def put(folder: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / "in.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path
