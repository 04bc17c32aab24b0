"""Find every vertebra of a CT and name it: canal, column, discs, then ribs and sacrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import LEVELS, Frame, SpineMap, VertebraSeed
from node.domain.volume import Volume
from node.errors import SpineNotFound
from node.imaging.spine import canal, column, discs, levels, ribs, sacrum, surroundings
from node.imaging.spine.column import Column
from node.imaging.spine.curve import straighten, unit
from node.imaging.spine.discs import Profiles, Segment
from node.imaging.spine.levels import Naming, Signs


@dataclass(frozen=True, slots=True, eq=False)
class SpineTrace:
    """Every intermediate value, for pictures and for finding out why."""

    column: Column
    profiles: Profiles
    segments: tuple[Segment, ...]
    signs: tuple[Signs, ...]
    naming: Naming
    spine: SpineMap


def locate(volume: Volume, scene: object | None = None) -> SpineMap:
    """Find and name the vertebrae of a volume. Raises SpineNotFound."""
    return trace(volume, scene).spine


def trace(volume: Volume, scene: object | None = None) -> SpineTrace:
    """As ``locate``, with all evidence. Raises SpineNotFound."""
    line = canal.trace(volume)
    body_column = column.follow(volume, line)
    straight = straighten(volume, body_column.curve, discs.U_MM, discs.V_MM)
    signal = discs.profiles(straight, body_column)
    segments = discs.divide(signal, body_column)
    if not segments:
        raise SpineNotFound("No vertebrae could be told apart in this series.", {})
    around = surroundings.look_around(volume, body_column)
    beyond = _segments_beyond(segments, body_column)
    signs = _signs(around, body_column, segments + beyond)
    naming = levels.name(signs, len(segments))
    seeds = [
        _seed(volume, body_column, segment, name, sure)
        for segment, name, sure in zip(segments, naming.names, naming.confidence, strict=True)
        if name in LEVELS
    ]
    spine = SpineMap(tuple(seeds), naming.assignment, line.points)
    return SpineTrace(body_column, signal, tuple(segments), tuple(signs), naming, spine)


def _segments_beyond(segments: list[Segment], body_column: Column) -> list[Segment]:
    """A place for one more vertebra below the last disc (mostly S1), when that much of the column is followed."""
    last = segments[-1]
    length = last.bottom_mm - last.top_mm
    if body_column.curve.s_mm[-1] - last.bottom_mm < 0.5 * length:
        return []
    return [Segment(last.bottom_mm, min(last.bottom_mm + length, float(body_column.curve.s_mm[-1])), 0.0)]


def _signs(around: surroundings.Surroundings, body_column: Column, segments: list[Segment]) -> list[Signs]:
    reach = ribs.reaches(around, body_column, segments)
    sacral = sacrum.sacral_scores(sacrum.pelvis_profile(around, body_column), segments)
    lung = [_lung(around, segment) for segment in segments]
    return [Signs(r, s, g) for r, s, g in zip(reach, sacral, lung, strict=True)]


def _lung(around: surroundings.Surroundings, segment: Segment) -> float | None:
    rows = slice(int(segment.top_mm / surroundings.GRID_MM), int(segment.bottom_mm / surroundings.GRID_MM) + 1)
    v, u = np.meshgrid(surroundings.V_MM, surroundings.U_MM, indexing="ij")
    beside = (np.abs(u) > 22) & (np.abs(u) < 60) & (v > -20) & (v < 30)
    hu, known = around.hu[rows][:, beside], around.known[rows][:, beside]
    return float((hu[known] < -500).mean()) if known.mean() > 0.5 else None


def _seed(volume: Volume, body_column: Column, segment: Segment, level: str, sure: float) -> VertebraSeed:
    curve = body_column.curve
    middle = 0.5 * (segment.top_mm + segment.bottom_mm)
    centre, left, posterior, superior = curve.at(middle)
    posterior = unit(posterior - (posterior @ superior) * superior)
    frame = Frame(centre, np.cross(posterior, superior), posterior, superior)
    at = curve.nearest(centre)
    length = segment.bottom_mm - segment.top_mm
    height, width, depth = 0.82 * length, float(body_column.width_mm[at]), float(body_column.depth_mm[at])
    return VertebraSeed(level, sure, frame, height, width, depth, _inside(volume, frame, height, width, depth))


def _inside(volume: Volume, frame: Frame, height: float, width: float, depth: float) -> bool:
    """Whether the whole body lies within the scan."""
    signs: NDArray[np.float64] = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 1)], float)
    half = signs * np.array([0.4 * width, 0.42 * depth, 0.5 * height + 1.0])
    corners = frame.centre_lps_mm + half @ np.stack([frame.left, frame.posterior, frame.superior])
    index = volume.index_kji(corners)
    return bool((index >= -0.5).all() and (index <= np.array(volume.hu.shape) - 0.5).all())
