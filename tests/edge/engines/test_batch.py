"""Slots of a batch: each gives what the engine gives to its stream alone, whatever steps beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.engines.base import Batch, Engine, SlotBySlot
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.errors import InputError
from tests.edge.engines.given import Given, given_from_leads, run
from tests.edge.signals import three_leads

SLOTS = 5
MASKS = [(True, True, True), (True, False, True), (False, True, False)]


def native(engine: Engine) -> Batch:
    return engine.open_batch(SLOTS)


def slot_by_slot(engine: Engine) -> Batch:
    return SlotBySlot(engine, SLOTS)


def streams(bundle: Bundle, frames: int) -> list[Given]:
    m = bundle.manifest
    return [
        given_from_leads(m, three_leads(frames * m.hop, seed), MASKS[seed % len(MASKS)])
        for seed in range(SLOTS)
    ]


def step(batch: Batch, slots: list[int], all_given: list[Given], at: slice) -> list[np.ndarray]:
    ecg, mask, anchor = (
        np.concatenate([all_given[slot][part] for slot in slots]) for part in range(3)
    )
    return [a.copy() for a in batch.step(slots, ecg[..., at], mask[..., at], anchor)]


@pytest.mark.parametrize("opened", [native, slot_by_slot])
def test_slots_equal_streams_of_their_own(
    shipped_bundle: Bundle, opened: Callable[[Engine], Batch]
) -> None:
    frames = 40
    all_given = streams(shipped_bundle, frames)
    with OnnxRuntimeEngine(shipped_bundle) as alone:
        expected = []
        for one in all_given:
            alone.reset()
            expected.append((*run(alone, one, 1), alone.state()))
    with OnnxRuntimeEngine(shipped_bundle) as engine:
        batch = opened(engine)
        parts: list[list[np.ndarray]] = [[] for _ in range(SLOTS)]
        for frame in range(frames):
            slots = list(range(SLOTS))[:: 1 if frame % 2 else -1]  # any order
            ecg_mv, _ = step(batch, slots, all_given, slice(frame, frame + 1))
            for row, slot in enumerate(slots):
                parts[slot].append(ecg_mv[row])
        for slot, (ecg_mv, _, state) in enumerate(expected):
            np.testing.assert_allclose(np.concatenate(parts[slot], -1), ecg_mv, atol=1e-6)
            for name, codes in batch.state(slot).items():
                np.testing.assert_array_equal(codes, state[name])


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_slot_does_not_feel_who_steps_beside_it(tiny_bundle: Bundle, data: st.DataObject) -> None:
    """Streams that join, stall and go on at any time end in the same codes."""
    frames = 12
    all_given = streams(tiny_bundle, frames)
    done = [0] * SLOTS
    with OnnxRuntimeEngine(tiny_bundle) as engine:
        batch = engine.open_batch(SLOTS)
        while min(done) < frames:
            ready = [slot for slot in range(SLOTS) if done[slot] < frames]
            slots = data.draw(st.lists(st.sampled_from(ready), min_size=1, unique=True))
            rows = []
            for slot in slots:  # each at a frame of its own
                at = slice(done[slot], done[slot] + 1)
                ecg, mask, anchor = all_given[slot]
                rows.append((ecg[..., at], mask[..., at], anchor))
                done[slot] += 1
            batch.step(slots, *(np.concatenate(part) for part in zip(*rows, strict=True)))
        for slot, one in enumerate(all_given):
            engine.reset()
            run(engine, one, 1)
            for name, codes in engine.state().items():
                np.testing.assert_array_equal(batch.state(slot)[name], codes)


@pytest.mark.parametrize("opened", [native, slot_by_slot])
def test_a_stream_moves_from_an_engine_to_a_slot_and_is_forgotten(
    tiny_bundle: Bundle, opened: Callable[[Engine], Batch]
) -> None:
    one = streams(tiny_bundle, 8)[0]
    with OnnxRuntimeEngine(tiny_bundle) as engine, OnnxRuntimeEngine(tiny_bundle) as other:
        run(engine, one, 1)
        batch = opened(other)
        batch.set_state(3, engine.state())
        for name, codes in engine.state().items():
            np.testing.assert_array_equal(batch.state(3)[name], codes)
        batch.reset(3)
        assert not any(codes.any() for codes in batch.state(3).values())


@pytest.mark.parametrize("opened", [native, slot_by_slot])
def test_a_slot_that_is_not_there_is_refused(
    tiny_bundle: Bundle, opened: Callable[[Engine], Batch]
) -> None:
    one = streams(tiny_bundle, 1)[0]
    with OnnxRuntimeEngine(tiny_bundle) as engine:
        batch = opened(engine)
        for slots in ([SLOTS], [-1], [1, 1]):
            with pytest.raises(InputError, match="slots"):
                batch.step(slots, *(np.repeat(part, len(slots), 0) for part in one))
        with pytest.raises(InputError, match="state tensors"):
            batch.set_state(0, {})
        with pytest.raises(InputError, match="one or more"):
            engine.open_batch(0)
