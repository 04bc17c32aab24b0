"""Ribs: how far bone runs to the side from each vertebra.

From the root of the transverse process the bone is followed outward in sections 2 mm apart. A transverse process ends
within about 50 mm of the midline; a rib goes on, falling as it goes. What the vertebra above has claimed belongs to it,
so that a twelfth rib passing the tip of L1's transverse process is not counted twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.imaging.spine.column import Column
from node.imaging.spine.discs import Segment
from node.imaging.spine.surroundings import GRID_MM, U_MM, V_MM, Surroundings

RIB_HU = 150.0
LARGEST_SECTION_MM2 = 300.0
"""Of a rib cut obliquely; more is the pelvis, a scapula, or an organ full of contrast medium."""


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


def reaches(around: Surroundings, column: Column, segments: list[Segment]) -> list[tuple[Reach, Reach]]:
    """(right, left) of every vertebra, head to foot."""
    found: list[list[Reach]] = [[] for _ in segments]
    for side in (-1.0, 1.0):
        free = around.hu > RIB_HU
        for number, segment in enumerate(segments):
            reach, claimed = _follow(around, free, column, segment, side)
            found[number].append(reach)
            free &= ~claimed
    return [(right, left) for right, left in found]


def _follow(
    around: Surroundings, free: NDArray[np.bool_], column: Column, segment: Segment, side: float
) -> tuple[Reach, NDArray[np.bool_]]:
    top, length = segment.top_mm, segment.bottom_mm - segment.top_mm
    middle = min(max(int(top + length / 2), 0), len(column.width_mm) - 1)
    width, depth = column.width_mm[middle], column.depth_mm[middle]
    lateral = U_MM * side
    outward = np.argsort(lateral)[np.searchsorted(np.sort(lateral), 0.5 * width + 5) :]
    s = np.arange(len(free))[:, None] * GRID_MM
    v = V_MM[None, :]
    root = (s > top - 0.1 * length) & (s < top + 0.65 * length) & (v > -0.1 * depth) & (v < 0.5 * depth + 22)
    front = free[:, :, outward[0]] & root
    claimed = np.zeros_like(free)
    known = around.known[:, :, outward[0]] & root
    if known.sum() < 0.8 * max(root.sum(), 0.2 * length * depth / GRID_MM**2):
        return Reach(float(lateral[outward[0]]), 5.0, True, 0.0), claimed
    grown, gap, cut = front, False, False
    last, start, end = lateral[outward[0]], _height(front), _height(front)
    for plane in outward[1:]:
        near = grown if gap else _spread(grown)
        new = near & free[:, :, plane]
        if new.sum() * GRID_MM**2 > LARGEST_SECTION_MM2:
            break
        if not new.any():
            cut |= _at_edge(near, around.known[:, :, plane])
            if gap or not grown.any():
                break
            grown, gap = near, True
            continue
        grown, gap, cut, last, end = new, False, False, lateral[plane], _height(new)
        claimed[:, :, plane] = ndimage.binary_dilation(new, np.ones((3, 3), bool))
    return Reach(float(last), float(last - 0.5 * width), cut, (end - start) * GRID_MM), claimed


def _at_edge(near: NDArray[np.bool_], known: NDArray[np.bool_]) -> bool:
    """Whether the place where bone was looked for reaches out of the scan, or of what was straightened."""
    return bool((near & ~known).any() or near[0].any() or near[-1].any())


_STEP = np.array([[0, 0, 0, 0, 0], *[[1, 1, 1, 1, 1]] * 4], bool)


def _spread(section: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where bone may go on in the next section: 2 mm up, 4 mm down, 4 mm to front and back."""
    spread: NDArray[np.bool_] = ndimage.binary_dilation(section, _STEP)
    return spread


def _height(section: NDArray[np.bool_]) -> float:
    rows = np.flatnonzero(section.any(axis=1))
    return float(rows.mean()) if len(rows) else 0.0
