"""Small helpers on sampled volumes, shared by the parts of ``node.imaging``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import OUTSIDE_FIELD_HU, SourceImage, Volume


def block_factors(volume: Volume, spacing_mm: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return how many voxels along (k, j, i) make one block of about ``spacing_mm`` (at least one)."""
    fk, fj, fi = (
        max(1, min(round(wanted / step), size))
        for wanted, step, size in zip(spacing_mm, volume.spacing_mm, volume.hu.shape, strict=True)
    )
    return fk, fj, fi


def block_mean(volume: Volume, spacing_mm: float | tuple[float, float, float]) -> Volume:
    """Return the volume averaged over blocks of whole voxels of about ``spacing_mm``, with the exact affine.

    ``spacing_mm`` is one length, or one for each of (k, j, i).

    Rows, columns and slices left over at the far ends are dropped. A block that is less than half
    reconstructed becomes ``OUTSIDE_FIELD_HU``; the others average only what was reconstructed. The
    source of a block is the middle slice of those averaged.
    """
    wanted = spacing_mm if isinstance(spacing_mm, tuple) else (spacing_mm, spacing_mm, spacing_mm)
    factors = block_factors(volume, wanted)
    fk, fj, fi = factors
    nk, nj, ni = (size // f for size, f in zip(volume.hu.shape, factors, strict=True))
    out = np.empty((nk, nj, ni), dtype=np.int16)
    for k in range(nk):
        out[k] = _mean_of_slab(volume.hu[k * fk : (k + 1) * fk, : nj * fj, : ni * fi], fj, fi)
    affine = volume.affine_lps_mm.copy()
    affine[:3, :3] *= np.asarray(factors, dtype=np.float64)
    affine[:3, 3] = volume.lps_mm([(f - 1) / 2 for f in factors])
    sources: tuple[SourceImage, ...] = tuple(volume.sources[k * fk + fk // 2] for k in range(nk))
    return Volume(out, affine, volume.frame_of_reference_uid, sources)


def _mean_of_slab(slab: NDArray[np.int16], fj: int, fi: int) -> NDArray[np.int16]:
    """Average a few slices into one row of blocks; shape (j, i) of the blocks."""
    count = slab.shape[0] * fj * fi
    if slab.min() > OUTSIDE_FIELD_HU:
        mean = _block_sums(slab.sum(axis=0, dtype=np.int32), fj, fi) / count
        return _to_hu(mean)
    inside = slab > OUTSIDE_FIELD_HU
    number = _block_sums(inside.sum(axis=0, dtype=np.int32), fj, fi)
    total = _block_sums(np.where(inside, slab, 0).sum(axis=0, dtype=np.int32), fj, fi)
    mean = total / np.maximum(number, 1)
    mean[number * 2 < count] = OUTSIDE_FIELD_HU
    return _to_hu(mean)


def _to_hu(mean: NDArray[np.float64]) -> NDArray[np.int16]:
    rounded: NDArray[np.int16] = np.rint(mean).astype(np.int16)
    return rounded


def _block_sums(plane: NDArray[np.int32], fj: int, fi: int) -> NDArray[np.int32]:
    rows, columns = plane.shape
    summed: NDArray[np.int32] = plane.reshape(rows // fj, fj, columns // fi, fi).sum(axis=(1, 3))
    return summed


def in_field(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return where axial images (..., rows, columns) were reconstructed.

    Some scanners write the ring outside the circular field as air instead of padding: where the four corners
    hold one and the same value, pixels of that value outside the inscribed circle are taken as not reconstructed.
    """
    inside: NDArray[np.bool_] = hu > OUTSIDE_FIELD_HU
    corners = hu[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    same = (corners.max(axis=-1) == corners.min(axis=-1))[..., None, None]
    rows, columns = hu.shape[-2:]
    y = (np.arange(rows) - (rows - 1) / 2) / (rows / 2)
    x = (np.arange(columns) - (columns - 1) / 2) / (columns / 2)
    ring = y[:, None] ** 2 + x[None, :] ** 2 > 1.0
    inside &= ~(same & ring & (hu == corners[..., :1, None]))
    return inside
