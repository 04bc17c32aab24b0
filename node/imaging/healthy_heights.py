"""Heights that a vertebral body should have, by its level and by the patient's other vertebrae.

The logarithms of the anterior, middle and posterior heights of all vertebrae are one random field: the norm of each
level, plus what belongs to the patient (size, wedging, hollowness), plus what changes slowly along the spine, plus what
is each vertebra's own. The heights of one vertebra are predicted from those of the others by its conditional mean and
covariance (Rasmussen and Williams 2006, eq. 2.19), in which a neighbour counts by its own reading errors and by how
probably it is sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.spine import LEVELS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LevelNorm:
    """Normal shape of one level."""

    wedge: float
    """Anterior / posterior height."""
    posterior_mm: float
    """Posterior height of an average adult; mostly its profile along the spine counts."""


NORMS: dict[str, LevelNorm] = {
    "T4": LevelNorm(0.97, 18.0),
    "T5": LevelNorm(0.96, 18.5),
    "T6": LevelNorm(0.95, 19.2),
    "T7": LevelNorm(0.94, 19.8),
    "T8": LevelNorm(0.94, 20.4),
    "T9": LevelNorm(0.95, 21.1),
    "T10": LevelNorm(0.95, 22.4),
    "T11": LevelNorm(0.93, 24.1),
    "T12": LevelNorm(0.93, 25.6),
    "T13": LevelNorm(0.93, 26.3),
    "L1": LevelNorm(0.93, 27.0),
    "L2": LevelNorm(0.95, 27.7),
    "L3": LevelNorm(0.99, 27.7),
    "L4": LevelNorm(1.03, 27.1),
    "L5": LevelNorm(1.13, 25.9),
    "L6": LevelNorm(1.13, 25.9),
}
"""Ratios: L5 1.15 (CT, 196 adults: Cook, Int J Spine Surg 15:1072, 2021); L3 0.995 (MXA, 120 women: PubMed 10091205);
T10 to L2 0.92, 0.92, 0.90, 0.89, 0.90 on MRI (115 adults: Surg Radiol Anat 33:223, 2011) against 0.95 to 0.98 on
radiographs of women, so between the two; the others are interpolated with the known mid-thoracic wedge. Posterior
heights: the usual profile, steepest from T9 to L1 by 1.5 mm a level (Sci Rep 2025, s41598-025-05091-0)."""

CONCAVITY_NORM = 0.92
"""Middle height / mean of the anterior and posterior: 0.94 for L3 (MXA, as above), less on CT, whose middle height is
not hidden by the rims."""

_ALL, _EACH = np.ones((3, 3)), np.diag([1.0, 1.0, 0.0])
_PATIENT = 0.15**2 * _ALL + 0.03**2 * _EACH
"""Covariance over patients of what all vertebrae share: size (children among them), wedging, hollowness."""
_SLOW = 0.03**2 * _ALL + 0.02**2 * _EACH
"""Of what changes along the spine, over a length of ``SLOW_LEVELS``."""
_OWN = 0.03**2 * _ALL + np.diag([0.03, 0.025, 0.015]) ** 2
"""Of each vertebra's own. Together a wedge ratio varies by 5 %, a concavity by 4 % and a height against those of the
neighbours by 4 to 5 % (0.06 to 0.08 and 0.03 in the sources, reading errors included)."""
SLOW_LEVELS = 3.0
SHARED_READING = 0.5
"""Part of the variance of readings that all vertebrae of a scan have in common, by place: endplates of this patient,
blurred as this scan blurs, are read too high or too low alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Vertebrae that are judged together, head to foot; n of them."""

    levels: tuple[str, ...]
    mm: Floats
    """(n, 3): anterior, middle and posterior heights."""
    errors_mm: Floats
    """(n, 3): their standard errors."""

    def norms_mm(self) -> Floats:
        """(n, 3): heights of an average adult."""
        return np.array([_norm_mm(level) for level in self.levels])

    def shared_mm2(self) -> Floats:
        """(3,): variance of what readings of all vertebrae have in common, by place."""
        return np.asarray(SHARED_READING * np.median(self.errors_mm, axis=0) ** 2)

    def own_mm2(self) -> Floats:
        """(n, 3): variance of the rest of each reading."""
        rest = self.errors_mm**2 - self.shared_mm2()
        return np.asarray(np.maximum(rest, (1.0 - SHARED_READING) * self.errors_mm**2))


def _norm_mm(level: str) -> tuple[float, float, float]:
    norm = NORMS[level]
    anterior = norm.wedge * norm.posterior_mm
    return anterior, CONCAVITY_NORM * 0.5 * (anterior + norm.posterior_mm), norm.posterior_mm


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Heights that one vertebra should have if it is sound."""

    mm: Floats
    """(3,)"""
    covariance: Floats
    """(3, 3): of the logarithms, with the vertebra's own variation and what readings have in common, without the errors
    of its own readings."""


def expected_heights(column: Column, sound: Sequence[float]) -> list[Expected]:
    """Of each vertebra by its level and by all others; ``sound``: the probability that each is."""
    n = len(column.levels)
    norms = column.norms_mm()
    departures = np.log(np.maximum(column.mm, 1.0) / norms)
    field = _field(column, norms)
    noise = (column.own_mm2() / norms**2).ravel()
    own = np.kron(np.diag(1.0 / np.clip(sound, 1e-4, 1.0)), _OWN)
    total = field + own + np.diag(noise)
    found = []
    for one in range(n):
        here, others = np.arange(3 * one, 3 * one + 3), np.delete(np.arange(3 * n), slice(3 * one, 3 * one + 3))
        gain = np.linalg.solve(total[np.ix_(others, others)], field[np.ix_(others, here)]).T
        mean = gain @ departures.ravel()[others]
        covariance = field[np.ix_(here, here)] + _OWN - gain @ field[np.ix_(others, here)]
        found.append(Expected(norms[one] * np.exp(mean), covariance))
    return found


def _field(column: Column, norms_mm: Floats) -> Floats:
    """Covariance (3n, 3n) of what vertebrae have in common."""
    place = np.array([LEVELS.index(level) for level in column.levels], dtype=np.float64)
    near = np.exp(-np.abs(place[:, None] - place) / SLOW_LEVELS)
    reading = (np.sqrt(column.shared_mm2()) / norms_mm).ravel()
    common = np.outer(reading, reading) * np.tile(np.eye(3), near.shape)
    return np.asarray(common + np.kron(np.ones_like(near), _PATIENT) + np.kron(near, _SLOW))
