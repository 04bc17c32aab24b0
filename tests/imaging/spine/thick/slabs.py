"""Columns of known shape in thick slices: thin ones averaged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.domain.volume import Volume
from tests.imaging.spine import made_up
from tests.imaging.spine.made_up import Column

LEVELS = ("T12", "L1", "L2", "L3")


def averaged(volume: Volume, slices: int, first: int = 0, step: int | None = None) -> Volume:
    """Means of so many slices, every ``step`` slices; side by side where that is not given."""
    step = step or slices
    starts = np.arange(first, volume.hu.shape[0] - slices + 1, step)
    affine = volume.affine_lps_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (first + 0.5 * (slices - 1))
    affine[:3, 0] *= step
    means = np.round([volume.hu[start : start + slices].mean(axis=0) for start in starts]).astype(np.int16)
    return Volume(means, affine, volume.frame_of_reference_uid, volume.sources[: len(starts)])


def thick(slices: int = 5, first: int = 0, step: int | None = None, **changes: object) -> Column:
    """A made-up column in slices of so many mm, with seeds a little off."""
    values: dict[str, object] = {"spacing_mm": (1.0, 1.0, 1.0), "noise_hu": 15.0, "shift_mm": 3.0, "turn_deg": 6.0}
    column = made_up.column(LEVELS, **(values | changes))  # type: ignore[arg-type]
    return replace(column, volume=averaged(column.volume, slices, first, step))


def heights(loss: float = 0.0) -> tuple[float, float, float]:
    """True anterior, middle and posterior height of a body."""
    at = [np.array([y]) for y in (-0.44 * made_up.DEPTH, 0.0, 0.39 * made_up.DEPTH)]
    anterior, middle, posterior = (2.0 * float(made_up.half_height(np.zeros(1), y, loss)[0]) for y in at)
    return anterior, middle, posterior
