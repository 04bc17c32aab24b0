"""Cement and metal taken out of the picture before bodies are delineated.

Their edges are stronger than those of any bone and would be taken for endplates or walls. What is dense and thick
(cortex is dense and thin) is replaced, with its blurred border, by the attenuation of the spongiosa about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose

DENSE_HU = 700.0
THICK_MM = 2.0
"""Half of the least thickness; cortex and endplates, sclerotic ones too, are thinner or less dense."""
LEAST_MM3 = 60.0
HALO_MM = 2.5
SPONGIOSA_HU = (-50.0, 450.0)
REACH = (1.3, 0.9, 0.9)
"""Half of the box about a body, as parts of its height, depth and width."""


def without_implants(volume: Volume, poses: Sequence[Pose]) -> Volume:
    """Return the volume with dense thick material near the bodies replaced; the same volume where there is none."""
    hu: NDArray[np.int16] | None = None
    for pose in poses:
        box = _box(volume, pose)
        part = volume.hu[box]
        spread = _thick_and_dense(part, volume.spacing_mm)
        if spread is None:
            continue
        bone = part[~spread & (part > SPONGIOSA_HU[0]) & (part < SPONGIOSA_HU[1]) & _core(volume, pose, box)]
        if bone.size < 50:
            continue
        hu = volume.hu.copy() if hu is None else hu
        hu[box][spread] = np.int16(np.median(bone))
    if hu is None:
        return volume
    return Volume(hu, volume.affine_lps_mm.copy(), volume.frame_of_reference_uid, volume.sources)


def _box(volume: Volume, pose: Pose) -> tuple[slice, slice, slice]:
    corner = np.array([REACH[2] * pose.width, REACH[1] * pose.depth, 0.5 * REACH[0] * pose.height])
    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T
    index = volume.index_kji(pose.to_lps(signs * corner))
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, volume.hu.shape)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, 0, volume.hu.shape)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return k, j, i


def _thick_and_dense(part: NDArray[np.int16], spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_] | None:
    """Where dense material twice ``THICK_MM`` thick lies, with its halo; ``None`` where there is too little."""
    dense = part > DENSE_HU
    if np.count_nonzero(dense) * np.prod(spacing_mm) < LEAST_MM3:
        return None
    core = distance_transform_edt(np.pad(dense, 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1] > THICK_MM
    if not core.any():
        return None
    return np.asarray(distance_transform_edt(~core, sampling=spacing_mm) <= THICK_MM + HALO_MM)


def _core(volume: Volume, pose: Pose, box: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
    """Voxels of a box well inside the body."""
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(pose.to_local(volume.lps_mm(grid)), -1, 0)
    within = np.hypot(x / (0.38 * pose.width), y / (0.38 * pose.depth)) < 1.0
    return np.asarray(within & (np.abs(z) < 0.35 * pose.height))
