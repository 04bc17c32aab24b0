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

from node.domain.settings import FractureLimits
from node.domain.spine import LEVELS, Deformity, Heights, Ratios, Vertebra


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
USUAL = FractureLimits()
GRADES = (0.20, 0.25, 0.40)
LOSSES = np.arange(0.12, 0.651, 0.01)
"""Of deformed vertebrae, all taken as equally likely."""
MOST_CERTAIN = 0.99
"""No confidence is stated above it: the spreads of healthy vertebrae are not known so far out."""
SIDE_SPREAD = (0.06, 0.12, 0.06)
"""Between the mid-sagittal plane and those beside it, as parts of the anterior, middle and posterior
height: they count where the middle plane is not clear."""
CRUSH_FROM = 0.15
"""From this loss on, the posterior height is no reference for the others."""
OUTLIER_PART = 0.85
"""A neighbour that suggests less than this part of what the median does is low itself, and left out."""
NEIGHBOURS = 3
"""Levels up and down that a posterior height is compared with."""


def deformities(vertebrae: Sequence[Vertebra], limits: FractureLimits = USUAL) -> tuple[Vertebra, ...]:
    """Return the vertebrae with ``deformity`` filled in for complete ones from T4 to L5 (L6)."""
    return tuple(
        replace(vertebra, deformity=_deformity(vertebra, vertebrae, limits)) if _measurable(vertebra) else vertebra
        for vertebra in vertebrae
    )


def stated(vertebrae: Sequence[Vertebra], limits: FractureLimits = USUAL) -> tuple[Vertebra, ...]:
    """Return the vertebrae without heights, contour and judgement where the heights are too uncertain to be stated.

    A candidate is stated all the same: so great a loss shows even so. Where none shows, a loss may still be there.
    """
    return tuple(
        replace(one, heights=None, contour=None, deformity=None) if _too_uncertain(one, limits) else one
        for one in vertebrae
    )


def _too_uncertain(vertebra: Vertebra, limits: FractureLimits) -> bool:
    heights, deformity = vertebra.heights, vertebra.deformity
    if heights is None or (deformity is not None and deformity.genant_grade > 0):
        return False
    lengths = np.array([heights.anterior_mm, heights.middle_mm, heights.posterior_mm])
    return float(np.median(np.array(heights.standard_errors_mm) / lengths)) > limits.worst_error_part


def _measurable(vertebra: Vertebra) -> bool:
    return vertebra.complete and vertebra.heights is not None and vertebra.level in NORMS


def _deformity(vertebra: Vertebra, vertebrae: Sequence[Vertebra], limits: FractureLimits) -> Deformity:
    heights = _steadied(vertebra)
    norm = NORMS[vertebra.level]
    others = [other for other in vertebrae if other is not vertebra and _measurable(other)]
    expected_posterior = _expected_posterior(vertebra.level, others)
    crush = 1.0 - heights.posterior_mm / expected_posterior if expected_posterior else 0.0
    reference, reference_error = _reference(heights, expected_posterior, crush)
    expected_wedge = norm.wedge * _habit(others, _wedge_quotient)
    wedge = 1.0 - heights.anterior_mm / (reference * expected_wedge)
    upright = max(0.5 * (heights.anterior_mm + reference), 0.5 * reference * (1.0 + 0.8 * norm.wedge))
    concavity = CONCAVITY_NORM * _habit(others, _concavity_quotient)
    hollow = 1.0 - heights.middle_mm / (upright * concavity)
    anterior, middle, posterior = (error / reference for error in heights.standard_errors_mm)
    found = _graded(
        (
            _Loss("wedge", wedge, float(np.hypot(anterior, reference_error)), WEDGE_SD),
            _Loss(
                "biconcave", hollow, float(np.hypot(middle, 0.5 * np.hypot(anterior, reference_error))), CONCAVITY_SD
            ),
            _Loss("crush", crush, posterior, POSTERIOR_SD),
        ),
        limits,
    )
    measured = _heights(vertebra)
    ratios = Ratios(
        measured.anterior_mm / measured.posterior_mm,
        measured.middle_mm / measured.posterior_mm,
        measured.posterior_mm / expected_posterior if expected_posterior else None,
        expected_wedge,
        0.5 * (1.0 + expected_wedge) * concavity,
    )
    return replace(found, ratios=ratios)


def _steadied(vertebra: Vertebra) -> Heights:
    """Heights of the mid-sagittal plane, helped by the planes beside it where an endplate is not clear."""
    heights, contour = _heights(vertebra), vertebra.contour
    planes = [side for side in (contour.right, contour.left) if side] if contour else []
    lengths, errors = [], []
    for n, own in enumerate((heights.anterior_mm, heights.middle_mm, heights.posterior_mm)):
        values, weights = [own], [heights.standard_errors_mm[n] ** -2]
        for side in planes:
            values.append((side.anterior_mm, side.middle_mm, side.posterior_mm)[n])
            weights.append(1.0 / (side.standard_errors_mm[n] ** 2 + (SIDE_SPREAD[n] * own) ** 2))
        lengths.append(float(np.average(values, weights=weights)))
        errors.append(float(np.sum(weights) ** -0.5))
    steadied = (errors[0], errors[1], errors[2])
    return Heights(lengths[0], lengths[1], lengths[2], heights.points_lps_mm, steadied)


def _reference(heights: Heights, expected_mm: float | None, crush: float) -> tuple[float, float]:
    """Posterior height that the others are compared with: its own, steadied by what the neighbours suggest.

    The two are weighed by their variances; a body that is low at the back too is compared with its neighbours alone.
    Returns the height in mm, and its standard error as a part of it.
    """
    if expected_mm is None:
        return heights.posterior_mm, heights.standard_errors_mm[2] / heights.posterior_mm
    if crush > CRUSH_FROM:
        return expected_mm, 0.5 * POSTERIOR_SD
    own, near = heights.standard_errors_mm[2] ** -2, (POSTERIOR_SD * expected_mm) ** -2
    reference = (own * heights.posterior_mm + near * expected_mm) / (own + near)
    return reference, float((own + near) ** -0.5) / reference


@dataclass(frozen=True, slots=True)
class _Loss:
    """Height lost at one place, as a part of what is expected there."""

    kind: Literal["wedge", "biconcave", "crush"]
    part: float
    error: float
    """Standard error of the reading."""
    healthy_sd: float

    def probability(self, prevalence: float) -> float:
        """That this is a deformity of 20 % or more and no healthy variant that was read so (Bayes' rule)."""
        healthy = (1.0 - prevalence) * _density(self.part, float(np.hypot(self.error, self.healthy_sd)))
        deformed = prevalence * np.array([_density(self.part - loss, self.error) for loss in LOSSES]) / len(LOSSES)
        lower = GRADES[0] - 1e-9 > LOSSES
        total = healthy + float(deformed.sum())
        return float(deformed[~lower].sum()) / total if total > 0.0 else float(self.part >= GRADES[0])


def _density(deviation: float, sd: float) -> float:
    """Of a normal distribution."""
    return float(np.exp(-0.5 * (deviation / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi)))


def _graded(losses: Sequence[_Loss], limits: FractureLimits) -> Deformity:
    """Type and grade of the greatest loss, with the probability that it is on the stated side of 20 %."""
    worst = max(losses, key=lambda loss: loss.part)
    crush = next(loss for loss in losses if loss.kind == "crush")
    percent = round(100.0 * max(worst.part, 0.0), 1)
    grade = sum(worst.part >= limit for limit in GRADES)
    probability = {loss.kind: loss.probability(limits.prevalence) for loss in losses}
    if grade == 0 or probability[worst.kind] < limits.candidate_from:
        return Deformity("none", percent, 0, min(1.0 - max(probability.values()), MOST_CERTAIN))
    crushed = crush.part >= GRADES[0] and probability["crush"] >= limits.candidate_from
    graded: Literal[1, 2, 3] = 3 if grade == 3 else 2 if grade == 2 else 1
    confidence = min(probability[worst.kind], MOST_CERTAIN)
    return Deformity("crush" if crushed else worst.kind, percent, graded, confidence)


def _expected_posterior(level: str, others: Sequence[Vertebra]) -> float | None:
    """Posterior height that the patient's neighbouring vertebrae suggest for this level."""
    here = LEVELS.index(level)
    near = sorted(others, key=lambda other: abs(LEVELS.index(other.level) - here))[: 2 * NEIGHBOURS]
    suggestions = [
        _heights(other).posterior_mm * NORMS[level].posterior_mm / NORMS[other.level].posterior_mm
        for other in near
        if abs(LEVELS.index(other.level) - here) <= NEIGHBOURS + 1
    ]
    if len(suggestions) < 2:
        return None
    usual = float(np.median(suggestions))
    return float(np.median([one for one in suggestions if one >= OUTLIER_PART * usual]))


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
