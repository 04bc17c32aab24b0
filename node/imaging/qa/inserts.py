"""Even inserts in a body of one material: vertebrae of a spine phantom, cylinders of a torso slab.

Nothing is assumed about size and place, which are seldom published. An insert is where, in thick axial images, every
disc of 6 mm radius is even and differs from the body; over at least 10 mm of height; not open to the body's surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from node.domain.volume import OUTSIDE_FIELD_HU, Volume
from node.imaging.grid import block_mean

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

IMAGE_MM = (3.0, 1.5, 1.5)
DISC_MM = 6.0
MIN_LENGTH_MM = 10.0
MIN_CONTRAST_HU = 15.0
MAX_RADIUS_MM = 35.0
EDGE_MARGIN_MM = 3.0
"""Kept from an insert's edge: blur, and a thin shell."""
MIN_READING_RADIUS_MM = 4.0
_SURFACE_MM = 6.0
_MAX_STEP_MM = 5.0
"""Between the centres of an insert in neighbouring thick images (2 mm of tilt and noise)."""


@dataclass(frozen=True, slots=True)
class Insert:
    """One insert as read from the scan itself."""

    hu_mean: float
    hu_sd: float
    standard_error_hu: float
    voxels: int
    centre_lps_mm: tuple[float, float, float]
    length_mm: float
    radius_mm: float
    """Of the largest circle inside it."""
    cut: bool
    """Whether it reaches the first or the last slice."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """An insert in one thick image; lengths in mm of the scan's own grid."""

    z_mm: float
    y_mm: float
    x_mm: float
    hu: float
    radius_mm: float


def find(volume: Volume, body: Bools, body_spacing_mm: tuple[float, float, float]) -> tuple[Insert, ...]:
    """Return the inserts of a body, head to foot. ``body``: its voxels on a coarser grid with the same first corner."""
    images = block_mean(volume, IMAGE_MM)
    inside = _resampled(body, body_spacing_mm, images)
    if not inside.any():
        return ()
    hu = images.hu.astype(np.float32)
    base, noise = _base(hu, inside)
    spots = [_spots(hu[k], inside[k], base, noise, images, k) for k in range(len(hu))]
    found = [_read(volume, track, images.spacing_mm[0]) for track in _tracks(spots, noise)]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: -one.centre_lps_mm[2]))


def _resampled(body: Bools, spacing_mm: tuple[float, float, float], images: Volume) -> Bools:
    """Bring a mask onto the grid of ``images``, without its outermost millimetres."""
    inner = np.stack(
        [
            ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing_mm[1:])[1:-1, 1:-1] > _SURFACE_MM
            for plane in body
        ]
    )
    index = [
        np.clip(((np.arange(n) + 0.5) * step / coarse).astype(int), 0, size - 1)
        for n, step, coarse, size in zip(images.hu.shape, images.spacing_mm, spacing_mm, body.shape, strict=True)
    ]
    resampled: Bools = inner[np.ix_(*index)]
    return resampled


def _base(hu: NDArray[np.float32], inside: Bools) -> tuple[float, float]:
    """Commonest attenuation of the body and the noise about it."""
    values = hu[inside]
    counts, edges = np.histogram(values, bins=np.arange(-300.0, 600.0, 4.0))
    mode = float(edges[int(np.convolve(counts, np.ones(5), "same").argmax())] + 2.0)
    near = values[np.abs(values - mode) < 60.0]
    base = float(np.median(near))
    return base, 1.4826 * float(np.median(np.abs(near - base)))


def _spots(image: NDArray[np.float32], inside: Bools, base: float, noise: float, images: Volume, k: int) -> list[_Spot]:
    """Even discs of another material than the body's in one thick image."""
    dz, dy, dx = images.spacing_mm
    disc = _disc(dy, dx)
    clipped = np.clip(image, -500.0, 1500.0).astype(np.float64)
    mean = signal.fftconvolve(clipped, disc, mode="same")
    spread = np.sqrt(np.maximum(signal.fftconvolve(clipped**2, disc, mode="same") - mean**2, 0.0))
    contrast = max(MIN_CONTRAST_HU, 1.5 * noise)
    even = inside & (np.abs(mean - base) > contrast) & (spread < 1.6 * noise + 4.0)
    labels, count = ndimage.label(even)
    found = []
    for index in range(1, count + 1):
        where = labels == index
        level = float(np.median(mean[where]))
        alike = _alike(image, where, level, noise, abs(level - base))
        depth = ndimage.distance_transform_edt(np.pad(alike, 1), sampling=(dy, dx))[1:-1, 1:-1]
        if (alike & ~inside).any() or float(depth.max()) > MAX_RADIUS_MM:
            continue
        y, x = ndimage.center_of_mass(alike)
        found.append(_Spot(k * dz, float(y) * dy, float(x) * dx, level, float(depth.max())))
    return found


def _disc(dy: float, dx: float) -> Floats:
    reach_y, reach_x = int(DISC_MM / dy), int(DISC_MM / dx)
    y, x = np.mgrid[-reach_y : reach_y + 1, -reach_x : reach_x + 1]
    disc = ((y * dy) ** 2 + (x * dx) ** 2 <= DISC_MM**2).astype(np.float64)
    weights: Floats = disc / disc.sum()
    return weights


def _alike(image: NDArray[np.float32], core: Bools, level: float, noise: float, contrast: float) -> Bools:
    """The connected region of one attenuation about the middle of a core, noise smoothed away."""
    smooth = ndimage.gaussian_filter(image, 1.0)
    same = np.abs(smooth - level) < min(max(3.0 * noise, 12.0), 0.5 * contrast)
    labels, _ = ndimage.label(same | core)
    region: Bools = ndimage.binary_fill_holes(labels == labels[core][0])
    return region


def _tracks(spots: list[list[_Spot]], noise: float) -> list[list[_Spot]]:
    """Link spots of neighbouring images that are one insert."""
    open_tracks: list[list[_Spot]] = []
    done: list[list[_Spot]] = []
    for here in spots:
        going_on: list[list[_Spot]] = []
        free = list(here)
        for track in open_tracks:
            last = track[-1]
            near = [one for one in free if _continues(last, one, noise)]
            if near:
                best = min(near, key=lambda one: abs(one.hu - last.hu))
                free.remove(best)
                going_on.append([*track, best])
            else:
                done.append(track)
        open_tracks = going_on + [[one] for one in free]
    return done + open_tracks


def _continues(last: _Spot, one: _Spot, noise: float) -> bool:
    apart = float(np.hypot(last.y_mm - one.y_mm, last.x_mm - one.x_mm))
    return apart <= _MAX_STEP_MM and abs(one.hu - last.hu) <= max(10.0, 0.06 * abs(last.hu), 0.5 * noise)


def _read(volume: Volume, track: list[_Spot], step_mm: float) -> Insert | None:
    """Mean over the slices well inside an insert; slices that leave the median of all are not used."""
    if len(track) * step_mm < MIN_LENGTH_MM:
        return None
    z = np.array([spot.z_mm for spot in track])
    line = [np.polyfit(z, [getattr(spot, axis) for spot in track], 1) for axis in ("y_mm", "x_mm")]
    inner = float(np.median([spot.radius_mm for spot in track]))
    radius = max(inner - EDGE_MARGIN_MM, MIN_READING_RADIUS_MM)
    dk = volume.spacing_mm[0]
    block = max(1, round(step_mm / dk))
    first, last = round(z[0] / dk), round(z[-1] / dk) + block - 1
    cut = first <= 0 or last >= volume.hu.shape[0] - 1
    trim = max(1, round(2.0 / dk)) if (last - first) * dk > MIN_LENGTH_MM + 2.0 else 0
    slices = [
        (k, pixels)
        for k in range(first + trim, min(last - trim, volume.hu.shape[0] - 1) + 1)
        if (pixels := _pixels(volume, k, line, radius)).size >= 4 and pixels.min() > OUTSIDE_FIELD_HU
    ]
    if len(slices) < 3:
        return None
    means = np.array([pixels.mean() for _, pixels in slices])
    off = np.abs(means - np.median(means))
    kept = off <= max(4.0 * 1.4826 * float(np.median(off)), 2.0)
    values = np.concatenate([pixels for (_, pixels), good in zip(slices, kept, strict=True) if good])
    middle = float(np.mean([k for (k, _), good in zip(slices, kept, strict=True) if good]))
    y, x = (float(np.polyval(one, middle * dk)) for one in line)
    centre = volume.lps_mm(np.array([middle, y / volume.spacing_mm[1], x / volume.spacing_mm[2]]))
    return Insert(
        float(means[kept].mean()),
        float(values.std()),
        float(means[kept].std(ddof=1) / np.sqrt(kept.sum())) if kept.sum() > 1 else float(values.std()),
        int(values.size),
        (float(centre[0]), float(centre[1]), float(centre[2])),
        float(kept.sum() * dk),
        inner,
        cut,
    )


def _pixels(volume: Volume, k: int, line: list[Floats], radius_mm: float) -> Floats:
    """Voxels of slice ``k`` within a disc about the axis of an insert."""
    dk, dj, di = volume.spacing_mm
    y, x = (float(np.polyval(one, k * dk)) for one in line)
    j = np.arange(max(0, int((y - radius_mm) / dj)), min(volume.hu.shape[1], int((y + radius_mm) / dj) + 2))
    i = np.arange(max(0, int((x - radius_mm) / di)), min(volume.hu.shape[2], int((x + radius_mm) / di) + 2))
    within = ((j * dj - y) ** 2)[:, None] + ((i * di - x) ** 2)[None, :] <= radius_mm**2
    pixels: Floats = volume.hu[k][np.ix_(j, i)][within].astype(np.float64)
    return pixels
