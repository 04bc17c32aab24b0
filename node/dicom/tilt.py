"""Stacks scanned with a tilted gantry: resampled along the stack direction onto an unsheared grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import OUTSIDE_FIELD_HU
from node.errors import IrregularSeries

SKEW_TOLERANCE = 0.01
"""Cosine between the in-plane axes once the shear is taken out; more means shear about two axes at once."""


def unsheared(
    hu: NDArray[np.int16], affine_lps_mm: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.float64], tuple[int, ...]]:
    """Return the volume, its affine, and for each new slice the old slice nearest to its middle.

    The slice axis keeps its direction and spacing; the other two become perpendicular to it. Values are interpolated
    linearly between neighbouring slices; voxels without both neighbours are ``OUTSIDE_FIELD_HU``. Raises
    ``IrregularSeries`` when the shear is not about one axis of the image.
    """
    slices, rows, columns = hu.shape
    step, down, across = (affine_lps_mm[:3, axis] for axis in range(3))
    spacing = float(np.linalg.norm(step))
    along = step / spacing
    j_rise, i_rise = float(down @ along) / spacing, float(across @ along) / spacing
    flat_down, flat_across = down - (down @ along) * along, across - (across @ along) * along
    skew = float(flat_down @ flat_across) / float(np.linalg.norm(flat_down) * np.linalg.norm(flat_across))
    if abs(skew) > SKEW_TOLERANCE:
        raise IrregularSeries("The stack is sheared about two axes at once.", {"cosine": round(skew, 4)})
    rise = j_rise * np.arange(rows)[:, None] + i_rise * np.arange(columns)
    first, last = int(np.floor(rise.min())), int(np.ceil(rise.max())) + slices - 1
    out = np.empty((last - first + 1, rows, columns), dtype=np.int16)
    for k in range(first, last + 1):
        out[k - first] = _interpolated(hu, k - rise)
    affine = affine_lps_mm.copy()
    affine[:3, 1], affine[:3, 2] = flat_down, flat_across
    affine[:3, 3] += first * step
    middle = float(rise[rows // 2, columns // 2])
    nearest = tuple(int(np.clip(round(k - middle), 0, slices - 1)) for k in range(first, last + 1))
    return out, affine, nearest


def _interpolated(hu: NDArray[np.int16], index: NDArray[np.float64]) -> NDArray[np.int16]:
    """Values at fractional slice ``index`` (rows, columns) of each pixel."""
    slices = hu.shape[0]
    inside = (index > -1e-6) & (index < slices - 1 + 1e-6)
    below = np.clip(np.floor(index + 1e-6).astype(np.intp), 0, max(0, slices - 2))
    weight = np.clip(index - below, 0.0, 1.0).astype(np.float32)
    lower = np.take_along_axis(hu, below[None], axis=0)[0]
    upper = np.take_along_axis(hu, below[None] + 1, axis=0)[0]
    mixed = np.rint(lower + weight * (upper.astype(np.float32) - lower)).astype(np.int16)
    nothing = (lower == OUTSIDE_FIELD_HU) | (upper == OUTSIDE_FIELD_HU)
    nearer = np.where(weight < 0.5, lower, upper)
    mixed = np.where(nothing, nearer, mixed)
    return np.where(inside, mixed, np.int16(OUTSIDE_FIELD_HU))
