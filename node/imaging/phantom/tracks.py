"""Discs of successive images linked into straight rods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.imaging.phantom.discs import Discs, Floats

MAX_SLOPE = 0.36
"""Tangent of 20 degrees: how far a phantom may lie out of the scan axis."""
MIN_IMAGES = 3
MIN_FILL = 0.5
"""Part of the images along a rod in which it must be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A straight rod: (y, x) = at_zero + slope · z, in mm of the volume's own grid."""

    at_zero_yx_mm: Floats
    slope_yx: Floats
    z_range_mm: tuple[float, float]
    images: NDArray[np.int64]
    """Indices of the images in which it was seen."""
    radius_mm: float
    hu: float
    base_hu: float

    def at(self, z_mm: float) -> Floats:
        """Return its centre (y, x) in mm at ``z_mm``."""
        centre: Floats = self.at_zero_yx_mm + self.slope_yx * z_mm
        return centre


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    image: NDArray[np.int64]
    z: Floats
    yx: Floats
    radius: Floats
    hu: Floats
    base: Floats


def link(discs: list[Discs], z_mm: Floats) -> list[Track]:
    """Link the discs of the images at ``z_mm`` into straight rods, longest first; a disc serves one rod."""
    pool = _pooled(discs, z_mm)
    free = np.ones(len(pool.z), dtype=bool)
    tracks: list[Track] = []
    proposals = _proposals(pool)
    proposals.sort(key=len, reverse=True)
    for members in proposals:
        left = members[free[members]]
        if len(left) < MIN_IMAGES:
            continue
        track = _fitted(pool, left)
        span = track.images[-1] - track.images[0] + 1
        if len(track.images) < max(MIN_IMAGES, MIN_FILL * span):
            continue
        free[left] = False
        tracks.append(track)
    return tracks


def _pooled(discs: list[Discs], z_mm: Floats) -> _Pool:
    counts = [len(d.hu) for d in discs]
    image = np.repeat(np.arange(len(discs)), counts)
    return _Pool(
        image,
        z_mm[image],
        np.concatenate([d.centres_yx_mm for d in discs]),
        np.concatenate([d.radii_mm for d in discs]),
        np.concatenate([d.hu for d in discs]),
        np.concatenate([d.base_hu for d in discs]),
    )


def _proposals(pool: _Pool) -> list[NDArray[np.int64]]:
    """For each pair of similar discs a few images apart, those that lie on the line through both."""
    proposals = []
    seen: set[bytes] = set()
    for first in range(len(pool.z)):
        alike = _alike(pool, first)
        gap = pool.image - pool.image[first]
        dz = pool.z - pool.z[first]
        near = np.linalg.norm(pool.yx - pool.yx[first], axis=1) <= MAX_SLOPE * np.abs(dz) + 0.5
        for second in np.flatnonzero(alike & near & (gap >= 1) & (gap <= 6)):
            members = _on_line(pool, first, int(second), alike)
            key = members.tobytes()
            if len(members) >= MIN_IMAGES and key not in seen:
                seen.add(key)
                proposals.append(members)
    return proposals


def _alike(pool: _Pool, index: int) -> NDArray[np.bool_]:
    hu, base, radius = pool.hu[index], pool.base[index], pool.radius[index]
    alike: NDArray[np.bool_] = (
        (np.abs(pool.hu - hu) < 12.0 + 0.08 * abs(hu))
        & (np.abs(pool.base - base) < 20.0 + 0.08 * abs(hu - base))
        & (np.abs(pool.radius - radius) < 2.0)
        & (np.sign(pool.hu - pool.base) == np.sign(hu - base))
    )
    return alike


def _on_line(pool: _Pool, first: int, second: int, alike: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Members of the line through two discs: one an image, the nearest; the line is fitted again once."""
    slope = (pool.yx[second] - pool.yx[first]) / (pool.z[second] - pool.z[first])
    origin = pool.yx[first] - slope * pool.z[first]
    members = np.array([first, second])
    for tolerance in (2.5, 1.8):
        off = np.linalg.norm(pool.yx - origin - slope * pool.z[:, None], axis=1)
        close = np.flatnonzero(alike & (off < tolerance))
        close = close[np.argsort(off[close])]
        _, best = np.unique(pool.image[close], return_index=True)
        members = np.sort(close[best])
        if len(members) < 2:
            break
        slope, origin = _line(pool.z[members], pool.yx[members])
    return members


def _line(z: Floats, yx: Floats) -> tuple[Floats, Floats]:
    centred = z - z.mean()
    slope = (centred[:, None] * (yx - yx.mean(axis=0))).sum(axis=0) / max(float((centred**2).sum()), 1e-9)
    return slope, yx.mean(axis=0) - slope * z.mean()


def _fitted(pool: _Pool, members: NDArray[np.int64]) -> Track:
    slope, origin = _line(pool.z[members], pool.yx[members])
    z = pool.z[members]
    return Track(
        origin,
        slope,
        (float(z.min()), float(z.max())),
        np.sort(pool.image[members]),
        float(np.median(pool.radius[members])),
        float(np.median(pool.hu[members])),
        float(np.median(pool.base[members])),
    )
