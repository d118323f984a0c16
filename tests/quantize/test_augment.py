"""A heart that turns, and recorded noise: what stays as it was, and how large the rest becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="quantize needs scipy: install '.[test]'")

from edge.signal.conditioning import Conditioning
from firmware_bridge.simulators.ecg import LEAD_VECTORS
from quantize.augment import NOISE_RMS_MV, Augmentation, Noise, lead_maps
from quantize.errors import QuantizeError

TURNED = Augmentation(False, 0.0, 30.0, 0.0, 0.0, 0.0, 0.0)


def test_nothing_asked_nothing_done() -> None:
    maps = lead_maps(Augmentation.none(), 3, np.random.default_rng(0))
    np.testing.assert_allclose(maps, np.broadcast_to(np.eye(8), (3, 8, 8)), atol=1e-6)


def test_a_dipole_turns_and_keeps_its_length() -> None:
    maps = lead_maps(TURNED, 50, np.random.default_rng(0))
    dipole = np.array([0.3, 1.0, -0.5])
    turned = np.linalg.pinv(LEAD_VECTORS) @ (maps @ (LEAD_VECTORS @ dipole)).T
    np.testing.assert_allclose(np.linalg.norm(turned, axis=0), np.linalg.norm(dipole), rtol=1e-5)
    cosine = dipole @ turned / np.linalg.norm(dipole) ** 2
    angles = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    assert angles.max() <= 30.1
    assert angles.max() > 15


def test_what_is_no_dipole_stays() -> None:
    """The local field of each electrode: what three leads cannot tell, and training must not lose."""
    maps = lead_maps(TURNED, 5, np.random.default_rng(0))
    local = np.linalg.svd(LEAD_VECTORS)[0][:, 3:]
    np.testing.assert_allclose(maps @ local, np.broadcast_to(local, (5, 8, 5)), atol=1e-5)


def test_gain_and_axes_change_amplitude() -> None:
    rng = np.random.default_rng(0)
    gains = lead_maps(Augmentation(False, 0.15, 0.0, 0.0, 0.0, 0.0, 0.0), 200, rng)
    of_first = gains[:, 0, 0]
    np.testing.assert_allclose(gains, of_first[:, None, None] * np.eye(8), atol=1e-6)
    log_gains = np.log(of_first)
    assert -0.15 <= log_gains.min() < -0.1 < 0.1 < log_gains.max() <= 0.15
    axes = lead_maps(Augmentation(False, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0), 200, rng)
    assert np.linalg.svd(axes[0], compute_uv=False).max() > 1.001


def test_noise_has_the_level_asked_for_and_a_piece_for_each_lead() -> None:
    recorded = np.random.default_rng(0).standard_normal((6, 20_000)).astype(np.float32)
    noise = Noise(recorded, Conditioning(), 4)
    rng = np.random.default_rng(1)
    drawn = np.stack([noise.draw(3, 1000, rng)[1] for _ in range(50)])
    rms = np.sqrt(np.square(drawn).mean(-1))
    assert NOISE_RMS_MV[0] / 4 <= rms.min() < rms.max() <= NOISE_RMS_MV[1] * 1.01
    assert np.abs(np.corrcoef(drawn[0])[np.triu_indices(3, 1)]).max() < 0.3


def test_the_second_half_of_the_noise_is_for_tests(tmp_path: Path) -> None:
    channels = np.zeros((2, 8000), np.int16)
    channels[:, 4000:] = np.random.default_rng(0).integers(-500, 500, (2, 4000))
    np.savez(tmp_path / "nstdb_noise.npz", bw=channels, em=channels, ma=channels)
    assert not Noise.load(Conditioning(), 4, tmp_path).signals.any()
    with pytest.raises(QuantizeError, match="no noise"):
        Noise.load(Conditioning(), 4, tmp_path / "nowhere")
