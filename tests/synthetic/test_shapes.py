"""Signed distances and partial volume."""

from __future__ import annotations

import numpy as np
import pytest

from node.synthetic.canvas import Box, Canvas, cover
from node.synthetic.shapes import Ellipsoid, Tube, axes_along, paint, union


def canvas(step: float, size: int = 40) -> Canvas:
    """A cube of voxels about the origin."""
    affine = np.diag([step, step, step, 1.0])[[2, 1, 0, 3]]
    affine[:3, 3] = -step * (size - 1) / 2.0
    shape = (size, size, size)
    return Canvas(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.uint8), affine, step, step)


@pytest.mark.parametrize("step", [0.7, 1.0, 2.0])
def test_a_ball_keeps_its_volume_at_any_voxel_size(step: float) -> None:
    slab = canvas(step)
    paint(slab, Ellipsoid(np.array([0.3, -0.2, 0.1]), (9.0, 9.0, 9.0), np.eye(3)), 1.0)
    assert slab.hu.sum() * step**3 == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.015)


def test_a_thin_shell_weighs_what_it_should_in_thick_voxels() -> None:
    slab = canvas(2.0)
    block = slab.block(Box((-30, -30, -30), (30, 30, 30)))
    assert block is not None
    distance = np.abs(block.x + 0.0 * block.y + 0.0 * block.z) - np.float32(10.0)
    slab.shell(block, cover(distance, 2.0), cover(distance + np.float32(0.5), 2.0), 1000.0, 0.0)
    row = slab.hu[20, 20]
    assert float(row.sum()) * 2.0 == pytest.approx(2 * 0.5 * 1000.0, rel=0.01)


def test_a_tube_is_as_long_as_its_ends_are_apart_plus_their_rounding() -> None:
    slab = canvas(1.0)
    tube = Tube(np.array([-8.0, 0, 0]), np.array([8.0, 0, 0]), np.array([0, 0, 1.0]), (4.0, 4.0), (4.0, 4.0))
    paint(slab, tube, 1.0)
    assert float(slab.hu[20, 20].sum()) == pytest.approx(24.0, abs=0.7)


def test_the_first_radius_of_a_tube_lies_along_up() -> None:
    slab = canvas(1.0)
    tube = Tube(np.array([-8.0, 0, 0]), np.array([8.0, 0, 0]), np.array([0, 0, 1.0]), (8.0, 3.0), (8.0, 3.0))
    paint(slab, tube, 1.0)
    assert float(slab.hu[:, 20, 20].sum()) == pytest.approx(16.0, abs=0.7)
    assert float(slab.hu[20, :, 20].sum()) == pytest.approx(6.0, abs=0.7)


def test_axes_are_unit_and_perpendicular() -> None:
    axes = axes_along((0.2, -0.5, 0.9))
    assert np.allclose(axes @ axes.T, np.eye(3))


def test_nothing_is_painted_outside_the_slab() -> None:
    assert union(canvas(1.0), [Ellipsoid(np.array([500.0, 0, 0]), (5.0, 5.0, 5.0), np.eye(3))], 1.0) is None
