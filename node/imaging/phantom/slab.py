"""The base plate around a row of rods: its attenuation, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.imaging.phantom.discs import Floats
from node.imaging.phantom.straight import Patch

BASE_TOLERANCE_HU = 25.0
FACE_TOLERANCES_HU = (50.0, 25.0)
"""What ends a slab: another material, clearly; else one a little different, as fat pressed against plastic is."""
AIR_HU = -350.0
MAX_HALF_THICKNESS_MM = 32.0
FIELD_EDGE_MM = 25.0
"""A slab is cut by the scan field when it, or a rod at its end and this much more, reaches the field's edge."""
MIN_KNOWN_PART = 0.25
"""Of a column: the field's edge may run along the row itself."""
MIN_FLAT_PART = 0.6
"""Part of the slab's width over which a face must be straight, for the face to count as one."""


@dataclass(frozen=True, slots=True)
class Slab:
    """Extent of the base plate in (s, t) of its row."""

    base_hu: float
    s_mm: tuple[float, float]
    t_mm: tuple[float, float]
    flat_faces: int
    """How many of its two faces are seen as straight lines parallel to the row."""
    cut: tuple[bool, bool]
    """Whether the scan field ends before the slab does, on the side of small and of large s."""
    face_outside: bool = False
    """Whether the scan field ends before the slab does across its thickness."""

    @property
    def out_of_field(self) -> bool:
        """Whether any part of it is known to lie outside the scan field."""
        return any(self.cut) or self.face_outside


def find_slab(patch: Patch, rods: Sequence[tuple[float, float]]) -> Slab | None:
    """Return the slab that holds the rods, given as (s, radius); ``None`` when no one material does.

    Straight faces parallel to the row are what no organ has: one or two rods need both, more rods one. A face outside
    the scan field counts for two rods as one.
    """
    radius = float(np.median([r for _, r in rods]))
    base = _base_between(patch, rods)
    if base is None:
        return None
    ends, cut = _ends_along(patch, rods, base, radius)
    lower = _face(patch, rods, ends, base, -1)
    upper = _face(patch, rods, ends, base, 1)
    faces = [face for face in (lower, upper) if face.flat]
    beyond = [face for face in (lower, upper) if face.outside]
    if not faces or (len(rods) <= 2 and len(faces) + len(beyond) < 2):
        return None
    nearest = min(face.depth_mm for face in faces)
    if nearest < radius - 0.5:
        return None
    low, high = (face.depth_mm if face.flat else nearest for face in (lower, upper))
    return Slab(base, ends, (-low, high), len(faces), cut, bool(beyond))


def evenness(strip: Patch, base_hu: float, rods: Sequence[tuple[float, float]]) -> float:
    """How well a strip about a row lies in a plate: columns clear of the rods (s, radius) that are base, over heights.

    The sum, over lengths of column from a few mm to the strip's own, of the number of columns that are base: largest
    where the row is parallel to the plate's faces.
    """
    even = np.abs(strip.hu - base_hu) < BASE_TOLERANCE_HU
    clear = _clear_of(strip.s_mm, rods, 2.0)
    far = np.where(even, np.inf, np.abs(strip.t_mm)[:, None]).min(axis=0)[clear]
    reach = float(np.abs(strip.t_mm).max())
    shortest = 0.5 * max(radius for _, radius in rods)
    return float(np.clip(np.minimum(far, reach) - shortest, 0.0, None).sum())


def _clear_of(s_mm: Floats, rods: Sequence[tuple[float, float]], margin: float) -> NDArray[np.bool_]:
    clear = np.ones(s_mm.shape, dtype=bool)
    for centre, radius in rods:
        clear &= np.abs(s_mm - centre) > radius + margin
    return clear


def _base_between(patch: Patch, rods: Sequence[tuple[float, float]]) -> float | None:
    """HU between the rods (on the evener side of a single one), or ``None`` when that is not mostly one material.

    A faint rod may lie there too.
    """
    low, high = min(s for s, _ in rods), max(s for s, _ in rods)
    radius = float(np.median([r for _, r in rods]))
    if len(rods) == 1:
        reach = 3 * radius
        even, base = max(_one_material(patch, rods, low - reach, low), _one_material(patch, rods, high, high + reach))
    else:
        even, base = _one_material(patch, rods, low, high)
    return base if even > (0.8 if len(rods) <= 2 else 0.6) else None


def _one_material(patch: Patch, rods: Sequence[tuple[float, float]], low: float, high: float) -> tuple[float, float]:
    """Which part of the patch from ``low`` to ``high`` along the row is of one material, and its HU."""
    radius = float(np.median([r for _, r in rods]))
    columns = (patch.s_mm > low) & (patch.s_mm < high) & _clear_of(patch.s_mm, rods, 1.8)
    pixels = patch.hu[np.abs(patch.t_mm) <= 0.6 * radius][:, columns]
    pixels = pixels[np.isfinite(pixels)]
    if pixels.size < 8:
        return 0.0, 0.0
    ordered = np.sort(pixels)
    half = len(ordered) // 2
    start = int(np.argmin(ordered[half:] - ordered[: len(ordered) - half]))
    base = float(ordered[start : start + half].mean())
    return float(np.mean(np.abs(pixels - base) < BASE_TOLERANCE_HU)), base


def _ends_along(
    patch: Patch, rods: Sequence[tuple[float, float]], base: float, radius: float
) -> tuple[tuple[float, float], tuple[bool, bool]]:
    """Walk out from the outer rods until the material changes (a faint rod does not stop the walk)."""
    middle = np.abs(patch.t_mm) <= 0.5 * radius
    along = np.full(patch.s_mm.shape, np.nan)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(patch.hu[middle]).mean(axis=0) > MIN_KNOWN_PART)
    along[known] = np.nanmedian(patch.hu[middle][:, known], axis=0)
    other = np.asarray(~(np.abs(along - base) < 2 * BASE_TOLERANCE_HU))
    left = np.flatnonzero(other & (patch.s_mm < rods[0][0] - rods[0][1] - 1.5))
    right = np.flatnonzero(other & (patch.s_mm > rods[-1][0] + rods[-1][1] + 1.5))
    first = int(left[-1]) if len(left) else 0
    last = int(right[0]) if len(right) else len(along) - 1
    near = int(2 * radius + FIELD_EDGE_MM)
    cut = (_runs_out(along[max(first - near, 0) : first + 1][::-1]), _runs_out(along[last : last + near + 1]))
    return (float(patch.s_mm[first]), float(patch.s_mm[last])), cut


def _runs_out(outward: Floats) -> bool:
    """Whether a profile leads out of the scan field before it leads into air."""
    unknown = ~np.isfinite(outward)
    air = np.nan_to_num(outward, nan=0.0) < AIR_HU
    return bool(unknown.any()) and not air[: int(unknown.argmax())].any()


@dataclass(frozen=True, slots=True)
class _Face:
    """One side of the slab along its normal."""

    depth_mm: float
    flat: bool
    outside: bool
    """The scan field ends before the slab does."""


def _face(
    patch: Patch, rods: Sequence[tuple[float, float]], ends: tuple[float, float], base: float, sign: int
) -> _Face:
    """Find where the slab ends along its normal, on one side, and whether it does so along a straight line."""
    columns = np.flatnonzero((patch.s_mm > ends[0] + 2) & (patch.s_mm < ends[1] - 2) & _clear_of(patch.s_mm, rods, 1.0))
    outward = patch.t_mm * sign
    order = np.argsort(outward)[np.sort(outward) > 0]
    if len(columns) == 0:
        return _Face(MAX_HALF_THICKNESS_MM, False, False)
    profiles = patch.hu[order][:, columns]
    plain, fine = (_face_at(profiles, outward[order], base, tolerance) for tolerance in FACE_TOLERANCES_HU)
    return fine if fine.flat and not plain.flat and not plain.outside else plain


def _face_at(profiles: Floats, outward_mm: Floats, base: float, tolerance_hu: float) -> _Face:
    """Where columns (shape (depths, columns)) leave the base by more than a tolerance.

    A column may begin outside the scan field, whose edge may run along the row.
    """
    finite = np.isfinite(profiles)
    begun = np.logical_or.accumulate(finite, axis=0) | ~finite.any(axis=0)
    other = ~(np.abs(profiles - base) < tolerance_hu) & begun
    reached = np.where(other.any(axis=0), other.argmax(axis=0), len(outward_mm) - 1)
    outside = np.isnan(profiles[reached, np.arange(profiles.shape[1])])
    depth = outward_mm[reached]
    typical = float(np.median(depth))
    straight = ~outside & (np.abs(depth - typical) <= 1.5)
    flat = float(straight.mean()) >= MIN_FLAT_PART and typical <= MAX_HALF_THICKNESS_MM
    return _Face(typical, flat, float(outside.mean()) > 1 - MIN_FLAT_PART)
