"""The scan laid along a row of rods and averaged over their length: noise goes, what is not extruded blurs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.imaging.grid import block_factors, block_mean, in_field
from node.imaging.phantom.discs import Floats

IMAGE_THICKNESS_MM = 24.0
"""Slices are averaged to this before rods are looked for: 60 HU of noise become a few."""
THIN_IMAGES_MM = (10.0, 6.0)
"""In a second and a third look, for a phantom that reaches only a little way into the scan."""
IMAGE_PIXEL_MM = 1.6
PATCH_PIXEL_MM = 1.0
NOT_SEEN = -30000
"""So low that interpolation with the least of it shows."""


@dataclass(frozen=True, slots=True, eq=False)
class ThickImages:
    """A scan as a few thick axial images. Lengths are mm of the scan's own grid, from the centre of voxel (0, 0, 0)."""

    hu: NDArray[np.int16]
    """Shape (images, rows, columns); ``NOT_SEEN`` outside the scan field."""
    z_mm: Floats
    """Middle of each image."""
    pixel_mm: tuple[float, float]
    first_pixel_mm: tuple[float, float]
    """Centre of pixel (0, 0)."""
    end_mm: float
    """Last slice of the scan; the images may leave out a few slices at its end."""

    @classmethod
    def of(cls, volume: Volume, thickness_mm: float = IMAGE_THICKNESS_MM) -> ThickImages:
        """Average ``volume`` to images of ``thickness_mm``; a short scan still gives about eight."""
        dk, dj, di = volume.spacing_mm
        length = volume.hu.shape[0] * dk
        wanted = (min(thickness_mm, length / 8), IMAGE_PIXEL_MM, IMAGE_PIXEL_MM)
        blocks = block_mean(volume, wanted)
        fk, fj, fi = block_factors(volume, wanted)
        hu = np.where(in_field(blocks.hu), blocks.hu, np.int16(NOT_SEEN))
        z_mm: Floats = (np.arange(len(hu), dtype=np.float64) * fk + (fk - 1) / 2) * dk
        return cls(hu, z_mm, (dj * fj, di * fi), ((fj - 1) / 2 * dj, (fi - 1) / 2 * di), length - dk)

    def sampled(self, image: int, yx_mm: Floats) -> Floats:
        """Bilinear HU of one image at points (..., 2); NaN outside the image or the field."""
        at = [(yx_mm[..., axis] - self.first_pixel_mm[axis]) / self.pixel_mm[axis] for axis in (0, 1)]
        values: Floats = ndimage.map_coordinates(
            self.hu[image], at, output=np.float64, order=1, mode="constant", cval=NOT_SEEN
        )
        values[values < -1300] = np.nan
        return values


@dataclass(frozen=True, slots=True, eq=False)
class RowAxes:
    """Where a row of rods lies: point(s, t, z) = origin + slope · z + s · along + (t + arc · s²) · normal.

    All (y, x) in mm.
    """

    origin_yx_mm: Floats
    slope_yx: Floats
    along_yx: Floats
    """Unit vector from rod to rod, toward rising x."""
    normal_yx: Floats
    """Unit vector across the slab, toward rising y where the slab lies flat."""
    arc_per_mm: float = 0.0
    """Half the curvature of a slab that is bent about the patient; 0: flat."""
    course_yx_mm: Floats = field(default_factory=lambda: np.zeros((3, 2)))
    """Shape (3, 2): coefficients of z², z and 1 (z in mm) of what the whole row deviates from a straight course."""

    def at(self, s_mm: float | Floats, t_mm: float | Floats, z_mm: float) -> Floats:
        """Return the points (..., 2) at (s, t) in the plane ``z_mm``."""
        s, t = np.asarray(s_mm)[..., None], np.asarray(t_mm)[..., None]
        across = t + self.arc_per_mm * s**2
        points: Floats = self._origin_at(z_mm) + s * self.along_yx + across * self.normal_yx
        return points

    def of(self, yx_mm: Floats, z_mm: float | Floats) -> tuple[Floats, Floats]:
        """Return (s, t) of points (..., 2) in the plane(s) ``z_mm``."""
        offset = yx_mm - self._origin_at(z_mm)
        s: Floats = offset @ self.along_yx
        return s, offset @ self.normal_yx - self.arc_per_mm * s**2

    def _origin_at(self, z_mm: float | Floats) -> Floats:
        z = np.asarray(z_mm, dtype=np.float64)[..., None]
        bent, tilted, moved = self.course_yx_mm
        origin: Floats = self.origin_yx_mm + moved + (self.slope_yx + tilted) * z + bent * z**2
        return origin


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """Cross-section of everything about a row, the median of many thick images; 1 mm pixels.

    ``hu[t, s]``; NaN where most images saw nothing.
    """

    hu: Floats
    s_mm: Floats
    t_mm: Floats

    def disc(self, s_mm: float, t_mm: float, radius_mm: float) -> Floats:
        """Return the pixels within ``radius_mm`` of (s, t)."""
        inside = (self.s_mm[None, :] - s_mm) ** 2 + (self.t_mm[:, None] - t_mm) ** 2 <= radius_mm**2
        pixels: Floats = self.hu[inside]
        return pixels

    def centred(self, s_mm: float, t_mm: float, radius_mm: float, hu: float, base_hu: float) -> tuple[float, float]:
        """Return (s, t) of the centre of a disc of ``hu`` in ``base_hu`` near a point: the centroid of its contrast.

        What is neither (air beyond a face, a bubble) has no weight.
        """
        share = contrast_share(self.hu, hu, base_hu)
        for _ in range(6):
            away = (self.s_mm[None, :] - s_mm) ** 2 + (self.t_mm[:, None] - t_mm) ** 2
            weight = np.where(away <= (radius_mm + 2.0) ** 2, share, 0.0)
            total = float(weight.sum())
            if total <= 0:
                break
            s_mm = float((weight * self.s_mm[None, :]).sum()) / total
            t_mm = float((weight * self.t_mm[:, None]).sum()) / total
        return s_mm, t_mm


def contrast_share(pixels: Floats, hu: float, base_hu: float) -> Floats:
    """Which part of each pixel is a rod of ``hu`` rather than its slab; 0 where it is neither (air, metal)."""
    slack = 0.5 * abs(hu - base_hu) + 10.0
    known = (pixels > min(hu, base_hu) - slack) & (pixels < max(hu, base_hu) + slack)
    share: Floats = np.where(known, np.clip((pixels - base_hu) / (hu - base_hu), 0.0, 1.0), 0.0)
    return share


def straighten(
    images: ThickImages,
    axes: RowAxes,
    used: NDArray[np.int64],
    s_range: tuple[float, float],
    t_range: tuple[float, float],
) -> Patch:
    """Lay the images ``used`` along the rods and take their median."""
    s = np.arange(np.floor(s_range[0]), s_range[1] + 1, PATCH_PIXEL_MM)
    t = np.arange(np.floor(t_range[0]), t_range[1] + 1, PATCH_PIXEL_MM)
    grid_s, grid_t = np.meshgrid(s, t)
    stack = np.stack([images.sampled(int(k), axes.at(grid_s, grid_t, float(images.z_mm[k]))) for k in used])
    known = np.isfinite(stack).mean(axis=0) > 0.5
    hu = np.full(grid_s.shape, np.nan)
    hu[known] = np.nanmedian(stack[:, known], axis=0)
    return Patch(hu, s, t)
