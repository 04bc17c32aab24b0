"""What a measurement ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from node.domain.instance import InstanceHeader
from node.domain.phantom import Calibration, PhantomFit
from node.domain.prior import Change
from node.domain.quality import CrossCalibration
from node.domain.spine import CurvedReformat, LevelAssignment, Reformat, Vertebra, Voi

Category = Literal["normal", "low-bone-mass", "osteoporosis", "not-classified"]


Effect = Literal["warn", "withhold", "refuse"]
"""What a caution does: it is shown; it also withholds the category; it refuses the measurement."""


@dataclass(frozen=True, slots=True)
class Caution:
    """Something the reader must know about a result: a stable code and a sentence."""

    code: str
    message: str
    effect: Effect = "warn"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no density: a stable reason, a sentence, and JSON-serialisable facts."""

    reason: str
    message: str
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Converted:
    """A density expressed in another way, with its own uncertainty."""

    vbmd_mg_cm3: float
    expanded_uncertainty_mg_cm3: float
    """k = 2; includes that of the conversion."""


@dataclass(frozen=True, slots=True)
class BoneDensity:
    """vBMD of one vertebra in the phantom's own material."""

    level: str
    vbmd_mg_cm3: float
    expanded_uncertainty_mg_cm3: float
    """k = 2."""
    included_in_mean: bool
    exclusion_reason: str | None
    k2hpo4: Converted | None = None
    """In K2HPO4 equivalents by the site's cross-calibration, where the phantom is of another material."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All that was found in one series. ``refusal`` set: no density is reported, but levels may be."""

    header: InstanceHeader
    """Of one image of the series (acquisition attributes)."""
    refusal: Refusal | None
    cautions: tuple[Caution, ...]
    phantom: PhantomFit | None
    calibration: Calibration | None
    """Of the whole length of the rods, or an asynchronous one."""
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
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    """By level: the rods as they read at the height of that vertebra. Densities come from these."""
    slope_cv_percent: float | None = None
    """Coefficient of variation of ``sigma_ct`` between the vertebrae of the mean and their neighbours."""
    cross_calibration: CrossCalibration | None = None
    """That of the site, where it was used."""
    mean_k2hpo4: Converted | None = None
    """The mean in K2HPO4 equivalents, where ``cross_calibration`` was used; it is then the one that is classified."""
    mean_native_estimate: Converted | None = None
    """With contrast medium, where the site asks for it: what the mean would be without (Toelly 2017), an estimate."""
    changes: tuple[Change, ...] = ()
    """Of the mean since earlier results, newest first."""
    curved: tuple[CurvedReformat, ...] = ()
