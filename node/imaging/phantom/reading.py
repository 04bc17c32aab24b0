"""Attenuation of rods, slice by slice, at the scan's own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.phantom import RodModel, RodReading
from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.imaging.phantom.agreement import contradictory
from node.imaging.phantom.discs import Floats
from node.imaging.phantom.rows import BEYOND_ENDS_MM
from node.imaging.phantom.straight import RowAxes

EDGE_MARGIN_MM = 2.5
"""Kept from the rod's edge: blur of a soft kernel and a slightly wrong centre."""
FULL_CONTRAST_HU = 300.0
"""A rod this different from its slab is read half a millimetre further inside: its edge matters more than noise."""
MAX_REJECTED_PART = 0.12
"""Of a slice's voxels: more outliers than this (bubble, streak) and the slice is not used."""
_VOXEL_LIMIT_SD = 4.5
_SLICE_LIMIT_SD = 5.0
_MIN_SLICE_LIMIT_HU = 3.0
_TREND_HALF_WIDTH_MM = 60.0
"""An artefact of up to this length does not carry the running median with it."""


@dataclass(frozen=True, slots=True)
class Standard:
    """A rod, or the base plate, and where it is read."""

    rod: RodModel
    spots_st_mm: tuple[tuple[float, float], ...]
    """Centres (s, t) in the row: one of a rod, several of a base plate."""
    radius_mm: float
    """Of the discs that are averaged."""


def read_rods(
    volume: Volume, axes: RowAxes, standards: Sequence[Standard], z_range_mm: tuple[float, float]
) -> list[RodReading | None]:
    """Read every standard of a row; a slice that artefacts spoil, for half of them or together, is used for none."""
    first = [_read(volume, axes, one, z_range_mm, frozenset()) for one in standards]
    used = [_slices(volume, reading) for reading in first]
    every = set().union(*used)
    spoilt = {k for k in every if 2 * sum(k not in one for one in used) >= len(used)}
    read = [reading for reading in first if reading is not None]
    if len(read) == len(first):
        spoilt |= contradictory(read, [np.array(sorted(one)) for one in used], volume.spacing_mm[0])
    return [
        _read(volume, axes, one, z_range_mm, frozenset(spoilt)) if spoilt & have else reading
        for one, have, reading in zip(standards, used, first, strict=True)
    ]


def _slices(volume: Volume, reading: RodReading | None) -> frozenset[int]:
    if reading is None:
        return frozenset()
    return frozenset(int(k) for k in np.rint(volume.index_kji(reading.slice_centres_lps_mm)[:, 0]))


def _read(
    volume: Volume, axes: RowAxes, standard: Standard, z_range_mm: tuple[float, float], spoilt: frozenset[int]
) -> RodReading | None:
    """Read one standard.

    ``z_range_mm`` is where it was seen; the reading reaches a thick image further at either end, and slices that do
    not belong to it (ends, artefacts, bubbles) are recognised and left out, besides those known to be ``spoilt``.
    ``None``: nothing to read.
    """
    rod, spots_st_mm, radius_mm = standard.rod, standard.spots_st_mm, standard.radius_mm
    dk = volume.spacing_mm[0]
    first = max(0, int(np.floor(z_range_mm[0] / dk)) - int(np.ceil(BEYOND_ENDS_MM / dk)))
    last = min(volume.hu.shape[0] - 1, int(np.ceil(z_range_mm[1] / dk)) + int(np.ceil(BEYOND_ENDS_MM / dk)))
    slices, values = [], []
    for k in sorted(set(range(first, last + 1)) - spoilt):
        pixels = np.concatenate([_disc(volume, k, axes.at(s, t, k * dk), radius_mm) for s, t in spots_st_mm])
        if pixels.size >= 4 and pixels.min() > OUTSIDE_FIELD_HU:
            slices.append(k)
            values.append(pixels.astype(np.float64))
    if len(slices) < 3:
        return None
    heights = np.array(slices) * dk
    seen = (heights > z_range_mm[0] - 0.6 * dk) & (heights < z_range_mm[1] + 0.6 * dk)
    if not seen.any():
        return None
    means, variances, counts, usable = _slice_statistics(values, seen, dk)
    if usable.sum() < 3:
        return None
    kept = np.flatnonzero(usable)
    centre_s = float(np.mean([s for s, _ in spots_st_mm]))
    centre_t = float(np.mean([t for _, t in spots_st_mm]))
    index = np.array([[slices[n], *(axes.at(centre_s, centre_t, slices[n] * dk))] for n in kept])
    index[:, 1:] /= volume.spacing_mm[1:]
    centres = volume.lps_mm(index)
    total = counts[kept].sum()
    middle = centres.mean(axis=0)
    return RodReading(
        rod,
        float((means[kept] * counts[kept]).sum() / total),
        float(np.sqrt((variances[kept] * counts[kept]).sum() / total)),
        int(total),
        (float(middle[0]), float(middle[1]), float(middle[2])),
        radius_mm,
        centres,
        means[kept],
        _excluded(z_range_mm, [slices[n] for n in kept], dk),
    )


def _excluded(z_range_mm: tuple[float, float], used: Sequence[int], dk: float) -> int:
    """How many slices of those along which the row was seen are not used."""
    along = range(int(np.ceil(z_range_mm[0] / dk - 1e-6)), int(np.floor(z_range_mm[1] / dk + 1e-6)) + 1)
    return len(set(along) - set(used))


def reading_radius(radius_mm: float, contrast_hu: float) -> float:
    """Return how far from its axis a rod of ``radius_mm`` is read."""
    margin = EDGE_MARGIN_MM + 0.5 * min(1.0, abs(contrast_hu) / FULL_CONTRAST_HU)
    return max(radius_mm - margin, 0.5 * radius_mm)


def _disc(volume: Volume, k: int, centre_yx_mm: Floats, radius_mm: float) -> NDArray[np.int16]:
    """Voxels of slice ``k`` whose centres lie within the disc; empty when it reaches over the image edge."""
    dj, di = volume.spacing_mm[1:]
    y, x = float(centre_yx_mm[0]), float(centre_yx_mm[1])
    j0, j1 = int(np.ceil((y - radius_mm) / dj)), int(np.floor((y + radius_mm) / dj))
    i0, i1 = int(np.ceil((x - radius_mm) / di)), int(np.floor((x + radius_mm) / di))
    rows, columns = volume.hu.shape[1:]
    if j0 < 0 or i0 < 0 or j1 >= rows or i1 >= columns:
        return np.zeros(0, dtype=np.int16)
    away = ((np.arange(j0, j1 + 1) * dj - y) ** 2)[:, None] + (np.arange(i0, i1 + 1) * di - x) ** 2
    pixels: NDArray[np.int16] = volume.hu[k, j0 : j1 + 1, i0 : i1 + 1][away <= radius_mm**2]
    return pixels


def _slice_statistics(
    values: list[Floats], seen: NDArray[np.bool_], dk: float
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Return mean, variance and number of the voxels kept in each slice, and which slices are usable.

    ``seen``: slices along which the row was seen; they say what the standard is like.
    """
    medians = np.array([np.median(v) for v in values])
    spreads = np.array([np.median(np.abs(v - m)) for v, m in zip(values, medians, strict=True)])
    spread = max(1.4826 * float(np.median(spreads[seen])), 1.0)
    trend = _trend(medians, seen, dk)
    kept = [v[np.abs(v - t) <= _VOXEL_LIMIT_SD * spread] for v, t in zip(values, trend, strict=True)]
    counts = np.array([len(v) for v in kept], dtype=np.float64)
    sizes = np.array([len(v) for v in values], dtype=np.float64)
    means = np.array([v.mean() if len(v) else np.nan for v in kept])
    variances = np.array([v.var() if len(v) else np.nan for v in kept])
    usable = (counts >= 4) & (1 - counts / sizes <= MAX_REJECTED_PART)
    if usable.any():
        own = usable & seen if (usable & seen).any() else usable
        off = means - _trend(np.where(usable, means, np.median(means[own])), own, dk)
        scale = 1.4826 * float(np.median(np.abs(off[own])))
        usable &= np.abs(off) <= max(_SLICE_LIMIT_SD * scale, _MIN_SLICE_LIMIT_HU)
    return means, variances, counts, usable


def _trend(levels: Floats, seen: NDArray[np.bool_], dk: float) -> Floats:
    """Running median along the rod: slow changes stay, ends and artefacts do not matter."""
    half = max(2, round(_TREND_HALF_WIDTH_MM / dk))
    width = min(2 * half + 1, 2 * (len(levels) // 2) - 1 if len(levels) > 3 else 3)
    overall = float(np.median(levels[seen]))
    near = np.abs(levels - overall) <= 40.0 + 0.1 * abs(overall)
    trend: Floats = ndimage.median_filter(np.where(near, levels, overall), size=width, mode="nearest")
    return trend
