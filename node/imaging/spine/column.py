"""The column of vertebral bodies in front of the canal: its centre line, its axes, its width and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import Volume
from node.imaging.spine.canal import GRID_MM, Canal
from node.imaging.spine.curve import OUTSIDE, Curve, Floats, curve_through, smoothed, straighten
from node.imaging.spine.outline import BONE_RANGE_HU, Expected, Outline, body_outline, hollow_centre
from node.imaging.spine.vessels import without_vessels

STEP_MM = 1.0
EXTEND_MM = 14.0
"""The curve is followed this far beyond the traced canal: bodies are tilted against the slices."""
U_MM, V_MM = np.arange(-40.0, 41.0, 2.0), np.arange(-64.0, 21.0, 2.0)
TUBE_STEP_MM = 2.0
EVERY = 3
"""Samples of the tube between outlines: one every 6 mm."""
HALF_SLAB = 8
"""Samples of the tube above and below a section that fill it."""
NEIGHBOURS = 4
"""Outlines on either side that steady each other."""
CLEAR_HU = 60.0
"""Contrast of an outline from which on it is wholly trusted."""
SIZES = (Expected(0, -14, 20, 14), Expected(0, -17, 27, 19), Expected(0, -21, 33, 28), Expected(0, -25, 46, 34))
"""Of bodies of children, and of the upper chest, the lower chest and the loin."""
FLATTEST, DEEPEST = 0.58, 1.1
"""Depth of bodies as a part of their width."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The line of body centres and the outline of the bodies along it."""

    curve: Curve
    canal: Floats
    """(m, 3): LPS mm, middle of the canal, head to foot every 2 mm."""
    width_mm: Floats
    """(n,): of the bodies, at each sample of ``curve``."""
    depth_mm: Floats
    contrast_hu: Floats
    """(n,): how sharply the outline stands out."""


@dataclass(frozen=True, slots=True, eq=False)
class _Section:
    """A plane across the canal, filled over a vertebra's height."""

    s_mm: float
    image: NDArray[np.float32]
    known: float
    """Part of it that is in the scan."""


def follow(volume: Volume, canal: Canal) -> Column:
    """Outline the bodies across the canal every 6 mm and lay a smooth curve through their centres."""
    s = np.arange(len(canal.points), dtype=np.float64) * GRID_MM
    line, _ = smoothed(s, canal.points, 6.0)
    tube = curve_through(line, np.array([0.0, 1.0, 0.0]), TUBE_STEP_MM, 14.0, EXTEND_MM)
    sections = _sections(without_vessels(volume, line), tube)
    outlines, trust = _outlines(sections)
    at = np.array([section.s_mm for section in sections])
    middle = _steady(np.array([o.centre for o in outlines]), trust)
    bodies = _moved(tube, at, smoothed(at, middle, 12.0, trust)[0])
    hollow = _steady(np.array([hollow_centre(section.image, U_MM, V_MM) for section in sections]), trust)
    canal_line = _moved(tube, at, smoothed(at, hollow, 10.0, trust)[0])
    to_canal, _ = smoothed(tube.s_mm, canal_line - bodies, 16.0)
    curve = curve_through(bodies, to_canal, STEP_MM, 12.0, 0.0)
    sizes = _steady(np.array([(o.width, o.depth, o.contrast) for o in outlines]), trust)
    part = curve.s_mm / curve.s_mm[-1] * tube.s_mm[-1]
    width, depth, contrast = (np.interp(part, at, sizes[:, column]) for column in range(3))
    return Column(curve, canal_line, width, depth, contrast)


def _sections(volume: Volume, tube: Curve) -> list[_Section]:
    across = straighten(volume, tube, U_MM, V_MM)
    sections = []
    for i in range(0, len(across), EVERY):
        slab = across[max(0, i - HALF_SLAB) : i + HALF_SLAB + 1]
        image, known = _filled(slab)
        near = known[: len(V_MM) // 2 + 8, len(U_MM) // 4 : -len(U_MM) // 4]
        sections.append(_Section(float(tube.s_mm[i]), image, float(near.mean() / (2 * HALF_SLAB + 1))))
    return sections


def _filled(slab: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The 85th percentile over a vertebra's height, in which its endplates fall, and how many samples were known.

    What lies beyond the scan counts as soft tissue.
    """
    ordered = np.sort(slab, axis=0)
    known = (ordered > OUTSIDE + 1).sum(0)
    rank = len(ordered) - known + 0.85 * np.maximum(known - 1, 0)
    row = np.minimum(rank.astype(int), len(ordered) - 1)
    image = np.take_along_axis(ordered, row[None], axis=0)[0]
    image[known == 0] = BONE_RANGE_HU[0]
    return image, known


def _outlines(sections: Sequence[_Section]) -> tuple[list[Outline], Floats]:
    """Outlines of all sections and how far each is trusted; the second round expects what the first found overall."""
    first = [_clearest(section.image) for section in sections]
    expected = _expected(first, _trust(sections, first))
    second = [body_outline(section.image, U_MM, V_MM, e) for section, e in zip(sections, expected, strict=True)]
    return second, _trust(sections, second)


def _clearest(image: NDArray[np.float32]) -> Outline:
    """The outline that stands out best, sought about bodies of several sizes: great vessels draw some of them away."""
    tries = [body_outline(image, U_MM, V_MM, expected) for expected in SIZES]
    return max(tries, key=lambda outline: outline.contrast)


def _trust(sections: Sequence[_Section], outlines: Sequence[Outline]) -> Floats:
    known = np.array([section.known for section in sections])
    contrast = np.array([outline.contrast for outline in outlines])
    trust: Floats = known**2 * np.clip(contrast / CLEAR_HU, 0.02, 1.0)
    return trust


def _expected(outlines: Sequence[Outline], trust: Floats) -> list[Expected]:
    """Size and place that change smoothly along the column, whatever single outlines say."""
    found = np.array([(o.centre[0], o.centre[1] + 0.5 * o.depth, o.width, o.depth) for o in outlines])
    trend = np.stack([_trend(found[:, column], trust) for column in range(4)], axis=1)
    expected = []
    for u, back, width, depth in trend:
        width = float(np.clip(width, 13.0, 60.0))
        depth = float(np.clip(depth, FLATTEST * width, DEEPEST * width))
        expected.append(Expected(float(u), float(back - 0.5 * depth), width, depth))
    return expected


def _trend(values: Floats, trust: Floats) -> Floats:
    """Parabola through values along the column that outliers do not pull (iteratively reweighted, Cauchy)."""
    x = np.linspace(-1.0, 1.0, len(values))
    basis = np.stack([np.ones_like(x), x, x**2][: 1 if len(x) < 6 else 3], axis=1)
    fit = np.full(len(values), float(np.median(values)))
    for _ in range(12):
        off = values - fit
        scale = max(1.5 * float(np.median(np.abs(off))), 1.0)
        weight = np.sqrt(trust / (1 + (off / scale) ** 2))[:, None]
        fit = basis @ np.linalg.lstsq(weight * basis, weight[:, 0] * values, rcond=None)[0]
    return fit


def _steady(values: Floats, trust: Floats) -> Floats:
    """Weighted median of each value (n, d) and its ``NEIGHBOURS`` on either side."""
    result = np.empty_like(values)
    for i in range(len(values)):
        near = slice(max(0, i - NEIGHBOURS), i + NEIGHBOURS + 1)
        for column in range(values.shape[1]):
            order = np.argsort(values[near, column])
            weight = np.cumsum(trust[near][order])
            result[i, column] = values[near, column][order][int(np.searchsorted(weight, 0.5 * weight[-1]))]
    return result


def _moved(tube: Curve, at: Floats, offset: Floats) -> Floats:
    """Points of the tube moved to the left and back by offsets (n, 2) given at some lengths."""
    u, v = (np.interp(tube.s_mm, at, offset[:, column])[:, None] for column in range(2))
    moved: Floats = tube.points + u * tube.left + v * tube.posterior
    return moved
