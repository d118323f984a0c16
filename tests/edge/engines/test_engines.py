"""The contract, for every engine on the same bundle: agreement, exact streaming, states that travel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.engines import onnxruntime_engine
from edge.engines.base import Engine
from edge.engines.registry import MAKERS, open_engine
from edge.errors import EngineMissingError, InputError
from tests.edge.engines.given import Given, given_from_leads, run, simulated
from tests.edge.signals import three_leads

BUNDLES = ["tiny_bundle", "shipped_bundle"]
RMSE_MV, LEAST_R = 0.002, 0.9999  # ARCHITECTURE.md: across engines, per lead


@pytest.fixture(params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    found: Bundle = request.getfixturevalue(request.param)
    return found


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.gpu) if name == "tensorrt" else name
        for name in sorted(MAKERS)
    ]
)
def engine(request: pytest.FixtureRequest, bundle: Bundle) -> Iterator[Engine]:
    if request.param == "torch":
        pytest.importorskip("torch", reason="the torch engine needs torch: install '.[test]'")
    try:
        opened = open_engine(bundle, request.param).engine
    except (
        EngineMissingError
    ) as error:  # of an extra that is not installed (CI has litert's once, by [test])
        if request.param not in ("tensorrt", "litert"):
            raise
        pytest.skip(str(error))
    with opened:
        yield opened


def same_codes(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def assert_agree(one: np.ndarray, other: np.ndarray) -> None:
    """Within the bounds across engines, per lead."""
    for a, b in zip(one.reshape(len(one), -1), other.reshape(len(other), -1), strict=True):
        assert np.sqrt(np.mean(np.square(a - b))) <= RMSE_MV
        assert np.corrcoef(a, b)[0, 1] >= LEAST_R


@pytest.mark.parametrize("present", [(True, True, True), (True, False, True), (False, True, False)])
def test_torch_and_onnxruntime_agree(bundle: Bundle, present: tuple[bool, ...]) -> None:
    pytest.importorskip("torch", reason="torch is the reference: install '.[test]'")
    given = given_from_leads(bundle.manifest, three_leads(300 * bundle.manifest.hop), present)
    engines = [open_engine(bundle, name).engine for name in ("torch", "onnxruntime")]
    (expected, expected_sigma), (ecg_mv, log_sigma) = (run(engine, given) for engine in engines)
    assert_agree(ecg_mv, expected)
    apart = np.abs(log_sigma - expected_sigma)
    assert (apart > 0.05).mean() < 1e-3 and apart.max() < 0.1  # a rounding tie at most
    codes = [np.concatenate([c.ravel() for c in e.state().values()]) for e in engines]
    assert (codes[0] != codes[1]).mean() < 1e-3  # a rounding tie at most


def test_torch_and_onnxruntime_agree_on_real_records(shipped_bundle: Bundle, ptbxl_fold10) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("torch", reason="torch is the reference: install '.[test]'")
    torch_engine, runtime = (
        open_engine(shipped_bundle, name).engine for name in ("torch", "onnxruntime")
    )
    for record in ptbxl_fold10.take(4).millivolts(("II", "V1", "V5")):
        given = given_from_leads(shipped_bundle.manifest, record)
        for engine in (torch_engine, runtime):
            engine.reset()
        assert_agree(run(torch_engine, given)[0], run(runtime, given)[0])


def test_slow_kernels_give_what_the_fast_ones_give(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fast ones would clip there is but one kind: then it is held against torch above."""
    given = simulated(bundle.manifest, 120)
    usual = open_engine(bundle, "onnxruntime").engine
    expected, _ = run(usual, given)
    monkeypatch.setattr(onnxruntime_engine, "sums_may_clip", lambda: True)
    chosen = open_engine(bundle, "onnxruntime").engine
    np.testing.assert_allclose(run(chosen, given)[0], expected, atol=1e-5)
    assert same_codes(chosen.state(), usual.state())


@pytest.mark.parametrize(
    ("flags", "clips"),
    [("fma avx2", True), ("avx2 avx512f avx512_vnni", False), ("avx2 avx_vnni", False)],
)
def test_kernels_that_clip_are_known_by_the_processor(
    flags: str, clips: bool, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: A CPU\nflags\t\t: fpu sse2 {flags}\nbugs\t\t:\n")
    assert onnxruntime_engine.sums_may_clip(cpuinfo) is clips
    assert onnxruntime_engine.sums_may_clip(tmp_path / "none")


def test_streamed_and_whole_give_the_same_integers(engine: Engine) -> None:
    quick = engine.name != "torch"  # the reference takes its time over every step
    given = simulated(engine.manifest, 160 if quick else 40)
    whole = run(engine, given)
    state = engine.state()
    assert any(codes.any() for codes in state.values())
    for frames in (1, 2, 3, 5, 8, 17, 50) if quick else (3, 17):
        engine.reset()
        streamed = run(engine, given, frames)
        assert same_codes(engine.state(), state), frames
        np.testing.assert_allclose(streamed[0], whole[0], atol=1e-5)
        np.testing.assert_allclose(streamed[1], whole[1], rtol=1e-5, atol=1e-5)


def test_every_step_length_to_50(tiny_bundle: Bundle) -> None:
    engine = open_engine(tiny_bundle, "onnxruntime").engine
    given = simulated(tiny_bundle.manifest, 110)
    whole, _ = run(engine, given)
    state = engine.state()
    for frames in range(1, 51):
        engine.reset()
        np.testing.assert_allclose(run(engine, given, frames)[0], whole, atol=1e-5)
        assert same_codes(engine.state(), state), frames


def test_step_lengths_may_change_from_step_to_step(engine: Engine) -> None:
    ecg, mask, anchor = simulated(engine.manifest, 47)
    whole, _ = run(engine, (ecg, mask, anchor))
    engine.reset()
    at, parts = 0, []
    for frames in (1, 1, 7, 1, 33, 3, 1):
        parts.append(
            engine.step(ecg[..., at : at + frames], mask[..., at : at + frames], anchor)[0].copy()
        )
        at += frames
    np.testing.assert_allclose(np.concatenate(parts, -1), whole, atol=1e-5)


def halves(given: Given, at: int) -> tuple[Given, Given]:
    ecg, mask, anchor = given
    return (ecg[..., :at], mask[..., :at], anchor), (ecg[..., at:], mask[..., at:], anchor)


def test_a_snapshot_continues_where_it_was_taken(engine: Engine) -> None:
    first, second = halves(simulated(engine.manifest, 80), 41)
    run(engine, first)
    snapshot = engine.state()
    kept = {name: codes.copy() for name, codes in snapshot.items()}
    expected = run(engine, second)
    assert same_codes(snapshot, kept)  # a copy: later steps do not touch it
    engine.set_state(snapshot)
    for one, other in zip(run(engine, second), expected, strict=True):
        assert np.array_equal(one, other)
    assert same_codes(snapshot, kept)


def test_a_snapshot_moves_between_engines(bundle: Bundle) -> None:
    pytest.importorskip("torch", reason="torch is the other engine: install '.[test]'")
    first, second = halves(simulated(bundle.manifest, 120), 61)
    for source, target in (("torch", "onnxruntime"), ("onnxruntime", "torch")):
        one, other = (open_engine(bundle, name).engine for name in (source, target))
        run(one, first)
        other.set_state(one.state())
        assert same_codes(other.state(), one.state())
        assert_agree(run(other, second)[0], run(one, second)[0])


def test_reset_forgets(engine: Engine) -> None:
    given = simulated(engine.manifest, 40)
    first = run(engine, given)
    engine.reset()
    assert same_codes(engine.state(), engine.zero_state())
    for one, other in zip(run(engine, given), first, strict=True):
        assert np.array_equal(one, other)


def test_a_state_that_does_not_fit_is_refused(engine: Engine) -> None:
    given = simulated(engine.manifest, 20)
    run(engine, given)
    before = engine.state()
    name = next(iter(before))
    for wrong in (
        {},
        before | {"state_99": before[name]},
        before | {name: before[name][..., 1:]},
        before | {name: before[name].astype(np.float32)},
        {key: codes for key, codes in before.items() if key != name},
    ):
        with pytest.raises(InputError, match="do not fit this bundle"):
            engine.set_state(wrong)
        assert same_codes(engine.state(), before)


def test_a_mask_may_be_one_value_per_lead(engine: Engine) -> None:
    ecg, mask, anchor = simulated(engine.manifest, 30)
    whole, _ = run(engine, (ecg, mask, anchor))
    engine.reset()
    again, _ = engine.step(ecg, mask[:, :, :1, :1], anchor)
    assert np.array_equal(again, whole)


def test_close_may_be_called_twice(engine: Engine) -> None:
    engine.close()
    engine.close()
