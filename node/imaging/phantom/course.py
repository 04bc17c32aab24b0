"""How a row of rods really runs along the scan: a slab that sags or lies crooked is not quite straight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.imaging.phantom.discs import Floats
from node.imaging.phantom.grouping import STRONG_CONTRAST_HU
from node.imaging.phantom.rows import RodRow
from node.imaging.phantom.straight import RowAxes, contrast_share

BLOCK_MM = 8.0
"""Slices are averaged to this before centres are taken."""
MAX_OFF_MM = 6.0
MIN_BLOCKS = 5
NEGLIGIBLE_MM = 0.3
_MIN_AREA_PART = 0.6
_WINDOW_MM = 2.0


def follow(volume: Volume, row: RodRow) -> RowAxes:
    """Return the row's axes with its course along the scan: a parabola through the centres of the strong rods.

    The rods are fixed in one slab, so all move together; what moves one alone (noise, a bubble) is outvoted.
    """
    strong = [rod for rod in row.rods if abs(rod.hu - row.base_hu) >= STRONG_CONTRAST_HU]
    dk = volume.spacing_mm[0]
    step = max(1, round(BLOCK_MM / dk))
    first, last = round(row.z_range_mm[0] / dk), round(row.z_range_mm[1] / dk)
    heights, moved = [], []
    for k in range(first, last - step + 2, step):
        z = (k + (step - 1) / 2) * dk
        off = [
            centre - row.axes.at(rod.s_mm, rod.t_mm, z)
            for rod in strong
            if (centre := _centre(volume, (k, k + step), row, rod.s_mm, rod.t_mm, rod.hu, z)) is not None
        ]
        if off:
            heights.append(z)
            moved.append(np.median(off, axis=0))
    if len(heights) < MIN_BLOCKS:
        return row.axes
    course = _parabola(np.array(heights), np.array(moved))
    found = np.abs(np.polyval(course, np.array(heights)[:, None])).max()
    return row.axes if found < NEGLIGIBLE_MM or found > MAX_OFF_MM else replace(row.axes, course_yx_mm=course)


def _centre(
    volume: Volume, slices: tuple[int, int], row: RodRow, s_mm: float, t_mm: float, hu: float, z_mm: float
) -> Floats | None:
    """Centroid (y, x) in mm of a rod's contrast in the mean of some slices; ``None`` where it does not show."""
    pixel = np.array(volume.spacing_mm[1:])
    centre = row.axes.at(s_mm, t_mm, z_mm)
    reach = row.radius_mm + _WINDOW_MM
    low = np.floor((centre - reach - MAX_OFF_MM) / pixel).astype(int)
    high = np.ceil((centre + reach + MAX_OFF_MM) / pixel).astype(int) + 1
    if (low < 0).any() or (high > volume.hu.shape[1:]).any():
        return None
    box = volume.hu[slices[0] : slices[1], low[0] : high[0], low[1] : high[1]]
    if box.size == 0 or box.min() <= OUTSIDE_FIELD_HU:
        return None
    share = contrast_share(box.mean(axis=0, dtype=np.float64), hu, row.base_hu)
    y = (np.arange(low[0], high[0]) * pixel[0])[:, None]
    x = (np.arange(low[1], high[1]) * pixel[1])[None, :]
    start = centre
    for _ in range(5):
        weight = np.where((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= reach**2, share, 0.0)
        total = float(weight.sum())
        if total * float(pixel.prod()) < _MIN_AREA_PART * np.pi * row.radius_mm**2:
            return None
        centre = np.array([float((weight * y).sum()), float((weight * x).sum())]) / total
    return centre if float(np.linalg.norm(centre - start)) <= MAX_OFF_MM else None


def _parabola(z_mm: Floats, off_yx_mm: Floats) -> Floats:
    """Coefficients (3, 2) of a parabola in z, fitted again without the blocks that lie off it."""
    kept = np.ones(len(z_mm), dtype=bool)
    course: Floats = np.zeros((3, 2))
    for _ in range(3):
        course = np.polyfit(z_mm[kept], off_yx_mm[kept], 2)
        away = np.linalg.norm(off_yx_mm - np.polyval(course, z_mm[:, None]), axis=1)
        fair = away <= max(0.5, 3 * 1.4826 * float(np.median(away)))
        if fair.sum() < MIN_BLOCKS:
            break
        kept = fair
    return course
