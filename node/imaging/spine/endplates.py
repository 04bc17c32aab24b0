"""The outer surfaces of the two endplates as height maps over the body's footprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose, clipped, sample
from node.imaging.spine.endplate_planes import Plane
from node.imaging.spine.shell import aligned, face_shifts, pooled
from node.imaging.spine.surfaces import least_cost_surface, outward_fall, passed_edges

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

STEP_MM = 0.5
REACH_MM = 6.5
OFFSETS_MM = np.arange(-REACH_MM, REACH_MM + 0.1, STEP_MM)
COLUMNS, ROWS = 33, 27
MARGIN = 1.2
"""The maps reach this much beyond the body's half width and half depth."""
EDGE_SIGMA_MM = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class HeightMap:
    """z of a surface over a regular (x, y) grid in local mm; constant beyond its border."""

    x: Floats
    y: Floats
    z: Floats
    """(len(x), len(y))."""

    @classmethod
    def of_plane(cls, plane: Plane, pose: Pose) -> HeightMap:
        """A plane over a pose's footprint."""
        x, y = map_axes(pose)
        return cls(x, y, plane.at(x[:, None], y[None, :]))

    def at(self, x: Floats, y: Floats) -> Floats:
        """Height at (x, y), linear between the grid's points."""
        u = (x - self.x[0]) / (self.x[1] - self.x[0])
        v = (y - self.y[0]) / (self.y[1] - self.y[0])
        out: Floats = map_coordinates(self.z, [u, v], order=1, mode="nearest")
        return out


def map_axes(pose: Pose) -> tuple[Floats, Floats]:
    """Grid of a height map over the footprint."""
    return (
        np.linspace(-0.5, 0.5, COLUMNS) * MARGIN * pose.width,
        np.linspace(-0.5, 0.5, ROWS) * MARGIN * pose.depth,
    )


def find_endplates(
    volume: Volume, poses: list[Pose], starts: list[tuple[HeightMap, HeightMap]], footprints: list[Floats]
) -> list[tuple[HeightMap, HeightMap]]:
    """Return (superior, inferior) outer surfaces near ``starts``.

    ``footprints``: for each pose the weight (columns, rows) with which a place counts; 0 beyond the rim.
    """
    profiles = [
        _profiles(volume, pose, start, outward)
        for pose, pair in zip(poses, starts, strict=True)
        for start, outward in zip(pair, (1.0, -1.0), strict=True)
    ]
    weights = [weight for weight in footprints for _ in range(2)]
    costs = _costs(profiles, weights)
    jumps = 0.12 * np.arange(5, dtype=np.float64) ** 1.5
    place = least_cost_surface(np.stack(costs), jumps)
    offsets = [gaussian_filter(OFFSETS_MM[0] + STEP_MM * p.astype(np.float64), 0.7) for p in place]
    shifts = _outer_faces(profiles, offsets, weights)
    surfaces = []
    for n, pair in enumerate(starts):
        top, bottom = (
            HeightMap(start.x, start.y, start.z + outward * (offsets[at] + shifts[at]))
            for at, start, outward in ((2 * n, pair[0], 1.0), (2 * n + 1, pair[1], -1.0))
        )
        surfaces.append((top, bottom))
    return surfaces


def _outer_faces(profiles: list[Floats32], offsets: list[Floats], weights: list[Floats]) -> list[Floats]:
    """Shift from the steepest fall to the outer face of the endplate, smooth over the footprint."""
    stacks = [
        pooled(aligned(profile, OFFSETS_MM, offset), weight, 2.0)
        for profile, offset, weight in zip(profiles, offsets, weights, strict=True)
    ]
    return [gaussian_filter(shift, 1.5) for shift in face_shifts(stacks, weights)]


def _profiles(volume: Volume, pose: Pose, start: HeightMap, outward: float) -> Floats32:
    """(columns, rows, offsets), from inside to outside."""
    z = start.z[..., None] + outward * OFFSETS_MM
    x, y, z = np.broadcast_arrays(start.x[:, None, None], start.y[None, :, None], z)
    return clipped(sample(volume, pose, np.stack([x, y, z], axis=-1)))


def _costs(profiles: list[Floats32], weights: list[Floats]) -> list[Floats32]:
    """Cost of each position; where an endplate is faint, its place and smoothness weigh more than its edges."""
    falls = [outward_fall(gaussian_filter(p, (0.8, 0.8, 0.0)), EDGE_SIGMA_MM / STEP_MM) for p in profiles]
    own = np.array(
        [
            np.percentile(fall[weight > 0.5].max(axis=-1), 60) if (weight > 0.5).any() else 0.0
            for fall, weight in zip(falls, weights, strict=True)
        ]
    )
    references = np.maximum(own, max(0.7 * float(np.median(own)), 8.0))
    costs = []
    for fall, weight, reference in zip(falls, weights, references, strict=True):
        score = np.clip(fall / reference, -0.5, 1.2)
        passed = passed_edges(score, round(3.0 / STEP_MM))
        cost = weight[..., None] * (-score + 0.4 * passed + 0.15 * (OFFSETS_MM / 5.0) ** 2)
        costs.append(np.asarray(cost, dtype=np.float32))
    return costs
