"""Thick slices as axes of their own, and what one slice shows of an edge and of a thin shell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from node.domain.volume import Volume

Floats = NDArray[np.float64]

BLUR_MM = 0.8
"""Standard deviation of what rounds the box of a slice's sensitivity off."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceAxes:
    """Coordinates (p, q, t) in mm: along the rows' and the columns' direction, and across the slices to the head."""

    volume: Volume
    row: Floats
    """(3,) LPS: unit vectors."""
    column: Floats
    across: Floats
    spacing_mm: tuple[float, float, float]
    """Of t, q and p, as the volume's (k, j, i)."""

    @classmethod
    def of(cls, volume: Volume) -> SliceAxes:
        """Those of a volume, whose slices are numbered toward the head."""
        k, j, i = volume.spacing_mm
        steps = volume.affine_lps_mm[:3, :3]
        return cls(volume, steps[:, 2] / i, steps[:, 1] / j, steps[:, 0] / k, (k, j, i))

    def pqt_mm(self, lps_mm: Floats) -> Floats:
        """LPS mm (..., 3) → (p, q, t)."""
        index = self.volume.index_kji(lps_mm)
        return np.asarray((index * np.array(self.spacing_mm))[..., ::-1])

    def within(self, direction: Floats) -> Floats:
        """The part of a direction (3,) that lies in the slices, as a unit vector (p, q)."""
        flat = np.array([float(direction @ self.row), float(direction @ self.column)])
        return np.asarray(flat / np.linalg.norm(flat))

    def numbers(self, low_mm: float, high_mm: float) -> NDArray[np.intp]:
        """Slices whose middle lies between two t, half a slice more at either end."""
        spacing, last = self.spacing_mm[0], self.volume.hu.shape[0] - 1
        return np.arange(
            max(int(np.ceil(low_mm / spacing - 0.5)), 0), min(int(np.floor(high_mm / spacing + 0.5)), last) + 1
        )


@dataclass(frozen=True, slots=True)
class SliceProfile:
    """Sensitivity across one slice: a box of the slice's thickness, convolved with a Gaussian (``BLUR_MM``).

    Heights ``y`` are in mm, of any shape, and results of the same shape.
    """

    width_mm: float

    def above(self, y: Floats) -> Floats:
        """Part of a slice, 0 to 1, that lies above an edge, its middle ``y`` above that edge."""
        half = 0.5 * self.width_mm
        return np.asarray((_ramp(y + half) - _ramp(y - half)) / self.width_mm)

    def density(self, y: Floats) -> Floats:
        """What a sheet of 1 HU·mm adds to a slice whose middle lies ``y`` above it, 1/mm: the slope of ``above``."""
        half = 0.5 * self.width_mm
        return np.asarray((ndtr((y + half) / BLUR_MM) - ndtr((y - half) / BLUR_MM)) / self.width_mm)

    def slope(self, y: Floats) -> Floats:
        """Slope of ``density``, 1/mm²."""
        half = 0.5 * self.width_mm
        return np.asarray((_bell(y + half) - _bell(y - half)) / self.width_mm)


def _bell(y: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * (y / BLUR_MM) ** 2) / (BLUR_MM * np.sqrt(2.0 * np.pi)))


def _ramp(y: Floats) -> Floats:
    """Integral of the normal distribution's cumulative function."""
    return np.asarray(y * ndtr(y / BLUR_MM) + BLUR_MM**2 * _bell(y))
