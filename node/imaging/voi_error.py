"""How far the mean attenuation of a VOI may be off: noise of its voxels, and its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from node.domain.spine import Frame
from node.domain.volume import Mask, Volume
from node.imaging.suitability import Reading

Floats = NDArray[np.float64]

SHIFT_MM = 1.0
SMOOTHING_MM = 1.5
CORRELATION_REACH_MM = 4.0


def noise_of_mean(volume: Volume, mask: Mask, reading: Reading) -> float:
    """Standard error of the mean attenuation, from the autocovariance of the voxels.

    var(mean) = (1/N) Σ over lags of the covariance at that lag, over lags within a few mm: noise and texture
    are correlated between voxels, so that fewer of them are independent than were counted. Voxels beyond the
    reading's limits stay out.
    """
    hu = gaussian_filter(volume.hu[mask.slices_kji].astype(np.float32), [SMOOTHING_MM / s for s in volume.spacing_mm])
    inside = mask.voxels & (np.abs(hu - reading.mean) <= reading.limit)
    count = int(inside.sum())
    if count < 8:
        return float(volume.hu[mask.slices_kji].std()) if inside.size else 0.0
    values = volume.hu[mask.slices_kji].astype(np.float64)
    residual = np.where(inside, values - values[inside].mean(), 0.0)
    shape, axes = [2 * n for n in inside.shape], (0, 1, 2)
    power = np.abs(np.fft.rfftn(residual, shape, axes)) ** 2
    pairs = np.fft.irfftn(np.abs(np.fft.rfftn(inside.astype(np.float64), shape, axes)) ** 2, shape, axes)
    products = np.fft.irfftn(power, shape, axes)
    lags = np.meshgrid(
        *(np.fft.fftfreq(n, 1.0 / n) * s for n, s in zip(shape, volume.spacing_mm, strict=True)), indexing="ij"
    )
    near = (sum(lag**2 for lag in lags) <= CORRELATION_REACH_MM**2) & (pairs > 0.5)
    variance = float(np.sum(products[near])) / count**2
    floor = float(residual[inside].var()) / count
    return float(np.sqrt(max(variance, floor)))


def shift_sensitivity(
    read: Callable[[Floats], float], frame: Frame, points: Floats, mean_hu: float, noise_hu: float
) -> float:
    """Root of the summed mean squared changes of the mean under shifts of ±1 mm along each axis of the vertebra.

    ``read`` gives the mean attenuation in HU at points (n, 3) in LPS mm; ``noise_hu`` is the standard error of the
    mean from noise. What noise alone changes when a part of the points is exchanged for others is taken off.
    """
    total = 0.0
    for axis in (frame.left, frame.posterior, frame.superior):
        moved = [read(points + sign * SHIFT_MM * axis) for sign in (-1.0, 1.0)]
        seen = 0.5 * sum((hu - mean_hu) ** 2 for hu in moved)
        exchanged = min(2.0 * SHIFT_MM / max(_extent(points, axis), SHIFT_MM), 2.0)
        total += max(seen - exchanged * noise_hu**2, 0.0)
    return float(np.sqrt(total))


def _extent(points: Floats, axis: Floats) -> float:
    """Mean length of a convex set of points along an axis, in mm, from its variance (an elliptic cylinder's)."""
    return float(np.sqrt(12.0) * (points @ axis).std()) if len(points) > 1 else 0.0
