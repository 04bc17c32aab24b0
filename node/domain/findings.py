"""What a measurement ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node.domain.instance import InstanceHeader
from node.domain.phantom import Calibration, PhantomFit
from node.domain.spine import CurvedReformat, LevelAssignment, Reformat, Vertebra, Voi

Category = Literal["normal", "low-bone-mass", "osteoporosis", "not-classified"]


@dataclass(frozen=True, slots=True)
class Caution:
    """Something the reader must know about a result: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no density: a stable reason, a sentence, and JSON-serialisable facts."""

    reason: str
    message: str
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoneDensity:
    """vBMD of one vertebra in the phantom's own material."""

    level: str
    vbmd_mg_cm3: float
    expanded_uncertainty_mg_cm3: float
    """k = 2."""
    included_in_mean: bool
    exclusion_reason: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All that was found in one series. ``refusal`` set: no density is reported, but levels may be."""

    header: InstanceHeader
    """Of one image of the series (acquisition attributes)."""
    refusal: Refusal | None
    cautions: tuple[Caution, ...]
    phantom: PhantomFit | None
    calibration: Calibration | None
    vertebrae: tuple[Vertebra, ...]
    """Head to foot."""
    assignment: LevelAssignment | None
    vois: Mapping[str, Voi]
    """By level."""
    densities: Mapping[str, BoneDensity]
    """By level; empty when refused."""
    mean_vbmd_mg_cm3: float | None
    mean_expanded_uncertainty_mg_cm3: float | None
    mean_levels: tuple[str, ...]
    category: Category
    reformats: tuple[Reformat, ...]
    curved: tuple[CurvedReformat, ...] = ()
