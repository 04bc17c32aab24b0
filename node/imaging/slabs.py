"""Which voxels of a vertebra hold spongiosa alone, in slices as thick as they are.

A slice shows the mean over its thickness: of 5 mm, one whose middle lies 3 mm within an endplate holds a part of it,
and reads far too dense. A voxel is clear when all that its slice averages lies between the endplates, with a margin.
Interpolation between slices then counts clear voxels only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from node.domain.spine import Vertebra
from node.domain.volume import Volume

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

ENOUGH = 0.49
"""Part of the weight of an interpolated value that clear voxels must have: half, midway between two slices."""


@dataclass(frozen=True, slots=True, eq=False)
class Clear:
    """Clear voxels of a vertebra, in a crop of the volume."""

    origin_kji: tuple[int, int, int]
    hu: Floats32
    """Attenuation of clear voxels, 0 in others."""
    weight: Floats32
    """1 in clear voxels, 0 in others."""

    def shares(self, volume: Volume, points: Floats) -> Floats32:
        """What part of the linear interpolation at points (n, 3) in LPS mm clear voxels make up."""
        return self._interpolated(self.weight, volume, points)

    def read(self, volume: Volume, points: Floats) -> Floats32:
        """Attenuation at points, from the clear voxels about each; where there are too few, from all voxels."""
        share = self.shares(volume, points)
        values: Floats32 = self._interpolated(self.hu, volume, points)
        values /= np.maximum(share, np.float32(ENOUGH))
        few = share < ENOUGH
        if few.any():
            values[few] = interpolated(volume, points[few])
        return values

    def _interpolated(self, values: Floats32, volume: Volume, points: Floats) -> Floats32:
        out = np.empty(len(points), dtype=np.float32)
        at = volume.index_kji(points) - np.array(self.origin_kji)
        map_coordinates(values, at.T, output=out, order=1, mode="constant", cval=0.0)
        return out


def interpolated(volume: Volume, points: Floats) -> Floats32:
    """Attenuation at points (n, 3) in LPS mm, linear between voxels."""
    out = np.empty(len(points), dtype=np.float32)
    map_coordinates(volume.hu, volume.index_kji(points).T, output=out, order=1, mode="nearest")
    return out


def clear_voxels(volume: Volume, vertebra: Vertebra, slice_mm: float, margin_mm: float) -> Clear:
    """Return the voxels about a vertebra's body that are clear in slices ``slice_mm`` thick.

    ``margin_mm``: from the outer face of an endplate to all that they average.
    """
    body = vertebra.body.slices_kji
    box = [slice(max(part.start - 1, 0), min(part.stop + 1, n)) for part, n in zip(body, volume.hu.shape, strict=True)]
    index = np.stack(np.meshgrid(*(np.arange(part.start, part.stop) for part in box), indexing="ij"), axis=-1)
    frame = vertebra.frame
    axes = np.stack([frame.left, frame.posterior, frame.superior])
    local = (volume.lps_mm(index) - frame.centre_lps_mm) @ axes.T
    normal = volume.affine_lps_mm[:3, 0] / volume.spacing_mm[0]
    half = 0.5 * max(slice_mm, volume.spacing_mm[0]) * (axes @ normal)
    clear = np.ones(local.shape[:3], dtype=bool)
    for end in (local + half, local - half):
        clear &= _between_endplates(volume, vertebra, axes, end, margin_mm)
    hu = volume.hu[tuple(box)].astype(np.float32)
    origin = (box[0].start, box[1].start, box[2].start)
    return Clear(origin, np.where(clear, hu, np.float32(0.0)), clear.astype(np.float32))


def _between_endplates(volume: Volume, vertebra: Vertebra, axes: Floats, local: Floats, margin_mm: float) -> Bools:
    """Whether local points (..., 3) lie ``margin_mm`` or more from both endplates: by the points of the heights,
    linear between them, or by the outlined body where no heights could be read."""
    frame, heights = vertebra.frame, vertebra.heights
    if heights is None:
        up = np.array([0.0, 0.0, margin_mm])
        return _inside(volume, vertebra, (local + up) @ axes + frame.centre_lps_mm) & _inside(
            volume, vertebra, (local - up) @ axes + frame.centre_lps_mm
        )
    points = (np.array(heights.points_lps_mm) - frame.centre_lps_mm) @ axes.T
    top, bottom = (np.interp(local[..., 1], *points[end::2, 1:].T) for end in (0, 1))
    return np.asarray((top - local[..., 2] >= margin_mm) & (local[..., 2] - bottom >= margin_mm))


def _inside(volume: Volume, vertebra: Vertebra, lps: Floats) -> Bools:
    body = vertebra.body
    if not body.voxels.size:
        return np.zeros(lps.shape[:-1], dtype=bool)
    index = np.round(volume.index_kji(lps)).astype(int) - np.array(body.origin_kji)
    within = ((index >= 0) & (index < np.array(body.voxels.shape))).all(axis=-1)
    k, j, i = np.moveaxis(np.clip(index, 0, np.array(body.voxels.shape) - 1), -1, 0)
    return np.asarray(within & body.voxels[k, j, i])
