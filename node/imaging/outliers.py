"""What is left out of a VOI is left out with its surroundings.

The blur of a scan spreads the rim of a Schmorl's node, a bone island, a vessel or a lytic focus over its neighbourhood,
where averages differ too little to be outliers themselves; and the rim may lie just beyond the VOI.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from node.domain.volume import Volume
from node.imaging.slabs import interpolated
from node.imaging.suitability import Reading

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

AROUND_MM = 4.5
"""Beyond the VOI, that outliers are looked for in."""
SATURATED_HU = 600.0
"""Off the bulk: more counts as so much."""


def apart(
    volume: Volume,
    grid_lps_mm: Floats,
    inside: Bools,
    member: Bools,
    reading: Reading,
    lengths_mm: tuple[float, float, float],
) -> Bools:
    """Return the part of ``member`` that lies some way from every outlier in the body.

    ``grid_lps_mm`` (x, y, z, 3) is a regular grid, ``inside`` (x, y, z) the body on it. ``lengths_mm``: its step,
    the sigma of Gaussian averages, and the distance to be kept from those farther than ``reading.edge`` off its mean.
    """
    step_mm, sigma_mm, away_mm = lengths_mm
    box = _box(member, round(AROUND_MM / step_mm))
    within = inside[box]
    off = np.zeros(within.shape, dtype=np.float32)
    off[within] = np.clip(interpolated(volume, grid_lps_mm[box][within]) - reading.mean, -SATURATED_HU, SATURATED_HU)
    share = gaussian_filter(within.astype(np.float32), sigma_mm / step_mm)
    smooth = gaussian_filter(off, sigma_mm / step_mm) / np.maximum(share, 1e-3)
    far = within & (np.abs(smooth) > reading.edge)
    if not far.any():
        return member
    kept = member.copy()
    kept[box] &= distance_transform_edt(~far, sampling=step_mm) >= away_mm
    return kept


def _box(member: Bools, around: int) -> tuple[slice, slice, slice]:
    """Bounding box of a set of points, widened."""
    spans = []
    for axis in range(3):
        hit = np.flatnonzero(member.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(max(int(hit[0]) - around, 0), int(hit[-1]) + around + 1))
    return spans[0], spans[1], spans[2]
