"""Bone density of what was read, and its expanded uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.domain.findings import BoneDensity
from node.domain.phantom import Calibration
from node.domain.settings import UncertaintySettings
from node.domain.spine import Voi


def density(voi: Voi, level: str, calibration: Calibration, uncertainty: UncertaintySettings) -> BoneDensity:
    """vBMD of one VOI: (HU − beta_ct) / sigma_ct, with its expanded uncertainty (k = 2).

    The variance adds that of the VOI's mean, of the calibration, and the stated systematic part.
    """
    value = calibration.density_mg_cm3(voi.hu_mean)
    own = voi.standard_error_hu / calibration.sigma_ct
    shared = _shared_variance(value, calibration, uncertainty)
    return BoneDensity(
        level=level,
        vbmd_mg_cm3=value,
        expanded_uncertainty_mg_cm3=2.0 * float(np.sqrt(own**2 + shared)),
        included_in_mean=voi.exclusion is None,
        exclusion_reason=voi.exclusion,
    )


def mean(vois: Sequence[Voi], calibration: Calibration, uncertainty: UncertaintySettings) -> tuple[float, float]:
    """Mean vBMD of several levels and its expanded uncertainty (k = 2).

    The VOIs' own errors are independent; calibration and the systematic part are the same for all levels.
    """
    if not vois:
        raise ValueError("mean of no levels")
    value = float(np.mean([calibration.density_mg_cm3(voi.hu_mean) for voi in vois]))
    own = sum((voi.standard_error_hu / calibration.sigma_ct) ** 2 for voi in vois) / len(vois) ** 2
    return value, 2.0 * float(np.sqrt(own + _shared_variance(value, calibration, uncertainty)))


def _shared_variance(value: float, calibration: Calibration, uncertainty: UncertaintySettings) -> float:
    gradient = np.array([-value, -1.0]) / calibration.sigma_ct
    return float(
        gradient @ calibration.covariance @ gradient
        + (uncertainty.relative * value) ** 2
        + uncertainty.absolute_mg_cm3**2
    )
