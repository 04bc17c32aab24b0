"""The column of vertebral bodies in front of the canal: its centre line, its axes, its width and depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.imaging.spine.canal import GRID_MM, Canal
from node.imaging.spine.curve import OUTSIDE, Curve, Floats, curve_through, smoothed, straighten

STEP_MM = 1.0
EXTEND_MM = 14.0
"""The curve is followed this far beyond the traced canal: bodies are tilted against the slices."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The line of body centres and the outline of the bodies along it."""

    curve: Curve
    canal: Floats
    """(m, 3): LPS mm, middle of the canal, head to foot every 2 mm."""
    width_mm: Floats
    """(n,): of the bodies, at each sample of ``curve``."""
    depth_mm: Floats
    contrast_hu: Floats
    """(n,): how sharply the outline stands out."""


def follow(volume: Volume, canal: Canal) -> Column:
    """Outline the bodies across the canal every 6 mm and lay a smooth curve through their centres."""
    s = np.arange(len(canal.points), dtype=np.float64) * GRID_MM
    line, _ = smoothed(s, canal.points, 6.0)
    tube = curve_through(line, np.array([0.0, 1.0, 0.0]), 2.0, 14.0, EXTEND_MM)
    u, v = np.arange(-40.0, 41.0, 2.0), np.arange(-64.0, 21.0, 2.0)
    across = straighten(volume, tube, u, v)
    at = np.arange(0, len(tube.s_mm), 3)
    sections = [_solid(across, int(i)) for i in at]
    outlines = [outline(image, u, v) for image, _ in sections]
    trust = np.array(
        [known**2 * np.clip(o.contrast / CLEAR_HU, 0.02, 1.0) for (_, known), o in zip(sections, outlines, strict=True)]
    )
    centres = np.array([o.centre for o in outlines])
    middle = _steady(centres, trust)
    middle, _ = smoothed(tube.s_mm[at], middle, 12.0, trust)
    offset = np.stack([np.interp(tube.s_mm, tube.s_mm[at], middle[:, a]) for a in range(2)], axis=1)
    bodies = tube.points + offset[:, :1] * tube.left + offset[:, 1:] * tube.posterior
    hollow = np.array([hollow_centre(image, u, v) for image, _ in sections])
    hollow, _ = smoothed(tube.s_mm[at], _steady(hollow, trust), 10.0, trust)
    inner = np.stack([np.interp(tube.s_mm, tube.s_mm[at], hollow[:, a]) for a in range(2)], axis=1)
    canal_line = tube.points + inner[:, :1] * tube.left + inner[:, 1:] * tube.posterior
    to_canal, _ = smoothed(tube.s_mm, canal_line - bodies, 16.0)
    curve = curve_through(bodies, to_canal, STEP_MM, 12.0, 0.0)
    part, source = curve.s_mm / curve.s_mm[-1], tube.s_mm[at] / tube.s_mm[-1]
    sizes = [
        np.interp(part, source, _steady(np.array(x)[:, None], trust)[:, 0])
        for x in ([o.width for o in outlines], [o.depth for o in outlines], [o.contrast for o in outlines])
    ]
    return Column(curve, canal_line, sizes[0], sizes[1], sizes[2])


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Closed outline of a body in a plane across the canal: u to the left, v to the back, mm from the canal."""

    centre: Floats
    width: float
    depth: float
    contrast: float
    polygon: Floats
    """(m, 2)."""


ANGLES = np.deg2rad(np.arange(0.0, 360.0, 7.5))
RADII = np.arange(6.0, 34.0, 1.0)
HOLLOW_RADII = np.arange(1.0, 15.0, 1.0)
RING_HU = 100.0
"""The ring about the canal exceeds what is in it by this much."""
BENDING = 12.0
HALF_SLAB = 8
"""Samples of the tube (2 mm) above and below a section that fill it."""
NEIGHBOURS = 4
"""Outlines (6 mm apart) on either side that steady each other."""
CLEAR_HU = 60.0
"""Contrast of an outline from which on it is wholly trusted."""
BONE_RANGE_HU = (40.0, 600.0)
"""Only bone has edges here: lung, fat and muscle count alike."""
CANAL_FRONT_MM = -4.0
"""No body reaches behind it (v, from the middle of the canal)."""


def outline(image: NDArray[np.float32], u: Floats, v: Floats) -> Outline:
    """Brightest-to-dark closed edge around the body in front of the canal, by two laps of dynamic programming."""
    centre = np.array([0.0, -24.0])
    for _ in range(3):
        x = centre[0] + RADII * np.cos(ANGLES)[:, None]
        y = centre[1] + RADII * np.sin(ANGLES)[:, None]
        where = [(y - v[0]) / (v[1] - v[0]), (x - u[0]) / (u[1] - u[0])]
        rays = np.clip(ndimage.map_coordinates(image, where, order=1, mode="nearest"), *BONE_RANGE_HU)
        inside = ndimage.uniform_filter1d(rays, 3, axis=1, origin=1)
        outside = np.roll(ndimage.uniform_filter1d(rays, 5, axis=1, origin=-2), -1, axis=1)
        cost = outside - inside
        cost[:, -2:] = 0
        cost[y > CANAL_FRONT_MM] += 400
        chosen = closed_path(cost)
        radius = RADII[chosen]
        polygon = centre + np.stack([radius * np.cos(ANGLES), radius * np.sin(ANGLES)], axis=1)
        centre = polygon_centroid(polygon)
    contrast = -float(cost[np.arange(len(cost)), chosen].mean())
    width, depth = np.ptp(polygon, axis=0)
    return Outline(centre, float(width), float(depth), contrast, polygon)


def hollow_centre(image: NDArray[np.float32], u: Floats, v: Floats) -> Floats:
    """Centre (u, v) of the hollow in the ring of bone about the origin, by rays to the ring."""
    centre = np.zeros(2)
    for _ in range(3):
        x = centre[0] + HOLLOW_RADII * np.cos(ANGLES)[:, None]
        y = centre[1] + HOLLOW_RADII * np.sin(ANGLES)[:, None]
        where = [(y - v[0]) / (v[1] - v[0]), (x - u[0]) / (u[1] - u[0])]
        rays = ndimage.map_coordinates(image, where, order=1, mode="nearest")
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
    bend = np.where(np.abs(gap) > 3, 1e6, BENDING * gap**2)
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


def _steady(values: Floats, trust: Floats) -> Floats:
    """Weighted median of each value (n, d) and its ``NEIGHBOURS`` on either side."""
    result = np.empty_like(values)
    for i in range(len(values)):
        near = slice(max(0, i - NEIGHBOURS), i + NEIGHBOURS + 1)
        for column in range(values.shape[1]):
            order = np.argsort(values[near, column])
            weight = np.cumsum(trust[near][order])
            result[i, column] = values[near, column][order][int(np.searchsorted(weight, 0.5 * weight[-1]))]
    return result


def polygon_centroid(polygon: Floats) -> Floats:
    """Centre of area of a closed polygon (m, 2)."""
    base = polygon.mean(0)
    a, b = polygon - base, np.roll(polygon - base, -1, axis=0)
    cross = a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1]
    centroid: Floats = base + ((a + b) * cross[:, None]).sum(0) / (3 * cross.sum())
    return centroid


def _solid(across: NDArray[np.float32], i: int) -> tuple[NDArray[np.float32], float]:
    """A body's filled cross-section: the 85th percentile over a vertebra's height, in which its endplates fall.

    With the part of it that is in the scan. Voxels beyond the scan count as soft tissue.
    """
    slab = np.sort(across[max(0, i - HALF_SLAB) : i + HALF_SLAB + 1], axis=0)
    known = (slab > OUTSIDE + 1).sum(0)
    rank = len(slab) - known + 0.85 * np.maximum(known - 1, 0)
    row = np.minimum(rank.astype(int), len(slab) - 1)
    filled = np.take_along_axis(slab, row[None], axis=0)[0]
    filled[known == 0] = BONE_RANGE_HU[0]
    v, u = known.shape
    return filled, float(known[: v // 2 + 8, u // 4 : -u // 4].mean() / (2 * HALF_SLAB + 1))
