"""Where one vertebra ends and the next begins.

Two signals run down the straightened column: the body's own attenuation (bright endplate, dark disc, bright
endplate) and the wall of the canal beside it (pedicle in the upper half of each vertebra, open foramen from there to
the next disc). The second holds where the first fails: osteoporosis, thick slices, narrow or calcified discs. Dynamic
programming over (disc, length of the vertebra above it) finds the division that explains both and whose lengths follow
one another as lengths of vertebrae do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.imaging.spine.column import Column
from node.imaging.spine.curve import OUTSIDE, Floats

U_MM = np.arange(-36.0, 37.0, 1.5)
V_MM = np.arange(-30.0, 46.0, 1.5)
"""The straightened column is sampled on these, from the body's centre: to the left, to the back."""

SHORTEST_MM, LONGEST_MM = 9, 52
MELTED_WEIGHT = 0.7
LENGTH_OF_WIDTH = 0.74
"""Disc to disc, as a part of the body's width (T2 to L5: 0.62 to 0.85)."""


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """Signals along the column at its samples; NaN beyond the scan."""

    core_hu: Floats
    """(tilts, n): mean of the inner body in planes tilted forward and back by ``tilts_deg``."""
    tilts_deg: Floats
    pedicle_hu: Floats
    """(n,): mean beside the front of the canal."""
    disc: Floats
    """(n,): likeness to a disc, about -1 to 2."""
    pedicle: Floats
    """(n,): pedicle_hu between its local low (0) and high (1)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One vertebra between two disc centres, as lengths along the column."""

    top_mm: float
    bottom_mm: float
    score: float


def profiles(straight: NDArray[np.float32], column: Column, slice_mm: float) -> Profiles:
    """Reduce the straightened column (n, V_MM, U_MM) to its signals.

    ``slice_mm``: distance of slices. Where it exceeds a thoracic disc, both endplates melt into one bright line.
    """
    tilts = np.array([-14.0, -7.0, 0.0, 7.0, 14.0])
    core = np.array([_core(straight, column, tilt) for tilt in tilts])
    pedicle_hu = _pedicle(straight, column)
    low, high = _local_range(pedicle_hu, 50)
    pedicle = np.clip((pedicle_hu - low) / np.maximum(high - low, 60), 0, 1)
    melted = float(np.clip((slice_mm - 1.5) / 2.0, 0.0, 1.0)) * MELTED_WEIGHT
    depth = np.array([np.fmax(_notch(row), melted * _ridge(row)) for row in core])
    steep = np.abs(tilts)[:, None] * 0.4
    depth = (depth - steep).max(0)
    spread = _local_spread(core[len(tilts) // 2], 40)
    disc = np.clip(depth / (1.2 * spread + 8.0), -1.0, 2.0)
    return Profiles(core, tilts, pedicle_hu, disc, pedicle)


def divide(signal: Profiles, column: Column) -> list[Segment]:
    """The best chain of vertebrae, head to foot; empty when nothing looks like one."""
    n = len(signal.disc)
    lengths = np.arange(SHORTEST_MM, LONGEST_MM + 1)
    gain = _gains(signal, column, lengths)
    growth = np.log(lengths[:, None] / lengths[None, :]) - 0.03
    jump = np.minimum(0.5 * (growth / 0.11) ** 2, 3.0) * 0.3
    total = np.full((n, len(lengths)), -np.inf)
    came = np.full((n, len(lengths)), -1, np.int16)
    for end in range(SHORTEST_MM, n):
        tops = end - lengths
        valid = tops >= 0
        before = np.full((len(lengths), len(lengths)), -np.inf)
        before[valid] = total[tops[valid]] - jump[valid]
        best = before.argmax(1)
        value = before[np.arange(len(lengths)), best]
        start = value < 0
        total[end] = np.where(valid, gain[end] + np.where(start, 0.0, value), -np.inf)
        came[end] = np.where(start, -1, best)
    return _walk_back(total, came, gain, lengths)


def _walk_back(total: Floats, came: NDArray[np.int16], gain: Floats, lengths: NDArray[np.intp]) -> list[Segment]:
    end, which = (int(x) for x in np.unravel_index(int(total.argmax()), total.shape))
    if not np.isfinite(total[end, which]) or total[end, which] <= 0:
        return []
    chain: list[Segment] = []
    while which >= 0:
        top = end - int(lengths[which])
        chain.append(Segment(float(top), float(end), float(gain[end, which])))
        end, which = top, int(came[end, which])
    return chain[::-1]


def _gains(signal: Profiles, column: Column, lengths: NDArray[np.intp]) -> Floats:
    """Evidence for a vertebra ending at each sample with each length: (n, lengths)."""
    n = len(signal.disc)
    pedicle = np.nan_to_num(signal.pedicle, nan=0.5)
    run = np.concatenate([[0.0], np.cumsum(pedicle)])
    grid = np.arange(n)[:, None]

    def mean(low: float, high: float) -> Floats:
        a = np.clip(grid - lengths + np.round(lengths * low).astype(int), 0, n - 1)
        b = np.clip(grid - lengths + np.round(lengths * high).astype(int), a + 1, n)
        result: Floats = (run[b] - run[a]) / (b - a)
        return result

    wall = mean(0.15, 0.55) - 0.5 * mean(0.70, 1.0) - 0.5 * np.minimum(mean(-0.25, 0.02), mean(0.7, 1.0) + 0.3)
    disc = np.nan_to_num(signal.disc, nan=0.0)
    tops = np.clip(grid - lengths, 0, n - 1)
    expected = LENGTH_OF_WIDTH * column.width_mm[:, None]
    size = np.minimum(0.5 * (np.log(lengths / expected) / 0.28) ** 2, 3.0) * 0.35
    gains: Floats = 1.2 * wall + 0.4 * (disc[grid] + disc[tops]) - size - 0.45
    return gains


def _core(straight: NDArray[np.float32], column: Column, tilt_deg: float) -> Floats:
    v, u = np.meshgrid(V_MM, U_MM, indexing="ij")
    rise = np.round(np.tan(np.deg2rad(tilt_deg)) * V_MM / column.curve.step_mm).astype(int)
    n = len(straight)
    row = np.clip(np.arange(n)[:, None] + rise[None], 0, n - 1)
    planes = straight[row, np.arange(len(V_MM))[None]]
    half_u, half_v = 0.38 * column.width_mm[:, None, None], 0.38 * column.depth_mm[:, None, None]
    inside = ((u / half_u) ** 2 + (v / half_v) ** 2 < 1) & (planes > OUTSIDE + 1)
    count = inside.sum((1, 2))
    total = np.where(inside, np.clip(planes, -200, 900), 0).sum((1, 2), dtype=np.float64)
    whole = ((u / half_u) ** 2 + (v / half_v) ** 2 < 1).sum((1, 2))
    mean: Floats = np.where(count > 0.6 * whole, total / np.maximum(count, 1), np.nan)
    return mean


def _pedicle(straight: NDArray[np.float32], column: Column) -> Floats:
    """Bone of the canal's side wall just behind the body, both sides; a foramen anywhere in its depth makes it dark."""
    v, u = np.meshgrid(V_MM, U_MM, indexing="ij")
    sides = []
    for side in (-1.0, 1.0):
        across = np.abs(u - side * 0.33 * column.width_mm[:, None, None]) < 2.6
        depths = [_window(straight, column, across, v, behind) for behind in (0.5, 2.5, 4.5)]
        sides.append(np.min(depths, axis=0))
    mean = np.mean(sides, axis=0)
    smooth: Floats = ndimage.gaussian_filter1d(_filled(mean), 1.0) + 0 * mean
    return smooth


def _window(
    straight: NDArray[np.float32], column: Column, across: NDArray[np.bool_], v: Floats, behind_mm: float
) -> Floats:
    wall = 0.5 * column.depth_mm[:, None, None] + behind_mm
    place = across & (np.abs(v - wall) < 2.3)
    known = place & (straight > OUTSIDE + 1)
    count = known.sum((1, 2))
    total = np.where(known, np.clip(straight, -200, 800), 0).sum((1, 2), dtype=np.float64)
    mean: Floats = np.where(count > 0.6 * place.sum((1, 2)), total / np.maximum(count, 1), np.nan)
    return mean


def _notch(profile: Floats) -> Floats:
    """How far each sample lies below the brightest within 2 to 9 mm on either side; NaN beyond the scan."""
    known = _filled(profile)
    middle = ndimage.uniform_filter1d(known, 3)
    brightest = np.pad(ndimage.maximum_filter1d(known, 7), 6, mode="edge")
    above, below = brightest[1 : 1 + len(known)], brightest[11 : 11 + len(known)]
    notch: Floats = 0.5 * (above + below) - middle - 0.25 * np.abs(above - below) + 0 * profile
    return notch


def _ridge(profile: Floats) -> Floats:
    """How far each sample lies above the mean 7 to 11 mm away on either side; NaN beyond the scan."""
    known = _filled(profile)
    beside = np.pad(ndimage.uniform_filter1d(known, 5), 9, mode="edge")
    ridge: Floats = ndimage.uniform_filter1d(known, 5) - 0.5 * (beside[: len(known)] + beside[18:]) + 0 * profile
    return ridge


def _filled(profile: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(profile))
    if not len(known):
        return np.zeros_like(profile)
    return np.interp(np.arange(len(profile)), known, profile[known])


def _local_range(profile: Floats, half: int) -> tuple[Floats, Floats]:
    filled = _filled(profile)
    low = ndimage.percentile_filter(filled, 10, size=2 * half + 1, mode="nearest")
    high = ndimage.percentile_filter(filled, 85, size=2 * half + 1, mode="nearest")
    return low, high


def _local_spread(profile: Floats, half: int) -> Floats:
    filled = _filled(profile)
    mean = ndimage.uniform_filter1d(filled, 2 * half + 1, mode="nearest")
    square = ndimage.uniform_filter1d(filled**2, 2 * half + 1, mode="nearest")
    spread: Floats = np.sqrt(np.maximum(square - mean**2, 0))
    return spread
