"""Vessels full of contrast medium taken out of the picture before bodies are outlined.

In the arterial phase blood is brighter than the cortex of osteoporotic bone, and where the aorta or its branches touch
a body no edge is left between them: the outer wall of the vessel would be taken for the body's. What is much brighter
than spongiosa, far thicker than cortex, and lies mostly beyond the bodies or passes several is replaced by soft tissue.
Metal and cement are left to ``implants``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.imaging.grid import block_mean
from node.imaging.spine.implants import DENSE_HU

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

GRID_MM = 2.0
SIDE_MM, FRONT_MM, BACK_MM = 85.0, 110.0, 85.0
"""About the canal: everything that bodies are outlined in."""
BRIGHTER_HU, LEAST_HU = 80.0, 150.0
"""Blood that draws outlines away exceeds the spongiosa by the first and is brighter than the second."""
THICK_MM = 5.0
"""Half of the least thickness: above cortex, sclerotic endplates and two endplates melted in one thick slice."""
RIM_MM = 1.5
FAR_MM, TALL_MM = 40.0, 55.0
"""Bodies of adults end about 40 mm in front of the canal, and each ends at its discs: what is dense in them (cement, a
sclerotic lesion) is neither mostly beyond that nor taller than this. Vessels are one or the other."""
IN_FRONT_MM = 8.0
"""Of the canal: behind lie only bones, and the joints of the arches make dense columns too."""
SPONGIOSA_MM = np.arange(15.0, 28.0, 3.0)
"""In front of the canal."""
SOFT_HU = 40


def without_vessels(volume: Volume, canal_lps_mm: Floats) -> Volume:
    """Return the part of a volume about the canal (points (n, 3), LPS mm) with enhanced vessels as soft tissue."""
    crop = _about(volume, canal_lps_mm)
    grid = block_mean(crop, GRID_MM)
    calm = ndimage.gaussian_filter(grid.hu.astype(np.float32), 0.7)
    vessels = _vessels(calm, grid, canal_lps_mm)
    if not vessels.any():
        return crop
    hu = crop.hu.copy()
    where = [_cells(crop, grid, axis) for axis in range(3)]
    for k, row in enumerate(where[0]):
        inside = vessels[row][np.ix_(where[1], where[2])]
        hu[k][inside & (hu[k] > SOFT_HU)] = SOFT_HU
    return Volume(hu, crop.affine_lps_mm.copy(), crop.frame_of_reference_uid, crop.sources)


def _about(volume: Volume, canal_lps_mm: Floats) -> Volume:
    """The rows and columns about the canal, of all slices; no copy."""
    index = volume.index_kji(canal_lps_mm)
    _, row_mm, column_mm = volume.spacing_mm
    _, rows, columns = volume.hu.shape
    j0 = max(0, int(index[:, 1].min() - FRONT_MM / row_mm))
    j1 = min(rows, int(index[:, 1].max() + BACK_MM / row_mm) + 2)
    i0 = max(0, int(index[:, 2].min() - SIDE_MM / column_mm))
    i1 = min(columns, int(index[:, 2].max() + SIDE_MM / column_mm) + 2)
    affine = volume.affine_lps_mm.copy()
    affine[:3, 3] = volume.lps_mm([0, j0, i0])
    return Volume(volume.hu[:, j0:j1, i0:i1], affine, volume.frame_of_reference_uid, volume.sources)


def _vessels(calm: NDArray[np.float32], grid: Volume, canal_lps_mm: Floats) -> Bools:
    """Where vessels are, on the grid."""
    bright = calm > max(_spongiosa_hu(calm, grid, canal_lps_mm) + BRIGHTER_HU, LEAST_HU)
    core = _deeper(bright, THICK_MM, grid)
    labels, count = ndimage.label(core)
    if not count:
        return core
    place = np.argwhere(core)
    number = labels[core]
    aside, ahead = _from_canal_mm(grid.lps_mm(place), canal_lps_mm)
    size = np.maximum(np.bincount(number, minlength=count + 1), 1)
    beyond = np.bincount(number, np.hypot(aside, ahead) > FAR_MM, count + 1) > 0.5 * size
    in_front = np.bincount(number, ahead > IN_FRONT_MM, count + 1) > 0.5 * size
    dense = np.bincount(number, calm[core] > DENSE_HU, count + 1) > 0.5 * size
    tall = [0, *((box[0].stop - box[0].start) * grid.spacing_mm[0] for box in ndimage.find_objects(labels))]
    kept = (in_front & ~dense & (beyond | (np.array(tall) > TALL_MM)))[labels]
    return ~_deeper(~kept, THICK_MM + RIM_MM, grid) if kept.any() else kept


def _spongiosa_hu(calm: NDArray[np.float32], grid: Volume, canal_lps_mm: Floats) -> float:
    ahead = canal_lps_mm[:, None, :] - SPONGIOSA_MM[None, :, None] * np.array([0.0, 1.0, 0.0])
    index = np.moveaxis(grid.index_kji(ahead), -1, 0)
    return float(np.median(ndimage.map_coordinates(calm, index, order=0, mode="nearest")))


def _deeper(inside: Bools, depth_mm: float, grid: Volume) -> Bools:
    """What lies deeper in a region than this."""
    depth = ndimage.distance_transform_edt(inside, sampling=grid.spacing_mm)
    return np.asarray(depth > depth_mm)


def _from_canal_mm(points: Floats, canal_lps_mm: Floats) -> tuple[Floats, Floats]:
    """How far to the side and in front of the canal points lie, at their own height."""
    line = canal_lps_mm[np.argsort(canal_lps_mm[:, 2])]
    x, y = (np.interp(points[:, 2], line[:, 2], line[:, axis]) for axis in (0, 1))
    return points[:, 0] - x, y - points[:, 1]


def _cells(crop: Volume, grid: Volume, axis: int) -> NDArray[np.intp]:
    """The cell of the grid that each slice, row or column lies in."""
    size = crop.hu.shape[axis]
    factor = max(1, round(grid.spacing_mm[axis] / crop.spacing_mm[axis]))
    cells: NDArray[np.intp] = np.minimum(np.arange(size) // factor, grid.hu.shape[axis] - 1)
    return cells
