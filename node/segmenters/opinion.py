"""Two engines compared: what disagreement on a name does to its confidence, and what the reader is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from node.domain.findings import Caution
from node.domain.spine import LEVELS, Anchor, SpineMap, VertebraSeed

SAME_MM = 14.0
"""Two engines mean the same vertebra when its centres lie nearer than this: about half a vertebra and a disc."""


@dataclass(frozen=True, slots=True)
class Match:
    """One vertebra as two engines name it."""

    ours: VertebraSeed
    theirs: VertebraSeed


def weigh(spine: SpineMap, other: SpineMap, engine: str, used: str) -> tuple[SpineMap, tuple[Caution, ...]]:
    """``spine`` with its confidence as ``other`` leaves it, and a caution where they disagree.

    Where a name differs, its probability follows Bayes' rule from both engines' own confidence, the two taken as
    independent; where it does not, nothing changes: two engines may be misled alike. The comparison becomes an anchor.
    """
    pairs = _matches(spine, other)
    differing = [pair for pair in pairs if pair.ours.level != pair.theirs.level]
    lowered = {id(pair.ours): _posterior(pair.ours.confidence, pair.theirs.confidence) for pair in differing}
    seeds = tuple(replace(seed, confidence=lowered.get(id(seed), seed.confidence)) for seed in spine.seeds)
    before = spine.assignment
    anchor = Anchor("second-opinion", _first_as_named(spine, pairs), f"{engine}: {_summary(pairs, differing)}")
    assignment = replace(before, anchors=(*before.anchors, anchor))
    if not differing:
        return replace(spine, assignment=assignment), ()
    nearest = min(differing, key=lambda pair: abs(_rank(pair.ours.level) - _rank("L1")))
    sure = min(before.confidence, lowered[id(nearest.ours)])
    assignment = replace(assignment, agreement="conflict", confidence=sure)
    words = ", ".join(f"{pair.ours.level} is {pair.theirs.level}" for pair in differing[:4])
    more = f" and {len(differing) - 4} more" if len(differing) > 4 else ""
    sentence = f"The engines name vertebrae differently: by {engine}, what {used} calls {words}{more}."
    return replace(spine, seeds=seeds, assignment=assignment), (Caution("second-opinion-differs", sentence),)


def _matches(spine: SpineMap, other: SpineMap) -> list[Match]:
    found = []
    for seed in spine.seeds:
        centre = seed.frame.centre_lps_mm
        away = [float(np.linalg.norm(theirs.frame.centre_lps_mm - centre)) for theirs in other.seeds]
        nearest = int(np.argmin(away)) if away else -1
        if away and away[nearest] < SAME_MM:
            found.append(Match(seed, other.seeds[nearest]))
    return found


def _posterior(ours: float, theirs: float) -> float:
    """Probability that the first of two differing names is right, given how often each engine is."""
    right, wrong = ours * (1.0 - theirs), (1.0 - ours) * theirs
    return right / (right + wrong) if right + wrong > 0 else 0.5


def _first_as_named(spine: SpineMap, pairs: Sequence[Match]) -> str | None:
    """What the other engine would call our uppermost vertebra, counted from the first one both found."""
    if not pairs:
        return None
    first = pairs[0]
    above = next(n for n, seed in enumerate(spine.seeds) if seed is first.ours)
    usual = [level for level in LEVELS if level not in ("T13", "L6")]
    if first.theirs.level not in usual:
        return first.theirs.level if above == 0 else None
    rank = usual.index(first.theirs.level) - above
    return usual[rank] if rank >= 0 else None


def _summary(pairs: Sequence[Match], differing: Sequence[Match]) -> str:
    if not pairs:
        return "found none of these vertebrae"
    return f"names {len(pairs) - len(differing)} of {len(pairs)} vertebrae found by both alike"


def _rank(level: str) -> int:
    return LEVELS.index(level)
