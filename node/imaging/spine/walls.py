"""The side wall of a vertebral body: a radius for every direction and height, pedicles bridged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from node.domain.volume import Volume
from node.imaging.spine.bodyframe import Pose, clipped, sample
from node.imaging.spine.endplates import HeightMap
from node.imaging.spine.shell import WINDOW_MM, WINDOW_STEP_MM, aligned, face_shifts, pooled
from node.imaging.spine.surfaces import least_cost_surface, outward_fall, passed_edges

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

THETA = np.deg2rad(np.arange(0.0, 360.0, 5.0))
"""From the back, positive to the left."""
ZETA = np.linspace(-0.92, 0.92, 15)
"""Relative height: -1 on the inferior, +1 on the superior endplate."""
STEP_MM = 0.5
OFFSETS_MM = np.arange(-5.0, 6.1, STEP_MM)
EDGE_SIGMA_MM = 0.8
PEDICLE_SPREAD_MM = 1.2
"""Where a pedicle may hide the wall it is expected this near to the shape below."""
RIM_FLARE = 0.09
"""The rims stand out this much beyond the waist, as a part of the radius."""


@dataclass(frozen=True, slots=True, eq=False)
class Wall:
    """Radius of the outer surface about the local z axis."""

    radius: Floats
    """(len(THETA), len(ZETA)) mm."""

    def at(self, theta: Floats, zeta: Floats) -> Floats:
        """Radius in a direction at a relative height."""
        u = np.mod(theta, 2 * np.pi) / (THETA[1] - THETA[0])
        v = np.clip((zeta - ZETA[0]) / (ZETA[1] - ZETA[0]), 0, len(ZETA) - 1)
        closed = np.concatenate([self.radius, self.radius[:1]], axis=0)
        out: Floats = map_coordinates(closed, [u, v], order=1, mode="nearest")
        return out


def find_walls(
    volume: Volume, poses: list[Pose], ends: list[tuple[HeightMap, HeightMap]], expected: list[Floats]
) -> list[Wall]:
    """Return the side wall of each body between its endplates, near the ``expected`` radii (THETA, ZETA)."""
    profiles = [_profiles(volume, pose, pair, prior) for pose, pair, prior in zip(poses, ends, expected, strict=True)]
    jumps = 0.06 * np.arange(5, dtype=np.float64) ** 1.5
    place = least_cost_surface(np.stack([_cost(profile) for profile in profiles]), jumps, closed_rows=True)
    offsets = [
        gaussian_filter(OFFSETS_MM[0] + STEP_MM * p.astype(np.float64), 0.7, mode=("wrap", "nearest")) for p in place
    ]
    shifts = _outer_faces(profiles, offsets)
    return [
        Wall(np.maximum(prior + offset + shift, 2.0))
        for prior, offset, shift in zip(expected, offsets, shifts, strict=True)
    ]


def _outer_faces(profiles: list[Floats32], offsets: list[Floats]) -> list[Floats]:
    """Shift from the steepest fall to the outer face of the wall; places without an edge follow their neighbours."""
    stacks, weights = [], []
    for profile, offset in zip(profiles, offsets, strict=True):
        lined_up = aligned(profile, OFFSETS_MM, offset)
        middle = lined_up.shape[-1] - round(WINDOW_MM[1] / WINDOW_STEP_MM) - 1
        drop = lined_up[..., middle - 3 : middle].mean(axis=-1) - lined_up[..., middle + 1 : middle + 4].mean(axis=-1)
        weight = np.clip(drop / max(float(np.percentile(drop, 60)), 5.0), 0.02, 1.0).astype(np.float64)
        weights.append(weight)
        stacks.append(pooled(lined_up, weight, 1.5, closed_rows=True))
    return [gaussian_filter(shift, 1.5, mode=("wrap", "nearest")) for shift in face_shifts(stacks, weights)]


def flared(waist: Floats) -> Floats:
    """Expected radii (THETA, ZETA) from those at the waist: rims stand out, least at the back."""
    flare = 1.0 + RIM_FLARE * ZETA[None, :] ** 2 * (0.75 - 0.25 * np.cos(THETA))[:, None]
    return np.asarray(waist[:, None] * flare, dtype=np.float64)


def _profiles(volume: Volume, pose: Pose, ends: tuple[HeightMap, HeightMap], prior: Floats) -> Floats32:
    """(directions, heights, offsets), from inside to outside."""
    radius = np.maximum(prior[..., None] + OFFSETS_MM, 0.5)
    x, y = radius * np.sin(THETA)[:, None, None], radius * np.cos(THETA)[:, None, None]
    over = np.maximum(prior - 1.5, 0.5)
    over_x, over_y = over * np.sin(THETA)[:, None], over * np.cos(THETA)[:, None]
    superior, inferior = (end.at(over_x, over_y) for end in ends)
    z = 0.5 * (superior + inferior) + 0.5 * ZETA * (superior - inferior)
    return clipped(sample(volume, pose, np.stack(np.broadcast_arrays(x, y, z[..., None]), axis=-1)))


def _cost(profiles: Floats32) -> Floats32:
    fall = outward_fall(
        gaussian_filter(profiles, (0.6, 0.6, 0.0), mode=("wrap", "nearest", "nearest")), EDGE_SIGMA_MM / STEP_MM
    )
    reference = max(float(np.percentile(fall.max(axis=-1), 60)), 5.0)
    score = np.clip(fall / reference, -0.5, 1.2)
    spread = np.where(_pedicle_sector(), PEDICLE_SPREAD_MM, 4.0)[..., None]
    passed = passed_edges(score.astype(np.float32), round(3.0 / STEP_MM))
    return np.asarray(-score + 0.4 * passed + 0.3 * (OFFSETS_MM / spread) ** 2, dtype=np.float32)


def _pedicle_sector() -> NDArray[np.bool_]:
    """Where pedicles or rib heads may join the wall: the back corners, above the lower third."""
    angle = np.abs(np.rad2deg(np.angle(np.exp(1j * THETA))))
    return np.asarray(((angle > 25.0) & (angle < 80.0))[:, None] & (ZETA > -0.25)[None, :])
