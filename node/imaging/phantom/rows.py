"""Parallel rods side by side in one slab: a calibration phantom, known or not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import Volume
from node.imaging.phantom import lone
from node.imaging.phantom.discs import Discs, find_discs
from node.imaging.phantom.grouping import (
    MAX_GAP_MM,
    arcs_through,
    common_axes,
    refined,
    side_by_side,
)
from node.imaging.phantom.rods import SeenRod, rods_in, steadied, with_faint
from node.imaging.phantom.slab import Slab, evenness, find_slab
from node.imaging.phantom.straight import THIN_IMAGES_MM, Patch, RowAxes, ThickImages, straighten
from node.imaging.phantom.tracks import Track, link

MAX_OFF_AXES_MM = 0.4
"""By which the axes of a group may miss its rods before they are drawn anew."""
ENDS_MM = 96.0
"""Four thick images: a phantom that reaches farther into the scan shows in three of them."""
MAX_ATTEMPTS = 8
THREADS = 2
"""Images are looked at by two at once: filters and interpolation leave the interpreter alone."""
BEYOND_ENDS_MM = 30.0
"""How far a phantom may reach beyond the last image that clearly shows it."""
_OVERHANG_MM = 150.0
_HALF_HEIGHT_MM = 45.0


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
    lone: bool = False
    """Only one rod shows. Without a second one, the other is the place where it must lie if there are two."""

    @property
    def may_have_more_rods(self) -> bool:
        """Whether the scan field ends so near an outer rod that the next one may lie outside it."""
        s = [rod.s_mm for rod in self.rods]
        pitch = float(np.median(np.diff(s))) if len(s) > 1 else MAX_GAP_MM
        shown = (s[0] - self.slab.s_mm[0], self.slab.s_mm[1] - s[-1])
        return any(cut and room < pitch + self.radius_mm for cut, room in zip(self.slab.cut, shown, strict=True))


def find_rows(volume: Volume) -> tuple[RodRow, ...]:
    """Return every row of two or more parallel rods in a common slab, the one with most rods first.

    A single rod in a slab counts too, where nothing else lies in it. Where nothing is seen at all, thinner images of
    the scan's ends are looked at: a phantom may reach only a little way into it.
    """
    images = ThickImages.of(volume)
    tracks = _tracks(images)
    rows = _rows(tracks, images)
    rows += _lone_rows([track for track in tracks if not any(_holds(row, track) for row in rows)], images)
    for thickness in THIN_IMAGES_MM:
        thin = ThickImages.of(volume, thickness)
        if rows or len(thin.hu) <= len(images.hu):
            break
        rows = [row for row in _rows(_tracks(thin, ENDS_MM), thin) if _reaches_in(row, thin)]
    return tuple(sorted(rows, key=lambda row: -len(row.rods)))


def _reaches_in(row: RodRow, images: ThickImages) -> bool:
    """Whether a row begins or ends with the scan, and is too short for the thick images."""
    first, last = row.z_range_mm
    return (first == 0.0 or last == images.end_mm) and last - first <= ENDS_MM


def _holds(row: RodRow, track: Track) -> bool:
    """Whether a rod lies in a row's slab."""
    z = sum(track.z_range_mm) / 2
    s, t = row.axes.of(track.at(z)[None], z)
    return bool(row.slab.s_mm[0] < s[0] < row.slab.s_mm[1] and row.slab.t_mm[0] < t[0] < row.slab.t_mm[1])


def _tracks(images: ThickImages, ends_mm: float = np.inf) -> list[Track]:
    """Straight rods in the images; with ``ends_mm`` in those that lie so near the first or the last slice."""
    near = np.minimum(images.z_mm, images.end_mm - images.z_mm) <= ends_mm

    def discs_of(index: int) -> Discs:
        if not near[index]:
            return Discs.none()
        return _placed(find_discs(images.hu[index].astype(np.float32), images.pixel_mm), images)

    with ThreadPoolExecutor(THREADS) as threads:
        return link(list(threads.map(discs_of, range(len(near)))), images.z_mm)


def _rows(tracks: list[Track], images: ThickImages) -> list[RodRow]:
    """Take the largest group that proves to lie in a slab, then the next among the rods left."""
    rows: list[RodRow] = []
    free, attempts = list(tracks), 0
    tried: set[frozenset[int]] = set()
    while attempts < MAX_ATTEMPTS:
        groups = [members for members in side_by_side(free) if frozenset(map(id, members)) not in tried]
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


def _lone_rows(tracks: list[Track], images: ThickImages) -> list[RodRow]:
    return [row for track in lone.likely(tracks, images) if (row := _lone_row(track, images))][:1]


def _lone_row(track: Track, images: ThickImages) -> RodRow | None:
    """A single rod in a plate, with the place of its partner where the plate is whole."""
    seen = lone.axes_and_slab(track, images)
    if seen is None:
        return None
    axes, patch, slab = seen
    rods = [SeenRod(0.0, 0.0, track.radius_mm, float(np.nanmean(patch.disc(0.0, 0.0, 0.6 * track.radius_mm))))]
    other = lone.partner_mm(slab, track.radius_mm)
    if other is not None:
        pixels = patch.disc(other, 0.0, 0.6 * track.radius_mm)
        rods.append(SeenRod(other, 0.0, track.radius_mm, float(pixels.mean())))
    elif not slab.out_of_field:
        return None
    present = _present(images, axes, patch, slab, np.arange(track.images[0], track.images[-1] + 1))
    ordered = tuple(sorted(rods, key=lambda rod: rod.s_mm))
    return RodRow(axes, ordered, track.radius_mm, slab.base_hu, slab, _z_range(images, present), patch, lone=True)


def _placed(discs: Discs, images: ThickImages) -> Discs:
    return Discs(discs.centres_yx_mm + images.first_pixel_mm, discs.radii_mm, discs.hu, discs.base_hu)


def _seen(tracks: list[Track]) -> int:
    return sum(len(t.images) for t in tracks)


def _row(group: list[Track], images: ThickImages) -> RodRow | None:
    """Average the scan along a group of rods, look again, and check that one slab holds them all."""
    axes, reach, used = common_axes(group)
    row = _row_on(axes, reach, used, group, images)
    if row is not None or len(group) > 2:
        return row
    bent = _best_arc(axes, reach, used, group, images)
    half = (reach[1] - reach[0]) / 2
    return None if bent is None else _row_on(bent, (-half, half), used, group, images)


def _best_arc(
    axes: RowAxes, reach: tuple[float, float], used: NDArray[np.int64], group: list[Track], images: ThickImages
) -> RowAxes | None:
    """The arc through two rods along which their base runs farthest; ``None`` when a straight line does as well."""
    base = float(np.median([track.base_hu for track in group]))
    radius = max(track.radius_mm for track in group)
    some = used[:: max(1, len(used) // 5)]

    def even(way: RowAxes) -> float:
        shift = float(way.of(axes.origin_yx_mm[None], 0.0)[0][0])
        ends = (reach[0] + shift, reach[1] + shift)
        across = 1.8 * radius
        strip = straighten(images, way, some, (ends[0] - _OVERHANG_MM, ends[1] + _OVERHANG_MM), (-across, across))
        return evenness(strip, base, [(s, radius) for s in ends])

    best = max(arcs_through(axes, reach), key=even)
    return best if even(best) > 1.05 * even(axes) else None


def _row_on(
    axes: RowAxes, reach: tuple[float, float], used: NDArray[np.int64], group: list[Track], images: ThickImages
) -> RodRow | None:
    radius = float(np.average([t.radius_mm for t in group], weights=[len(t.images) for t in group]))
    patch = _patch(axes, reach, used, images)
    rods = rods_in(patch, radius, group, axes)
    better = _refined(axes, rods, group)
    if better is not axes:
        s = [float(better.of(axes.at(end, 0.0, 0.0)[None], 0.0)[0][0]) for end in reach]
        axes, patch = better, _patch(better, (min(s), max(s)), used, images)
        rods = rods_in(patch, radius, group, axes)
    if len(rods) < 2:
        return None
    slab = find_slab(patch, [(rod.s_mm, rod.radius_mm) for rod in rods])
    if slab is None:
        return None
    rods = tuple(rod for rod in rods if slab.s_mm[0] < rod.s_mm < slab.s_mm[1])
    rods = steadied(with_faint(rods, patch, radius, slab.s_mm), slab.base_hu)
    if len(rods) < 2:
        return None
    present = _present(images, axes, patch, slab, used)
    return RodRow(axes, rods, radius, slab.base_hu, slab, _z_range(images, present), patch)


def _patch(axes: RowAxes, reach: tuple[float, float], used: NDArray[np.int64], images: ThickImages) -> Patch:
    along = (reach[0] - _OVERHANG_MM, reach[1] + _OVERHANG_MM)
    return straighten(images, axes, used, along, (-_HALF_HEIGHT_MM, _HALF_HEIGHT_MM))


def _refined(axes: RowAxes, rods: tuple[SeenRod, ...], group: list[Track]) -> RowAxes:
    """The axes through the rods as measured in the average, where those of the group miss them."""
    base = float(np.median([track.base_hu for track in group]))
    st = np.array([(rod.s_mm, rod.t_mm) for rod in rods]).reshape(-1, 2)
    better = refined(axes, st, np.array([rod.hu - base for rod in rods]))
    if better is axes:
        return axes
    off = better.of(axes.at(st[:, 0], np.zeros(len(st)), 0.0), 0.0)[1]
    return better if float(np.abs(off).max()) > MAX_OFF_AXES_MM else axes


def _z_range(images: ThickImages, present: NDArray[np.int64]) -> tuple[float, float]:
    """From the first to the last image that shows it; to the scan's own end where that is the first or the last."""
    first, last = int(present[0]), int(present[-1])
    return (
        0.0 if first == 0 else float(images.z_mm[first]),
        images.end_mm if last == len(images.z_mm) - 1 else float(images.z_mm[last]),
    )


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
