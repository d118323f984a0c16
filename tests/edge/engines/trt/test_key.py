"""The key of an engine: equal keys, one name; anything that changes the engine, another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.engines.trt import key as module
from edge.engines.trt.key import EngineKey, engine_key
from edge.engines.trt.library import TensorRtLibrary

KEYS = st.builds(
    EngineKey,
    *(st.text(max_size=3) for _ in range(5)),
    st.none() | st.text(max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers() | st.none() | st.text(max_size=2)),
)


@given(KEYS, KEYS)
def test_digests_differ_exactly_where_keys_do(one: EngineKey, other: EngineKey) -> None:
    assert (one.digest() == other.digest()) == (one == other)
    reordered = replace(one, options=dict(reversed(one.options.items())))
    assert reordered.digest() == one.digest()


@dataclass
class FakeDevice:
    """What the key asks of a GPU."""

    compute_capability: str = "8.7"
    device_name: str = "Orin"


LIBRARY = TensorRtLibrary(ModuleType("tensorrt"), "tensorrt", "10.3.0", None)


def test_everything_that_changes_the_engine_is_in_the_key(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = engine_key(shipped_bundle, LIBRARY, FakeDevice(), {"frames": 1}, "36.4.3")
    again = engine_key(shipped_bundle, LIBRARY, FakeDevice(), {"frames": 1}, "36.4.3")
    assert key.digest() == again.digest()
    assert key.as_dict()["bundle_sha256"] == shipped_bundle.sha256
    others = [
        engine_key(
            shipped_bundle, replace(LIBRARY, version="11.0"), FakeDevice(), {"frames": 1}, None
        ),
        engine_key(shipped_bundle, LIBRARY, FakeDevice("8.6"), {"frames": 1}, "36.4.3"),
        engine_key(shipped_bundle, LIBRARY, FakeDevice("8.7", "Nano"), {"frames": 1}, "36.4.3"),
        engine_key(shipped_bundle, LIBRARY, FakeDevice(), {"frames": 2}, "36.4.3"),
        engine_key(shipped_bundle, LIBRARY, FakeDevice(), {"frames": 1}, None),
    ]
    monkeypatch.setattr(module, "CODE_FILES", ("graph.py",))  # as if the other files had changed
    others.append(engine_key(shipped_bundle, LIBRARY, FakeDevice(), {"frames": 1}, "36.4.3"))
    assert len({key.digest(), *(other.digest() for other in others)}) == 7


def test_the_code_that_is_hashed_is_there() -> None:
    assert all((Path(module.__file__).parent / name).exists() for name in module.CODE_FILES)
