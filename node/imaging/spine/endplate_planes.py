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

STEP_MM = 0.5
REACH_MM = 27.0
NEAREST_MM = 2.5
"""An endplate lies at least this far from the seed's centre."""
SAGITTAL_TILTS_DEG = np.arange(-20.0, 20.1, 4.0)
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
    evidence = [_evidence(volume, pose, distances) for pose in poses]
    picks = _shortest_path(poses, evidence, distances)
    planes = []
    for found, (up, down) in zip(evidence, picks, strict=True):
        superior = Plane(float(distances[up]), *map(float, found.slopes[0, up]))
        inferior = Plane(float(-distances[down]), *map(float, found.slopes[1, down]))
        planes.append((superior, inferior))
    return planes


def _evidence(volume: Volume, pose: Pose, distances: Floats) -> _Evidence:
    x = np.linspace(-0.36, 0.36, 9) * pose.width
    y = np.linspace(-0.40, 0.34, 9) * pose.depth
    z = np.arange(-REACH_MM - 8.0, REACH_MM + 8.0 + 0.1, STEP_MM)
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    fall = outward_fall(clipped(sample(volume, pose, grid)), 1.0 / STEP_MM)
    reference = max(float(np.percentile(np.abs(fall), 90)), 4.0)
    fall = np.clip(fall / reference, -1.5, 1.5)
    scores = np.full((2, len(distances)), -np.inf)
    slopes = np.zeros((2, len(distances), 2))
    zero = int(np.argmin(np.abs(z)))
    steps = np.round(distances / STEP_MM).astype(int)
    for b in np.tan(np.deg2rad(CORONAL_TILTS_DEG)):
        for a in np.tan(np.deg2rad(SAGITTAL_TILTS_DEG)):
            lift = np.round((b * x[:, None] + a * y) / STEP_MM).astype(int)
            dear = 0.12 * ((a / 0.15) ** 2 + (b / 0.12) ** 2)
            for side, sign in enumerate((1, -1)):
                index = zero + sign * steps + lift[..., None]
                mean = sign * np.take_along_axis(fall, index, axis=2).mean(axis=(0, 1)) - dear
                better = mean > scores[side]
                scores[side][better] = mean[better]
                slopes[side][better] = (b, a)
    return _Evidence(scores, slopes)


def _shortest_path(poses: list[Pose], evidence: list[_Evidence], distances: Floats) -> list[tuple[int, int]]:
    """Viterbi over superior and inferior distances of all vertebrae."""
    up, down = distances[:, None], distances[None, :]
    best: list[Floats] = []
    back: list[NDArray[np.int64]] = []
    for n, (pose, found) in enumerate(zip(poses, evidence, strict=True)):
        top = -found.scores[0]
        if n:
            entry = best[-1][:, None] + _disc_cost(poses[n - 1], pose, distances)
            back.append(np.argmin(entry, axis=0))
            top = top + entry.min(axis=0)
        ratio = np.log((up + down) / pose.height)
        shift = (up - down) / 2.0
        body = top[:, None] + np.minimum(0.5 * (ratio / 0.2) ** 2, 2.0) + 0.25 * (shift / 4.0) ** 2
        back.append(np.argmin(body, axis=0))
        best.append(body.min(axis=0) - found.scores[1])
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
