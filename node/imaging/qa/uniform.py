"""Is this a patient at all? A QA phantom is cast of one material, a patient never is.

Judged on 3 mm voxels inside the skin, away from every surface: the median gradient of attenuation, smoothed over 4 mm,
was 0.1 to 0.9 HU/mm in QA phantoms (8 to 60 HU of noise, sharp kernels, cupping of 8 HU) and 2.6 to 11 HU/mm in
patients, simulated and real, from a 24-year-old's chest to an obese abdomen. A patient also holds gas, a phantom none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.domain.volume import Volume
from node.imaging.grid import block_mean, in_field

Bools = NDArray[np.bool_]
Floats32 = NDArray[np.float32]

COARSE_MM = 3.0
MAX_GRADIENT_HU_MM = 1.5
MAX_GAS_PART = 0.01
MIN_TWO_MATERIALS_PART = 0.75
"""Of the inside, within 20 HU of one of its two commonest attenuations (a ring of fat-equivalent plastic is one)."""
SMALL_LITRES = 4.0
"""Slabs alone: less than this; only then it is worth looking whether anything else is there."""
_TISSUE_HU = -350.0
_GAS_HU = -400.0
_SMOOTHING_MM = 4.0
_BIN_HU = 5.0
_HALF_WINDOW_BINS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """What the inside of the largest thing in a scan looks like."""

    litres: float
    gradient_hu_mm: float
    gas_part: float
    two_materials_part: float

    @property
    def is_cast(self) -> bool:
        """Whether it is cast of one or two materials."""
        return (
            self.gradient_hu_mm <= MAX_GRADIENT_HU_MM
            and self.gas_part <= MAX_GAS_PART
            and self.two_materials_part >= MIN_TWO_MATERIALS_PART
        )

    @property
    def may_be_slabs(self) -> bool:
        """Whether phantoms alone, one on the other, may be all there is."""
        return self.litres <= SMALL_LITRES and self.gas_part <= MAX_GAS_PART


def look(volume: Volume) -> Look | None:
    """Look at a scan; ``None`` where nothing of substance lies in it."""
    coarse = block_mean(volume, COARSE_MM)
    hu = np.where(in_field(coarse.hu), coarse.hu, np.int16(-1000)).astype(np.float32)
    whole = _largest(hu > _TISSUE_HU)
    whole = np.stack([np.asarray(ndimage.binary_fill_holes(plane)) for plane in whole])
    inside = ndimage.binary_erosion(whole, ndimage.generate_binary_structure(3, 1), iterations=2, border_value=1)
    litre = float(np.prod(coarse.spacing_mm)) / 1e6
    if int(inside.sum()) * litre < 0.05:
        return None
    smooth = _smoothed_within(hu, whole, coarse.spacing_mm)
    gradient = _gradient(smooth, coarse.spacing_mm)[inside]
    values = hu[inside]
    return Look(
        float(inside.sum()) * litre,
        float(np.median(gradient)),
        float(np.mean(values < _GAS_HU)),
        _two_materials(smooth[inside]),
    )


def _largest(mask: Bools) -> Bools:
    labels, count = cc3d.connected_components(mask, connectivity=6, return_N=True)
    if count == 0:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: Bools = labels == int(sizes.argmax())
    return largest


def _smoothed_within(hu: Floats32, mask: Bools, spacing_mm: tuple[float, float, float]) -> Floats32:
    """Gaussian mean over the voxels of ``mask`` alone, so that no surface blurs into it."""
    sigma = [_SMOOTHING_MM / step for step in spacing_mm]
    share = ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=2.5)
    total = ndimage.gaussian_filter(np.where(mask, hu, np.float32(0)), sigma, truncate=2.5)
    smoothed: Floats32 = total / np.maximum(share, np.float32(1e-3))
    return smoothed


def _gradient(values: Floats32, spacing_mm: tuple[float, float, float]) -> Floats32:
    """Magnitude in HU per mm; along an axis with a single voxel there is none."""
    total = np.zeros_like(values)
    for axis, step in enumerate(spacing_mm):
        if values.shape[axis] > 1:
            total += np.gradient(values, step, axis=axis) ** 2
    magnitude: Floats32 = np.sqrt(total)
    return magnitude


def _two_materials(values: Floats32) -> float:
    """Part of the values within 20 HU of one of two attenuations."""
    counts, _ = np.histogram(values, bins=np.arange(-1000.0, 2000.0, _BIN_HU))
    window = np.ones(2 * _HALF_WINDOW_BINS, dtype=int)
    total = 0
    for _ in range(2):
        at = int(np.convolve(counts, window, "same").argmax())
        low = max(at - _HALF_WINDOW_BINS, 0)
        total += int(counts[low : at + _HALF_WINDOW_BINS].sum())
        counts[low : at + _HALF_WINDOW_BINS] = 0
    return total / values.size
