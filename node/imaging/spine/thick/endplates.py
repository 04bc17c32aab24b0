"""From outlined bodies to endplates as thick slices tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose
from node.imaging.spine.bodyshape import BodyShape
from node.imaging.spine.endplate_planes import Plane
from node.imaging.spine.endplates import HeightMap, map_axes, nearest_plane
from node.imaging.spine.thick.model import Model, build, terms
from node.imaging.spine.thick.search import search
from node.imaging.spine.thick.slices import SliceAxes
from node.imaging.spine.thick.solve import Problem

Floats = NDArray[np.float64]

LEAST_ERROR_MM, TIMES = 0.4, 1.5
"""Standard error of a place of an endplate: never less than the former; what the fit states, so many times."""
HALF_CLEAR_MM = 1.5
"""An endplate of this standard error counts as half clear."""
FARTHER_MM, CONVINCING, UNSEEN_MM = 12.0, 30.0, 5.0
"""An endplate that explains the slices no better (-2 log of the probability) than one so much farther out is not shown,
and its error is larger by so much."""
DISC_PART = 0.25
"""Thickness of a disc as a part of a body's height, where no next body was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Endplates of a column as surfaces over the slices' plane."""

    model: Model
    unknowns: Floats
    """(size,)."""
    covariance: Floats
    """(size, size)."""
    shown: NDArray[np.bool_]
    """(bodies, 2): whether the slices tell of an endplate at all; nothing does where the scan cuts a body."""

    def seen_from(self, pose: Pose, number: int) -> tuple[HeightMap, HeightMap]:
        """Superior and inferior endplate of body ``number`` (of the outlines, from 0) in a pose's own coordinates."""
        superior, inferior = (self._map(pose, number + 1, end) for end in (0, 1))
        return superior, inferior

    def _map(self, pose: Pose, body: int, end: int) -> HeightMap:
        axes, patch = self.model.axes, self.model.patches[body][end]
        which = self.model.layout.surface(body, end)
        x, y = map_axes(pose)
        grid = np.stack([*np.meshgrid(x, y, indexing="ij"), np.zeros((len(x), len(y)))], axis=-1)
        steepness = float(pose.axes[2] @ axes.across)
        for _ in range(6):
            place = axes.pqt_mm(pose.to_lps(grid))
            basis = terms(*patch.uv(place[..., :2]))
            grid[..., 2] += (basis @ self.unknowns[which] - place[..., 2]) / steepness
        variance = np.einsum("xyi,ij,xyj->xy", basis, self.covariance[which, which], basis) / steepness**2
        unseen = 0.0 if self.shown[body, end] else UNSEEN_MM
        error = np.hypot(LEAST_ERROR_MM, TIMES * np.sqrt(variance) + unseen)
        return HeightMap(x, y, grid[..., 2], 1.0 / (1.0 + (error / HALF_CLEAR_MM) ** 2), error)


def fitted(volume: Volume, shapes: Sequence[BodyShape]) -> Fitted:
    """Fit the endplates of a column, head to foot, of which ``shapes`` are rough outlines; one at least."""
    model, start = build(SliceAxes.of(volume), _with_ends(shapes))
    unknowns, problem = search(model, start)
    model, bodies = problem.model, range(model.layout.bodies)
    shown = np.array([[_shown(problem, unknowns, body, end) for end in (0, 1)] for body in bodies])
    return Fitted(model, unknowns, _covariance(problem, unknowns), shown)


def _shown(problem: Problem, x: Floats, body: int, end: int) -> bool:
    """Whether an endplate explains the slices better than spongiosa in its place would."""
    layout, disc = problem.model.layout, body + end
    if disc not in problem.model.windows:
        return False
    without = x.copy()
    for one, which in ((disc - 1, 1), (disc, 0)):
        without[layout.height(one, which)] += FARTHER_MM if end == 0 else -FARTHER_MM
    _, (found, other) = problem.best_attenuations(np.array([x, without]), disc)
    return bool(other - found > CONVINCING)


def _with_ends(shapes: Sequence[BodyShape]) -> list[BodyShape]:
    """With another body supposed above the first and below the last: discs lie between two."""
    return [_next(shapes[0], shapes[0].superior, 1.0), *shapes, _next(shapes[-1], shapes[-1].inferior, -1.0)]


def _next(shape: BodyShape, end: HeightMap, outward: float) -> BodyShape:
    """A body like this one beyond one of its endplates, turned as that is: the sacrum leans far back from L5."""
    pose = shape.pose
    plane = nearest_plane(end)
    turned = pose.turned(np.cross([0.0, 0.0, 1.0], plane.normal))
    away = outward * (DISC_PART + 0.5) * pose.height
    centre = pose.to_lps(np.array([0.0, 0.0, plane.height])) + away * turned.axes[2]
    moved = replace(turned, centre=centre)
    superior, inferior = (HeightMap.of_plane(Plane(sign * pose.height, 0.0, 0.0), moved) for sign in (0.5, -0.5))
    return BodyShape(moved, superior, inferior, shape.wall)


def _covariance(problem: Problem, x: Floats) -> Floats:
    everything = np.arange(problem.model.layout.size)
    left, _ = problem.normal(x, problem.model.windows, everything)
    return np.asarray(np.linalg.inv(left + 1e-9 * np.eye(len(left))))
