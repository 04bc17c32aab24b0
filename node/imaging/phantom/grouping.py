"""Rods that lie side by side: on one line, or on the arc of a slab that is bent about the patient."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from node.imaging.phantom.discs import Floats
from node.imaging.phantom.straight import RowAxes
from node.imaging.phantom.tracks import Track

MIN_PITCH_MM = 14.0
MAX_GAP_MM = 170.0
"""Between rods that are seen; fainter ones may lie between them."""
STRONG_CONTRAST_HU = 30.0
"""Rods at least this different from the slab place the fainter ones."""
MIN_ARC_RADIUS_MM = 350.0
"""Couch tops and curved phantoms have 400 mm and more."""
_ARC_RADII_MM = (420.0, 550.0, 750.0, 1100.0)
_OFF_LINE_MM = 3.0
_OFF_ARC_MM = 1.5
_CLEAR_ARC_MM = 1.0
"""A row whose outer rods lie less than this off a straight line is straight."""


def side_by_side(tracks: list[Track]) -> list[list[Track]]:
    """Return every group of two or more parallel rods in a row, each in order along it."""
    pairs = [(a, b) for a, b in combinations(tracks, 2) if _alike(a, b)]
    strong = [track for track in tracks if _is_strong(track)]
    groups = [members for a, b in pairs if (members := _in_line(a, b, tracks))]
    on_arcs = [
        members
        for a, b in pairs
        if _is_strong(a) and _is_strong(b)
        for c in strong
        if c is not a and c is not b and (members := _on_arc(a, b, c, tracks))
    ]
    return [*groups, *on_arcs]


def _is_strong(track: Track) -> bool:
    """Whether its centre is certain enough to say that a row is bent."""
    return abs(track.hu - track.base_hu) >= STRONG_CONTRAST_HU


def _in_line(a: Track, b: Track, tracks: list[Track]) -> list[Track]:
    """Rods on the line through two."""
    return _members(a, b, tracks, lambda s, t: abs(t) <= _OFF_LINE_MM)


def _on_arc(a: Track, b: Track, middle: Track, tracks: list[Track]) -> list[Track]:
    """Rods on the flat arc through two and a third between them, where that is not a straight line."""
    if not (_alike(a, middle) and _alike(b, middle)):
        return []
    z = _common_z(a, b)
    chord = float(np.linalg.norm(b.at(z) - a.at(z)))
    s, t = _along(a, b, middle.at(z), z)
    if not MIN_PITCH_MM <= s <= chord - MIN_PITCH_MM:
        return []
    bend = t / (s * (s - chord))
    if not abs(bend) * chord**2 / 4 >= _CLEAR_ARC_MM or abs(bend) > 0.5 / MIN_ARC_RADIUS_MM:
        return []
    return _members(a, b, tracks, lambda at, off: abs(off - bend * at * (at - chord)) <= _OFF_ARC_MM)


def _members(a: Track, b: Track, tracks: list[Track], fits: Callable[[float, float], bool]) -> list[Track]:
    """Rods like ``a`` and ``b`` whose place fits, at least a pitch apart (of two that are closer the longer stays)."""
    z = _common_z(a, b)
    if float(np.linalg.norm(b.at(z) - a.at(z))) < MIN_PITCH_MM:
        return []
    members: list[tuple[float, Track]] = []
    for track in sorted(tracks, key=lambda one: -len(one.images)):
        s, t = _along(a, b, track.at(z), z)
        if not fits(s, t) or not (_alike(a, track) and _alike(b, track)):
            continue
        if all(abs(s - other) >= MIN_PITCH_MM for other, _ in members):
            members.append((s, track))
    members.sort(key=lambda member: member[0])
    gaps = np.diff([s for s, _ in members])
    return [track for _, track in members] if len(gaps) and gaps.max() <= MAX_GAP_MM else []


def _along(a: Track, b: Track, point: Floats, z: float) -> tuple[float, float]:
    """Place of a point along the line from ``a`` to ``b``, and off it."""
    start = a.at(z)
    along = (b.at(z) - start) / float(np.linalg.norm(b.at(z) - start))
    offset = point - start
    return float(offset @ along), float(offset[0] * along[1] - offset[1] * along[0])


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


def common_axes(group: list[Track]) -> tuple[RowAxes, tuple[float, float], NDArray[np.int64]]:
    """Common axes of a group, how far it reaches along the row, and the images that show it."""
    weight = np.array([len(t.images) * min(abs(t.hu - t.base_hu), 150.0) for t in group])
    slope = np.average([t.slope_yx for t in group], axis=0, weights=weight)
    seen = np.unique(np.concatenate([t.images for t in group]))
    used = np.arange(seen[0], seen[-1] + 1)
    middles = [sum(t.z_range_mm) / 2 for t in group]
    origins = np.array([t.at(z) - slope * z for t, z in zip(group, middles, strict=True)])
    axes = _bent(_straight(origins, weight, slope), origins[[_is_strong(track) for track in group]])
    s, _ = axes.of(origins, 0.0)
    return axes, (float(s.min()), float(s.max())), used


def refined(axes: RowAxes, st_mm: Floats, contrast_hu: Floats) -> RowAxes:
    """The axes through rods that were measured at (s, t) in the average along the row, shape (n, 2).

    One disc of the thick images may be off by a few mm (a pad against it), and bend the row; the average is not. With
    fewer than three strong rods the axes stay.
    """
    strong = np.abs(contrast_hu) >= STRONG_CONTRAST_HU
    if strong.sum() < 3:
        return axes
    origins = axes.at(st_mm[strong, 0], st_mm[strong, 1], 0.0)
    return _bent(_straight(origins, np.ones(len(origins)), axes.slope_yx), origins)


def _straight(origins: Floats, weight: Floats, slope: Floats) -> RowAxes:
    middle = np.average(origins, axis=0, weights=weight)
    along = np.linalg.svd(origins - middle)[2][0]
    if along[1] < 0:
        along = -along
    return RowAxes(middle, slope, along, np.array([along[1], -along[0]]))


def _bent(axes: RowAxes, origins: Floats) -> RowAxes:
    """The same axes, with the arc that three or more strong rods clearly lie on."""
    if len(origins) < 3:
        return axes
    s, t = axes.of(origins, 0.0)
    arc, tilt, lift = np.polyfit(s, t, 2)
    if abs(arc) * float(np.ptp(s)) ** 2 / 4 < _CLEAR_ARC_MM or abs(arc) > 0.5 / MIN_ARC_RADIUS_MM:
        return axes
    along = axes.along_yx + tilt * axes.normal_yx
    along = along / np.linalg.norm(along)
    normal = np.array([along[1], -along[0]])
    return RowAxes(axes.origin_yx_mm + lift * axes.normal_yx, axes.slope_yx, along, normal, float(arc))


def arcs_through(axes: RowAxes, reach_mm: tuple[float, float]) -> list[RowAxes]:
    """The row of two rods at either end of ``reach_mm`` as it would lie on arcs, to either side."""
    middle, half = (reach_mm[0] + reach_mm[1]) / 2, (reach_mm[1] - reach_mm[0]) / 2
    bent = []
    for radius in _ARC_RADII_MM:
        for arc in (0.5 / radius, -0.5 / radius):
            origin = axes.origin_yx_mm + middle * axes.along_yx - arc * half**2 * axes.normal_yx
            bent.append(RowAxes(origin, axes.slope_yx, axes.along_yx, axes.normal_yx, arc))
    return bent
