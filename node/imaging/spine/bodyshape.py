"""The surfaces of one vertebral body, and what is read off them: heights in three sagittal planes, and more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import Contour, Heights, Point, SideHeights
from node.imaging.spine.bodyframe import Pose
from node.imaging.spine.endplates import HeightMap
from node.imaging.spine.walls import THETA, ZETA, Wall

Floats = NDArray[np.float64]

READING_ERROR_MM, UNCLEAR_ERROR_MM = 0.4, 4.0
"""Standard error of a height between clear endplates in thin slices, and of the place of an endplate not seen."""
SLICE_ERROR_PER_MM = 0.1
"""Times the square of the slice spacing; with the former 0.4 mm at 1 mm and 0.6 at 2 (measured: 0.3 and 0.5 mm)."""
UNSEEN_ERROR_MM = 5.5
"""Above this median standard error endplates count as not seen, and there are no heights: both of them hidden."""
PLACES, SEEN_AT = (0.06, 0.56, 0.96), (0.16, 0.56, 0.83)
"""Where the anterior, middle and posterior height are read, as parts of the way from the front to the back, and where
the clarity of the endplates there is judged: farther in, where the wall does not blur it."""
INWARD = dict(zip(PLACES, (0.2, 0.0, -0.2), strict=True))
"""How far in from each place the endplate is followed toward it, as a part of the way from the front to the back."""
SIDE_PART = 0.25
"""Of the body's width, from the middle to the planes at either side."""
CONTOUR_SLICE_MM = 1.5
"""Depressions and bulges of a few millimetres are not read from thicker slices."""
CONTOUR_CLARITY = 0.6
"""Least mean clarity of the endplates for the same."""


@dataclass(frozen=True, slots=True, eq=False)
class BodyShape:
    """The surfaces of one vertebral body in its own frame."""

    pose: Pose
    superior: HeightMap
    inferior: HeightMap
    wall: Wall

    def contains(self, x: Floats, y: Floats, z: Floats) -> NDArray[np.bool_]:
        """Whether local points lie in the body."""
        top, bottom = self.superior.at(x, y), self.inferior.at(x, y)
        zeta = (2.0 * z - top - bottom) / np.maximum(top - bottom, 1e-3)
        inside = np.hypot(x, y) <= self.wall.at(np.arctan2(x, y), zeta)
        return np.asarray(inside & (z <= top) & (z >= bottom))


def read_heights(shape: BodyShape, slice_mm: float) -> tuple[Heights | None, Contour | None]:
    """Six-point morphometry in the mid-sagittal plane, and the rest of the contour; ``None`` where it is not seen."""
    middle = _read_plane(shape, 0.0, slice_mm)
    if np.median(middle.errors_mm) > UNSEEN_ERROR_MM:
        return None, None
    points: list[Point] = []
    for end in middle.ends:
        left, posterior, superior = shape.pose.to_lps(end)
        points.append((float(left), float(posterior), float(superior)))
    six = (points[0], points[1], points[2], points[3], points[4], points[5])
    heights = Heights(*middle.lengths_mm, six, middle.errors_mm)
    offset = SIDE_PART * shape.pose.width
    right, left_side = (_read_plane(shape, x, slice_mm) for x in (-offset, offset))
    return heights, _contour(shape, (right, middle, left_side), slice_mm)


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """What was read in one sagittal plane."""

    x: float
    front: float
    back: float
    ends: list[Floats]
    """Six: anterior superior, anterior inferior, middle superior, ..."""
    lengths_mm: tuple[float, float, float]
    errors_mm: tuple[float, float, float]

    @property
    def side(self) -> SideHeights:
        return SideHeights(*self.lengths_mm, self.errors_mm)


def _read_plane(shape: BodyShape, x: float, slice_mm: float) -> _Plane:
    """Heights in the sagittal plane at ``x``.

    The corners are read just inside the rims, each from the wall in its own half of the height (a wedged body's walls
    lean); the middle over the body's centre, where the endplates are lowest.
    """
    upper, lower = (_front_and_back(shape, x, ZETA * side > 0.3) for side in (1.0, -1.0))
    found: list[Floats] = []
    lengths, errors = [], []
    for part, seen_at in zip(PLACES, SEEN_AT, strict=True):
        ends, variance = [], 0.0
        for surface, (front, back) in ((shape.superior, upper), (shape.inferior, lower)):
            y = front + part * (back - front)
            ends.append(np.array([x, y, _height_at(surface, x, y, INWARD[part] * (back - front))]))
            variance += _variance_mm2(surface, x, front + seen_at * (back - front), slice_mm)
        lengths.append(float(np.linalg.norm(ends[0] - ends[1])))
        errors.append(float(np.sqrt(variance)))
        found += ends
    front, back = np.mean([upper, lower], axis=0)
    return _Plane(
        x, float(front), float(back), found, (lengths[0], lengths[1], lengths[2]), (errors[0], errors[1], errors[2])
    )


def _variance_mm2(surface: HeightMap, x: float, y: float, slice_mm: float) -> float:
    """Of the height of an endplate at a place."""
    near = _patch(x, y)
    if surface.error_mm is not None:
        return float(np.mean(surface.error_at(*near))) ** 2
    clarity = float(np.mean(surface.clarity_at(*near)))
    sliced = READING_ERROR_MM**2 + (SLICE_ERROR_PER_MM * slice_mm**2) ** 2
    return 0.5 * sliced + (UNCLEAR_ERROR_MM * (1.0 - clarity) ** 2) ** 2


def _patch(x: float, y: float) -> tuple[Floats, Floats]:
    """Points about a place of an endplate that are averaged: 6 mm across, 1.5 mm along."""
    near_x, near_y = np.meshgrid(x + np.linspace(-3.0, 3.0, 7), np.array([y - 0.75, y, y + 0.75]))
    return near_x, near_y


def _height_at(surface: HeightMap, x: float, y: float, inward_mm: float) -> float:
    """Height of an endplate at a place.

    At the rims the fall to the side is steeper than that across the endplate and rounds the corner off: there the line
    through places up to ``inward_mm`` farther in, weighed by their clarity, is read at the rim.
    """
    if inward_mm == 0.0:
        return float(np.mean(surface.at(*_patch(x, y))))
    steps = np.linspace(0.0, 1.0, 6)
    patches = [_patch(x, y + step * inward_mm) for step in steps]
    heights = np.array([np.mean(surface.at(*patch)) for patch in patches])
    weights = np.array([np.mean(surface.clarity_at(*patch)) for patch in patches]) + 0.02
    _, at_rim = np.polyfit(steps, heights, 1, w=weights)
    return float(at_rim)


def _front_and_back(shape: BodyShape, x: float, heights: NDArray[np.bool_]) -> tuple[float, float]:
    """y of the anterior and the posterior wall in the sagittal plane at ``x``, over some relative heights."""
    radius = np.median(shape.wall.radius[:, heights], axis=1)
    across, along = radius * np.sin(THETA), radius * np.cos(THETA)
    near = np.abs(across - x) <= 0.1 * shape.pose.width
    front, back = near & (along < 0.0), near & (along > 0.0)
    if not (front.any() and back.any()):
        return -0.5 * shape.pose.depth, 0.5 * shape.pose.depth
    return float(np.mean(along[front])), float(np.mean(along[back]))


def _contour(shape: BodyShape, planes: tuple[_Plane, _Plane, _Plane], slice_mm: float) -> Contour:
    right, _, left = planes
    superior = inferior = bulge = None
    if slice_mm <= CONTOUR_SLICE_MM:
        superior = _depression(shape.superior, planes, 0, 1.0)
        inferior = _depression(shape.inferior, planes, 1, -1.0)
        bulge = _bulge(shape.wall)
    return Contour(right.side, left.side, superior, inferior, bulge)


def _depression(surface: HeightMap, planes: tuple[_Plane, ...], end: int, outward: float) -> float | None:
    """Greatest depth below the line between the rims, over the three planes; ``None`` where the endplate is unclear."""
    depths, clarity = [], []
    for plane in planes:
        front, back = plane.ends[end], plane.ends[4 + end]
        part = np.linspace(0.1, 0.9, 17)
        y = front[1] + part * (back[1] - front[1])
        x = np.full_like(y, plane.x)
        line = front[2] + part * (back[2] - front[2])
        depths.append(float(np.max(outward * (line - surface.at(x, y)))))
        clarity.append(float(np.mean(surface.clarity_at(x, y))))
    return max(depths) if np.mean(clarity) >= CONTOUR_CLARITY else None


def _bulge(wall: Wall) -> float:
    """How far the middle of the posterior wall stands out behind the line between its rims."""
    near = np.abs(np.angle(np.exp(1j * THETA))) < np.deg2rad(18.0)
    profile = np.median(wall.radius[near] * np.cos(THETA[near])[:, None], axis=0)
    rims = np.interp(ZETA, [ZETA[0], ZETA[-1]], [np.mean(profile[:2]), np.mean(profile[-2:])])
    inner = np.abs(ZETA) < 0.6
    return float(np.mean(np.sort((profile - rims)[inner])[-3:]))
