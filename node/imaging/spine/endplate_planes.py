"""The two endplates of every vertebra as planes, found for the whole column at once.

A disc has the endplate of one vertebra above and that of the next below, so each endplate is told from its
neighbour's by order, by plausible heights of bodies and discs, and by the seeds' spacing: a shortest path
over (superior, inferior, superior, ...) from head to foot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose, clipped, sample
from node.imaging.spine.surfaces import outward_fall

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

STEP_MM = 0.5
REACH_MM = 27.0
HEIGHTS_MM = np.arange(-REACH_MM - 8.0, REACH_MM + 8.0 + 0.1, STEP_MM)
PLATE_MM = 3.5
"""The rise toward the endplate lies this far within its outer face."""
RIDGE_SHARE = 0.5
MELTING_MM, MELTED_WEIGHT = (2.0, 4.0), 0.8
"""Between these distances of slices thoracic discs stop to be seen as dark lines."""
HALF_DISC_MM = 2.0
FIRMER = 0.5
"""By so much more a vertebra is held near its seed where discs have melted."""
EVIDENCE_WEIGHT = 3.0
"""A clear endplate outweighs a height 50 % off the expected one."""
NEAREST_MM = 2.5
"""An endplate lies at least this far from the seed's centre."""
SAGITTAL_TILTS_DEG = np.arange(-24.0, 24.1, 4.0)
CORONAL_TILTS_DEG = np.arange(-12.0, 12.1, 4.0)


@dataclass(frozen=True, slots=True)
class Plane:
    """z = height + slope_x · x + slope_y · y, local mm."""

    height: float
    slope_x: float
    slope_y: float

    def at(self, x: Floats, y: Floats) -> Floats:
        """Height at (x, y)."""
        return self.height + self.slope_x * x + self.slope_y * y

    @property
    def normal(self) -> Floats:
        """(3,): of length 1, toward the head."""
        upright = np.array([-self.slope_x, -self.slope_y, 1.0])
        return np.asarray(upright / np.linalg.norm(upright))

    def seen_from(self, old: Pose, new: Pose) -> Plane:
        """The same plane in the coordinates of another pose."""
        corners = np.array([[0.0, 0.0, self.height], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
        corners[1:, 2] = self.height + 9.0 * np.array([self.slope_x, self.slope_y])
        local = new.to_local(old.to_lps(corners))
        terms = np.column_stack([np.ones(3), local[:, :2]])
        height, slope_x, slope_y = np.linalg.solve(terms, local[:, 2])
        return Plane(float(height), float(slope_x), float(slope_y))


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """For one vertebra: score of an endplate plane at each distance from the centre, and its best slopes."""

    scores: Floats
    """(2, distances): superior, inferior."""
    slopes: Floats
    """(2, distances, 2)."""


def endplate_planes(volume: Volume, poses: list[Pose]) -> list[tuple[Plane, Plane]]:
    """Return (superior, inferior) for each pose; the poses run from head to foot."""
    distances = np.arange(NEAREST_MM, REACH_MM - 1.0, STEP_MM)
    falls = [_falls(volume, pose) for pose in poses]
    own = np.array([float(np.percentile(np.abs(fall), 90)) for fall in falls])
    references = np.maximum(own, max(0.7 * float(np.median(own)), 4.0))
    evidence = [
        _evidence(np.clip(fall / reference, -1.5, 1.5), pose, distances, volume.spacing_mm[0])
        for fall, reference, pose in zip(falls, references, poses, strict=True)
    ]
    picks = _shortest_path(poses, evidence, distances, _melted(volume.spacing_mm[0]))
    planes = []
    for found, (up, down) in zip(evidence, picks, strict=True):
        superior = Plane(float(distances[up]), *map(float, found.slopes[0, up]))
        inferior = Plane(float(-distances[down]), *map(float, found.slopes[1, down]))
        planes.append((superior, inferior))
    return planes


def _footprint(pose: Pose) -> tuple[Floats, Floats]:
    return np.linspace(-0.36, 0.36, 9) * pose.width, np.linspace(-0.40, 0.34, 9) * pose.depth


def _falls(volume: Volume, pose: Pose) -> Floats32:
    """Fall of attenuation toward the head over the footprint: (columns, rows, heights)."""
    grid = np.stack(np.meshgrid(*_footprint(pose), HEIGHTS_MM, indexing="ij"), axis=-1)
    return outward_fall(clipped(sample(volume, pose, grid)), 1.0 / STEP_MM)


def _evidence(fall: Floats32, pose: Pose, distances: Floats, slice_mm: float) -> _Evidence:
    """Score planes by the fall across them and by the rise toward the dense plate within.

    Where slices are thicker than a disc, both endplates and the disc are one bright line: then a plane is also scored
    by the rise toward and the fall behind a line just beyond it.
    """
    x, y = _footprint(pose)
    scores = np.full((2, len(distances)), -np.inf)
    slopes = np.zeros((2, len(distances), 2))
    zero = int(np.argmin(np.abs(HEIGHTS_MM)))
    steps = np.round(distances / STEP_MM).astype(int)
    within = round(PLATE_MM / STEP_MM)
    melted = MELTED_WEIGHT * _melted(slice_mm)
    half, line = round(slice_mm / STEP_MM), round(HALF_DISC_MM / STEP_MM)
    beyond = np.arange(1, line + half + 1) + steps[-1] if melted else steps[:0]
    for b in np.tan(np.deg2rad(CORONAL_TILTS_DEG)):
        for a in np.tan(np.deg2rad(SAGITTAL_TILTS_DEG)):
            lift = np.round((b * x[:, None] + a * y) / STEP_MM).astype(int)
            dear = 0.1 * ((a / 0.25) ** 2 + (b / 0.15) ** 2)
            for side, sign in enumerate((1, -1)):
                reach = np.concatenate([steps[0] - np.arange(within, 0, -1), steps, beyond])
                index = np.clip(zero + sign * reach + lift[..., None], 0, len(HEIGHTS_MM) - 1)
                mean = sign * np.take_along_axis(fall, index, axis=2).mean(axis=(0, 1))
                score = _edge(mean, within, len(steps))
                if melted:
                    score = np.maximum(score, melted * _line(mean, within + line, half, len(steps)))
                score = score - dear
                better = score > scores[side]
                scores[side][better] = score[better]
                slopes[side][better] = (b, a)
    return _Evidence(scores, slopes)


def _melted(slice_mm: float) -> float:
    """How far slices of this distance melt both endplates of a thin disc into one line: 0 to 1."""
    return float(np.clip((slice_mm - MELTING_MM[0]) / (MELTING_MM[1] - MELTING_MM[0]), 0.0, 1.0))


def _edge(mean: Floats32, within: int, count: int) -> Floats32:
    """Fall across each of ``count`` places, the first of which is element ``within``, and the rise before it."""
    return mean[within : within + count] + RIDGE_SHARE * np.clip(-mean[:count], 0.0, 0.5)


def _line(mean: Floats32, first: int, half: int, count: int) -> Floats32:
    """Mean rise over ``half`` steps before each of ``count`` places and fall over as many behind it."""
    run = np.concatenate([np.zeros(1, np.float32), np.cumsum(np.pad(mean, (half, 0), mode="edge"), dtype=np.float32)])
    at = half + first + np.arange(count)
    before, after = run[at] - run[at - half], run[at + half] - run[at]
    return np.asarray((after - before) / half, dtype=np.float32)


def _shortest_path(
    poses: list[Pose], evidence: list[_Evidence], distances: Floats, melted: float
) -> list[tuple[int, int]]:
    """Viterbi over superior and inferior distances of all vertebrae.

    The more slices melt, the nearer a vertebra stays to its seed, which rests on the canal's wall as well.
    """
    typical = float(np.median([found.scores.max(axis=1) for found in evidence]))
    weight = EVIDENCE_WEIGHT / max(typical, 0.35)
    up, down = distances[:, None], distances[None, :]
    best: list[Floats] = []
    back: list[NDArray[np.int64]] = []
    for n, (pose, found) in enumerate(zip(poses, evidence, strict=True)):
        top = -weight * found.scores[0]
        if n:
            entry = best[-1][:, None] + _disc_cost(poses[n - 1], pose, distances)
            back.append(np.argmin(entry, axis=0))
            top = top + entry.min(axis=0)
        ratio = np.log((up + down) / pose.height)
        shift = (up - down) / 2.0
        body = top[:, None] + np.minimum(0.5 * (ratio / 0.2) ** 2, 2.0) + (0.25 + FIRMER * melted) * (shift / 4.0) ** 2
        back.append(np.argmin(body, axis=0))
        best.append(body.min(axis=0) - weight * found.scores[1])
    picks: list[tuple[int, int]] = []
    state = int(np.argmin(best[-1]))
    for _ in range(len(poses)):
        upper = int(back.pop()[state])
        picks.append((upper, state))
        if back:
            state = int(back.pop()[upper])
    return picks[::-1]


def _disc_cost(above: Pose, below: Pose, distances: Floats) -> Floats:
    """Cost of (inferior distance of the upper, superior distance of the lower) vertebra."""
    apart = float(np.linalg.norm(above.centre - below.centre))
    if apart > 1.7 * max(above.height + 6.0, below.height + 6.0):
        return np.zeros((len(distances), len(distances)))
    disc = apart - distances[:, None] - distances[None, :]
    expected = max(apart - 0.5 * (above.height + below.height), 2.0)
    cost = np.minimum(0.5 * ((disc - expected) / 4.0) ** 2, 2.0)
    return np.where(disc < 0.5, 50.0 + np.abs(disc), cost)
