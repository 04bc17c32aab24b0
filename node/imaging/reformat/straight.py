"""The straight stack: parallel sagittal images in patient coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.settings import ReformatSettings
from node.domain.spine import Reformat, SpineMap, Vertebra, VertebraSeed
from node.domain.volume import Volume
from node.imaging.reformat.sampling import slab

Floats = NDArray[np.float64]

ANTERIOR_MM, POSTERIOR_MM = 48.0, 78.0
"""Shown before and behind the body centres: the great vessels, the spinous processes."""
LEAST_DEPTH_MM = 165.0
MOST_MM = 3.0
"""Thicker slabs blur endplates."""
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
    shape: ReformatSettings | None = None,
    slice_thickness_mm: float | None = None,
) -> Reformat:
    """Return parallel sagittal images, right to left, each the mean of a slab.

    Rows run from head to foot over the whole scan, columns from front to back; pixels are square. The planes are
    those of the patient's axes (ImageOrientationPatient 0\\1\\0\\0\\0\\-1) unless the column as a whole is turned or
    tilted by more than 3 degrees, when they follow its mean. In scoliosis the stack grows to ``most_images`` and
    then to slabs of 3 mm, centred on the thoracolumbar midline; what lies beyond it the curved images show.
    ``slice_thickness_mm``: of the source, where it is known.
    """
    shape = shape or ReformatSettings()
    thickness_mm, pixel_mm = shape.thickness_mm, shape.pixel_mm
    seeds = spine.seeds if isinstance(spine, SpineMap) else spine
    if not seeds:
        raise ValueError("no vertebra to centre sagittal images on")
    centres = np.array([seed.frame.centre_lps_mm for seed in seeds])
    across, along, down = _axes(seeds, centres)
    middle, half_range = _midline(seeds, centres @ across)
    wanted = int(np.ceil(2.0 * (half_range + 11.0) / thickness_mm)) | 1
    images = int(np.clip(wanted, shape.least_images, shape.most_images))
    if wanted > shape.most_images:
        thickness_mm = max(min(2.0 * (half_range + 11.0) / shape.most_images, MOST_MM), thickness_mm)
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
    return Reformat("sagittal", hu, affine, thickness_mm, max(slice_thickness_mm or 0.0, volume.spacing_mm[0]))


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
    row, column = np.meshgrid(np.arange(stack.rows), np.arange(stack.columns), indexing="ij")
    points = affine[:3, 3] + row[..., None] * affine[:3, 1] + column[..., None] * affine[:3, 2]
    images = [slab(volume, points + n * affine[:3, 0], stack.across, thickness_mm) for n in range(stack.images)]
    return np.stack(images)
