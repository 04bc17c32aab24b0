"""Sagittal images through the vertebral column, in patient coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from node.domain.spine import Reformat, SpineMap, Vertebra, VertebraSeed
from node.domain.volume import Volume

Floats = NDArray[np.float64]

AIR_HU = -1024
"""Shown where nothing was reconstructed."""
ANTERIOR_MM, POSTERIOR_MM = 48.0, 78.0
"""Shown before and behind the body centres: the great vessels, the spinous processes."""
LEAST_DEPTH_MM = 165.0
STRAIGHT_DEG = 3.0
"""A column tilted or turned less than this is shown in planes of the patient's own axes."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Where the images lie: an origin and unit vectors across the stack, down the rows, along the columns."""

    origin: Floats
    across: Floats
    down: Floats
    along: Floats
    images: int
    rows: int
    columns: int


def sagittal(
    volume: Volume,
    spine: SpineMap | Sequence[Vertebra],
    *,
    least_images: int = 9,
    most_images: int = 15,
    thickness_mm: float = 2.5,
    pixel_mm: float = 0.9,
) -> Reformat:
    """Return parallel sagittal images, right to left, each the mean of a slab ``thickness_mm`` thick.

    Rows run from head to foot over the whole scan, columns from front to back; pixels are square. The planes are
    those of the patient's axes (ImageOrientationPatient 0\\1\\0\\0\\0\\-1) unless the column as a whole is turned or
    tilted by more than 3 degrees, when they follow its mean. In scoliosis the stack grows to ``most_images`` and
    then to thicker slabs, centred on the thoracolumbar midline.
    """
    seeds = spine.seeds if isinstance(spine, SpineMap) else spine
    if not seeds:
        raise ValueError("no vertebra to centre sagittal images on")
    centres = np.array([seed.frame.centre_lps_mm for seed in seeds])
    across, along, down = _axes(seeds, centres)
    middle, half_range = _midline(seeds, centres @ across)
    wanted = int(np.ceil(2.0 * (half_range + 11.0) / thickness_mm)) | 1
    images = int(np.clip(wanted, least_images, most_images))
    if wanted > most_images:
        thickness_mm = min(2.0 * (half_range + 11.0) / most_images, 4.0)
    front, back = _extent(centres @ along)
    head, foot = _reach(volume, down, centres)
    stack = _Stack(
        origin=(middle - 0.5 * (images - 1) * thickness_mm) * across + front * along + head * down,
        across=across,
        down=down,
        along=along,
        images=images,
        rows=int((foot - head) / pixel_mm) + 1,
        columns=int((back - front) / pixel_mm) + 1,
    )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = across * thickness_mm, down * pixel_mm, along * pixel_mm
    affine[:3, 3] = stack.origin
    hu = _slabs(volume, affine, stack, thickness_mm)
    hu.flags.writeable = False
    affine.flags.writeable = False
    return Reformat("sagittal", hu, affine, thickness_mm)


def _axes(seeds: Sequence[VertebraSeed | Vertebra], centres: Floats) -> tuple[Floats, Floats, Floats]:
    """Unit vectors (left, posterior, inferior) of the stack."""
    left = np.median([seed.frame.left for seed in seeds], axis=0)
    turn = float(np.arctan2(left[1], left[0]))
    tilt = 0.0
    if len(centres) >= 5:
        tilt = float(np.arctan(np.polyfit(centres[:, 2], centres[:, 0], 1)[0]))
    limit = np.deg2rad(STRAIGHT_DEG)
    turn, tilt = (angle if abs(angle) > limit else 0.0 for angle in (turn, tilt))
    down = np.array([-np.sin(tilt), 0.0, -np.cos(tilt)])
    across = np.array([np.cos(turn), np.sin(turn), 0.0])
    across = across - down * float(across @ down)
    across = across / np.linalg.norm(across)
    return across, np.cross(across, down), down


def _midline(seeds: Sequence[VertebraSeed | Vertebra], offsets: Floats) -> tuple[float, float]:
    """Middle of the stack and half the sideways range of the column, from T9 down where it is in the scan."""
    low = [
        n
        for n, seed in enumerate(seeds)
        if seed.level.startswith("L") or seed.level in ("T9", "T10", "T11", "T12", "T13")
    ]
    chosen = offsets[low] if low else offsets
    return 0.5 * float(chosen.max() + chosen.min()), 0.5 * float(np.ptp(chosen))


def _extent(offsets: Floats) -> tuple[float, float]:
    front, back = float(offsets.min()) - ANTERIOR_MM, float(offsets.max()) + POSTERIOR_MM
    spare = max(LEAST_DEPTH_MM - (back - front), 0.0)
    return front - 0.5 * spare, back + 0.5 * spare


def _reach(volume: Volume, down: Floats, centres: Floats) -> tuple[float, float]:
    """First and last position along ``down`` at which the scan has data about the column."""
    index = volume.index_kji(np.array([centres[0], centres[-1]]))
    top, bottom = index[0].copy(), index[-1].copy()
    top[0], bottom[0] = volume.hu.shape[0] - 1, 0
    return float(volume.lps_mm(top) @ down), float(volume.lps_mm(bottom) @ down)


def _slabs(volume: Volume, affine: Floats, stack: _Stack, thickness_mm: float) -> NDArray[np.int16]:
    """Mean of linear samples through each slab."""
    layers = max(int(np.ceil(thickness_mm / max(volume.spacing_mm[2], 0.8))), 1)
    to_index = np.linalg.inv(volume.affine_lps_mm) @ affine
    row, column = np.meshgrid(np.arange(stack.rows), np.arange(stack.columns), indexing="ij")
    hu = np.empty((stack.images, stack.rows, stack.columns), dtype=np.int16)
    in_plane = [to_index[axis, 1] * row + to_index[axis, 2] * column + to_index[axis, 3] for axis in range(3)]
    for image in range(stack.images):
        total = np.zeros(row.shape, dtype=np.float32)
        for layer in range(layers):
            place = image + (layer + 0.5) / layers - 0.5
            coordinates = [in_plane[axis] + to_index[axis, 0] * place for axis in range(3)]
            total += map_coordinates(volume.hu, coordinates, output=np.float32, order=1, mode="constant", cval=AIR_HU)
        hu[image] = np.maximum(np.round(total / layers), AIR_HU).astype(np.int16)
    return hu
