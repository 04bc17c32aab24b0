"""Outer faces of endplates that lie along thick slices."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr

from node.imaging.spine import shell, sliced
from node.imaging.spine.sliced import Sliced

SIZE = (33, 27)


def scanned(face_mm: NDArray[np.float64], slice_mm: float, blur_mm: float, noise_hu: float = 0.0) -> Sliced:
    """Profiles about a flat surface, interpolated between slices, across an endplate ``face_mm`` beyond it.

    The surface lies at different depths of the slices along the columns, as that of a tilted endplate does.
    """
    at = shell.window_mm()
    phase = np.broadcast_to(np.linspace(0.05, 0.95, SIZE[0])[:, None], SIZE)
    along = phase[..., None] + at / slice_mm
    before = np.floor(along)

    def held(number: NDArray[np.float64]) -> NDArray[np.float64]:
        beyond = (number - phase[..., None]) * slice_mm - face_mm[..., None]
        outside, within = ndtr(beyond / blur_mm), ndtr((beyond + 0.8) / blur_mm)
        return np.asarray(120.0 * (1.0 - within) + 900.0 * (within - outside) + 80.0 * outside)

    hu = held(before) + (along - before) * (held(before + 1.0) - held(before))
    hu = hu + np.random.default_rng(4).normal(0.0, noise_hu, hu.shape) if noise_hu else hu
    return Sliced(hu.astype(np.float32), phase, 1.0 / slice_mm, slice_mm, np.ones(SIZE))


@pytest.mark.parametrize("slice_mm", [0.8, 1.5, 2.5, 3.0])
@pytest.mark.parametrize("face_mm", [-1.4, -0.5, 0.3])
def test_the_face_is_found_whatever_the_slices(slice_mm: float, face_mm: float) -> None:
    plate = scanned(np.full(SIZE, face_mm), slice_mm, blur_mm=1.0, noise_hu=15.0)
    (shift,) = sliced.face_shifts([plate])
    assert float(np.median(shift)) == pytest.approx(face_mm, abs=0.15)
    assert np.abs(shift - face_mm).max() < 0.8


def test_a_hollow_endplate_is_followed_between_the_slices() -> None:
    u, v = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-1, 1, SIZE[1]), indexing="ij")
    dish = -2.0 * np.clip(1.0 - u**2 - v**2, 0.0, 1.0)
    (shift,) = sliced.face_shifts([scanned(dish, slice_mm=3.0, blur_mm=1.0)])
    assert float(np.abs(shift - dish).mean()) < 0.45
    assert shift[16, 13] == pytest.approx(-2.0, abs=0.7)


def test_places_without_weight_follow_their_neighbours() -> None:
    plate = scanned(np.full(SIZE, -0.6), slice_mm=2.0, blur_mm=1.0)
    hu, weight = plate.hu.copy(), np.ones(SIZE)
    hu[14:17, 12:15], weight[14:17, 12:15] = 0.0, 0.0
    (shift,) = sliced.face_shifts([Sliced(hu, plate.phase, plate.slices_per_mm, plate.mm_per_slice, weight)])
    assert shift[15, 13] == pytest.approx(-0.6, abs=0.3)


def test_no_plates_have_no_faces() -> None:
    assert sliced.face_shifts([]) == []
