"""What ``bodies_accuracy`` leaves of each vertebra and each patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Row:
    """What one vertebra came to."""

    case: str
    level: str
    slice_mm: float
    dice: float
    centre_mm: float
    heights_mm: tuple[float, ...]
    """Errors; not a number where heights were withheld."""
    errors_mm: tuple[float, ...]
    """Standard errors as stated."""
    vbmd: float
    """Error in mg/cm³, measured or not."""
    expanded: float
    """k = 2, of noise and place, mg/cm³."""
    exclusion: str | None
    sick: str | None
    type: str
    grade: int
    loss: float
    confidence: float
    true_grade: int
    true_loss: float
    named: str
    """As found."""
    hu: float = field(default=np.nan)


@dataclass(frozen=True)
class Outcome:
    """One case."""

    name: str
    rows: list[Row]
    whole: int
    seconds: float
    refusal: str | None
    note: str = ""
