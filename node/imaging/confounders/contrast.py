"""Contrast medium seen in the image, because header entries are often empty or left over from the patient before.

Two things are looked at. In front of the vertebrae, a little to the left, runs the aorta: an upright column of even
attenuation, 9 mm wide and 24 mm high, is sought there, and its lower quartile is what counts, so that calcified
walls, osteophytes and noise do not. Beside the vertebrae lie the kidneys, sought as balls of 14 mm in the same way.
Blood reads 30 to 60 HU without contrast medium, kidneys 25 to 45.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.spine import Vertebra
from node.imaging.body import Scene

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

AORTA_RADIUS_MM, AORTA_HALF_HEIGHT_MM = 4.5, 12.0
AORTA_LEFT_MM, AORTA_FORWARD_MM = (-12.0, 28.0), (6.5, 24.0)
"""From the middle of the body to its left, and from its front wall forward: where the column's axis may stand."""
KIDNEY_RADIUS_MM = 7.0
KIDNEY_SIDE_MM, KIDNEY_FORWARD_MM = (28.0, 90.0), (-60.0, 25.0)
LOWER_PART = 25
"""Percentile of a column that counts: a quarter of it may be wall, fat or noise."""
MAX_SPREAD_HU = 90.0
"""Between the quartiles of a column: bone that bridges vertebrae is more uneven than blood."""
MAX_HU = 700.0
NEAR_THRESHOLD = 0.8
"""A column this near to the threshold is believed when both kidneys are above it."""


@dataclass(frozen=True, slots=True)
class Enhancement:
    """Attenuation of what is most likely aorta and kidneys, in HU; ``None`` where nothing fits."""

    aorta_hu: float | None
    kidneys_hu: tuple[float, float] | None
    """Right and left."""

    def contrast(self, threshold_hu: float) -> bool:
        """Whether the two together show contrast medium."""
        if self.aorta_hu is None:
            return False
        if self.aorta_hu >= threshold_hu:
            return True
        both = self.kidneys_hu is not None and min(self.kidneys_hu) >= threshold_hu
        return both and self.aorta_hu >= NEAR_THRESHOLD * threshold_hu

    @property
    def arterial(self) -> bool:
        """Whether the aorta is still much brighter than in the venous phase."""
        return self.aorta_hu is not None and self.aorta_hu >= 220.0


def seen(scene: Scene, vertebrae: Sequence[Vertebra]) -> Enhancement:
    """Measure aorta and kidneys beside the vertebrae from T10 to L4, or beside all where none of these is known.

    The aorta is the lower of the two middle values over the levels: half of the levels must show a column.
    """
    near = [v for v in vertebrae if v.level in ("T10", "T11", "T12", "L1", "L2", "L3", "L4")] or list(vertebrae)
    columns = sorted((-1000.0 if hu is None else hu) for hu in (_aorta(scene, v) for v in near))
    aorta = columns[(len(columns) - 1) // 2] if columns else -1000.0
    loin = [v for v in near if v.level in ("T12", "L1", "L2", "L3")]
    sides = [[hu for v in loin if (hu := _kidney(scene, v, side)) is not None] for side in (-1.0, 1.0)]
    kidneys = (max(sides[0]), max(sides[1])) if all(sides) else None
    return Enhancement(aorta if aorta > -1000.0 else None, kidneys)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A part of the coarse grid in a vertebra's own coordinates."""

    hu: NDArray[np.float32]
    left: Floats
    forward: Floats
    """Of the front wall of the body."""
    up: Floats
    spacing_mm: tuple[float, float, float]


def _block(scene: Scene, vertebra: Vertebra, reach_mm: tuple[float, float, float]) -> _Block | None:
    grid, frame = scene.coarse, vertebra.frame
    middle = grid.index_kji(frame.centre_lps_mm)
    half = np.array(reach_mm) / grid.spacing_mm
    low = np.maximum(np.floor(middle - half).astype(int), 0)
    high = np.minimum(np.ceil(middle + half).astype(int) + 1, grid.hu.shape)
    if np.any(high - low < 3):
        return None
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    away = grid.lps_mm(index) - frame.centre_lps_mm
    hu = np.where(scene.patient[box], grid.hu[box], -1000).astype(np.float32)
    forward = -(away @ frame.posterior) - _front_mm(vertebra, scene)
    return _Block(hu, away @ frame.left, forward, away @ frame.superior, grid.spacing_mm)


def _front_mm(vertebra: Vertebra, scene: Scene) -> float:
    """How far the front wall lies before the middle of the body."""
    if vertebra.heights is not None:
        walls = np.array(vertebra.heights.points_lps_mm[:2]) - vertebra.frame.centre_lps_mm
        return float(np.max(-(walls @ vertebra.frame.posterior)))
    return 17.0


def _aorta(scene: Scene, vertebra: Vertebra) -> float | None:
    """Lower quartile of the brightest even column before a vertebra; ``None`` where there is none."""
    block = _block(scene, vertebra, (AORTA_HALF_HEIGHT_MM + 12.0, 60.0, 50.0))
    if block is None:
        return None
    soft = np.where(block.forward < 1.0, -1000.0, block.hu)
    k, j, i = (
        np.arange(-round(r / s), round(r / s) + 1) * s for r, s in zip((12.0, 4.5, 4.5), block.spacing_mm, strict=True)
    )
    across = j[:, None] ** 2 + i[None, :] ** 2 <= (AORTA_RADIUS_MM + 0.5) ** 2
    shape = np.broadcast_to(across, (len(k), *across.shape))
    may = _between(block.left, AORTA_LEFT_MM) & _between(block.forward, AORTA_FORWARD_MM) & (np.abs(block.up) <= 8.0)
    return _brightest(soft, shape, may)


def _kidney(scene: Scene, vertebra: Vertebra, side: float) -> float | None:
    """The same of a ball beside a vertebra; ``side`` is 1 for the patient's left."""
    block = _block(scene, vertebra, (KIDNEY_RADIUS_MM + 12.0, 90.0, 100.0))
    if block is None:
        return None
    steps = (np.arange(-round(KIDNEY_RADIUS_MM / s), round(KIDNEY_RADIUS_MM / s) + 1) * s for s in block.spacing_mm)
    k, j, i = np.meshgrid(*steps, indexing="ij")
    may = (
        _between(side * block.left, KIDNEY_SIDE_MM)
        & _between(block.forward, KIDNEY_FORWARD_MM)
        & (np.abs(block.up) <= 12.0)
    )
    return _brightest(block.hu, k**2 + j**2 + i**2 <= KIDNEY_RADIUS_MM**2, may)


def _between(values: Floats, limits: tuple[float, float]) -> Bools:
    return np.asarray((values >= limits[0]) & (values <= limits[1]))


def _brightest(hu: NDArray[np.float32], shape: Bools, may: Bools) -> float | None:
    """Greatest lower quartile over a shape whose middle may lie at certain places, and which is even inside."""
    if not may.any():
        return None
    low = ndimage.percentile_filter(hu, LOWER_PART, footprint=shape, mode="constant", cval=-1000.0)
    high = ndimage.percentile_filter(hu, 100 - LOWER_PART, footprint=shape, mode="constant", cval=-1000.0)
    even = may & (high - low <= MAX_SPREAD_HU) & (high <= MAX_HU)
    return float(low[even].max()) if even.any() else None
