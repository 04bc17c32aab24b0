"""What lies beside the column: the volume straightened far to both sides, for ribs, lungs and pelvis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.imaging.spine.column import Column
from node.imaging.spine.curve import OUTSIDE, Curve, straighten

GRID_MM = 2.0
METAL_HU = 1800.0
"""Brighter than any bone: screws and rods would join ribs that lie beside them."""
QUIET_HU = 25.0
"""Noise below this needs no smoothing."""
U_MM = np.arange(-100.0, 101.0, GRID_MM)
V_MM = np.arange(-30.0, 72.0, GRID_MM)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Straightened HU (s, v, u) on ``GRID_MM`` from the upper end of the column's curve."""

    hu: NDArray[np.float32]
    calm_hu: NDArray[np.float32]
    """Smoothed as far as the noise asks; air counts as fat, so that lung swallows no ribs; metal counts as muscle."""

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.hu > OUTSIDE + 1


def look_around(volume: Volume, column: Column) -> Surroundings:
    """Straighten 100 mm to either side of the column."""
    curve, every = column.curve, round(GRID_MM / column.curve.step_mm)
    thin = Curve(*(x[::every] for x in (curve.s_mm, curve.points, curve.left, curve.posterior, curve.superior)))
    hu = straighten(volume, thin, U_MM, V_MM)
    known = hu > OUTSIDE + 1
    noise = noise_hu(hu)
    calm = np.clip(hu, -50, 1000)
    calm[ndimage.binary_dilation(hu > METAL_HU, np.ones((3, 3, 3)))] = 0
    if noise > QUIET_HU:
        calm = ndimage.gaussian_filter(calm, min(0.5 + (noise - QUIET_HU) / 80.0, 1.2))
    return Surroundings(hu, np.where(known, calm, OUTSIDE))


def noise_hu(hu: NDArray[np.float32]) -> float:
    """Standard deviation of uncorrelated noise in soft tissue, from each voxel's difference to its neighbours."""
    inner = np.clip(hu, -200, 400)
    mean = ndimage.uniform_filter(inner, 3)
    soft = (mean > 0) & (mean < 90)
    if soft.sum() < 100:
        return 0.0
    return float(1.4826 * np.median(np.abs((inner - mean)[soft])) * np.sqrt(27 / 26))


def lung_part(around: Surroundings, top_mm: float, bottom_mm: float) -> float | None:
    """Part of the space beside the column that is lung, between two lengths; None where too little is in the scan."""
    rows = slice(max(0, int(top_mm / GRID_MM)), max(0, int(bottom_mm / GRID_MM)) + 1)
    v, u = np.meshgrid(V_MM, U_MM, indexing="ij")
    beside = (np.abs(u) > 22) & (np.abs(u) < 60) & (v > -20) & (v < 30)
    hu, known = around.hu[rows][:, beside], around.known[rows][:, beside]
    return float((hu[known] < -500).mean()) if known.size and known.mean() > 0.5 else None
