"""Spongiosa that its neighbours' contradicts: a lesion may fill a VOI so evenly that nothing within it shows one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from node.domain.settings import SuitabilityLimits
from node.domain.spine import LEVELS, Voi

USUAL: dict[str, float] = {
    "T4": 1.36, "T5": 1.33, "T6": 1.28, "T7": 1.25, "T8": 1.22, "T9": 1.20, "T10": 1.16, "T11": 1.10, "T12": 1.05,
    "T13": 1.02, "L1": 1.0, "L2": 0.97, "L3": 0.95, "L4": 0.97, "L5": 1.03, "L6": 1.03,
}  # fmt: skip
"""Trabecular density along the spine relative to L1: thoracic levels lie some 20 % above lumbar ones (Budoff 2010)."""
REACH = 4
"""Levels up and down that are compared."""
LEAST = 2
SPREADS = 4.0
"""Of the neighbours about each other: where they disagree themselves, more is allowed."""
UNEVEN_HU, PATCHY_HU = 40.0, 25.0
"""Least excess of the distance of the quartiles, and of that of averages over 4 mm (5 to 15 HU in sound vertebrae)."""


def compared(vois: Mapping[str, Voi], limits: SuitabilityLimits) -> dict[str, Voi]:
    """Return the VOIs, those that differ too much from what their neighbours suggest excluded as lesions.

    Only VOIs without another exclusion are compared, and with one another. Fewer than two neighbours tell nothing.
    """
    sound = {level: voi for level, voi in vois.items() if voi.exclusion is None and level in USUAL}
    out = dict(vois)
    for level, voi in sound.items():
        near = {name: other for name, other in sound.items() if name != level and _apart(name, level) <= REACH}
        message = _contradiction(level, voi, near, limits) if len(near) >= LEAST else None
        if message:
            out[level] = replace(voi, exclusion="lesion", exclusion_message=message)
    return out


def _apart(one: str, other: str) -> int:
    return abs(LEVELS.index(one) - LEVELS.index(other))


def _contradiction(level: str, voi: Voi, near: Mapping[str, Voi], limits: SuitabilityLimits) -> str | None:
    suggested = np.array([other.hu_mean * USUAL[level] / USUAL[name] for name, other in near.items()])
    usual = float(np.median(suggested))
    spread = 1.4826 * float(np.median(np.abs(suggested - usual)))
    allowed = max(limits.neighbour_hu, limits.neighbour_part * abs(usual), SPREADS * spread)
    allowed += 2.0 * voi.standard_error_hu
    if abs(voi.hu_mean - usual) > allowed:
        return (
            f"The spongiosa of {level} reads {voi.hu_mean:.0f} HU where its neighbours suggest {usual:.0f} HU: "
            f"it may be filled by a {'denser' if voi.hu_mean > usual else 'less dense'} lesion."
        )
    if _patchy(voi, near, limits):
        return (
            f"Parts of the spongiosa of {level} differ (quartiles of averages over 4 mm "
            f"{voi.local_quartiles_apart_hu:.0f} HU apart) more than in its neighbours: a lesion may fill one of them."
        )
    own, theirs = _unevenness(voi), float(np.median([_unevenness(other) for other in near.values()]))
    if own > limits.uneven * theirs and own > theirs + UNEVEN_HU:
        return (
            f"The spongiosa of {level} is uneven (quartiles {own:.0f} HU apart, {theirs:.0f} HU in its neighbours): "
            "coarse strands as in a haemangioma, or a mixed lesion."
        )
    return None


def _patchy(voi: Voi, near: Mapping[str, Voi], limits: SuitabilityLimits) -> bool:
    own, theirs = voi.local_quartiles_apart_hu, np.median([other.local_quartiles_apart_hu for other in near.values()])
    return bool(own > limits.uneven * theirs and own > theirs + PATCHY_HU)


def _unevenness(voi: Voi) -> float:
    """Distance of the quartiles, which a bone island or a vessel in a part of the VOI leaves as it is."""
    return voi.hu_quartiles[1] - voi.hu_quartiles[0]
