"""Trabecular volume of interest: its place in a vertebra, and its attenuation.

The VOI is an elliptic cylinder in the vertebra's own frame, in the anterior and central spongiosa (classic QCT: a
mid-vertebral slab of 8 to 10 mm), cut by the body less its margins. Attenuation is read by linear interpolation on
a fine grid, so that thick slices and oblique vertebrae count with the right share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from node.domain.settings import SuitabilityLimits, VoiShape
from node.domain.spine import Vertebra, Voi
from node.domain.volume import Mask, Volume
from node.imaging import neighbours, outliers, slabs, suitability, voi_error
from node.imaging.suitability import Reading
from node.imaging.voi_error import SMOOTHING_MM

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]

GRID_MM = 0.75
USUAL_LIMITS = SuitabilityLimits()
TRIM = 0.1
"""Of the histogram, cut at either end for the trimmed mean."""


@dataclass(frozen=True, slots=True, eq=False)
class _Bounds:
    """The body in its own frame."""

    inside: Bools
    """(x, y, z) on the local grid."""
    depth_below_surface_mm: Floats32
    lps_mm: Floats
    """(x, y, z, 3)."""
    x: Floats
    y: Floats
    z: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Cylinder:
    """Ellipse and slab in local mm."""

    centre: Floats
    half_width: float
    half_depth: float
    half_height: float

    def contains(self, x: Floats, y: Floats, z: Floats) -> Bools:
        across = (x - self.centre[0]) / self.half_width
        along = (y - self.centre[1]) / self.half_depth
        return np.asarray((across**2 + along**2 <= 1.0) & (np.abs(z - self.centre[2]) <= self.half_height))


def measure(
    volume: Volume,
    vertebrae: Sequence[Vertebra],
    shape: VoiShape,
    limits: SuitabilityLimits,
    known_noise: voi_error.NoiseReference | None = None,
    slice_mm: float | None = None,
) -> dict[str, Voi]:
    """Place and read the VOI of every complete vertebra, and compare them with one another."""
    vois = {one.level: sample(volume, one, shape, known_noise, limits, slice_mm) for one in vertebrae if one.complete}
    return neighbours.compared(vois, limits)


def sample(
    volume: Volume,
    vertebra: Vertebra,
    shape: VoiShape,
    known_noise: voi_error.NoiseReference | None = None,
    limits: SuitabilityLimits = USUAL_LIMITS,
    slice_mm: float | None = None,
) -> Voi:
    """Place the VOI in a vertebra and read it. ``known_noise`` is that of the rods, where there are any.

    ``slice_mm``: thickness of the slices, where it is known; their distance at least is taken for it.
    A VOI is returned even where the vertebra must not be measured; ``exclusion`` then says why.
    """
    bounds = _bounds(volume, vertebra)
    clear = slabs.clear_voxels(volume, vertebra, slice_mm or 0.0, shape.slice_margin_mm)
    placed = _clear(volume, bounds, _membership(bounds, _place(bounds, vertebra, shape), shape), clear)
    if not placed.any():
        return _nothing(vertebra)

    def read(points: Floats, member: Bools) -> Reading:
        return _reading(clear.read(volume, points), member, limits)

    whole = read(bounds.lps_mm[placed], placed)
    lengths = (GRID_MM, SMOOTHING_MM, shape.outlier_margin_mm)
    member = outliers.apart(volume, bounds.lps_mm, bounds.inside, placed, whole, lengths)
    member = member if member.any() else placed
    points = bounds.lps_mm[member]
    reading = read(points, member)
    mask, volume_mm3 = _mask(volume, vertebra, bounds, member), float(member.sum()) * GRID_MM**3
    native = volume.hu[mask.slices_kji][mask.voxels].astype(np.float64)
    noise = _noise(volume, mask, reading, volume_mm3, known_noise)
    wander = voi_error.shift_sensitivity(
        lambda moved: read(moved, member).mean, vertebra.frame, points, reading.mean, noise
    )
    finding = suitability.judge(volume, vertebra, whole, (mask, volume_mm3), limits)
    left, posterior, superior = map(float, points.mean(axis=0))
    return Voi(
        mask=mask,
        centre_lps_mm=(left, posterior, superior),
        volume_mm3=volume_mm3,
        hu_mean=reading.mean,
        hu_sd=float(native.std()) if native.size else float("nan"),
        standard_error_hu=float(np.hypot(noise, wander)),
        exclusion=finding.reason if finding else None,
        exclusion_message=finding.message if finding else None,
        noise_error_hu=noise,
        **_spread(clear.read(volume, bounds.lps_mm[placed])),
        local_quartiles_apart_hu=whole.quartiles_apart,
        dense_part=whole.dense_share,
        sparse_part=whole.sparse_share,
    )


def _noise(
    volume: Volume, mask: Mask, reading: Reading, volume_mm3: float, known: voi_error.NoiseReference | None
) -> float:
    """Standard error of the mean from noise, HU: by the VOI's own voxels, or by the rods where that is less."""
    own = voi_error.noise_of_mean(volume, mask, reading)
    return own if known is None else min(own, voi_error.noise_by_rods(volume, mask, volume_mm3, known))


def _clear(volume: Volume, bounds: _Bounds, member: Bools, clear: slabs.Clear) -> Bools:
    """The part of ``member`` that can be read from clear voxels."""
    seen = member.copy()
    seen[member] = clear.shares(volume, bounds.lps_mm[member]) >= slabs.ENOUGH
    return seen


def _spread(values: Floats32) -> dict[str, Any]:
    """Median, trimmed mean and quartiles of all that lies in a VOI."""
    ordered = np.sort(values.astype(np.float64))
    cut = round(TRIM * len(ordered))
    lower, median, upper = np.quantile(ordered, (0.25, 0.5, 0.75))
    return {
        "hu_median": float(median),
        "hu_trimmed_mean": float(ordered[cut : len(ordered) - cut].mean()),
        "hu_quartiles": (float(lower), float(upper)),
    }


def _bounds(volume: Volume, vertebra: Vertebra) -> _Bounds:
    """Resample the body mask onto a fine grid along the vertebra's axes."""
    body = vertebra.body
    index = np.argwhere(body.voxels) + np.array(body.origin_kji)
    frame = vertebra.frame
    axes = np.stack([frame.left, frame.posterior, frame.superior])
    local = (volume.lps_mm(index) - frame.centre_lps_mm) @ axes.T
    low, high = (local.min(axis=0) - 4.0, local.max(axis=0) + 4.0) if len(local) else (np.zeros(3), np.ones(3))
    x, y, z = (np.arange(a, b, GRID_MM) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1) @ axes + frame.centre_lps_mm
    at = volume.index_kji(grid) - np.array(body.origin_kji)
    padded = np.pad(body.voxels, 1).astype(np.float32)
    inside = map_coordinates(padded, np.moveaxis(at + 1.0, -1, 0), order=1, mode="constant", cval=0.0) >= 0.5
    depth = distance_transform_edt(inside, sampling=GRID_MM).astype(np.float32)
    return _Bounds(inside, depth, grid, x, y, z)


def _place(bounds: _Bounds, vertebra: Vertebra, shape: VoiShape) -> _Cylinder:
    """Centre and size the cylinder from the cross-section at mid-height."""
    bottom, top = _endplate_heights(bounds, vertebra)
    middle = 0.5 * (bottom + top)
    slab = np.abs(bounds.z - middle) <= 4.0
    section: Bools = np.asarray(bounds.inside[:, :, slab].mean(axis=2) >= 0.5 if slab.any() else [[False]])
    if not section.any():
        section = np.asarray(bounds.inside.any(axis=2))
    rows = np.flatnonzero(section.any(axis=1))
    left, right = (bounds.x[rows[-1]], bounds.x[rows[0]]) if len(rows) else (1.0, -1.0)
    across = np.flatnonzero(np.abs(bounds.x - 0.5 * (left + right)) <= 0.15 * (left - right) + GRID_MM)
    lines = [np.flatnonzero(section[n]) for n in across]
    spans = [bounds.y[line[[0, -1]]] for line in lines if line.size]
    front, back = np.median(spans, axis=0) if spans else (-1.0, 1.0)
    depth, width = back - front + GRID_MM, left - right + GRID_MM
    room = 0.5 * (top - bottom) - shape.endplate_margin_mm
    return _Cylinder(
        centre=np.array([0.5 * (left + right), 0.5 * (front + back) - shape.anterior_shift_fraction * depth, middle]),
        half_width=max(0.5 * shape.width_fraction * width, GRID_MM),
        half_depth=max(0.5 * shape.depth_fraction * depth, GRID_MM),
        half_height=max(min(0.5 * shape.height_mm, room), 0.5),
    )


def _endplate_heights(bounds: _Bounds, vertebra: Vertebra) -> tuple[float, float]:
    """Local z of the endplates over the middle of the body (their deepest part)."""
    frame = vertebra.frame
    if vertebra.heights is not None:
        top, bottom = (
            float((np.array(point) - frame.centre_lps_mm) @ frame.superior)
            for point in vertebra.heights.points_lps_mm[2:4]
        )
        return bottom, top
    core = bounds.inside[np.abs(bounds.x) <= 5.0][:, np.abs(bounds.y) <= 5.0]
    levels = np.flatnonzero(core.mean(axis=(0, 1)) > 0.5) if core.size else np.array([], dtype=int)
    return (float(bounds.z[levels[0]]), float(bounds.z[levels[-1]])) if len(levels) else (-1.0, 1.0)


def _membership(bounds: _Bounds, cylinder: _Cylinder, shape: VoiShape) -> Bools:
    x, y, z = np.meshgrid(bounds.x, bounds.y, bounds.z, indexing="ij", sparse=True)
    spongiosa = bounds.depth_below_surface_mm >= min(shape.cortex_margin_mm, shape.endplate_margin_mm)
    return np.asarray(cylinder.contains(x, y, z) & spongiosa)


def _reading(values: Floats32, member: Bools, limits: SuitabilityLimits) -> Reading:
    """Robust mean over the VOI's points; outliers are judged on averages over about 4 mm within the VOI."""
    spread = np.zeros(member.shape, dtype=np.float32)
    spread[member] = values
    sigma = SMOOTHING_MM / GRID_MM
    share = gaussian_filter(member.astype(np.float32), sigma)
    smooth = gaussian_filter(spread, sigma) / np.maximum(share, 1e-3)
    return suitability.robust_mean(values, np.asarray(smooth[member], dtype=np.float32), limits)


def _mask(volume: Volume, vertebra: Vertebra, bounds: _Bounds, member: Bools) -> Mask:
    """Voxels of which the VOI takes up half or more (the greatest shares where no voxel is so filled)."""
    frame = vertebra.frame
    axes = np.stack([frame.left, frame.posterior, frame.superior])
    index = volume.index_kji(bounds.lps_mm[member])
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, np.array(volume.hu.shape) - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int), low, np.array(volume.hu.shape) - 1)
    voxels = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    within = [np.linspace(-0.5, 0.5, n, endpoint=False) + 0.5 / n for n in _parts(volume)]
    share = np.zeros(voxels.shape[:3])
    start = np.array([bounds.x[0], bounds.y[0], bounds.z[0]])
    for part in np.stack(np.meshgrid(*within, indexing="ij"), -1).reshape(-1, 3):
        local = (volume.lps_mm(voxels + part) - frame.centre_lps_mm) @ axes.T
        at = np.moveaxis((local - start) / GRID_MM, -1, 0)
        share += map_coordinates(member.astype(np.float32), at, order=1, mode="constant", cval=0.0)
    share /= np.prod([len(parts) for parts in within])
    mask = Mask.of(share >= min(0.5, 0.9 * float(share.max())))
    k, j, i = (int(a + b) for a, b in zip(low, mask.origin_kji, strict=True))
    return Mask((k, j, i), mask.voxels)


def _parts(volume: Volume) -> tuple[int, int, int]:
    """Into how many parts a voxel is divided along each axis for its share in the VOI."""
    k, j, i = (max(round(step / 1.5), 1) for step in volume.spacing_mm)
    return k, j, i


def _nothing(vertebra: Vertebra) -> Voi:
    centre = vertebra.frame.centre_lps_mm
    return Voi(
        mask=Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool)),
        centre_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        volume_mm3=0.0,
        hu_mean=float("nan"),
        hu_sd=float("nan"),
        standard_error_hu=float("nan"),
        exclusion="incomplete",
        exclusion_message=f"No trabecular region of interest fits into {vertebra.level}.",
    )
