"""When names are in doubt: each reading of the levels with the densities that it would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from node.domain.findings import BoneDensity
from node.domain.spine import LevelAssignment, Voi


def readings(
    assignment: LevelAssignment,
    targets: Sequence[str],
    vois: Mapping[str, Voi],
    densities: Mapping[str, BoneDensity] | None = None,
) -> list[dict[str, object]]:
    """Return every reading worth telling, likeliest first: its probability and, by target level, HU and vBMD.

    ``vois`` and ``densities`` are by the names given. A level that no complete vertebra has in a reading is left out,
    and so is the density where there is no calibration.
    """
    named = [({level: level for level in vois}, assignment.confidence)]
    named += [(dict(other.names), other.probability) for other in assignment.alternatives]
    return [_reading(names, chance, targets, vois, densities or {}) for names, chance in named]


def _reading(
    names: Mapping[str, str],
    chance: float,
    targets: Sequence[str],
    vois: Mapping[str, Voi],
    densities: Mapping[str, BoneDensity],
) -> dict[str, object]:
    given = {new: old for old, new in names.items() if old in vois}
    levels: dict[str, dict[str, float]] = {}
    for level in targets:
        if level not in given:
            continue
        levels[level] = {"hu": round(vois[given[level]].hu_mean, 1)}
        density = densities.get(given[level])
        if density is not None:
            levels[level]["vbmd_mg_cm3"] = round(density.vbmd_mg_cm3, 1)
            levels[level]["expanded_uncertainty_mg_cm3"] = round(density.expanded_uncertainty_mg_cm3, 1)
    reading: dict[str, object] = {"probability": round(chance, 3), "levels": levels}
    known = [densities[given[level]].vbmd_mg_cm3 for level in levels if given[level] in densities]
    if known:
        reading["mean_vbmd_mg_cm3"] = round(sum(known) / len(known), 1)
    return reading


def sentence(found: Sequence[Mapping[str, object]]) -> str:
    """The readings in words: "0.62: L1 118.3, L2 121.0 mg/cm³; 0.31: L1 121.0, L2 124.2 mg/cm³"."""
    told = []
    for reading in found:
        levels = reading["levels"]
        if not isinstance(levels, Mapping) or not levels:
            continue
        calibrated = all("vbmd_mg_cm3" in level for level in levels.values())
        key, unit = ("vbmd_mg_cm3", "mg/cm³") if calibrated else ("hu", "HU")
        values = ", ".join(f"{name} {level[key]:.1f}" for name, level in levels.items())
        told.append(f"with probability {reading['probability']}: {values} {unit}")
    return "; ".join(told)
