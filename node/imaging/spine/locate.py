"""Find every vertebra of a CT and name it: canal, column, discs, then ribs and sacrum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import Frame, SpineMap, VertebraSeed
from node.domain.volume import Volume
from node.errors import SpineNotFound
from node.imaging.body import Scene
from node.imaging.spine import canal, column, discs, levels, planes, ribs, sacrum, surroundings
from node.imaging.spine.column import Column
from node.imaging.spine.curve import straighten, unit
from node.imaging.spine.discs import Profiles, Segment
from node.imaging.spine.levels import Naming
from node.imaging.spine.planes import DiscPlane
from node.imaging.spine.signs import Signs

UNCLEAR = 0.5
"""Median evidence for a vertebra between two discs (clear ones bring 1 to 2.3) below which there is no spine."""
CUT_PART = 0.3
"""A vertebra of which at least this part is in the scan is shown, as incomplete unless both its endplates show."""


@dataclass(frozen=True, slots=True, eq=False)
class SpineTrace:
    """Every intermediate value, for pictures and for finding out why."""

    column: Column
    profiles: Profiles
    segments: tuple[Segment, ...]
    plates: tuple[DiscPlane, ...]
    """One more than segments."""
    signs: tuple[Signs, ...]
    """Of the segments, and of a cut vertebra above or below them."""
    naming: Naming
    spine: SpineMap


def locate(volume: Volume, scene: Scene | None = None) -> SpineMap:
    """Find and name the vertebrae of a volume. Raises SpineNotFound."""
    return trace(volume, scene).spine


def trace(volume: Volume, scene: Scene | None = None) -> SpineTrace:
    """As ``locate``, with all evidence. Raises SpineNotFound."""
    line = canal.trace(volume, scene)
    body_column = column.follow(volume, line)
    straight = straighten(volume, body_column.curve, discs.U_MM, discs.V_MM)
    signal = discs.profiles(straight, body_column, volume.spacing_mm[0])
    segments = discs.divide(signal, body_column)
    clearness = float(np.median([segment.score for segment in segments])) if segments else 0.0
    if clearness < UNCLEAR:
        evidence = {"segments": len(segments), "clearness": round(clearness, 2)}
        raise SpineNotFound("No vertebrae could be told apart in this series.", evidence)
    edges = [segments[0].top_mm, *(segment.bottom_mm for segment in segments)]
    plates = [planes.fit(straight, body_column, edge) for edge in edges]
    around = surroundings.look_around(volume, body_column)
    above, below = _cut_ends(segments, signal)
    signs = _signs(around, body_column, above + segments + below)
    seeds = [_seed(volume, body_column, upper, lower) for upper, lower in pairwise(plates)]
    seeds = [_beyond(seeds[0], up=True) for _ in above] + seeds + [_beyond(seeds[-1], up=False) for _ in below]
    naming = levels.name(signs, [seed.complete for seed in seeds])
    named = [
        replace(seed, level=level, confidence=sure)
        for seed, level, sure in zip(seeds, naming.names, naming.confidence, strict=True)
        if level[0] in "TL"
    ]
    if not named:
        raise SpineNotFound("Only neck or pelvis is in this series.", {"vertebrae_found": len(seeds)})
    spine = SpineMap(tuple(named), naming.assignment, body_column.canal)
    return SpineTrace(body_column, signal, tuple(segments), tuple(plates), tuple(signs), naming, spine)


def _cut_ends(segments: list[Segment], signal: Profiles) -> tuple[list[Segment], list[Segment]]:
    """The vertebrae that the scan, or the column followed, ends in: above the first disc and below the last."""
    seen = np.flatnonzero(np.isfinite(signal.core_hu).any(axis=0))
    first, last = segments[0], segments[-1]
    above, below = [], []
    length = first.bottom_mm - first.top_mm
    if first.top_mm - seen[0] > CUT_PART * length:
        above = [Segment(first.top_mm - 0.95 * length, first.top_mm, 0.0)]
    length = last.bottom_mm - last.top_mm
    if seen[-1] - last.bottom_mm > CUT_PART * length:
        below = [Segment(last.bottom_mm, last.bottom_mm + length, 0.0)]
    return above, below


def _signs(around: surroundings.Surroundings, body_column: Column, segments: list[Segment]) -> list[Signs]:
    reach = ribs.reaches(around, body_column, segments)
    sacral = sacrum.sacral_scores(sacrum.pelvis_profile(around, body_column), segments)
    lung = [surroundings.lung_part(around, segment.top_mm, segment.bottom_mm) for segment in segments]
    at = [min(max(round(0.5 * (s.top_mm + s.bottom_mm)), 0), len(body_column.width_mm) - 1) for s in segments]
    width, depth = body_column.width_mm[at], body_column.depth_mm[at]
    seen = zip(reach, sacral, lung, width, depth, strict=True)
    return [Signs(r, s, g, float(w), float(d)) for r, s, g, w, d in seen]


def _seed(volume: Volume, body_column: Column, upper: DiscPlane, lower: DiscPlane) -> VertebraSeed:
    """A vertebra between two discs: its centre midway between its endplates, its axis the mean of their normals."""
    curve = body_column.curve
    top, bottom = upper.s_mm + upper.half_mm, lower.s_mm - lower.half_mm
    centre, left, posterior, superior = curve.at(0.5 * (top + bottom))
    forward = np.tan(np.deg2rad(0.5 * (upper.forward_deg + lower.forward_deg)))
    sideways = np.tan(np.deg2rad(0.5 * (upper.sideways_deg + lower.sideways_deg)))
    superior = unit(superior - forward * posterior - sideways * left)
    posterior = unit(posterior - (posterior @ superior) * superior)
    frame = Frame(centre, np.cross(posterior, superior), posterior, superior)
    at = curve.nearest(centre)
    height, width, depth = max(bottom - top, 5.0), float(body_column.width_mm[at]), float(body_column.depth_mm[at])
    complete = _inside(volume, frame, height, width, depth)
    return VertebraSeed("", 0.0, frame, height, width, depth, complete, at_end=not complete)


def _beyond(seed: VertebraSeed, *, up: bool) -> VertebraSeed:
    """The neighbour of the last vertebra between two discs, cut by the scan's end: its place is a guess."""
    step = 1.2 * seed.height_mm * (1 if up else -1)
    frame = replace(seed.frame, centre_lps_mm=seed.frame.centre_lps_mm + step * seed.frame.superior)
    return replace(seed, frame=frame, complete=False, at_end=True)


def _inside(volume: Volume, frame: Frame, height: float, width: float, depth: float) -> bool:
    """Whether the whole body lies within the scan."""
    signs: NDArray[np.float64] = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 1)], float)
    half = signs * np.array([0.4 * width, 0.42 * depth, 0.5 * height + 1.0])
    corners = frame.centre_lps_mm + half @ np.stack([frame.left, frame.posterior, frame.superior])
    index = volume.index_kji(corners)
    return bool((index >= -0.5).all() and (index <= np.array(volume.hu.shape) - 0.5).all())
