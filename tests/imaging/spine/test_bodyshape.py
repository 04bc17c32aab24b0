"""What is read off the surfaces of a body, worked out by hand on made-up ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.imaging.spine.bodyframe import Pose
from node.imaging.spine.bodyshape import BodyShape, read_heights
from node.imaging.spine.endplates import HeightMap
from node.imaging.spine.walls import THETA, ZETA, Wall

WIDTH, DEPTH, HALF = 44.0, 32.0, 13.0
SHARP = 1.0
"""Slice spacing, mm."""


def plate(sign: float, dish_mm: float = 0.0, wedge: float = 0.0, clarity: float = 1.0) -> HeightMap:
    """A dished endplate ``HALF`` from the middle; ``wedge`` is the part of the height lost at the front."""
    x, y = np.linspace(-26.0, 26.0, 33), np.linspace(-19.0, 19.0, 27)
    dish = np.clip(1.0 - (x[:, None] / 20.0) ** 2 - (y[None, :] / 14.0) ** 2, 0.0, 1.0)
    front = np.clip(0.5 - y[None, :] / DEPTH, 0.0, 1.2)
    z = sign * (HALF - dish_mm * dish) - (wedge * 2.0 * HALF * front if sign > 0 else 0.0)
    return HeightMap(x, y, np.broadcast_to(z, (33, 27)).copy(), np.full((33, 27), clarity))


def body(bulge_mm: float = 0.0, **upper: float) -> BodyShape:
    radius = 1.0 / np.hypot(np.sin(THETA) / (0.5 * WIDTH), np.cos(THETA) / (0.5 * DEPTH))
    behind = np.exp(-((np.angle(np.exp(1j * THETA)) / 0.5) ** 2))[:, None] * (1.0 - ZETA**2)
    pose = Pose(np.zeros(3), np.eye(3), 2.0 * HALF, WIDTH, DEPTH)
    return BodyShape(pose, plate(1.0, **upper), plate(-1.0), Wall(radius[:, None] + bulge_mm * behind))


def test_a_box_is_equally_high_everywhere() -> None:
    heights, contour = read_heights(body(), SHARP)
    assert heights is not None
    assert contour is not None
    assert (heights.anterior_mm, heights.middle_mm, heights.posterior_mm) == pytest.approx((26.0, 26.0, 26.0), abs=0.01)
    for side in (contour.right, contour.left):
        assert side is not None
        assert (side.anterior_mm, side.middle_mm, side.posterior_mm) == pytest.approx((26.0, 26.0, 26.0), abs=0.01)


def test_a_wedge_is_low_in_front_in_all_three_planes() -> None:
    heights, contour = read_heights(body(wedge=0.3), SHARP)
    assert heights is not None
    assert contour is not None
    assert heights.anterior_mm == pytest.approx(26.0 * (1 - 0.3 * 0.94), abs=0.4)
    assert contour.right is not None
    assert contour.right.anterior_mm < 0.8 * contour.right.posterior_mm


def test_a_dish_is_a_depression_of_its_endplate_alone() -> None:
    contour = read_heights(body(dish_mm=4.0), SHARP)[1]
    assert contour is not None
    assert contour.superior_depression_mm == pytest.approx(4.0, abs=0.5)
    assert contour.inferior_depression_mm == pytest.approx(0.0, abs=0.1)


def test_a_hollow_posterior_wall_does_not_stand_out() -> None:
    contour = read_heights(body(bulge_mm=-2.0), SHARP)[1]
    assert contour is not None
    assert contour.posterior_bulge_mm is not None
    assert contour.posterior_bulge_mm < -0.5


@pytest.mark.parametrize("bulge", [0.0, 3.0])
def test_a_posterior_wall_stands_out_as_far_as_it_was_made_to(bulge: float) -> None:
    contour = read_heights(body(bulge_mm=bulge), SHARP)[1]
    assert contour is not None
    assert contour.posterior_bulge_mm == pytest.approx(bulge * 0.8, abs=0.6)


def test_thick_slices_and_unclear_endplates_tell_no_contour() -> None:
    thick = read_heights(body(dish_mm=4.0), 2.5)[1]
    assert thick is not None
    assert (thick.superior_depression_mm, thick.posterior_bulge_mm) == (None, None)
    shape = body()
    unclear = read_heights(replace(shape, superior=plate(1.0, clarity=0.4)), SHARP)[1]
    assert unclear is not None
    assert unclear.superior_depression_mm is None
    assert unclear.inferior_depression_mm is not None


def test_endplates_that_nobody_sees_give_no_heights() -> None:
    shape = replace(body(), superior=plate(1.0, clarity=0.0), inferior=plate(-1.0, clarity=0.0))
    assert read_heights(shape, SHARP) == (None, None)
