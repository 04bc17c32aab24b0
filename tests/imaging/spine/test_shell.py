"""The outer face of blurred thin cortex."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from node.imaging.spine import shell


def blurred(blur_mm: float, face_mm: float, thickness_mm: float = 0.8) -> np.ndarray:
    """Profile over the window: spongiosa 120 HU, shell 900 HU, disc 80 HU, outer face at ``face_mm``."""
    at = shell.window_mm()
    outside = ndtr((at - face_mm) / blur_mm)
    within = ndtr((at - face_mm + thickness_mm) / blur_mm)
    return np.asarray(120.0 * (1.0 - within) + 900.0 * (within - outside) + 80.0 * outside)


@pytest.mark.parametrize("blur_mm", [0.7, 1.2, 2.0])
@pytest.mark.parametrize("face_mm", [-1.5, -0.4, 0.3])
def test_the_face_is_found_behind_the_blur(blur_mm: float, face_mm: float) -> None:
    stack = np.tile(blurred(blur_mm, face_mm), (9, 9, 1)).astype(np.float32)
    (shift,) = shell.face_shifts([stack], [np.ones((9, 9))])
    assert shift == pytest.approx(np.full((9, 9), face_mm), abs=0.25)


def test_one_blur_serves_all_places() -> None:
    clear = np.tile(blurred(1.2, -0.8), (15, 15, 1)).astype(np.float32)
    noisy = clear + np.random.default_rng(3).normal(0.0, 25.0, clear.shape).astype(np.float32)
    _, shift = shell.face_shifts([clear, noisy], [np.ones((15, 15))] * 2)
    assert float(np.median(shift)) == pytest.approx(-0.8, abs=0.2)


def test_profiles_are_lined_up_on_the_surface() -> None:
    offsets = np.arange(-6.0, 6.1, 0.5)
    surface = np.array([[-1.0, 0.0, 1.5]])
    profiles = (offsets - surface[..., None]).astype(np.float32)
    lined_up = shell.aligned(profiles, offsets, surface)
    assert lined_up[0, :, :] == pytest.approx(np.tile(shell.window_mm(), (3, 1)), abs=1e-5)


def test_pooling_leaves_out_places_without_weight() -> None:
    profiles = np.zeros((9, 9, 3), dtype=np.float32)
    profiles[4, 4] = 1000.0
    weight = np.ones((9, 9))
    weight[4, 4] = 0.0
    assert float(np.abs(shell.pooled(profiles, weight, 1.5)).max()) < 1e-3
