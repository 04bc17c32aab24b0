"""From what was found to what may be reported: which levels count, the mean, its category, or a refusal.

The clinical rules stand here, apart from the measuring: pure functions on values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from node.domain.findings import BoneDensity, Category, Caution
from node.domain.phantom import Material, PhantomFit
from node.domain.quality import CrossCalibration
from node.domain.settings import CategoryLimits, LevelLimits
from node.domain.spine import LevelAssignment, Vertebra, Voi
from node.errors import Confounded, LevelsAmbiguous, LevelsOutsideScan, PhantomOutOfField, VertebraNotMeasurable
from node.imaging.rod_levels import MAX_ROD_GAP_MM

NOT_BONE = frozenset({"metal", "cement", "artefact"})
"""Exclusions with which what was read is no density of bone."""


def require_targets(
    vertebrae: Sequence[Vertebra], assignment: LevelAssignment, limits: LevelLimits
) -> tuple[Vertebra, ...]:
    """Return the target vertebrae that lie wholly in the scan and are surely named.

    Raises ``LevelsOutsideScan`` when surely none is complete, ``LevelsAmbiguous`` when names are not believed.
    """
    complete = {vertebra.level: vertebra for vertebra in vertebrae if vertebra.complete}
    seen = [vertebra.level for vertebra in vertebrae]
    evidence = {
        "levels_found": seen,
        "anchors": [f"{anchor.name}: {anchor.evidence}" for anchor in assignment.anchors],
        "confidence": round(assignment.confidence, 3),
    }
    if not any(level in complete for level in limits.targets):
        if assignment.lumbar_target_chance > 1 - limits.min_confidence:
            raise LevelsAmbiguous(_ambiguous(assignment, limits), evidence)
        raise LevelsOutsideScan(
            f"{' and '.join(limits.targets)} are not wholly in the scan (found: {', '.join(seen) or 'none'}).", evidence
        )
    if assignment.confidence < _needed(assignment, limits):
        raise LevelsAmbiguous(_ambiguous(assignment, limits), evidence)
    return tuple(complete[level] for level in (*limits.targets, *limits.substitutes) if level in complete)


def _needed(assignment: LevelAssignment, limits: LevelLimits) -> float:
    return limits.min_confidence_in_conflict if assignment.agreement == "conflict" else limits.min_confidence


def _ambiguous(assignment: LevelAssignment, limits: LevelLimits) -> str:
    return (
        f"Which vertebra is {limits.targets[0]} cannot be told: confidence {assignment.confidence:.2f}, "
        f"needed {_needed(assignment, limits):.2f}; anchors {assignment.agreement}."
    )


def require_phantom_beside(vois: Mapping[str, Voi], fit: PhantomFit) -> None:
    """Raise ``PhantomOutOfField`` when the rods do not reach the level of some vertebra to be measured."""
    lowest = max(float(rod.slice_centres_lps_mm[:, 2].min()) for rod in fit.rods)
    highest = min(float(rod.slice_centres_lps_mm[:, 2].max()) for rod in fit.rods)
    for level, voi in vois.items():
        z = voi.centre_lps_mm[2]
        if not lowest - MAX_ROD_GAP_MM <= z <= highest + MAX_ROD_GAP_MM:
            raise PhantomOutOfField(
                f"The phantom does not lie beside {level}: rods are seen from z {lowest:.0f} to {highest:.0f} mm, "
                f"{level} lies at {z:.0f} mm.",
                {"level": level, "level_z_mm": round(z, 1), "rods_z_mm": [round(lowest, 1), round(highest, 1)]},
            )


def select_levels(vois: Mapping[str, Voi], limits: LevelLimits) -> tuple[str, ...]:
    """Return the levels that enter the mean: suitable targets, then suitable substitutes for missing ones.

    Raises ``VertebraNotMeasurable`` when no permitted level is suitable.
    """
    suitable = [level for level in limits.targets if level in vois and vois[level].exclusion is None]
    for level in limits.substitutes:
        if len(suitable) < len(limits.targets) and level in vois and vois[level].exclusion is None:
            suitable.append(level)
    if not suitable:
        reasons = {level: voi.exclusion for level, voi in vois.items() if level in limits.targets}
        raise VertebraNotMeasurable(
            "No permitted vertebra can be measured: "
            + "; ".join(f"{level}: {vois[level].exclusion_message or reason}" for level, reason in reasons.items()),
            {"exclusions": reasons},
        )
    return tuple(suitable)


SURE_OF_LEVELS = 0.9
"""Below this confidence the reader is told that the names may be off by one."""


def naming_caution(assignment: LevelAssignment) -> tuple[Caution, ...]:
    """Return the warning that names may be off by one, where they may."""
    if assignment.confidence >= SURE_OF_LEVELS:
        return ()
    sentence = f"The levels may be off by one: L1 is L1 with a probability of {assignment.confidence:.2f}."
    return (Caution("levels-unsure", sentence),)


def result_cautions(
    material: Material,
    mean_levels: Sequence[str],
    limits: CategoryLimits,
    conversion: CrossCalibration | None = None,
) -> tuple[Caution, ...]:
    """Return what stands against a category on account of the phantom's material or the number of vertebrae."""
    found: list[Caution] = []
    if conversion is not None:
        sentence = (
            f"The phantom measures in mg/cm³ {conversion.from_material}; the category is that of the K2HPO4 equivalent "
            f"by the site's cross-calibration ({conversion.source}, {conversion.measured_on.isoformat()}, valid until "
            f"{conversion.expires_on.isoformat()})."
        )
        found.append(Caution("cross-calibrated", sentence))
    elif material != limits.material:
        sentence = (
            f"The phantom measures in mg/cm³ {material}: the limits are validated for "
            f"{limits.material} only; not classified."
        )
        found.append(Caution("uncalibrated-unit", sentence, "withhold"))
    if len(mean_levels) == 1:
        sentence = f"Only {mean_levels[0]} enters the result: a category needs two vertebrae."
        found.append(Caution("single-level", sentence, "withhold"))
    return tuple(found)


def require_permitted(found: Sequence[Caution]) -> None:
    """Raise ``Confounded`` where the configuration refuses what was found."""
    refused = [caution for caution in found if caution.effect == "refuse"]
    if refused:
        raise Confounded(
            " ".join(caution.message for caution in refused), {"confounders": [caution.code for caution in refused]}
        )


def categorise(mean_vbmd_mg_cm3: float, found: Sequence[Caution], limits: CategoryLimits) -> Category:
    """Return the category of the mean of two vertebrae, or "not-classified" where the limits are not valid.

    Both ends of 80 to 120 mg/cm³ count as low bone mass (PMC7495321, table 2). The value is judged as it is printed,
    to one decimal, so that no report contradicts itself.
    """
    printed = float(f"{mean_vbmd_mg_cm3:.1f}")
    if any(caution.effect != "warn" for caution in found):
        return "not-classified"
    if printed > limits.normal_above_mg_cm3:
        return "normal"
    return "osteoporosis" if printed < limits.osteoporosis_below_mg_cm3 else "low-bone-mass"


def mark(densities: Mapping[str, BoneDensity], mean_levels: Sequence[str]) -> dict[str, BoneDensity]:
    """Return the densities with their place in the mean: outside the mean means a reason stands beside.

    Where something other than bone was read there is no density at all.
    """
    return {
        level: replace(
            density,
            included_in_mean=level in mean_levels,
            exclusion_reason=None if level in mean_levels else density.exclusion_reason or "not-a-target-level",
        )
        for level, density in densities.items()
        if density.exclusion_reason not in NOT_BONE
    }
