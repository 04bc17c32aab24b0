"""Outlines of masks, in the pixels of the images they lie on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from node.domain.volume import Mask, SourceImage, Volume
from node.report.outline import Raster, outlines, signed_area


def flat(mask: NDArray[np.bool_]) -> tuple[Volume, Mask, Raster]:
    """One slice whose pixels are its voxels."""
    affine = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    volume = Volume(np.zeros((1, *mask.shape), dtype=np.int16), affine, "1.2", (SourceImage("1", "2"),))
    raster = Raster(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), *mask.shape)
    return volume, Mask.of(mask[None]), raster


def test_one_pixel_is_outlined_about_its_centre() -> None:
    mask = np.zeros((5, 5), dtype=bool)
    mask[2, 3] = True
    (loop,) = outlines(*flat(mask))
    assert loop[:-1].mean(axis=0) == pytest.approx([3.5, 2.5])


def test_rectangle_loses_only_its_corners() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:6, 1:8] = True
    (loop,) = outlines(*flat(mask))
    assert signed_area(loop) == pytest.approx(4 * 7 - 4 * 0.125)


def test_larger_part_comes_first() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[1, 1] = True
    mask[4:8, 4:8] = True
    assert [round(signed_area(loop)) for loop in outlines(*flat(mask))] == [16, 0]


def test_hole_is_not_an_outline() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    assert len(outlines(*flat(mask))) == 1


def test_pixels_that_touch_at_a_corner_are_two() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 1] = mask[2, 2] = True
    assert len(outlines(*flat(mask))) == 2


def test_plane_beside_the_mask_has_none() -> None:
    volume, mask, raster = flat(np.ones((4, 4), dtype=bool))
    raster.origin_lps_mm[2] = 2.0
    assert outlines(volume, mask, raster) == ()


def test_empty_mask_has_none() -> None:
    assert outlines(*flat(np.zeros((4, 4), dtype=bool))) == ()


def test_mask_is_cut_at_the_edge_of_the_image() -> None:
    volume, mask, raster = flat(np.ones((6, 6), dtype=bool))
    smaller = Raster(raster.origin_lps_mm, raster.along_row_mm, raster.along_column_mm, 3, 4)
    (loop,) = outlines(volume, mask, smaller)
    assert loop.min() >= 0
    assert (loop.max(axis=0) <= [4, 3]).all()


def test_oblique_plane_cuts_a_ball_in_a_disc() -> None:
    grid = np.mgrid[:21, :21, :21] - 10.0
    ball = (grid**2).sum(axis=0) <= 64
    affine = np.eye(4)[[2, 1, 0, 3]]
    volume = Volume(np.zeros(ball.shape, np.int16), affine, "1", tuple(SourceImage("1", str(k)) for k in range(21)))
    tilt = np.deg2rad(30)
    down = np.array([0, np.cos(tilt), np.sin(tilt)])
    raster = Raster(np.array([0, 10, 10]) - 10 * down, np.array([1.0, 0, 0]), down, 21, 21)
    (loop,) = outlines(volume, Mask.of(ball), raster)
    assert signed_area(loop) == pytest.approx(np.pi * 64, rel=0.06)
    assert (loop.min(axis=0) + loop.max(axis=0)) / 2 == pytest.approx([10.5, 10.5], abs=0.6)


@settings(max_examples=80, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_every_outline_is_closed_and_inside(mask: NDArray[np.bool_]) -> None:
    for loop in outlines(*flat(mask)):
        assert len(loop) >= 5
        assert (loop[0] == loop[-1]).all()
        assert loop.min() >= 0
        assert (loop.max(axis=0) <= mask.shape[::-1]).all()
