"""The engine `litert`: what it refuses, and what it does where LiteRT rounds otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.c_export.residual_add import integer_add
from edge.engines import registry
from edge.engines.litert.engine import LiteRtEngine, Places
from edge.engines.litert.library import Model, imported, require
from edge.engines.litert.model import Decoder, decoder_of
from edge.engines.litert.proof import beside_borders, proved, proved_sum
from edge.engines.onnxruntime_engine import OnnxRuntimeEngine
from edge.engines.self_check import self_check
from edge.errors import EngineBuildError, EngineMissingError
from tests.edge.c_export.test_network import changed, constant, operator
from tests.edge.engines.given import run, simulated


@pytest.fixture
def litert() -> None:
    try:
        require()
    except EngineMissingError as error:
        pytest.skip(str(error))


def test_without_litert_one_line_names_the_extra_and_auto_goes_on(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.engines.litert.library.MODULES", ("no_such_litert",))
    with pytest.raises(EngineMissingError) as refused:
        registry.open_engine(shipped_bundle, "litert")
    said = str(refused.value)
    assert said.startswith("the litert engine needs no_such_litert: pip install '.[litert]'")
    assert "--engine onnxruntime" in said and "\n" not in said
    monkeypatch.setattr(registry, "AUTO", ("litert", "onnxruntime"))
    choice = registry.open_engine(shipped_bundle)
    assert choice.engine.name == "onnxruntime" and choice.skipped["litert"] == said


def test_one_that_does_not_load_is_one_line(
    shipped_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_litert.py").write_text("raise OSError('libLiteRt.so:\\ncut short')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("edge.engines.litert.library.MODULES", ())
    with pytest.raises(EngineMissingError) as refused:
        imported("broken_litert")
    assert str(refused.value).startswith(
        "LiteRT does not load (libLiteRt.so: cut short): pip install"
    )


@pytest.mark.usefixtures("litert")
def test_a_mask_without_all_axes_is_broadcast(shipped_bundle: Bundle) -> None:
    ecg, _, anchor = simulated(shipped_bundle.manifest, 12)
    with LiteRtEngine(shipped_bundle) as engine, OnnxRuntimeEngine(shipped_bundle) as reference:
        for mask in (np.ones(1, np.float32), np.ones((12, 1, 1), np.float32)):
            for at in (slice(1), slice(1, 12)):
                ours, _ = engine.step(ecg[..., at], mask, anchor)
                theirs, _ = reference.step(ecg[..., at], mask, anchor)
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


def test_dilations_that_seldom_meet_are_refused(shipped_bundle: Bundle) -> None:
    network = decoder_of(shipped_bundle).network
    blocks = [network.blocks[0]._replace(dilation=dilation) for dilation in (13, 17, 19, 23)]
    with pytest.raises(EngineBuildError, match="dilations of 13, 17, 19, 23, which meet after"):
        Places(replace(network, blocks=tuple(blocks)))


@pytest.mark.usefixtures("litert")
def test_a_layer_that_is_not_known_is_named(shipped_bundle: Bundle) -> None:
    bundle = changed(shipped_bundle, operator("block_1_relu", "Tanh"))
    with pytest.raises(EngineBuildError, match=r"^unknown layer block_1_relu: it is Tanh"):
        LiteRtEngine(bundle)


@pytest.mark.usefixtures("litert")
def test_an_add_that_litert_rounds_otherwise_is_looked_up(shipped_bundle: Bundle) -> None:
    """About one in five scales: in the fixed point of LiteRT a pair lies on the other side of a half."""
    add = decoder_of(shipped_bundle).sums[1]
    scales = (add.branch * np.float32(1 + percent / 100) for percent in range(1, 80))
    scale = next(
        one
        for one in scales
        if proved_sum(add._replace(branch=one)).table and integer_add(add.skip, one, add.out)
    )
    bundle = changed(shipped_bundle, constant("block_1_branch_scale", lambda one: one * 0 + scale))
    with LiteRtEngine(bundle) as engine, OnnxRuntimeEngine(bundle) as reference:
        assert int(str(engine.details()["adds_looked_up"])) >= 1
        assert self_check(engine, reference) < 0.01


@pytest.mark.usefixtures("litert")
@pytest.mark.parametrize("frames", [1, 9])
def test_a_decoder_of_another_shape(tiny_bundle: Bundle, frames: int) -> None:
    """16 channels, 3 taps, and rows of leads that are no whole fours."""
    given = simulated(tiny_bundle.manifest)
    with LiteRtEngine(tiny_bundle) as engine, OnnxRuntimeEngine(tiny_bundle) as reference:
        assert self_check(engine, reference) < 0.01
        for ours, theirs in zip(run(engine, given, frames), run(reference, given), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)
        for name, codes in engine.state().items():
            assert np.array_equal(codes, reference.state()[name])


def nudged_layer(decoder: Decoder) -> Decoder:
    dense = decoder.dilated[2]
    wrong = dense._replace(weights=dense.weights * np.float32(1.0001))
    return replace(decoder, dilated=(*decoder.dilated[:2], wrong, *decoder.dilated[3:]))


def ceiling_above(decoder: Decoder) -> Decoder:
    return replace(decoder, stem=decoder.stem._replace(y=decoder.stem.y * np.float32(1.001)))


@pytest.mark.usefixtures("litert")
@pytest.mark.parametrize(
    ("change", "name"), [(nudged_layer, "block_2_dilated"), (ceiling_above, "stem")]
)
def test_a_layer_that_is_rounded_otherwise_is_refused_by_name(
    shipped_bundle: Bundle, change: Callable[[Decoder], Decoder], name: str
) -> None:
    with pytest.raises(EngineBuildError, match=f"^LiteRT rounds the layer {name} otherwise"):
        proved(change(decoder_of(shipped_bundle)))


def test_both_sides_of_every_border_are_compared(shipped_bundle: Bundle) -> None:
    dense = decoder_of(shipped_bundle).pointwise[0]
    sums, codes = (found.reshape(-1, 255, 2) for found in beside_borders(dense))
    reached = np.abs(sums).max(-1) > 0
    assert reached.all() and (sums[..., 1] == sums[..., 0] + 1).all()
    assert (codes[..., 1] == codes[..., 0] + 1).all()
    assert (codes[:, 0, 0] == -128).all() and (codes[:, -1, 1] == 127).all()


@pytest.mark.usefixtures("litert")
def test_what_is_no_model_is_one_line() -> None:
    with pytest.raises(EngineBuildError, match="does not take the model") as refused:
        Model(b"TFL3 of another kind")
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("litert")
def test_results_outlive_the_engine(shipped_bundle: Bundle) -> None:
    """They lie in LiteRT's memory, which they keep."""
    engine = LiteRtEngine(shipped_bundle)
    m = engine.manifest
    ecg = np.zeros((1, len(m.input_leads), m.hop, 1), np.float32)
    anchor = np.zeros((1, len(m.output_leads), len(m.input_leads), 1, 1), np.float32)
    ecg_mv, _ = engine.step(ecg, np.zeros_like(ecg), anchor)
    before = ecg_mv.copy()
    engine.close()
    del engine
    others = [LiteRtEngine(shipped_bundle) for _ in range(3)]  # take what was given back
    assert np.array_equal(ecg_mv, before) and len(others) == 3


OPENS = """
from edge.bundle import load_bundle
from edge.engines.litert.engine import LiteRtEngine
with LiteRtEngine(load_bundle()):
    print("opened")
"""


@pytest.mark.usefixtures("litert")
def test_litert_says_nothing_on_standard_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENS], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("opened\n", "")


def test_import_edge_loads_none_of_it() -> None:
    code = "import edge, sys; print(any('litert' in name for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
