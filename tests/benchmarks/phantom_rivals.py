"""Which other phantom the rods of a random scan could be taken for, from the truth alone: what geometry cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from node.domain.phantom import PhantomModel, RodModel
from node.domain.settings import CalibrationLimits
from node.imaging.line import fit_line, judge, physical_sigma_ct
from tests.imaging.phantom.scenes import Recipe, rod_truth

HIDDEN_HU = 3.0
"""A rod that differs less from its slab shows in no scan; one that differs by ``SHOWN_HU`` shows in most."""
SHOWN_HU = 15.0
EQUAL_HU = 3.0
"""Beam hardening alone scatters rods about their line by this much: a fit that is worse by less is no worse."""
NO_RIVAL_HU = 8.0
"""A fit that is worse by more is no rival."""


def equal(recipe: Recipe, others: Sequence[PhantomModel]) -> bool:
    """Whether one of ``others`` fits the rods that can show as well as the phantom that lies there."""
    return any(rms < EQUAL_HU for one in others for rms in _fits(recipe, one, HIDDEN_HU))


def close(recipe: Recipe, others: Sequence[PhantomModel]) -> bool:
    """Whether one of ``others`` fits nearly as well, or would if faint rods were lost in noise."""
    return any(
        rms < NO_RIVAL_HU for limit in (HIDDEN_HU, SHOWN_HU) for one in others for rms in _fits(recipe, one, limit)
    )


def _fits(recipe: Recipe, other: PhantomModel, limit_hu: float) -> Iterator[float]:
    """HU rms about the line of every way to take the rods for another phantom's that gives a calibration."""
    assert recipe.phantom is not None
    hu = np.array(rod_truth(recipe.phantom, recipe.scanner)[0])
    base = recipe.slab.base_hu
    seen = np.flatnonzero(np.abs(hu - base) >= limit_hu)
    count = len(other.rods)
    if not (2 if count > 2 else 1) <= len(seen) <= count:
        return
    for chosen in combinations(range(count), len(seen)):
        for places in (np.array(chosen), count - 1 - np.array(chosen)):
            step = np.diff(places) / np.diff(seen)
            if 1 < len(seen) < count and np.ptp(step) > 0.01:
                continue
            rms = _rms(other, [other.rods[int(at)] for at in places], hu[seen], base)
            if rms is not None:
                yield rms


def _rms(other: PhantomModel, rods: list[RodModel], hu: np.ndarray, base_hu: float) -> float | None:
    rods = rods + [rod for rod in other.rods if rod not in rods]
    hu = np.append(hu, np.full(len(rods) - len(hu), base_hu))
    if other.base_density_mg_cm3 is not None:
        rods, hu = [*rods, RodModel("base", other.base_density_mg_cm3)], np.append(hu, base_hu)
    line = fit_line(rods, hu, np.ones(len(rods)))
    low, high = physical_sigma_ct(other.material, 120.0)
    if judge(line, rods, hu, CalibrationLimits()) or not 0.8 * low <= line.sigma_ct <= 1.25 * high:
        return None
    return line.rms_residual_hu
