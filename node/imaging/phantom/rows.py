"""Parallel rods side by side in one slab: a calibration phantom, known or not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from node.domain.volume import Volume
from node.imaging.phantom.discs import Discs, Floats, find_discs
from node.imaging.phantom.slab import Slab, find_slab
from node.imaging.phantom.straight import Patch, RowAxes, ThickImages, straighten
from node.imaging.phantom.tracks import Track, link

MIN_PITCH_MM = 14.0
MAX_GAP_MM = 170.0
"""Between rods that are seen; fainter ones may lie between them."""
FAINT_CONTRAST_HU = 3.0
"""Once a row is known, rods this faint are seen in the average along it."""
STRONG_CONTRAST_HU = 30.0
"""Rods at least this different from the slab place the fainter ones."""
MAX_OFF_LINE_MM = 0.8
MAX_ATTEMPTS = 8
_OVERHANG_MM = 150.0
_HALF_HEIGHT_MM = 45.0


@dataclass(frozen=True, slots=True)
class SeenRod:
    """A rod in the cross-section of its row."""

    s_mm: float
    t_mm: float
    radius_mm: float
    hu: float


@dataclass(frozen=True, slots=True, eq=False)
class RodRow:
    """Rods of one slab in order along it; lengths in mm of the scan's own grid."""

    axes: RowAxes
    rods: tuple[SeenRod, ...]
    radius_mm: float
    base_hu: float
    slab: Slab
    z_range_mm: tuple[float, float]
    """Where the rods are seen."""
    patch: Patch

    @property
    def may_have_more_rods(self) -> bool:
        """Whether the scan field ends so near an outer rod that the next one may lie outside it."""
        s = [rod.s_mm for rod in self.rods]
        pitch = float(np.median(np.diff(s))) if len(s) > 1 else MAX_GAP_MM
        shown = (s[0] - self.slab.s_mm[0], self.slab.s_mm[1] - s[-1])
        return any(cut and room < pitch + self.radius_mm for cut, room in zip(self.slab.cut, shown, strict=True))


def find_rows(volume: Volume) -> tuple[RodRow, ...]:
    """Return every row of two or more parallel rods in a common slab, the one with most rods first."""
    images = ThickImages.of(volume)
    discs = [_placed(find_discs(plane.astype(np.float32), images.pixel_mm), images) for plane in images.hu]
    tracks = link(discs, images.z_mm)
    return tuple(sorted(_rows(tracks, images), key=lambda row: -len(row.rods)))


def _rows(tracks: list[Track], images: ThickImages) -> list[RodRow]:
    """Take the largest group that proves to lie in a slab, then the next among the rods left."""
    rows: list[RodRow] = []
    free, attempts = list(tracks), 0
    tried: set[frozenset[int]] = set()
    while attempts < MAX_ATTEMPTS:
        groups = [members for a, b in combinations(free, 2) if (members := _in_line(a, b, free))]
        groups = [members for members in groups if frozenset(map(id, members)) not in tried]
        if not groups:
            break
        best = max(groups, key=lambda members: (len(members), _seen(members)))
        tried.add(frozenset(map(id, best)))
        attempts += 1
        row = _row(best, images)
        if row is not None:
            rows.append(row)
            free = [t for t in free if not any(t is m for m in best)]
    return rows


def _placed(discs: Discs, images: ThickImages) -> Discs:
    return Discs(discs.centres_yx_mm + images.first_pixel_mm, discs.radii_mm, discs.hu, discs.base_hu)


def _seen(tracks: list[Track]) -> int:
    return sum(len(t.images) for t in tracks)


def _in_line(a: Track, b: Track, tracks: list[Track]) -> list[Track]:
    """Rods on the line through two, at least a pitch apart (of two that are closer the longer one stays)."""
    if not _alike(a, b):
        return []
    z = _common_z(a, b)
    start = a.at(z)
    apart = float(np.linalg.norm(b.at(z) - start))
    if apart < MIN_PITCH_MM:
        return []
    along = (b.at(z) - start) / apart
    members: list[tuple[float, Track]] = []
    for track in sorted(tracks, key=lambda t: -len(t.images)):
        offset = track.at(z) - start
        s = float(offset @ along)
        if abs(offset[0] * along[1] - offset[1] * along[0]) > 3.0 or not (_alike(a, track) and _alike(b, track)):
            continue
        if all(abs(s - other) >= MIN_PITCH_MM for other, _ in members):
            members.append((s, track))
    members.sort(key=lambda member: member[0])
    gaps = np.diff([s for s, _ in members])
    return [track for _, track in members] if len(gaps) and gaps.max() <= MAX_GAP_MM else []


def _common_z(a: Track, b: Track) -> float:
    return (max(a.z_range_mm[0], b.z_range_mm[0]) + min(a.z_range_mm[1], b.z_range_mm[1])) / 2


def _alike(a: Track, b: Track) -> bool:
    """Parallel, side by side over most of their length, of one radius, in one material."""
    if a is b:
        return True
    shorter = min(a.z_range_mm[1] - a.z_range_mm[0], b.z_range_mm[1] - b.z_range_mm[0])
    overlap = min(a.z_range_mm[1], b.z_range_mm[1]) - max(a.z_range_mm[0], b.z_range_mm[0])
    contrast = max(abs(a.hu - a.base_hu), abs(b.hu - b.base_hu))
    return (
        overlap >= 0.6 * shorter
        and float(np.linalg.norm(a.slope_yx - b.slope_yx)) * shorter < 4.0
        and abs(a.base_hu - b.base_hu) < 25.0 + 0.08 * contrast
        and abs(a.radius_mm - b.radius_mm) < 2.5
    )


def _row(group: list[Track], images: ThickImages) -> RodRow | None:
    """Average the scan along a group of rods, look again, and check that one slab holds them all."""
    axes, reach, used = _axes(group, images)
    patch = straighten(
        images, axes, used, (reach[0] - _OVERHANG_MM, reach[1] + _OVERHANG_MM), (-_HALF_HEIGHT_MM, _HALF_HEIGHT_MM)
    )
    radius = float(np.average([t.radius_mm for t in group], weights=[len(t.images) for t in group]))
    rods = _rods(patch, radius, group, axes)
    if len(rods) < 2:
        return None
    slab = find_slab(patch, [(rod.s_mm, rod.radius_mm) for rod in rods])
    if slab is None:
        return None
    rods = _steadied(tuple(rod for rod in rods if slab.s_mm[0] < rod.s_mm < slab.s_mm[1]), slab.base_hu)
    if len(rods) < 2:
        return None
    present = _present(images, axes, patch, slab, used)
    z_range = (float(images.z_mm[present[0]]), float(images.z_mm[present[-1]]))
    return RodRow(axes, rods, radius, slab.base_hu, slab, z_range, patch)


def _axes(group: list[Track], images: ThickImages) -> tuple[RowAxes, tuple[float, float], NDArray[np.int64]]:
    """Common axes of a group, how far it reaches along the row, and the images that show it."""
    weight = np.array([len(t.images) * min(abs(t.hu - t.base_hu), 150.0) for t in group])
    slope = np.average([t.slope_yx for t in group], axis=0, weights=weight)
    seen = np.unique(np.concatenate([t.images for t in group]))
    used = np.arange(seen[0], seen[-1] + 1)
    middles = [sum(t.z_range_mm) / 2 for t in group]
    origins = np.array([t.at(z) - slope * z for t, z in zip(group, middles, strict=True)])
    middle = np.average(origins, axis=0, weights=weight)
    along = np.linalg.svd(origins - middle)[2][0]
    if along[1] < 0:
        along = -along
    normal = np.array([along[1], -along[0]])
    s = (origins - middle) @ along
    return RowAxes(middle, slope, along, normal), (float(s.min()), float(s.max())), used


def _rods(patch: Patch, radius: float, group: list[Track], axes: RowAxes) -> tuple[SeenRod, ...]:
    """Find the rods again in the average along the row: faint ones too."""
    pixel = float(patch.s_mm[1] - patch.s_mm[0])
    shown = np.nan_to_num(patch.hu, nan=-1000.0).astype(np.float32)
    discs = find_discs(shown, (pixel, pixel), FAINT_CONTRAST_HU)
    t = discs.centres_yx_mm[:, 0] + patch.t_mm[0]
    s = discs.centres_yx_mm[:, 1] + patch.s_mm[0]
    base = float(np.median([track.base_hu for track in group]))
    found: list[SeenRod] = []
    order = np.argsort(-np.abs(discs.hu - discs.base_hu))
    for index in order:
        contrast = abs(float(discs.hu[index] - discs.base_hu[index]))
        if (
            abs(t[index]) < 3.0
            and abs(discs.radii_mm[index] - radius) < 2.5
            and abs(discs.base_hu[index] - base) < 25.0 + 0.08 * contrast
            and all(abs(s[index] - rod.s_mm) >= MIN_PITCH_MM for rod in found)
        ):
            hu = float(np.nanmean(patch.disc(float(s[index]), float(t[index]), 0.6 * float(discs.radii_mm[index]))))
            found.append(SeenRod(float(s[index]), float(t[index]), float(discs.radii_mm[index]), hu))
    for track in group:
        at, off = axes.of(track.at(sum(track.z_range_mm) / 2), sum(track.z_range_mm) / 2)
        if all(abs(float(at) - rod.s_mm) >= MIN_PITCH_MM for rod in found):
            found.append(SeenRod(float(at), float(off), track.radius_mm, track.hu))
    return tuple(sorted(found, key=lambda rod: rod.s_mm))


def _steadied(rods: tuple[SeenRod, ...], base_hu: float) -> tuple[SeenRod, ...]:
    """Move rods whose centres are uncertain to where the others say that they must be.

    The rods are collinear: one that is not has a bubble or is faint. Where all lie at whole multiples of one
    pitch, a faint one does too.
    """
    contrast = np.array([abs(rod.hu - base_hu) for rod in rods])
    strong = contrast >= max(STRONG_CONTRAST_HU, 0.1 * float(contrast.max()))
    if strong.sum() < 2:
        return rods
    s = np.array([rod.s_mm for rod in rods])
    t = np.array([rod.t_mm for rod in rods])
    slope, offset = theilslopes(t[strong], s[strong])[:2]
    expected = _regular_places(s, strong)
    moved = []
    for index, rod in enumerate(rods):
        at = rod.s_mm if strong[index] or expected is None else float(expected[index])
        line = float(offset + slope * at)
        certain = strong[index] and abs(rod.t_mm - line) < MAX_OFF_LINE_MM
        moved.append(SeenRod(at, rod.t_mm if certain else line, rod.radius_mm, rod.hu))
    return tuple(moved)


def _regular_places(s: Floats, strong: NDArray[np.bool_]) -> Floats | None:
    """Places at whole multiples of one pitch given by the strong rods, if all rods lie near such places."""
    smallest = float(np.diff(s[strong]).min())
    for part in (1, 2, 3):
        place = np.rint((s - s[strong][0]) / (smallest / part))
        expected: Floats = np.polyval(np.polyfit(place[strong], s[strong], 1), place)
        off = np.abs(expected - s)
        if off[strong].max() < 1.5 and off.max() < max(5.0, 0.1 * smallest / part) and len(set(place)) == len(place):
            return expected
    return None


def _present(
    images: ThickImages, axes: RowAxes, patch: Patch, slab: Slab, used: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Images (an unbroken run) in which the profile along the row is that of the average."""
    s = patch.s_mm[(patch.s_mm > slab.s_mm[0]) & (patch.s_mm < slab.s_mm[1])]
    t = np.array([-3.0, -1.0, 1.0, 3.0])
    grid_s, grid_t = np.meshgrid(s, t)
    expected = np.mean([patch.hu[np.abs(patch.t_mm - row) < 0.6].mean(axis=0) for row in t], axis=0)
    expected = expected[(patch.s_mm > slab.s_mm[0]) & (patch.s_mm < slab.s_mm[1])]
    alike = np.zeros(len(images.hu), dtype=bool)
    for k, z in enumerate(images.z_mm):
        profile = images.sampled(k, axes.at(grid_s, grid_t, float(z))).mean(axis=0)
        alike[k] = np.nanmedian(np.abs(profile - expected)) < 20.0 if np.isfinite(profile).mean() > 0.5 else False
    alike[used] = True
    first, last = used[0], used[-1]
    while first > 0 and alike[first - 1]:
        first -= 1
    while last + 1 < len(alike) and alike[last + 1]:
        last += 1
    return np.arange(first, last + 1)
