"""Attenuation sampled in a vertebra's own frame, and the shape a vertebral body is expected to have.

Local coordinates are (x, y, z) in mm: x to the left, y to the back, z to the head, from the body's centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from node.domain.spine import Frame
from node.domain.volume import Volume

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

SOFT_HU = 40.0
DENSE_HU = 700.0
"""Edges are looked for between these: fat, lung and gas in a disc then equal fluid, and metal equals dense cortex."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A vertebra's frame while it is being refined, with its approximate sizes."""

    centre: Floats
    """(3,) LPS mm."""
    axes: Floats
    """(3, 3): rows are left, posterior, superior in LPS."""
    height: float
    width: float
    depth: float

    @classmethod
    def of(cls, frame: Frame, height: float, width: float, depth: float) -> Pose:
        """Take over a frame, made exactly orthonormal about its superior axis."""
        axes = _orthonormal(np.asarray(frame.superior, float), np.asarray(frame.posterior, float))
        return cls(np.asarray(frame.centre_lps_mm, float), axes, height, width, depth)

    def to_lps(self, local: Floats | Floats32) -> Floats:
        """Local (..., 3) → LPS mm."""
        return np.asarray(local @ self.axes + self.centre, dtype=np.float64)

    def to_local(self, lps: Floats) -> Floats:
        """LPS mm (..., 3) → local."""
        return np.asarray((lps - self.centre) @ self.axes.T, dtype=np.float64)

    def moved(self, local_shift: Floats) -> Pose:
        """The same frame about another centre."""
        return Pose(self.to_lps(local_shift), self.axes, self.height, self.width, self.depth)

    def turned(self, rotation_vector_local: Floats) -> Pose:
        """The frame turned about its own axes (rotation vector in radians, local components)."""
        turn = Rotation.from_rotvec(rotation_vector_local).as_matrix()
        return Pose(self.centre, turn.T @ self.axes, self.height, self.width, self.depth)

    def sized(self, height: float, width: float, depth: float) -> Pose:
        """The same frame with other sizes."""
        return Pose(self.centre, self.axes, height, width, depth)

    def frame(self) -> Frame:
        """The frame as it is reported."""
        left, posterior, superior = (np.ascontiguousarray(axis) for axis in self.axes)
        return Frame(self.centre.copy(), left, posterior, superior)


def _orthonormal(superior: Floats, posterior: Floats) -> Floats:
    superior = superior / np.linalg.norm(superior)
    posterior = posterior - superior * float(posterior @ superior)
    posterior = posterior / np.linalg.norm(posterior)
    return np.stack([np.cross(posterior, superior), posterior, superior])


def sample(volume: Volume, pose: Pose, local: Floats | Floats32) -> Floats32:
    """Attenuation at local points (..., 3), linear between voxels, the nearest voxel beyond the scan."""
    index = volume.index_kji(pose.to_lps(local))
    out = np.empty(index.shape[:-1], dtype=np.float32)
    map_coordinates(volume.hu, np.moveaxis(index, -1, 0), output=out, order=1, mode="nearest")
    return out


def clipped(hu: Floats32) -> Floats32:
    """Attenuation limited to what separates bone from its surroundings."""
    return np.clip(hu, np.float32(SOFT_HU), np.float32(DENSE_HU))


def outline(theta: Floats, width: float, depth: float) -> Floats:
    """Expected radius of a body's cross-section about its centre at angles ``theta``.

    0 is to the back, positive to the left. An ellipse, flat at the back toward the canal.
    """
    across, along = np.sin(theta), np.cos(theta)
    ellipse = 1.0 / np.hypot(across / (0.5 * width), along / (0.56 * depth))
    back = 0.44 * depth / np.maximum(along, 1e-3)
    blunt = 6.0
    return np.asarray((ellipse**-blunt + back**-blunt) ** (-1.0 / blunt), dtype=np.float64)
