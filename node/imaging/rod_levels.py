"""Attenuation of a rod at one height of the scan, from the means of its slices, with its standard error.

Rods drift slowly along the scan (shoulders, lungs and pelvis harden the beam differently) and carry noise from slice
to slice. The height of a vertebra is read from a local straight line through the slice means about it, whose slope
is held near zero by what drifts are plausible. Where slices were left out (rod ends, metal, bubbles) the same line
bridges the gap, and its standard error grows as the slices about the height become few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.phantom import RodReading
from node.errors import PhantomOutOfField

Floats = NDArray[np.float64]

HALF_WINDOW_MM = 40.0
"""About one vertebra and a half to either side; slices count less toward its ends (tricube)."""
MIN_SLICES = 5
"""The window grows until it holds as many."""
MAX_ROD_GAP_MM = 10.0
"""A height farther than this from the nearest slice that was read has no calibration of its own."""
DRIFT_HU_PER_MM = 0.05
"""Plausible change along a rod: 5 HU over 10 cm (one standard deviation)."""
CORRELATED_MM = 6.0
"""Noise of slices farther apart than this is independent: no reconstruction averages over more."""
FEW_SLICES_HU = 2.0
"""Stated noise of a slice mean where three slices or fewer leave nothing to estimate it from."""


@dataclass(frozen=True, slots=True)
class Level:
    """Attenuation of one rod at one height."""

    hu: float
    standard_error_hu: float
    gap_mm: float
    """Distance to the nearest slice that was read."""


def whole(reading: RodReading) -> Level:
    """Return the mean over all slices that were read."""
    share = np.full(len(reading.slice_hu_mean), 1.0 / len(reading.slice_hu_mean))
    return Level(float(reading.hu_mean), _standard_error(reading, share), 0.0)


def at(reading: RodReading, z_mm: float) -> Level:
    """Return the attenuation at ``z_mm`` (patient z).

    Raises ``PhantomOutOfField`` where the rod ends more than ``MAX_ROD_GAP_MM`` before it.
    """
    z = reading.slice_centres_lps_mm[:, 2]
    if not z.min() - MAX_ROD_GAP_MM <= z_mm <= z.max() + MAX_ROD_GAP_MM:
        raise PhantomOutOfField(
            f"The phantom does not reach the vertebra: rod {reading.rod.name} was read from z {z.min():.0f} to "
            f"{z.max():.0f} mm, the vertebra lies at {z_mm:.0f} mm.",
            {"rod": reading.rod.name, "z_mm": z_mm, "read_from_mm": float(z.min()), "read_to_mm": float(z.max())},
        )
    away = z - z_mm
    nearest = np.sort(np.abs(away))
    half = max(HALF_WINDOW_MM, 1.3 * float(nearest[min(MIN_SLICES, len(nearest)) - 1]), 1.3 * _bridge(away))
    weight = np.clip(1 - np.abs(away / half) ** 3, 0, None) ** 3
    share, drift = _share(away, weight, noise_power(reading))
    noise = _standard_error(reading, share)
    return Level(float(share @ reading.slice_hu_mean), float(np.hypot(noise, drift)), float(nearest[0]))


def _bridge(away: Floats) -> float:
    """Return how far the window must reach to hold slices at both sides of a gap; 0 at the end of a rod."""
    below, above = away[away <= 0], away[away >= 0]
    if not len(below) or not len(above):
        return 0.0
    return min(max(-float(below.max()), float(above.min())), 2 * HALF_WINDOW_MM)


def _share(away: Floats, weight: Floats, noise_power: float) -> tuple[Floats, float]:
    """Part of each slice in the value at distance 0 of a weighted straight line, and what its held slope may miss.

    The slope is a parameter with mean 0 and standard deviation ``DRIFT_HU_PER_MM``: least squares with that one
    observation more.
    """
    held = noise_power / DRIFT_HU_PER_MM**2
    s0, s1, s2 = float(weight.sum()), float(weight @ away), float(weight @ away**2) + held
    share = weight * (s2 - s1 * away) / (s0 * s2 - s1**2)
    share = share / share.sum()
    return share, DRIFT_HU_PER_MM * abs(float(share @ away))


def _standard_error(reading: RodReading, share: Floats) -> float:
    return float(np.sqrt(noise_power(reading) * float((share**2).sum())))


def noise_power(reading: RodReading) -> float:
    """Variance of a slice mean times the number of slices that vary as one, in HU².

    Variance and covariances come from differences of slices at growing distance, so that a slow drift along the rod
    does not count as noise.
    """
    means = reading.slice_hu_mean
    z = reading.slice_centres_lps_mm[:, 2]
    if len(means) < 4:
        return FEW_SLICES_HU**2
    step = float(np.median(np.abs(np.diff(z))))
    apart = int(np.clip(np.ceil(CORRELATED_MM / max(step, 0.1)), 1, len(means) // 2))
    halved = [float(np.mean((means[lag:] - means[:-lag]) ** 2)) / 2 for lag in range(1, apart + 1)]
    variance = halved[-1]
    together = variance + 2 * sum(variance - half for half in halved[:-1])
    return max(together, 0.3 * variance)
