"""The naming of an earlier report of the same patient, kept where the column is recognised by its bodies' heights.

Heights differ from person to person and from level to level by more than they are measured wrongly. A column is laid
along that of the report, and shifted by one and two levels; it is recognised when one place fits far better than
another person's column would, and far better than the places beside it. Else nothing is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from node.domain.findings import Caution
from node.domain.prior import PriorResult
from node.domain.spine import Anchor, LevelAssignment, SpineMap, Vertebra

Floats = NDArray[np.float64]

ORDER = (*(f"C{n}" for n in range(1, 8)), *(f"T{n}" for n in range(1, 13)), *(f"L{n}" for n in range(1, 7)), "S1")
"""Names head to foot by counting."""
SHIFTS = (-2, -1, 0, 1, 2)
FEWEST = 4
"""Vertebrae that both studies must show."""
ERROR_MM = 1.0
"""Difference of one height measured twice, 1 sigma."""
PEOPLE_MM = 2.4
"""Spread of a height at one level between people, 1 sigma (2 mm and more; PMC3733867), with its measurement."""
CHANGED = 0.1
"""Part of the vertebrae that are not as they were: fractured since, or measured wrongly."""
SAME_PERSON, SAME_PLACE = 3.0, 3.0
"""Natural logarithms of the odds needed, against another person and against the next best place."""
MOST = 0.97


@dataclass(frozen=True, slots=True)
class Recognised:
    """Where a column lies along that of an earlier report."""

    prior: PriorResult
    shift: int
    """The report's name lies so many levels farther down than the name given."""
    probability: float


def keep_naming(
    column: SpineMap, vertebrae: Sequence[Vertebra], priors: Sequence[PriorResult]
) -> tuple[SpineMap, tuple[Vertebra, ...], tuple[Caution, ...]]:
    """Give a recognised column the names of the latest report that knows it, with a caution where they differ.

    Unrecognised, everything is returned as it was. Deformities are judged by level: call this before them.
    """
    found = next((hit for prior in reversed(priors) if (hit := recognise(vertebrae, prior)) is not None), None)
    if found is None:
        return column, tuple(vertebrae), ()
    names = {v.level: moved for v in vertebrae if (moved := _moved(v.level, found.shift)) is not None}
    names |= {s.level: moved for s in column.seeds if (moved := _moved(s.level, found.shift)) is not None}
    if any(v.level not in names for v in vertebrae) or any(s.level not in names for s in column.seeds):
        return column, tuple(vertebrae), ()
    sure = found.probability
    seeds = tuple(replace(s, level=names[s.level], confidence=sure) for s in column.seeds)
    renamed = tuple(replace(v, level=names[v.level], confidence=sure) for v in vertebrae)
    assignment = _assignment(column.assignment, found, seeds[0].level if seeds else None)
    return replace(column, seeds=seeds, assignment=assignment), renamed, _caution(column.assignment, found)


def recognise(vertebrae: Sequence[Vertebra], prior: PriorResult) -> Recognised | None:
    """Lay the vertebrae along those of a report by their heights; None when they cannot be told to be the same."""
    now = {
        ORDER.index(v.level): np.array([v.heights.anterior_mm, v.heights.middle_mm, v.heights.posterior_mm])
        for v in vertebrae
        if v.complete and v.heights is not None and v.level in ORDER
    }
    then = {ORDER.index(level): np.array(heights) for level, heights in prior.heights_mm.items() if level in ORDER}
    odds = {}
    for shift in SHIFTS:
        pairs = [(heights, then[at + shift]) for at, heights in now.items() if at + shift in then]
        odds[shift] = _log_odds(pairs) if len(pairs) >= FEWEST else -np.inf
    best = max(odds, key=lambda shift: odds[shift])
    next_best = max(value for shift, value in odds.items() if shift != best)
    if odds[best] < SAME_PERSON or odds[best] - next_best < SAME_PLACE:
        return None
    chance = 1.0 / sum(np.exp(value - odds[best]) for value in odds.values())
    return Recognised(prior, best, min(MOST, float(chance)))


def _log_odds(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """How much likelier these pairs are of the same vertebrae than of vertebrae of two people."""
    off = np.array([a - b for a, b in pairs])
    apart = _log_normal(off, np.sqrt(2.0) * PEOPLE_MM).mean(axis=1)
    same = _log_normal(off, ERROR_MM).mean(axis=1)
    return 2.0 * float((np.logaddexp(np.log(1 - CHANGED) + same, np.log(CHANGED) + apart) - apart).sum())


def _log_normal(off: Floats, sigma: float) -> Floats:
    value: Floats = -0.5 * (off / sigma) ** 2 - np.log(sigma)
    return value


def _moved(level: str, shift: int) -> str | None:
    if level not in ORDER:
        return None
    at = ORDER.index(level) + shift
    return ORDER[at] if 0 <= at < len(ORDER) else None


def _assignment(given: LevelAssignment, found: Recognised, first: str | None) -> LevelAssignment:
    evidence = f"Recognised by its heights: the column has the names of the report of {found.prior.study_date}."
    anchors = (*given.anchors, Anchor("prior-study", first, evidence))
    agreement = given.agreement if found.shift == 0 else "conflict"
    if found.shift == 0 and agreement in ("none", "single"):
        agreement = "agree" if agreement == "single" else "single"
    chance = given.lumbar_target_chance if found.shift == 0 else 1.0
    return replace(
        given,
        anchors=anchors,
        agreement=agreement,
        confidence=found.probability,
        lumbar_target_chance=chance,
        alternatives=(),
    )


def _caution(given: LevelAssignment, found: Recognised) -> tuple[Caution, ...]:
    if found.shift == 0:
        return ()
    was = _moved("L1", -found.shift)
    return (
        Caution(
            "levels-differ-from-prior",
            f"The names of levels are those of the report of {found.prior.study_date}, by which the column was "
            f"recognised; in this scan alone the vertebra called L1 would be {was} (probability "
            f"{given.confidence:.2f}).",
        ),
    )
