"""One rod alone in a slab: its partner does not show against the slab, or lies outside the scan field.

Siemens OSTEO has two rods, and the water-equivalent one lies in water-equivalent plastic. Of a phantom that the scan
field cuts, one rod may be left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.imaging.phantom.discs import Floats
from node.imaging.phantom.grouping import MAX_GAP_MM, MIN_PITCH_MM
from node.imaging.phantom.slab import Slab, find_slab
from node.imaging.phantom.straight import Patch, RowAxes, ThickImages, straighten
from node.imaging.phantom.tracks import Track

MIN_CONTRAST_HU = 60.0
"""A rod alone must be this different from its slab: there is no second one to bear it out."""
BASE_HU = (-150.0, 200.0)
"""Plastics that slabs are made of."""
MIN_LENGTH_MM = 70.0
MAX_ROLL_DEG = 20.0
_STEP_DEG = 2.0
MAX_TRIED = 3
_OVERHANG_MM = 190.0
_HALF_HEIGHT_MM = 45.0
MIN_SLAB_WIDTH = 3.5
"""In rod diameters, of the part that is seen."""
_MAX_THICKNESS = 2.6
"""In rod diameters."""


def likely(tracks: list[Track]) -> list[Track]:
    """Return the few that may be the one rod seen of a phantom, longest first."""
    strong = [
        track
        for track in tracks
        if abs(track.hu - track.base_hu) >= MIN_CONTRAST_HU
        and BASE_HU[0] <= track.base_hu <= BASE_HU[1]
        and track.z_range_mm[1] - track.z_range_mm[0] >= MIN_LENGTH_MM
    ]
    return sorted(strong, key=lambda track: -len(track.images))[:MAX_TRIED]


def axes_and_slab(track: Track, images: ThickImages) -> tuple[RowAxes, Patch, Slab] | None:
    """Return how the plate around one rod lies, and the scan laid along it; ``None`` when there is no plate.

    Both faces must be straight, the plate little thicker than the rod and much wider.
    """
    middle = track.images[len(track.images) // 2 : len(track.images) // 2 + 1]
    turns = np.arange(-MAX_ROLL_DEG, MAX_ROLL_DEG + 0.1, _STEP_DEG)
    tried = [(_evenness(straightened(track, images, turn, middle), track), float(turn)) for turn in turns]
    if max(tried)[0] <= 0:
        return None
    turn = max(tried)[1]
    for step in (0.5, 0.25):
        nearby = turn + step * np.arange(-3, 4)
        turn = max((_evenness(straightened(track, images, one, middle), track), float(one)) for one in nearby)[1]
    patch = straightened(track, images, turn, track.images)
    slab = find_slab(patch, [(0.0, track.radius_mm)])
    if slab is None or slab.flat_faces < 2 or slab.face_outside:
        return None
    width, thickness = slab.s_mm[1] - slab.s_mm[0], slab.t_mm[1] - slab.t_mm[0]
    if width < MIN_SLAB_WIDTH * 2 * track.radius_mm or thickness > _MAX_THICKNESS * 2 * track.radius_mm:
        return None
    return _axes(track, turn), patch, slab


def partner_mm(slab: Slab, radius_mm: float) -> float | None:
    """Where the other of two rods lies in a slab that is the same on either side; ``None`` when the slab is cut."""
    at = slab.s_mm[0] + slab.s_mm[1]
    if slab.out_of_field or not max(MIN_PITCH_MM, 3 * radius_mm) <= abs(at) <= MAX_GAP_MM:
        return None
    return at


def straightened(track: Track, images: ThickImages, turn_deg: float, used: NDArray[np.int64]) -> Patch:
    """The scan laid along a row through the rod that rises by an angle."""
    return straighten(
        images, _axes(track, turn_deg), used, (-_OVERHANG_MM, _OVERHANG_MM), (-_HALF_HEIGHT_MM, _HALF_HEIGHT_MM)
    )


def _axes(track: Track, turn_deg: float) -> RowAxes:
    turn = np.radians(turn_deg)
    along: Floats = np.array([np.sin(turn), np.cos(turn)])
    return RowAxes(track.at_zero_yx_mm, track.slope_yx, along, np.array([along[1], -along[0]]))


def _evenness(patch: Patch, track: Track) -> float:
    """How far a strip of slab runs through the rod: the number of pixels in the thin rectangle that are its base."""
    strip = np.abs(patch.t_mm) <= track.radius_mm
    even = np.abs(patch.hu[strip] - track.base_hu) < 25.0
    columns = even.mean(axis=0) > 0.9
    clear = np.abs(patch.s_mm) > track.radius_mm + 2.0
    return float(np.count_nonzero(columns & clear))
