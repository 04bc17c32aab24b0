"""The two endplates beside each disc: where they lie and how they are tilted.

Around every disc found, planes are tried at several tilts forward, back and to the sides; the best shows the sharpest
bright-dark-bright step from endplate over disc to endplate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.imaging.spine.column import Column
from node.imaging.spine.curve import OUTSIDE, Floats
from node.imaging.spine.discs import U_MM, V_MM

FORWARD_DEG = np.arange(-20.0, 21.0, 4.0)
SIDEWAYS_DEG = np.arange(-16.0, 17.0, 4.0)
WINDOW_MM = 16
HALF_THICKNESS_MM = np.arange(1.0, 8.0, 0.5)
FARTHEST_MM = 5.0
MOVING_HU_PER_MM = 3.0
CLEAR_HU = 25.0
"""A step smaller than this says nothing about tilt and place."""


@dataclass(frozen=True, slots=True)
class DiscPlane:
    """A disc's middle plane."""

    s_mm: float
    half_mm: float
    """From the middle plane to either endplate's brightest line."""
    forward_deg: float
    """Rise of the plane toward the back."""
    sideways_deg: float
    """Rise of the plane toward the left."""
    step_hu: float


def fit(straight: NDArray[np.float32], column: Column, s_mm: float) -> DiscPlane:
    """Improve a disc's place and tilt on the straightened column; unclear discs stay where they were, level."""
    at = min(max(round(s_mm), 0), len(straight) - 1)
    v, u = np.meshgrid(V_MM, U_MM, indexing="ij")
    inner = (u / (0.40 * column.width_mm[at])) ** 2 + (v / (0.40 * column.depth_mm[at])) ** 2 < 1
    rows = np.clip(np.arange(at - 2 * WINDOW_MM, at + 2 * WINDOW_MM + 1), 0, len(straight) - 1)
    block = np.clip(straight[rows][:, inner], OUTSIDE, 900).astype(np.float64)
    block[block < OUTSIDE / 2] = np.nan
    best = DiscPlane(s_mm, 2.0, 0.0, 0.0, 0.0)
    for forward in FORWARD_DEG:
        for sideways in SIDEWAYS_DEG:
            fall = -np.tan(np.deg2rad(forward)) * v[inner] - np.tan(np.deg2rad(sideways)) * u[inner]
            profile = _sheared_mean(block, fall)
            place, half, step = _sharpest(profile)
            step -= 0.02 * (forward**2 + sideways**2)
            if step > best.step_hu:
                best = DiscPlane(at + place, half, float(forward), float(sideways), step)
    return best if best.step_hu > CLEAR_HU else DiscPlane(s_mm, 2.0, 0.0, 0.0, max(best.step_hu, 0.0))


def _sheared_mean(block: Floats, fall_mm: Floats) -> Floats:
    """Mean over a plane falling by ``fall_mm`` at each column, for the middle 2 * WINDOW_MM + 1 heights."""
    heights = np.arange(WINDOW_MM, 3 * WINDOW_MM + 1)
    lower = np.floor(fall_mm).astype(int)
    part = fall_mm - lower
    row = np.clip(heights[:, None] + lower, 0, len(block) - 2)
    column = np.arange(block.shape[1])
    sampled = block[row, column] * (1 - part) + block[row + 1, column] * part
    known = np.isfinite(sampled)
    total = np.where(known, sampled, 0.0).sum(1)
    mean: Floats = np.where(known.mean(1) > 0.6, total / np.maximum(known.sum(1), 1), np.nan)
    return mean


def _sharpest(profile: Floats) -> tuple[float, float, float]:
    """(offset, half thickness, step) of the best bright-dark-bright pattern within FARTHEST_MM of the middle."""
    x = np.arange(-WINDOW_MM, WINDOW_MM + 1, dtype=float)
    place = np.arange(-FARTHEST_MM, FARTHEST_MM + 0.1, 0.5)[:, None]
    half = HALF_THICKNESS_MM[None, :]
    filled = np.where(np.isfinite(profile), profile, -np.inf)
    bright = [np.interp(place + side * half, x, filled) for side in (-1, 1)]
    dark = (np.interp(place - 0.35 * half, x, filled) + np.interp(place + 0.35 * half, x, filled)) / 2
    with np.errstate(invalid="ignore"):
        step = np.minimum(bright[0], bright[1]) * 0.7 + 0.3 * np.maximum(bright[0], bright[1]) - dark
        step = step - MOVING_HU_PER_MM * np.abs(place)
    step[~np.isfinite(step)] = -np.inf
    row, col = np.unravel_index(int(step.argmax()), step.shape)
    return float(place[row, 0]), float(half[0, col]), float(step[row, col])
