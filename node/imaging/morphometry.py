"""Deformity of vertebral bodies: a candidate for review, never a diagnosis.

Each height is compared with what this level should have: the anterior and the middle height with the same body's
posterior height times the level's normal ratio, the posterior height with those of the patient's other vertebrae.
The loss is graded by Genant (J Bone Miner Res 8:1137, 1993): 20, 25, 40 %. A plain rule of largest against smallest
height would call every normal L5 fractured, since the lowest bodies are shorter at the back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtr

from node.domain.spine import LEVELS, Deformity, Heights, Vertebra


@dataclass(frozen=True, slots=True)
class LevelNorm:
    """Normal shape of one level."""

    wedge: float
    """Anterior / posterior height."""
    posterior_mm: float
    """Posterior height of an average adult; only its profile along the spine is used."""


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
WEDGE_SD, CONCAVITY_SD, POSTERIOR_SD = 0.06, 0.05, 0.07
"""Of healthy vertebrae about the norm (0.06 to 0.08 and 0.03 in the sources) and of neighbours' heights."""
GRADES = (0.20, 0.25, 0.40)
CANDIDATE_FROM = 0.8
"""A loss is called a candidate when it is at least this probable that 20 % or more is lost."""
CRUSH_FROM = 0.15
"""From this loss on, the posterior height is no reference for the others."""
NEIGHBOURS = 3
"""Levels up and down that a posterior height is compared with."""


def deformities(vertebrae: Sequence[Vertebra]) -> tuple[Vertebra, ...]:
    """Return the vertebrae with ``deformity`` filled in for complete ones from T4 to L5 (L6)."""
    return tuple(
        replace(vertebra, deformity=_deformity(vertebra, vertebrae)) if _measurable(vertebra) else vertebra
        for vertebra in vertebrae
    )


def _measurable(vertebra: Vertebra) -> bool:
    return vertebra.complete and vertebra.heights is not None and vertebra.level in NORMS


def _deformity(vertebra: Vertebra, vertebrae: Sequence[Vertebra]) -> Deformity:
    heights = _heights(vertebra)
    norm = NORMS[vertebra.level]
    others = [other for other in vertebrae if other is not vertebra and _measurable(other)]
    expected_posterior = _expected_posterior(vertebra.level, others)
    crush = 1.0 - heights.posterior_mm / expected_posterior if expected_posterior else 0.0
    reference = _reference(heights, expected_posterior, crush)
    wedge = 1.0 - heights.anterior_mm / (reference * norm.wedge * _habit(others, _wedge_quotient))
    upright = max(0.5 * (heights.anterior_mm + reference), 0.5 * reference * (1.0 + 0.8 * norm.wedge))
    hollow = 1.0 - heights.middle_mm / (upright * CONCAVITY_NORM * _habit(others, _concavity_quotient))
    anterior, middle, posterior = (error / reference for error in heights.standard_errors_mm)
    return _graded(
        (
            _Loss("wedge", wedge, float(np.hypot(np.hypot(anterior, posterior), 0.5 * WEDGE_SD))),
            _Loss("biconcave", hollow, float(np.hypot(np.hypot(middle, posterior), 0.5 * CONCAVITY_SD))),
            _Loss("crush", crush, float(np.hypot(posterior, 0.5 * POSTERIOR_SD))),
        )
    )


def _reference(heights: Heights, expected_mm: float | None, crush: float) -> float:
    """Posterior height that the others are compared with: its own, steadied by what the neighbours suggest.

    The two are weighed by their variances; a body that is low at the back too is compared with its neighbours alone.
    """
    if expected_mm is None:
        return heights.posterior_mm
    if crush > CRUSH_FROM:
        return expected_mm
    own, near = heights.standard_errors_mm[2] ** -2, (POSTERIOR_SD * expected_mm) ** -2
    return (own * heights.posterior_mm + near * expected_mm) / (own + near)


@dataclass(frozen=True, slots=True)
class _Loss:
    """Height lost at one place, as a part of what is expected there."""

    kind: Literal["wedge", "biconcave", "crush"]
    part: float
    error: float
    """Standard error of the part: of the reading, and half the spread of healthy vertebrae about the norm."""

    @property
    def probability(self) -> float:
        """That the loss is 20 % or more."""
        return float(ndtr((self.part - GRADES[0]) / self.error))


def _graded(losses: Sequence[_Loss]) -> Deformity:
    """Type and grade of the greatest loss, with the probability that it is on the stated side of 20 %."""
    worst = max(losses, key=lambda loss: loss.part)
    crush = next(loss for loss in losses if loss.kind == "crush")
    percent = round(100.0 * max(worst.part, 0.0), 1)
    likely = max(loss.probability for loss in losses)
    grade = sum(worst.part >= limit for limit in GRADES)
    if grade == 0 or worst.probability < CANDIDATE_FROM:
        return Deformity("none", percent, 0, 1.0 - likely)
    kind = "crush" if crush.part >= GRADES[0] and crush.probability >= CANDIDATE_FROM else worst.kind
    graded: Literal[1, 2, 3] = 3 if grade == 3 else 2 if grade == 2 else 1
    return Deformity(kind, percent, graded, worst.probability)


def _expected_posterior(level: str, others: Sequence[Vertebra]) -> float | None:
    """Posterior height that the patient's neighbouring vertebrae suggest for this level."""
    here = LEVELS.index(level)
    near = sorted(others, key=lambda other: abs(LEVELS.index(other.level) - here))[: 2 * NEIGHBOURS]
    suggestions = [
        _heights(other).posterior_mm * NORMS[level].posterior_mm / NORMS[other.level].posterior_mm
        for other in near
        if abs(LEVELS.index(other.level) - here) <= NEIGHBOURS + 1
    ]
    return float(np.median(suggestions)) if len(suggestions) >= 2 else None


def _habit(others: Sequence[Vertebra], quotient: Callable[[Vertebra], float]) -> float:
    """The patient's own tendency against the norms: median of the other vertebrae, drawn to 1 when they are few."""
    values = [quotient(other) for other in others]
    if not values:
        return 1.0
    weight = len(values) / (len(values) + 4.0)
    return float(np.clip(1.0 + weight * (np.median(values) - 1.0), 0.92, 1.05))


def _wedge_quotient(vertebra: Vertebra) -> float:
    heights = _heights(vertebra)
    return heights.anterior_mm / heights.posterior_mm / NORMS[vertebra.level].wedge


def _concavity_quotient(vertebra: Vertebra) -> float:
    heights = _heights(vertebra)
    return heights.middle_mm / (0.5 * (heights.anterior_mm + heights.posterior_mm)) / CONCAVITY_NORM


def _heights(vertebra: Vertebra) -> Heights:
    if vertebra.heights is None:
        raise ValueError(f"{vertebra.level} has no heights")
    return vertebra.heights
