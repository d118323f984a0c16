"""What is kept: made once, read again, and no half file bears its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fidelity.kept import Arrays, kept_arrays


def test_it_is_made_once(tmp_path: Path) -> None:
    made = []

    def make() -> Arrays:
        made.append(1)
        return {"a": np.arange(3), "b": np.zeros((0, 5))}

    file = tmp_path / "folder" / "name.npz"
    for _ in range(2):
        found = kept_arrays(file, make)
        assert found["a"].tolist() == [0, 1, 2]
        assert found["b"].shape == (0, 5)
    assert len(made) == 1
    assert [one.name for one in file.parent.iterdir()] == ["name.npz"]
    kept_arrays(None, make)
    assert len(made) == 2


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    def make() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_arrays(tmp_path / "name.npz", make)
    assert not list(tmp_path.iterdir())
