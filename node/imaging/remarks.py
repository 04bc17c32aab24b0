"""What a reader must know about single vertebrae: substitutes, what a density leaves out, endplates, back walls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from node.domain.findings import Caution
from node.domain.settings import FractureLimits, LevelLimits
from node.domain.spine import Vertebra, Voi
from node.imaging.healthy_heights import NORMS

USUAL = FractureLimits()
LEFT_OUT_FROM = 0.03
"""Of a VOI: less is not worth a sentence."""

LEAST_OTHERS = 3
"""Endplates of the patient that one is compared with."""


def remarks(
    vertebrae: Sequence[Vertebra],
    vois: Mapping[str, Voi],
    mean_levels: Sequence[str],
    limits: LevelLimits,
    fractures: FractureLimits = USUAL,
) -> tuple[Caution, ...]:
    """Return the remarks about the levels of the mean and about candidates for review."""
    return (
        *_substitutes(vois, mean_levels, limits),
        *_left_out(vois, mean_levels),
        *_unread(vertebrae),
        *_depressions(vertebrae, fractures),
        *_bulges(vertebrae, fractures),
    )


def _substitutes(vois: Mapping[str, Voi], mean_levels: Sequence[str], limits: LevelLimits) -> Iterator[Caution]:
    """Each missing target beside the level that takes its place, in order."""
    missing = [level for level in limits.targets if level not in mean_levels]
    standing_in = [level for level in mean_levels if level not in limits.targets]
    for level, substitute in zip(missing, standing_in, strict=False):
        voi = vois.get(level)
        reason = (voi and (voi.exclusion_message or voi.exclusion)) or f"{level} is not wholly in the scan."
        yield Caution("substituted", f"{substitute} stands in for {level}: {reason}")


def _left_out(vois: Mapping[str, Voi], mean_levels: Sequence[str]) -> Iterator[Caution]:
    for level in mean_levels:
        voi = vois[level]
        for part, what in (
            (voi.dense_part, "much denser than the rest (a bone island or sclerosis)"),
            (voi.sparse_part, "much less dense than the rest (a vessel, a Schmorl's node, fat or gas)"),
        ):
            if part >= LEFT_OUT_FROM:
                yield Caution(
                    "left-out", f"{100.0 * part:.0f} % of the spongiosa of {level} is {what}; it is left out."
                )


def _unread(vertebrae: Sequence[Vertebra]) -> Iterator[Caution]:
    levels = [one.level for one in vertebrae if one.complete and one.heights is None and one.level in NORMS]
    if levels:
        yield Caution(
            "heights-not-stated",
            f"Heights of {', '.join(levels)} are not known well enough to tell a fracture from none "
            "(thick slices or hidden endplates): look at the reformats.",
        )


def _depressions(vertebrae: Sequence[Vertebra], limits: FractureLimits) -> Iterator[Caution]:
    """Endplates pressed in far more than the patient's others: by a fracture or a Schmorl's node."""
    depths = [
        (one.level, {"superior": one.contour.superior_depression_mm, "inferior": one.contour.inferior_depression_mm})
        for one in vertebrae
        if one.contour
    ]
    for level, ends in depths:
        for end, depth in ends.items():
            others = [known for name, two in depths if name != level and (known := two[end]) is not None]
            if depth is None or len(others) < LEAST_OTHERS or depth - median(others) < limits.depression_mm:
                continue
            yield Caution(
                "endplate-depression",
                f"The {end} endplate of {level} is pressed in by {depth:.0f} mm, those of the other vertebrae by "
                f"{median(others):.0f} mm: look for a fracture or a Schmorl's node.",
            )


def _bulges(vertebrae: Sequence[Vertebra], limits: FractureLimits) -> Iterator[Caution]:
    for one in vertebrae:
        bulge = one.contour.posterior_bulge_mm if one.contour else None
        if bulge is not None and bulge >= limits.bulge_mm and one.deformity and one.deformity.genant_grade >= 1:
            yield Caution(
                "posterior-wall",
                f"The posterior wall of {one.level}, a candidate for a fracture, stands out by {bulge:.0f} mm: "
                "look for a burst or a pathological fracture.",
            )
