"""Slices in which the rods contradict each other: a streak of metal lifts one and lowers the next.

Beam hardening and scatter move all rods of a slice together, or in proportion to their density; the line of that
slice follows them. What is left of each rod then, beside what is left of it everywhere, is noise, unless a streak runs
through the slab. A single slice may hide it in its noise; a run of slices does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from node.domain.phantom import RodReading
from node.imaging.phantom.discs import Floats

RUNS_MM = (0.0, 10.0, 25.0)
"""Lengths over which slices are averaged: a clip, a screw, a hip."""
MIN_HU = 6.0
"""Root of the summed squares of the rods; less does no harm."""
MAX_PART = 0.35
"""Of the slices: where more contradict the rest there is no rest, and the limits of the calibration judge them all."""
FALSE_ALARM = 1e-4
"""Share of runs that noise alone would call contradictory."""
MIN_SLICES = 8


def contradictory(readings: Sequence[RodReading], slices: Sequence[NDArray[np.int64]], dk_mm: float) -> set[int]:
    """Return the slices in which the rods do not lie on their line as they do elsewhere.

    ``slices``: index of each slice of each reading. Empty where the rods leave no degree of freedom, or too few slices
    are shared.
    """
    shared = np.array(sorted(set.intersection(*({int(k) for k in one} for one in slices))), dtype=np.int64)
    free = len(readings) - 2
    if free < 1 or len(shared) < MIN_SLICES:
        return set()
    hu = np.array([one.slice_hu_mean[np.searchsorted(at, shared)] for one, at in zip(readings, slices, strict=True)])
    off = _off_line(np.array([one.rod.density_mg_cm3 for one in readings]), hu)
    found = np.zeros(len(shared), dtype=bool)
    for length in RUNS_MM:
        size = max(1, round(length / dk_mm))
        if size > len(shared) // 3:
            break
        norm = np.linalg.norm(ndimage.uniform_filter1d(off, size, axis=1, mode="nearest"), axis=0)
        found |= norm > max(MIN_HU, float(np.median(norm)) * _rare_over_median(free))
    return {int(k) for k in shared[found]} if float(found.mean()) <= MAX_PART else set()


def _off_line(density: Floats, hu: Floats) -> Floats:
    """Residuals (rods, slices) of each slice's own line, less their median along the rods."""
    design = np.column_stack([density, np.ones_like(density)])
    off: Floats = hu - design @ np.linalg.lstsq(design, hu, rcond=None)[0]
    return off - np.median(off, axis=1, keepdims=True)


def _rare_over_median(free: int) -> float:
    return float(stats.chi.isf(FALSE_ALARM, free) / stats.chi.median(free))
