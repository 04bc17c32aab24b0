"""Earlier results of the same patient, as read from their reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from node.domain.phantom import Material


@dataclass(frozen=True, slots=True)
class PriorResult:
    """One earlier measurement. ``level_centres_lps_mm`` serves to keep the naming of levels."""

    study_date: date
    study_instance_uid: str
    sop_instance_uid: str
    """Of its report."""
    material: Material
    mean_vbmd_mg_cm3: float | None
    mean_levels: tuple[str, ...]
    vbmd_mg_cm3: Mapping[str, float] = field(default_factory=dict)
    """By level."""
    phantom: str | None = None
    """Model and serial number."""
    asynchronous: bool = False
    kvp: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    """Whether contrast medium was given; ``None``: not stated."""
    scanner: str | None = None
    """Serial number, else station name."""
    heights_mm: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """Anterior, middle and posterior, by level: by them a column is recognised and its naming kept."""


@dataclass(frozen=True, slots=True)
class NotComparable:
    """Why two results must not be compared: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What else was not the same in the two scans; it does not forbid to compare them."""

    what: Literal["kernel", "phantom", "scanner"]
    before: str
    now: str

    @property
    def message(self) -> str:
        """As words."""
        return f"{self.what} {self.before}, now {self.now}"


@dataclass(frozen=True, slots=True)
class Change:
    """Of the mean density since one earlier result."""

    prior: PriorResult
    reasons: tuple[NotComparable, ...]
    """Why the two must not be compared; the numbers are then ``None``."""
    change_mg_cm3: float | None = None
    change_percent: float | None = None
    percent_per_year: float | None = None
    """``None`` too where the scans are less than a month apart."""
    least_significant_change_mg_cm3: float | None = None
    significant: bool | None = None
    """Whether it is more than the least significant change."""
    differences: tuple[Difference, ...] = ()

    @property
    def not_comparable(self) -> tuple[str, ...]:
        """The reasons as sentences."""
        return tuple(one.message for one in self.reasons)
