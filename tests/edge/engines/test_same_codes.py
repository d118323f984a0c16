"""The engines `c` and `litert`: ONNX Runtime's codes on any input, however it is cut, whoever else steps."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines.base import Engine
from edge.engines.c.engine import CEngine
from edge.engines.litert.engine import LiteRtEngine
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.self_check import self_check
from edge.errors import EngineError, EngineMissingError, InputError
from edge.leads import INPUT_LEADS, LEADS, lead_indices, twelve_from
from edge.reconstructor import Reconstructor
from tests.edge.engines.given import Given, given_from_leads, run, simulated
from tests.edge.signals import three_leads

DATA = Path(os.environ.get("LEADLIFT_DATA", "../shared/data"))
SUM_MV = 2e-5  # float32 sums of the head in another order, of values up to 100 mV
MASKS = [(True, True, True), (True, False, True), (False, True, True), (True, True, False)]


ENGINES: list[type[CEngine] | type[LiteRtEngine]] = [CEngine, LiteRtEngine]


@pytest.fixture(params=ENGINES, ids=lambda made: made.name)
def engine(request: pytest.FixtureRequest, shipped_bundle: Bundle) -> Iterator[Engine]:
    try:
        opened = request.param(shipped_bundle)
    except EngineMissingError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture
def reference(shipped_bundle: Bundle) -> Iterator[OnnxRuntimeEngine]:
    with OnnxRuntimeEngine(shipped_bundle) as opened:
        yield opened


def real_records(sets: dict[str, int]) -> Iterator[np.ndarray]:
    """(12, n) mV of as many records of each data set, spread over it."""
    for name, n in sets.items():
        file = DATA / f"{name}.npz"
        if not file.exists():
            pytest.skip(f"real recordings are not here: {file} is missing")
        with np.load(file) as found:
            twelve, ecg_uv = twelve_from(list(found["leads"])), found["ecg_uv"]
            for i in np.linspace(0, len(ecg_uv) - 1, n).astype(int):
                yield twelve @ (ecg_uv[i].astype(np.float32) / np.float32(1000))


def assert_equal_steps(engine: Engine, reference: OnnxRuntimeEngine, given: Given) -> int:
    """Every code of every hop, and what comes out; the number of hops."""
    ecg, mask, anchor = given
    for one in (engine, reference):
        one.reset()
    for frame in range(ecg.shape[-1]):
        at = slice(frame, frame + 1)
        ours, theirs = (
            [a.copy() for a in one.step(ecg[..., at], mask[..., at], anchor)]
            for one in (engine, reference)
        )
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=SUM_MV)
        if frame % 4 == 3:  # the shortest history holds four
            expected = reference.state()
            for name, codes in engine.state().items():
                assert np.array_equal(codes, expected[name]), (frame, name)
    return ecg.shape[-1]


def test_every_code_equals_onnxruntimes_on_real_records(
    engine: Engine, reference: OnnxRuntimeEngine
) -> None:
    """Hospital records, and records of a telephone that are usable or not."""
    sets = {"ptbxl": 3, "challenge2011_mobile": 3}
    hops = 0
    for i, ecg_mv in enumerate(real_records(sets)):
        leads = ecg_mv[lead_indices(INPUT_LEADS), :1200]
        given = given_from_leads(engine.manifest, leads, MASKS[i % len(MASKS)])
        hops += assert_equal_steps(engine, reference, given)
    assert hops == 6 * 300


@pytest.mark.slow
def test_75000_real_hops(engine: Engine, reference: OnnxRuntimeEngine) -> None:
    """Any measured leads of a record, of which any may be off: no code of no hop differs."""
    rng = np.random.default_rng(7)
    hops = 0
    sets = {"ptbxl": 40, "challenge2021_cpsc_ptb": 20, "challenge2011_mobile": 60}
    for ecg_mv in real_records(sets):
        rows = np.sort(rng.choice(12, rng.integers(1, 9), replace=False))
        on = rng.random(len(rows)) < 0.8
        on[rng.integers(len(rows))] = True
        given = given_from_leads(
            engine.manifest, ecg_mv[rows, :2500], on.tolist(), [LEADS[row] for row in rows]
        )
        hops += assert_equal_steps(engine, reference, given)
    assert hops == 75_000


def test_every_code_equals_on_electrode_faults_and_random_anchors(
    engine: Engine, reference: OnnxRuntimeEngine
) -> None:
    rng = np.random.default_rng(4)
    levels = np.repeat(rng.uniform(-32, 32, (3, 200)), 6, axis=1).astype(np.float32)
    ecg, mask, anchor = given_from_leads(engine.manifest, levels)
    assert_equal_steps(engine, reference, (ecg, mask, anchor))
    assert any((codes == 127).any() for codes in engine.state().values()), "none at the ceiling"
    dense = rng.normal(0, 0.5, anchor.shape).astype(np.float32)
    rows = rng.normal(0, 1.5, ecg.shape).astype(np.float32)
    known = np.broadcast_to(rng.integers(0, 2, (1, 12, 1, 1)), ecg.shape).astype(np.float32)
    assert_equal_steps(engine, reference, (rows * known, known, dense))


@pytest.mark.parametrize("frames", [2, 7, 64, 300])
def test_however_it_is_cut_the_outputs_are_the_same_bits(engine: Engine, frames: int) -> None:
    given = simulated(engine.manifest)
    expected = run(engine, given, 1)
    state = engine.state()
    engine.reset()
    found = run(engine, given, frames)
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a, b)
    assert all(np.array_equal(codes, state[name]) for name, codes in engine.state().items())


def test_a_mask_that_changes_is_seen_although_buffers_are_kept(
    engine: Engine, reference: OnnxRuntimeEngine
) -> None:
    """Read-only masks are known again, writeable ones are read anew."""
    ecg, mask, anchor = simulated(engine.manifest, 40)
    fixed = mask[..., :1].copy()
    fixed.flags.writeable = False
    changing = mask[..., :1].copy()
    for frame in range(40):
        at = slice(frame, frame + 1)
        changing[0, 1] = frame % 3 == 0
        given = fixed if frame % 5 < 2 else changing
        ours = engine.step(ecg[..., at], given, anchor)[0].copy()
        theirs = reference.step(ecg[..., at], given, anchor)[0]
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=SUM_MV)


def test_streams_in_threads_do_not_meet(shipped_bundle: Bundle, engine: Engine) -> None:
    """Eight reconstructors of one bundle, each with its patient, at the same time."""
    signals = [three_leads(2000, seed) for seed in range(8)]
    with Reconstructor(engine) as alone:
        expected = [alone.whole(signal).ecg_mv for signal in signals]
    found: dict[int, np.ndarray] = {}
    opened = [Reconstructor(type(engine)(shipped_bundle)) for _ in signals]
    start = threading.Barrier(len(signals))

    def stream(i: int) -> None:
        start.wait(60)
        parts = [opened[i].push(signals[i][:, at : at + 20]).ecg_mv for at in range(0, 2000, 20)]
        found[i] = np.concatenate(parts, 1)

    threads = [threading.Thread(target=stream, args=(i,)) for i in range(len(signals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for i, twelve in enumerate(expected):
        assert np.array_equal(found[i], twelve)


def test_skip_and_reset_forget_the_stream(shipped_bundle: Bundle, engine: Engine) -> None:
    first, second = three_leads(1000, 1), three_leads(1000, 2)
    with Reconstructor(engine) as r, Reconstructor(OnnxRuntimeEngine(shipped_bundle)) as other:
        for one in (r, other):
            one.push(first)
            one.skip(400)
        ours, theirs = r.push(second), other.push(second)
        assert ours.first_sample == theirs.first_sample == 1400
        np.testing.assert_allclose(ours.ecg_mv, theirs.ecg_mv, rtol=1e-5, atol=SUM_MV)
        r.reset()
        assert np.array_equal(r.push(first).ecg_mv, r.whole(first).ecg_mv)


def test_slots_equal_streams_of_their_own(engine: Engine, shipped_bundle: Bundle) -> None:
    streams = [given_from_leads(engine.manifest, three_leads(160, i), MASKS[i]) for i in range(4)]
    expected = []
    for one in streams:
        engine.reset()
        expected.append((*run(engine, one, 1), engine.state()))
    engine.reset()
    run(engine, streams[0], 40)
    own = engine.state()
    batch = engine.open_batch(5)
    found: dict[int, list[np.ndarray]] = {slot: [] for slot in range(4)}
    for frame in range(40):
        slots = [slot for slot in (3, 1, 0, 2) if frame % (slot + 1) == 0 or frame > 30] or [2]
        for slot in slots:
            at = len(found[slot])
            parts = [np.concatenate([streams[slot][i]]) for i in range(3)]
            step = batch.step(
                [slot], parts[0][..., at : at + 1], parts[1][..., at : at + 1], parts[2]
            )
            found[slot].append(step[0][0].copy())
    for slot, parts in found.items():
        n = len(parts)
        assert np.array_equal(np.concatenate(parts, -1), expected[slot][0][..., :n])
    together = [np.concatenate([one[i] for one in streams]) for i in range(3)]
    for slot in range(4):
        batch.reset(slot)
    whole = batch.step([0, 1, 2, 3], *together)
    for slot in range(4):
        assert np.array_equal(whole[0][slot], expected[slot][0])
        assert np.array_equal(whole[1][slot], expected[slot][1])
        state = batch.state(slot)
        assert all(np.array_equal(codes, state[name]) for name, codes in expected[slot][2].items())
    batch.set_state(4, batch.state(2))
    assert all(np.array_equal(c, batch.state(2)[name]) for name, c in batch.state(4).items())
    assert all(np.array_equal(codes, own[name]) for name, codes in engine.state().items())
    with pytest.raises(InputError, match="slots"):
        batch.step([0, 0, 1, 2], *together)


def test_no_state_of_another_engine_is_taken_that_none_can_have(engine: Engine) -> None:
    run(engine, simulated(engine.manifest, 10))
    before = engine.state()
    spoiled = {name: codes.copy() for name, codes in before.items()}
    spoiled["state_1"].flat[7] = 128
    with pytest.raises(InputError, match="state_1 has codes above 127"):
        engine.set_state(spoiled)
    assert all(np.array_equal(codes, before[name]) for name, codes in engine.state().items())


def test_self_check_holds_it_to_every_code(
    engine: Engine, reference: OnnxRuntimeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert self_check(engine, reference) < 0.01

    right = engine.state

    def one_code_off() -> dict[str, np.ndarray]:
        found = right()
        found["state_3"].flat[-1] ^= 1
        return found

    monkeypatch.setattr(engine, "state", one_code_off)
    with pytest.raises(EngineError, match=r" [12] codes of the state differ"):
        self_check(engine, reference)


def test_after_close_a_step_says_so(shipped_bundle: Bundle, engine: Engine) -> None:
    given = simulated(engine.manifest, 4)
    other = type(engine)(shipped_bundle)
    other.close()
    other.close()
    with pytest.raises(EngineError, match="closed"):
        run(other, given)
    run(engine, given)


def test_details_say_what_computes(engine: Engine) -> None:
    found = engine.details()
    if engine.name == "c":
        assert found["kernel"] and "-ffp-contract=off" in str(found["flags"])
    else:
        assert found["version"] and found["codes_compared"]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 17])
def test_a_batch_of_any_width_has_the_codes_of_each_stream_alone(
    engine: Engine, reference: OnnxRuntimeEngine, n: int
) -> None:
    """Whole tiles of streams and what is left of one, at codes from silence to the ceiling."""
    frames, gains = 8, np.geomspace(0.01, 300, n)
    manifest = engine.bundle.manifest
    each = [
        given_from_leads(
            manifest,
            gain * three_leads(frames * manifest.hop, seed),
            MASKS[seed % len(MASKS)],
        )
        for seed, gain in enumerate(gains.astype(np.float32))
    ]
    ecg, mask, anchor = (np.concatenate(part) for part in zip(*each, strict=True))
    batch, made = engine.open_batch(n), []
    for frame in range(frames):
        at = slice(frame, frame + 1)
        made.append(
            [a.copy() for a in batch.step([*range(n)], ecg[..., at], mask[..., at], anchor)]
        )
    for slot, one in enumerate(each):
        reference.reset()
        for ours, theirs in zip(zip(*made, strict=True), run(reference, one, 1), strict=True):
            together = np.concatenate([a[slot] for a in ours], -1)
            np.testing.assert_allclose(together, theirs, rtol=1e-5, atol=SUM_MV)
        expected = reference.state()
        for name, codes in batch.state(slot).items():
            np.testing.assert_array_equal(codes, expected[name])
