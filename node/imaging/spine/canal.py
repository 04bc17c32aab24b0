"""The spinal canal: a soft tube in a ring of bone, with the vertebral bodies in front of it.

In every slice, rays in sixteen directions say how well a point is enclosed by bone within the slab of a vertebra;
a box in front says whether a body lies there. The path of the greatest sum from slice to slice is the canal. It may
begin and end anywhere, so heads, legs and empty slices do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.errors import SpineNotFound
from node.imaging.body import Scene
from node.imaging.grid import block_mean

Floats = NDArray[np.float64]
Grid = NDArray[np.float32]
Cell = TypeVar("Cell", bound=np.generic)

GRID_MM = 3.0
BONE_HU = 120.0
"""The arches exceed it after averaging to the grid, in osteoporosis too; muscle does not, even with contrast medium."""
DIRECTIONS = 16
REACH_MM = 18.0
"""From the middle of the widest canal to its wall."""
SLAB_MM = 15.0
"""The arch closes the ring within about half a vertebra."""
ENOUGH = 0.85
"""Evidence a slice must bring to lengthen the canal (enclosure 0 to 1, plus body 0 to 0.8)."""
SHORTEST_MM = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Canal:
    """Centre line of the canal."""

    points: Floats
    """(n, 3): LPS mm, head to foot."""
    evidence: Floats
    """(n,): 0 to 1.8."""


def trace(volume: Volume, scene: Scene | None = None) -> Canal:
    """Find the canal; within the patient when a scene says where the patient is. Raises SpineNotFound."""
    coarse = scene.coarse if scene is not None else block_mean(volume, GRID_MM)
    hu, affine = even_grid(coarse.hu.astype(np.float32), coarse)
    patient = None if scene is None else even_grid(scene.patient.astype(np.float32), coarse)[0] > 0.5
    likeness = canal_likeness(hu)
    path, evidence = best_path(likeness if patient is None else likeness * patient)
    if len(path) * GRID_MM < SHORTEST_MM:
        found = {"canal_length_mm": len(path) * GRID_MM}
        raise SpineNotFound("No spinal canal could be followed in this series.", found)
    points = path @ affine[:3, :3].T + affine[:3, 3]
    return Canal(points[::-1].copy(), evidence[::-1].copy())


def even_grid(values: Grid, on: Volume) -> tuple[Grid, Floats]:
    """Values on the voxels of a volume, resampled to cubes of ``GRID_MM``: (k, j, i), and the affine to LPS mm."""
    step = GRID_MM / np.array(on.spacing_mm)
    cells = np.floor((np.array(values.shape) - 1) / step + 1e-6).astype(int) + 1
    even: Grid = ndimage.affine_transform(
        values, step, output_shape=tuple(int(n) for n in cells), order=1, mode="nearest", output=np.float32
    )
    affine = on.affine_lps_mm.copy()
    affine[:3, :3] *= step
    return np.clip(even, -1000, 1500), affine


def canal_likeness(hu: Grid) -> Grid:
    """Enclosure by bone plus body in front, for every soft voxel: 0 to 1.8."""
    slab = ndimage.maximum_filter1d(hu, _odd(SLAB_MM), axis=0)
    bone = slab > BONE_HU
    hits = np.stack([_hit(bone, 2 * np.pi * d / DIRECTIONS) for d in range(DIRECTIONS)])
    half = DIRECTIONS // 2
    enclosed = 0.5 * hits.mean(0, dtype=np.float32) + 0.5 * (hits[:half] & hits[half:]).mean(0, dtype=np.float32)
    body = ndimage.uniform_filter1d(np.clip((hu - 20) / 150, 0, 1), _odd(24), axis=0)
    body = ndimage.uniform_filter(body, (1, _odd(20), _odd(24)))
    in_front = shifted(body, -round(20 / GRID_MM), 0)
    soft = np.clip(1 - np.abs(ndimage.uniform_filter(hu, 3) - 35) / 120, 0, 1) * ~bone
    likeness: Grid = (enclosed + 0.8 * in_front) * soft
    return likeness


def best_path(likeness: Grid) -> tuple[Floats, Floats]:
    """Path with the greatest sum of (likeness - ENOUGH - bending), one point a slice, ends free: points, likeness."""
    offsets = [(a, b) for a in range(-2, 3) for b in range(-2, 3)]
    total = np.empty_like(likeness)
    step = np.full(likeness.shape, -1, np.int8)
    total[0] = likeness[0] - ENOUGH
    for k in range(1, len(likeness)):
        best = np.zeros(likeness.shape[1:], np.float32)
        for number, (a, b) in enumerate(offsets):
            reached = shifted(total[k - 1][None], a, b)[0] - 0.15 * (a * a + b * b)
            better = reached > best
            best[better] = reached[better]
            step[k][better] = number
        total[k] = likeness[k] - ENOUGH + best
    k, j, i = (int(x) for x in np.unravel_index(int(total.argmax()), total.shape))
    path = [(k, j, i)]
    while step[k, j, i] >= 0:
        a, b = offsets[step[k, j, i]]
        k, j, i = k - 1, j + a, i + b
        path.append((k, j, i))
    index = np.array(path[::-1])
    return index.astype(float), likeness[tuple(index.T)].astype(float)


def shifted(stack: NDArray[Cell], dj: int, di: int) -> NDArray[Cell]:
    """``stack[k, j + dj, i + di]``, zero where that lies outside."""
    moved = np.zeros_like(stack)
    nj, ni = stack.shape[1:]
    if abs(dj) >= nj or abs(di) >= ni:
        return moved
    moved[:, max(0, -dj) : nj - max(0, dj), max(0, -di) : ni - max(0, di)] = stack[
        :, max(0, dj) : nj - max(0, -dj), max(0, di) : ni - max(0, -di)
    ]
    return moved


def _hit(bone: NDArray[np.bool_], angle: float) -> NDArray[np.bool_]:
    hit = np.zeros_like(bone)
    for radius in np.arange(2 * GRID_MM, REACH_MM + 0.1, GRID_MM):
        dj, di = round(radius * np.sin(angle) / GRID_MM), round(radius * np.cos(angle) / GRID_MM)
        hit |= shifted(bone, dj, di)
    return hit


def _odd(length_mm: float) -> int:
    return round(length_mm / GRID_MM) | 1
