"""The mean of a slab at given points of a volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from node.domain.volume import Volume

Floats = NDArray[np.float64]

AIR_HU = -1024
"""Shown where nothing was reconstructed."""
FINEST_MM = 0.8


def slab(volume: Volume, points_lps_mm: Floats, across_lps: Floats, thickness_mm: float) -> NDArray[np.int16]:
    """Mean attenuation (...) through a slab about points (..., 3) along unit vectors (..., 3) or (3,).

    Linear samples, as far apart as the volume is fine in plane. Beyond the volume there is air.
    """
    layers = max(int(np.ceil(thickness_mm / max(volume.spacing_mm[2], FINEST_MM))), 1)
    to_index = np.linalg.inv(volume.affine_lps_mm[:3, :3])
    middle = np.moveaxis(volume.index_kji(points_lps_mm), -1, 0).astype(np.float32)
    step = (np.asarray(across_lps) * (thickness_mm / layers)) @ to_index.T
    step = np.moveaxis(np.broadcast_to(step, points_lps_mm.shape), -1, 0).astype(np.float32)
    total = np.zeros(middle.shape[1:], dtype=np.float32)
    for layer in range(layers):
        place = middle + step * np.float32(layer + 0.5 - 0.5 * layers)
        total += map_coordinates(volume.hu, place, output=np.float32, order=1, mode="constant", cval=AIR_HU)
    return np.maximum(np.round(total / layers), AIR_HU).astype(np.int16)
