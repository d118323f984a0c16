"""Arrays that one piece of work made, kept in a file, so that a long run goes on where it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantize.prepared import partial_of

Arrays = dict[str, NDArray[Any]]


def kept_arrays(file: Path | None, make: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """What `make` makes, or made before: its name must say all that it depends on. None keeps nothing."""
    if file is not None and file.exists():
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    made = dict(make())
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_of(file)
        with partial.open("wb") as stream:  # a name that only a whole file bears
            np.savez_compressed(stream, **made)  # type: ignore[arg-type]
        partial.replace(file)
    return made
