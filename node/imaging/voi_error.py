"""How far the mean attenuation of a VOI may be off: noise of its voxels, and its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from node.domain.phantom import PhantomFit, RodReading
from node.domain.spine import Frame
from node.domain.volume import Mask, Volume
from node.imaging.rod_levels import noise_power
from node.imaging.suitability import Reading

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_STEPS = 60
"""Differences of neighbouring voxels that noise is judged by."""
ROD_SLICES = 40
SHIFT_MM = 1.0
SMOOTHING_MM = 1.5
CORRELATION_REACH_MM = 4.0


@dataclass(frozen=True, slots=True)
class NoiseReference:
    """Noise of the scan as its calibration rods show it: they are even, so that all that varies in them is noise."""

    power_hu2_mm3: float
    """Variance of a mean times the volume it is taken over."""
    step_sd_hu: float
    """Robust standard deviation of the difference of neighbouring voxels in an image."""


def reference(volume: Volume, fit: PhantomFit) -> NoiseReference | None:
    """Return the noise in the rods of a phantom; ``None`` where they are too small to tell."""
    powers, steps = [], []
    for reading in fit.rods:
        differences = _steps_in_rod(volume, reading)
        if len(differences) >= MIN_STEPS:
            area = np.pi * reading.radius_mm**2
            powers.append(noise_power(reading) * area * volume.spacing_mm[0])
            steps.append(robust_sd(differences))
    if not powers or min(steps) <= 0:
        return None
    return NoiseReference(float(np.median(powers)), float(np.sqrt(np.mean(np.square(steps)))))


def _steps_in_rod(volume: Volume, reading: RodReading) -> Floats:
    """Differences of voxels that lie side by side in a rod, over at most ``ROD_SLICES`` of its slices."""
    found = []
    centres = reading.slice_centres_lps_mm[:: max(1, len(reading.slice_centres_lps_mm) // ROD_SLICES)]
    for k, j, i in volume.index_kji(centres):
        half = reading.radius_mm / np.sqrt(2.0)
        rows, columns = (
            slice(max(int(np.ceil(at - half / step)), 0), int(np.floor(at + half / step)) + 1)
            for at, step in ((j, volume.spacing_mm[1]), (i, volume.spacing_mm[2]))
        )
        found.append(_steps(volume.hu[round(float(k)), rows, columns].astype(np.float64)))
    return np.concatenate(found) if found else np.zeros(0)


def _steps(hu: Floats, inside: Bools | None = None) -> Floats:
    """Differences of neighbours along rows and columns (the last two axes), both ``inside``."""
    kept = np.ones(hu.shape, dtype=bool) if inside is None else inside
    across = (hu[..., 1:] - hu[..., :-1])[kept[..., 1:] & kept[..., :-1]]
    down = (hu[..., 1:, :] - hu[..., :-1, :])[kept[..., 1:, :] & kept[..., :-1, :]]
    return np.concatenate([across, down])


def robust_sd(values: Floats) -> float:
    """Standard deviation by the median of absolute values, of values about zero."""
    return 1.4826 * float(np.median(np.abs(values)))


def noise_by_rods(volume: Volume, mask: Mask, volume_mm3: float, known: NoiseReference) -> float:
    """Standard error of a VOI's mean from noise, in HU, by the noise of the rods.

    Noise is stronger in the middle of the body than in a rod at its edge: it is scaled by the differences of
    neighbouring voxels, to which the coarser texture of spongiosa adds little. The correlation of the noise, and so the
    number of independent samples in a volume, is that of the rods: kernel and slices are the same.
    """
    steps = _steps(volume.hu[mask.slices_kji].astype(np.float64), mask.voxels)
    if len(steps) < MIN_STEPS or volume_mm3 <= 0:
        return float("inf")
    return float(np.sqrt(known.power_hu2_mm3 / volume_mm3)) * robust_sd(steps) / known.step_sd_hu


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
