"""Rods in the average along their row: where they are seen, and where they must lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from node.imaging.phantom.discs import Floats, find_discs
from node.imaging.phantom.grouping import MIN_PITCH_MM, STRONG_CONTRAST_HU
from node.imaging.phantom.straight import Patch, RowAxes
from node.imaging.phantom.tracks import Track

FAINT_CONTRAST_HU = 3.0
"""Once a row is known, rods this faint are seen in the average along it."""
CENTRED_CONTRAST_HU = 15.0
"""Fainter rods have no centroid to speak of."""
MAX_OFF_MM = 3.0
"""From the row's line. A circle about a rod may lean on a face of the slab, and is off by twice that before it is
centred."""
MAX_OFF_LINE_MM = 0.8
FAINT_SIGNIFICANCE = 6.0
"""Contrast of a faint rod in standard errors."""
_CORRELATED_MM2 = 6.0
"""Area over which the noise of the average is alike."""
_APART_RADII = 1.6
"""At this distance from a rod's centre, in its radii, a disc of 0.6 radii shows the base alone."""


@dataclass(frozen=True, slots=True)
class SeenRod:
    """A rod in the cross-section of its row."""

    s_mm: float
    t_mm: float
    radius_mm: float
    hu: float


def rods_in(patch: Patch, radius: float, group: list[Track], axes: RowAxes) -> tuple[SeenRod, ...]:
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
            abs(t[index]) < (MAX_OFF_MM if contrast < CENTRED_CONTRAST_HU else 2 * MAX_OFF_MM)
            and abs(discs.radii_mm[index] - radius) < 2.5
            and abs(discs.base_hu[index] - base) < 25.0 + 0.08 * contrast
            and all(abs(s[index] - rod.s_mm) >= MIN_PITCH_MM for rod in found)
        ):
            place, size = (float(s[index]), float(t[index])), float(discs.radii_mm[index])
            if contrast >= CENTRED_CONTRAST_HU:
                place = patch.centred(*place, size, float(discs.hu[index]), float(discs.base_hu[index]))
            if abs(place[1]) < MAX_OFF_MM and all(abs(place[0] - rod.s_mm) >= MIN_PITCH_MM for rod in found):
                hu = float(np.nanmean(patch.disc(*place, 0.6 * min(size, radius))))
                found.append(SeenRod(*place, size, hu))
    for track in group:
        at, off = axes.of(track.at(sum(track.z_range_mm) / 2), sum(track.z_range_mm) / 2)
        if all(abs(float(at) - rod.s_mm) >= MIN_PITCH_MM for rod in found):
            found.append(SeenRod(float(at), float(off), track.radius_mm, track.hu))
    return tuple(sorted(found, key=lambda rod: rod.s_mm))


def with_faint(
    rods: tuple[SeenRod, ...], patch: Patch, radius_mm: float, slab_s_mm: tuple[float, float]
) -> tuple[SeenRod, ...]:
    """Add rods of the same size that no circle shows, by their mean against the base to both sides along the row.

    ``slab_s_mm``: ends of the slab along the row. The rods come back in their order along it. A rod that is overlooked
    makes a phantom a smaller one: three rods of which the middle one is faint look like two.
    """
    apart = _APART_RADII * radius_mm
    places = np.arange(slab_s_mm[0] + apart, slab_s_mm[1] - apart, 1.0)
    contrast = {float(s): _faint_contrast(patch, float(s), radius_mm) for s in places}
    found = list(rods)
    for s in sorted(contrast, key=lambda place: -contrast[place]):
        if contrast[s] <= 0.0:
            break
        if all(abs(s - rod.s_mm) > 2 * apart - 1.0 for rod in found):
            found.append(SeenRod(s, 0.0, radius_mm, float(patch.disc(s, 0.0, 0.6 * radius_mm).mean())))
    return tuple(sorted(found, key=lambda rod: rod.s_mm))


def _faint_contrast(patch: Patch, s_mm: float, radius_mm: float) -> float:
    """HU between a place and the base on either side, the smaller; 0 where it is not certain, or only in a part."""
    size, apart = 0.6 * radius_mm, _APART_RADII * radius_mm
    centre, *sides = (patch.disc(s_mm + at, 0.0, size) for at in (0.0, -apart, apart))
    if not np.isfinite(np.concatenate([centre, *sides])).all():
        return 0.0
    noise = np.sqrt(_CORRELATED_MM2 * (centre.var() + max(side.var() for side in sides)) / (np.pi * size**2))
    halves = [patch.disc(s_mm + s, t, 0.5 * size) for s, t in ((-size, 0.0), (size, 0.0), (0.0, -size), (0.0, size))]
    off = np.array([[part.mean() - side.mean() for part in (centre, *halves)] for side in sides])
    if np.ptp(np.sign(off)) > 0 or np.abs(off).min() < 0.5 * np.abs(off[:, 0]).min():
        return 0.0
    least = float(np.abs(off[:, 0]).min())
    return least if least > max(FAINT_CONTRAST_HU, FAINT_SIGNIFICANCE * float(noise)) else 0.0


def steadied(rods: tuple[SeenRod, ...], base_hu: float) -> tuple[SeenRod, ...]:
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
