"""What a row's slab, and a pad on it, occupy: to be taken out of the patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.imaging.phantom.discs import Floats
from node.imaging.phantom.rows import BEYOND_ENDS_MM, RodRow

MIN_CONTRAST_HU = 30.0
"""A row is called a phantom, configured or not, only when a rod differs this much from its slab."""
_MATERIAL_HU = -350.0
_SKIN_MM = 1.5
_PAD_REACH_MM = 30.0
_MIN_PAD_COLUMNS = 20


def is_phantom(row: RodRow) -> bool:
    """Whether a row is so clearly a phantom that it may be called one although it is not configured."""
    contrast = max(abs(rod.hu - row.base_hu) for rod in row.rods)
    enough = row.lone or len(row.rods) + row.slab.flat_faces >= 4
    return contrast >= MIN_CONTRAST_HU and enough


def occupied(row: RodRow, zyx_mm: tuple[Floats, Floats, Floats], towards_yx_mm: Floats) -> NDArray[np.bool_]:
    """Return which points of a grid lie in the slab or in a pad between it and the patient.

    ``zyx_mm``: coordinates along each axis of the grid, in mm of the scan's own grid. ``towards_yx_mm``: a point
    deep in the patient, to tell the slab's upper side.
    """
    z, y, x = zyx_mm
    taken = np.zeros((len(z), len(y), len(x)), dtype=bool)
    along = slice(*np.searchsorted(z, [row.z_range_mm[0] - BEYOND_ENDS_MM, row.z_range_mm[1] + BEYOND_ENDS_MM]))
    points = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    s, t = row.axes.of(points[None], z[along][:, None, None])
    low, high = row.slab.s_mm
    taken[along] = (s > low - _SKIN_MM) & (s < high + _SKIN_MM) & _between(t, row.slab.t_mm)
    pad = _pad(row, towards_yx_mm)
    if pad is not None:
        (pad_low, pad_high), reach = pad
        taken[along] |= (s > pad_low) & (s < pad_high) & _between(t, reach)
    return taken


def _between(values: Floats, ends: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (values > min(ends) - _SKIN_MM) & (values < max(ends) + _SKIN_MM)
    return inside


def _pad(row: RodRow, towards_yx_mm: Floats) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Extent along s and along t of a pad: a sheet on the slab whose other face is flat wherever it is free."""
    middle = sum(row.z_range_mm) / 2
    side = 1 if float(row.axes.of(towards_yx_mm[None], middle)[1][0]) > 0 else -1
    face = side * min(-row.slab.t_mm[0], row.slab.t_mm[1])
    height = (row.patch.t_mm - face) * side
    rows = np.flatnonzero((height > 0) & (height < _PAD_REACH_MM))[::side]
    solid = np.nan_to_num(row.patch.hu[rows], nan=-1000.0) > _MATERIAL_HU
    top = np.full(len(row.patch.s_mm), np.nan)
    for column in range(solid.shape[1]):
        runs = np.flatnonzero(np.diff(np.concatenate([[False], solid[:, column], [False]]).astype(int)))
        for start, end in runs.reshape(-1, 2):
            if start <= 6 and end - start >= 3 and end < len(rows) - 1:
                top[column] = height[rows[end - 1]]
                break
    found = np.isfinite(top)
    if found.sum() < _MIN_PAD_COLUMNS:
        return None
    typical = float(np.median(top[found]))
    same = found & (np.abs(top - typical) <= 1.5)
    if same.sum() < _MIN_PAD_COLUMNS or same.sum() < 0.6 * found.sum():
        return None
    columns = row.patch.s_mm[same]
    return (float(columns.min()) - 2.0, float(columns.max()) + 2.0), (face, face + side * typical)
