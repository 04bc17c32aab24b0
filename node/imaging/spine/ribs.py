"""Ribs: how far to the side the bone goes that ends at each vertebra.

Sections beside the column, 2 mm apart, are swept from the flank inward. Wherever bone appears a track begins; it is
followed from section to section to the side of a vertebra. A transverse process begins within about 50 mm of the
midline and runs level; a rib comes from afar and climbs. Coming from outside, where ribs lie far apart, a rib is not
mistaken for its neighbour when it passes the tip of a transverse process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.imaging.spine.column import Column
from node.imaging.spine.curve import Floats
from node.imaging.spine.discs import Segment
from node.imaging.spine.surroundings import GRID_MM, U_MM, V_MM, Surroundings

RIB_HU = (150.0, 230.0)
"""Both are tried: thin ribs are lost above the second, enhanced organs melt with ribs below it."""
SECTION_MM2 = (8.0, 300.0)
"""Of a rib, also cut obliquely; more is the pelvis, a shoulder blade, or an organ full of contrast medium."""
LOST_SECTIONS = 2
"""A track may miss bone in so many sections on end."""
ROOT = (-0.2, 0.75)
"""Where a track may end beside its vertebra, in lengths of the vertebra below its upper disc."""
DARK_PART = 0.45
DENSE_HU = 450.0
"""What is brighter (metal) counts as this much."""
FALL_BOX_MM = (20.0, 14.0)
"""To the side and down from its root, every rib of some length passes through this."""
FAR_BEHIND_MM = 34.0
"""Tracks end in front of it, measured from the posterior wall: behind lie the spinous processes and laminae."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far bone goes to one side of a vertebra."""

    mm: float
    """From the midline."""
    beside_mm: float
    """From the side of the body."""
    cut: bool
    """It leaves the scan there, and may be longer."""
    fall_mm: float
    """How much farther down it is at its end than at its root."""


@dataclass(slots=True, eq=False)
class Track:
    """Bone followed inward; positions in sections are (s, v) in mm."""

    begins_mm: float
    cut: bool
    positions: list[Floats]
    brightest_hu: list[float]
    """In each section followed, outermost first, as are the positions."""
    lost: int = 0
    inner_mm: float = 0.0
    voxels: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))

    def expected(self) -> Floats:
        """Where it should be in the next section, along its last 10 mm."""
        recent = np.array(self.positions[-6:])
        step = (recent[-1] - recent[0]) / max(len(recent) - 1, 1)
        ahead: Floats = recent[-1] + np.clip(step, -4.0, 4.0) * (1 + self.lost)
        return ahead


def reaches(around: Surroundings, column: Column, segments: Sequence[Segment]) -> list[tuple[Reach, Reach]]:
    """(right, left) of every vertebra, head to foot."""
    sides = []
    for side in (-1.0, 1.0):
        tries = [_one_side(around, column, segments, side, bone_hu) for bone_hu in RIB_HU]
        sides.append([max(pair, key=lambda reach: reach.mm) for pair in zip(*tries, strict=True)])
    return list(zip(sides[0], sides[1], strict=True))


def _one_side(
    around: Surroundings, column: Column, segments: Sequence[Segment], side: float, bone_hu: float
) -> list[Reach]:
    lateral = U_MM * side
    planes = np.argsort(-lateral)[: int((lateral > 12).sum())]
    half_width = [0.5 * column.width_mm[_middle(column, segment)] for segment in segments]
    active: list[Track] = []
    found: list[Reach | None] = [None] * len(segments)
    for plane in planes:
        here = float(lateral[plane])
        _advance(active, around, int(plane), here, planes, bone_hu)
        for number, segment in enumerate(segments):
            if abs(here - (half_width[number] + 5.0)) > GRID_MM / 2:
                continue
            found[number] = _reach(active, around, column, segment, here, int(plane))
    return [reach or Reach(0.0, 0.0, True, 0.0) for reach in found]


def _advance(
    active: list[Track], around: Surroundings, plane: int, here: float, planes: NDArray[np.intp], bone_hu: float
) -> None:
    """Move every track one section inward, end those that are lost, begin new ones."""
    labels, count = ndimage.label(around.calm_hu[:, :, plane] > bone_hu, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * GRID_MM**2
    usable = [n for n in range(1, count + 1) if SECTION_MM2[0] <= sizes[n] <= SECTION_MM2[1]]
    centres = ndimage.center_of_mass(np.ones(labels.shape), labels, usable) if usable else []
    peaks = ndimage.maximum(around.calm_hu[:, :, plane], labels, usable) if usable else []
    peak = {n: min(float(hu), DENSE_HU) for n, hu in zip(usable, peaks, strict=True)}
    place = {n: np.array(c) * GRID_MM for n, c in zip(usable, centres, strict=True)}
    taken = set()
    for track in list(active):
        near = _labels_near(labels, track.voxels)
        options = [int(n) for n in near if n in place]
        if not options:
            track.lost += 1
            if track.lost > LOST_SECTIONS:
                active.remove(track)
            continue
        expected = track.expected()
        best = min(options, key=lambda n: float(np.linalg.norm(place[n] - expected)))
        track.positions.append(place[best])
        track.brightest_hu.append(peak[best])
        track.voxels, track.lost, track.inner_mm = labels == best, 0, here
        taken.add(best)
    outside = _outer(around, plane, planes)
    for n in usable:
        if n not in taken:
            voxels = labels == n
            cut = _leaves(voxels, outside)
            active.append(Track(here, cut, [place[n]], [peak[n]], inner_mm=here, voxels=voxels))


def _outer(around: Surroundings, plane: int, planes: NDArray[np.intp]) -> NDArray[np.bool_]:
    """What is known in the next section outward, and in this one."""
    at = int(np.flatnonzero(planes == plane)[0])
    known = around.known
    if at == 0:
        return np.zeros(known.shape[:2], bool)
    both: NDArray[np.bool_] = known[:, :, plane] & known[:, :, planes[at - 1]]
    return both


def _leaves(voxels: NDArray[np.bool_], known: NDArray[np.bool_]) -> bool:
    """Whether the bone may go on where nothing is known: outward, downward or to the back, as ribs do near their roots.

    They do not go on upward.
    """
    ahead = voxels.copy()
    ahead[1:] |= voxels[:-1]
    ahead[2:] |= voxels[:-2]
    behind = np.zeros_like(voxels)
    behind[:, 1:] = ahead[:, :-1]
    behind[:, 2:] |= ahead[:, :-2]
    return bool(((ahead | behind) & ~known).any() or voxels[-2:].any() or voxels[:, -2:].any())


def _reach(
    active: Sequence[Track], around: Surroundings, column: Column, segment: Segment, here: float, plane: int
) -> Reach:
    """The farthest track that ends beside this vertebra."""
    length = segment.bottom_mm - segment.top_mm
    depth = column.depth_mm[_middle(column, segment)]
    s, v = np.arange(len(around.hu))[:, None] * GRID_MM, V_MM[None, :]
    root = (s > segment.top_mm) & (s < segment.top_mm + 0.6 * length) & (v > 0) & (v < 0.5 * depth + 15)
    wanted = 0.6 * length * (0.5 * depth + 15) / GRID_MM**2
    if (around.known[:, :, plane] & root).sum() < 0.7 * wanted:
        return Reach(here, 5.0, True, 0.0)
    ending = []
    for track in active:
        at = (track.positions[-1][0] - segment.top_mm) / length
        behind = V_MM[0] + track.positions[-1][1] - 0.5 * depth
        if ROOT[0] < at < ROOT[1] and behind < FAR_BEHIND_MM:
            ending.append(track)
    if not ending:
        return Reach(here - GRID_MM, 5.0 - GRID_MM, False, 0.0)
    farthest = max(ending, key=_begins_as_bone)
    begins = _begins_as_bone(farthest)
    fall = float(farthest.positions[0][0] - farthest.positions[-1][0])
    cut = (farthest.cut and begins == farthest.begins_mm) or not _seen_below(around, farthest.positions[-1], here)
    return Reach(begins, begins - here + 5.0, cut, fall)


def _seen_below(around: Surroundings, root: Floats, here: float) -> bool:
    """Whether the space is in the scan into which a rib would fall from this root."""
    s, v = int(root[0] / GRID_MM), int(root[1] / GRID_MM)
    aside = (np.abs(U_MM) > here) & (np.abs(U_MM) < here + FALL_BOX_MM[0])
    rows = slice(s, s + int(FALL_BOX_MM[1] / GRID_MM))
    wanted = int(FALL_BOX_MM[1] / GRID_MM) * 6 * int(aside.sum())
    known = around.known[rows, max(0, v - 3) : v + 3][:, :, aside]
    return bool(known.sum() > 0.8 * wanted)


def _begins_as_bone(track: Track) -> float:
    """Where the track begins, without outer parts much darker than its root: enhanced organs are, ribs are not."""
    bright = np.array(track.brightest_hu)
    root = float(np.median(bright[-8:]))
    dark = np.flatnonzero(bright < DARK_PART * root)
    if not len(dark):
        return track.begins_mm
    return track.begins_mm - GRID_MM * (int(dark[-1]) + 1)


def _labels_near(labels: NDArray[np.int32], section: NDArray[np.bool_]) -> NDArray[np.int32]:
    """What lies where bone may go on in the next section: 4 mm up, 2 mm down, 4 mm to front and back."""
    rows, columns = (np.flatnonzero(section.any(axis=axis)) for axis in (1, 0))
    box = (
        slice(max(0, int(rows[0]) - 2), int(rows[-1]) + 3),
        slice(max(0, int(columns[0]) - 2), int(columns[-1]) + 3),
    )
    return np.unique(labels[box][ndimage.binary_dilation(section[box], _STEP)])


_STEP = np.array([*[[1, 1, 1, 1, 1]] * 4, [0, 0, 0, 0, 0]], bool)


def _middle(column: Column, segment: Segment) -> int:
    return min(max(round(0.5 * (segment.top_mm + segment.bottom_mm)), 0), len(column.width_mm) - 1)
