"""Outline of a vertebral body, and of the hollow behind it, in one plane across the canal.

Planes are images over u (to the left) and v (to the back), in mm from the middle of the canal as it was traced.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.imaging.spine.curve import Floats

ANGLES = np.deg2rad(np.arange(0.0, 360.0, 7.5))
RADII = np.arange(4.0, 34.0, 1.0)
HOLLOW_RADII = np.arange(1.0, 15.0, 1.0)
BONE_RANGE_HU = (40.0, 600.0)
"""Only bone has edges here: lung, fat and muscle count alike."""
CANAL_FRONT_MM = -4.0
"""No body reaches behind it (v)."""
BENDING_HU = 12.0
"""Cost of a step of 1 mm in radius from ray to ray, squared."""
UNLIKELY_HU = 12.0
"""Cost of lying 3 mm off the expected outline, squared: a bright vessel against the bone does not draw it far."""
FALL_HU = 220.0
"""A steeper fall counts as much: that of an enhanced vessel toward the lung draws no outline away."""
RING_HU = 100.0
"""The ring about the canal exceeds what is in it by this much."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Closed outline of a body."""

    centre: Floats
    """(u, v)."""
    width: float
    depth: float
    contrast: float
    """Mean fall of attenuation across it, HU."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The ellipse that a body should be near."""

    u: float
    v: float
    width: float
    depth: float


def body_outline(image: NDArray[np.float32], u: Floats, v: Floats, expected: Expected | None = None) -> Outline:
    """Brightest-to-dark closed edge around the body in front of the canal, by two laps of dynamic programming."""
    centre = np.array([0.0, -24.0]) if expected is None else np.array([expected.u, expected.v])
    for _ in range(3):
        x = centre[0] + RADII * np.cos(ANGLES)[:, None]
        y = centre[1] + RADII * np.sin(ANGLES)[:, None]
        rays = np.clip(_sample(image, u, v, x, y), *BONE_RANGE_HU)
        inside = ndimage.uniform_filter1d(rays, 3, axis=1, origin=1)
        outside = np.roll(ndimage.uniform_filter1d(rays, 5, axis=1, origin=-2), -1, axis=1)
        fall = inside - outside
        fall[:, -2:] = 0
        cost = -np.minimum(fall, FALL_HU)
        cost[y > CANAL_FRONT_MM] += 400
        if expected is not None:
            cost = cost + UNLIKELY_HU * (_beyond(expected, x, y) / 3.0) ** 2
        chosen = closed_path(cost)
        radius = RADII[chosen]
        polygon = centre + np.stack([radius * np.cos(ANGLES), radius * np.sin(ANGLES)], axis=1)
        centre = polygon_centroid(polygon)
    width, depth = np.ptp(polygon, axis=0)
    return Outline(centre, float(width), float(depth), float(fall[np.arange(len(fall)), chosen].mean()))


def hollow_centre(image: NDArray[np.float32], u: Floats, v: Floats) -> Floats:
    """Centre (u, v) of the hollow in the ring of bone about the origin, by rays to the ring."""
    centre = np.zeros(2)
    for _ in range(3):
        x = centre[0] + HOLLOW_RADII * np.cos(ANGLES)[:, None]
        y = centre[1] + HOLLOW_RADII * np.sin(ANGLES)[:, None]
        rays = _sample(image, u, v, x, y)
        wall = rays > np.median(rays[:, :4]) + RING_HU
        reach = HOLLOW_RADII[np.where(wall.any(1), wall.argmax(1), len(HOLLOW_RADII) - 1)]
        ring = np.stack([reach * np.cos(ANGLES), reach * np.sin(ANGLES)], axis=1)
        centre = np.clip(centre + polygon_centroid(ring), -8.0, 8.0)
    return centre


def closed_path(cost: Floats) -> NDArray[np.intp]:
    """Cheapest radius index for every angle of (angles, radii), neighbours within three steps, ends meeting."""
    angles, radii = cost.shape
    index = np.arange(radii)
    gap = (index[:, None] - index[None]).astype(float)
    bend = np.where(np.abs(gap) > 3, 1e6, BENDING_HU * gap**2)
    total, came = np.zeros(radii), []
    for lap in range(2 * angles):
        options = total[None] + bend
        best = options.argmin(1)
        total = options[index, best] + cost[lap % angles]
        came.append(best)
    at = int(total.argmin())
    path = np.zeros(2 * angles, np.intp)
    for lap in range(2 * angles - 1, -1, -1):
        path[lap] = at
        at = int(came[lap][at])
    return np.roll(path[angles // 2 : angles // 2 + angles], angles // 2)


def polygon_centroid(polygon: Floats) -> Floats:
    """Centre of area of a closed polygon (m, 2)."""
    base = polygon.mean(0)
    a, b = polygon - base, np.roll(polygon - base, -1, axis=0)
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    centroid: Floats = base + ((a + b) * cross[:, None]).sum(0) / (3 * cross.sum())
    return centroid


def _beyond(expected: Expected, x: Floats, y: Floats) -> Floats:
    """Distance from the expected ellipse along the ray from its middle, mm; positive outside."""
    du, dv = x - expected.u, y - expected.v
    away = np.hypot(du, dv)
    relative = np.hypot(2 * du / expected.width, 2 * dv / expected.depth)
    beyond: Floats = away * (1 - 1 / np.maximum(relative, 1e-3))
    return beyond


def _sample(image: NDArray[np.float32], u: Floats, v: Floats, x: Floats, y: Floats) -> Floats:
    where = [(y - v[0]) / (v[1] - v[0]), (x - u[0]) / (u[1] - u[0])]
    sampled: Floats = ndimage.map_coordinates(image, where, order=1, mode="nearest").astype(np.float64)
    return sampled
