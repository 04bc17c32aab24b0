"""The renderer: a slab of slices, painted structure by structure with anti-aliased edges.

Every structure is a signed distance (mm, negative inside). The part of a voxel that it covers is the box
integral of a planar edge, so a shell of 0.5 mm weighs what it should in a voxel of 2 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Vector = Array


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel box in a frame's coordinates, mm."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @classmethod
    def around(cls, points: Vector, margin: float) -> Box:
        """Box of points (n, 3) with a margin."""
        lo, hi = points.min(axis=0) - margin, points.max(axis=0) + margin
        return cls((lo[0], lo[1], lo[2]), (hi[0], hi[1], hi[2]))

    def corners(self) -> Vector:
        """(8, 3)."""
        pairs = np.array([self.low, self.high], dtype=np.float64)
        picks = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)
        out: Vector = pairs[picks, np.arange(3)]
        return out


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the slab with its coordinates; x, y and z broadcast against each other."""

    index: tuple[slice, slice, slice]
    x: Array
    y: Array
    z: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        k, j, i = self.index
        return k.stop - k.start, j.stop - j.start, i.stop - i.start


@dataclass(slots=True, eq=False)
class Canvas:
    """One slab of the scan: attenuation and labels, and how voxels lie in the frame that is painted in."""

    hu: Array
    """(k, j, i)."""
    labels: NDArray[np.uint8]
    affine: Vector
    """(4, 4): (k, j, i, 1) of this slab → frame coordinates (x, y, z) in mm."""
    edge_xy_mm: float
    """Width that an edge standing upright in the slice is smeared over."""
    edge_z_mm: float
    """The same across slices (the slice thickness)."""

    @property
    def edge_mm(self) -> float:
        """For edges of no special direction."""
        return (2.0 * self.edge_xy_mm + self.edge_z_mm) / 3.0

    def in_frame(self, to_frame: Vector) -> Canvas:
        """The same slab painted in another frame: ``to_frame`` (4, 4) maps this frame to it."""
        return Canvas(self.hu, self.labels, to_frame @ self.affine, self.edge_xy_mm, self.edge_z_mm)

    def block(self, box: Box) -> Block | None:
        """The voxels that may touch a box, or ``None``."""
        inverse = np.linalg.inv(self.affine)
        index = box.corners() @ inverse[:3, :3].T + inverse[:3, 3]
        low = np.maximum(np.floor(index.min(axis=0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 2, self.hu.shape)
        if np.any(high <= low):
            return None
        return self.at([int(n) for n in low], [int(n) for n in high])

    def at(self, low: list[int], high: list[int]) -> Block:
        """The block between two corners (k, j, i), upper ones excluded."""
        spans = [np.arange(a, b, dtype=np.float64) for a, b in zip(low, high, strict=True)]
        axes: list[Array] = []
        for row in range(3):
            total: Array = np.full((1, 1, 1), self.affine[row, 3], dtype=np.float32)
            for axis in range(3):
                slope = self.affine[row, axis]
                if abs(slope) > 1e-9:
                    shape = [1, 1, 1]
                    shape[axis] = -1
                    total = total + (slope * spans[axis]).astype(np.float32).reshape(shape)
            axes.append(total)
        index = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return Block((index[0], index[1], index[2]), *axes)

    def fill(self, block: Block, cover: Array, hu: float) -> None:
        """Mix a material in: ``cover`` is its part of each voxel."""
        part = self.hu[block.index]
        part += cover * (np.float32(hu) - part)

    def shell(self, block: Block, outer: Array, inner: Array, shell_hu: float, core_hu: float | Array) -> None:
        """Mix a shell and its core in; ``outer`` covers both, ``inner`` the core."""
        part = self.hu[block.index]
        part += outer * (np.float32(shell_hu) - part)
        part += inner * (core_hu - np.float32(shell_hu))

    def mark(self, block: Block, cover: Array, label: int) -> None:
        """Label the voxels that are covered by half or more."""
        self.labels[block.index][np.broadcast_to(cover, block.shape) > 0.5] = label


def cover(distance: Array, edge: float) -> Array:
    """Part of each voxel inside a surface, from its signed distance; a float32 array of the same shape."""
    out: Array = distance * np.float32(-1.0 / edge)
    out += np.float32(0.5)
    np.clip(out, 0.0, 1.0, out=out)
    return out
