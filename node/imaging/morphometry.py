"""Deformity of vertebral bodies: a candidate for review, never a diagnosis.

The three heights of a body are compared with what its level and the patient's other vertebrae suggest
(``healthy_heights``), and every kind and amount of loss is weighed against a healthy variant that was read so
(``height_loss``). The loss is graded by Genant (J Bone Miner Res 8:1137, 1993): 20, 25, 40 %. A plain rule of largest
against smallest height would call every normal L5 fractured, since the lowest bodies are shorter at the back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from node.domain.settings import FractureLimits
from node.domain.spine import Deformity, Heights, Ratios, SideHeights, Vertebra
from node.imaging.healthy_heights import NORMS, Column
from node.imaging.height_loss import Judgement, judged

USUAL = FractureLimits()
GRADES = (0.20, 0.25, 0.40)
MOST_CERTAIN = 0.99
"""No confidence is stated above it: the spreads of healthy vertebrae are not known so far out."""
SIDE_SPREAD = (0.06, 0.12, 0.06)
"""Between the mid-sagittal plane and what those beside it suggest for it, as parts of the anterior, middle and
posterior height: they count where the middle plane is not clear."""
SIDE_DEPTH = 0.6
"""Depth of hollow endplates a quarter of the width beside the middle, as a part of that in the middle."""
LEAST_MM = 1.0
"""A height is no less, whatever a plane beside it suggests."""
ALIKE = 0.7
"""Correlation of reading errors between these planes: what hides an endplate in one hides it in all."""
FEWEST_FOR_CRUSH = 3
"""Vertebrae, itself among them, from which a posterior height is compared with those of the others."""


def deformities(vertebrae: Sequence[Vertebra], limits: FractureLimits = USUAL) -> tuple[Vertebra, ...]:
    """Return the vertebrae with ``deformity`` filled in for complete ones from T4 to L5 (L6)."""
    judgeable = [vertebra for vertebra in vertebrae if _measurable(vertebra)]
    found = iter(judged(_column(judgeable), limits.prevalence))
    several = len(judgeable) >= FEWEST_FOR_CRUSH
    return tuple(
        replace(vertebra, deformity=_deformity(vertebra, next(found), limits, several))
        if _measurable(vertebra)
        else vertebra
        for vertebra in vertebrae
    )


def _column(vertebrae: Sequence[Vertebra]) -> Column:
    steadied = [_steadied(vertebra) for vertebra in vertebrae]
    return Column(
        tuple(vertebra.level for vertebra in vertebrae),
        np.array([(one.anterior_mm, one.middle_mm, one.posterior_mm) for one in steadied]).reshape(-1, 3),
        np.array([one.standard_errors_mm for one in steadied]).reshape(-1, 3),
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


def _steadied(vertebra: Vertebra) -> Heights:
    """Heights of the mid-sagittal plane, helped by the planes beside it where an endplate is not clear."""
    heights, contour = _heights(vertebra), vertebra.contour
    planes: list[Heights | SideHeights] = [heights]
    planes += [side for side in (contour.right, contour.left) if side] if contour else []
    lengths = np.array([(one.anterior_mm, one.middle_mm, one.posterior_mm) for one in planes])
    chords = 0.5 * (lengths[1:, 0] + lengths[1:, 2])
    lengths[1:, 1] = np.maximum(chords - (chords - lengths[1:, 1]) / SIDE_DEPTH, LEAST_MM)
    reading = np.array([one.standard_errors_mm for one in planes])
    spread = np.zeros_like(lengths)
    spread[1:] = np.array(SIDE_SPREAD) * lengths[0]
    weights = 1.0 / (reading**2 + spread**2)
    weights /= weights.sum(axis=0)
    together, apart = (weights * reading).sum(axis=0) ** 2, (weights**2 * reading**2).sum(axis=0)
    variance = (weights**2 * spread**2).sum(axis=0) + ALIKE * together + (1.0 - ALIKE) * apart
    anterior, middle, posterior = map(float, (weights * lengths).sum(axis=0))
    first, second, third = map(float, np.sqrt(variance))
    return Heights(anterior, middle, posterior, heights.points_lps_mm, (first, second, third))


def _deformity(vertebra: Vertebra, judgement: Judgement, limits: FractureLimits, several: bool) -> Deformity:
    """Type and grade where a loss of 20 % is probable enough; confidence: of being on the stated side of it."""
    heights = _heights(vertebra)
    anterior, middle, posterior = judgement.expected.mm
    ratios = Ratios(
        heights.anterior_mm / heights.posterior_mm,
        heights.middle_mm / heights.posterior_mm,
        heights.posterior_mm / float(posterior) if several else None,
        float(anterior / posterior),
        float(middle / posterior),
    )
    if judgement.fractured < limits.candidate_from:
        percent = round(100.0 * max(float(judgement.lost.max()), 0.0), 1)
        return Deformity("none", percent, 0, min(1.0 - judgement.fractured, MOST_CERTAIN), ratios)
    grade = sum(judgement.loss >= limit for limit in GRADES)
    graded: Literal[1, 2, 3] = 3 if grade == 3 else 2 if grade == 2 else 1
    confidence = min(judgement.fractured, MOST_CERTAIN)
    return Deformity(judgement.kind, round(100.0 * judgement.loss, 1), graded, confidence, ratios)


def _heights(vertebra: Vertebra) -> Heights:
    if vertebra.heights is None:
        raise ValueError(f"{vertebra.level} has no heights")
    return vertebra.heights
