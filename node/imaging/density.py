"""Bone density of what was read, and its expanded uncertainty.

The variance of a density adds, all as squares of standard uncertainties in mg/cm³:

- noise of the VOI's mean, and its place (independent from vertebra to vertebra);
- noise and scatter of the rods, through the covariance of the line (taken as common to all vertebrae of a scan);
- the stated systematic part (common to all).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.domain.findings import BoneDensity, Converted
from node.domain.phantom import Calibration
from node.domain.quality import CrossCalibration
from node.domain.settings import UncertaintySettings
from node.domain.spine import Voi

COVERAGE_FACTOR = 2.0
"""Expanded uncertainties are twice the standard uncertainty: about 95 %."""


def density(
    voi: Voi,
    level: str,
    calibration: Calibration,
    uncertainty: UncertaintySettings,
    conversion: CrossCalibration | None = None,
) -> BoneDensity:
    """vBMD of one VOI: (HU − beta_ct) / sigma_ct, with its expanded uncertainty (k = 2)."""
    value = calibration.density_mg_cm3(voi.hu_mean)
    expanded = COVERAGE_FACTOR * float(
        np.sqrt(_own_variance(voi, calibration, uncertainty) + _shared_variance(value, calibration, uncertainty))
    )
    return BoneDensity(
        level=level,
        vbmd_mg_cm3=value,
        expanded_uncertainty_mg_cm3=expanded,
        included_in_mean=voi.exclusion is None,
        exclusion_reason=voi.exclusion,
        k2hpo4=None if conversion is None else converted(value, expanded, conversion),
    )


def mean(measured: Sequence[tuple[Voi, Calibration]], uncertainty: UncertaintySettings) -> tuple[float, float]:
    """Mean vBMD of several levels, each with the calibration at its height, and its expanded uncertainty (k = 2).

    The VOIs' own errors are independent; those of the calibration and the systematic part are taken as the same for
    all levels, so that they do not average out.
    """
    if not measured:
        raise ValueError("mean of no levels")
    values = [calibration.density_mg_cm3(voi.hu_mean) for voi, calibration in measured]
    own = sum(_own_variance(voi, calibration, uncertainty) for voi, calibration in measured) / len(measured) ** 2
    shared = float(
        np.mean(
            [
                np.sqrt(_shared_variance(value, calibration, uncertainty))
                for value, (_, calibration) in zip(values, measured, strict=True)
            ]
        )
    )
    return float(np.mean(values)), COVERAGE_FACTOR * float(np.sqrt(own + shared**2))


def noise_of_mean(measured: Sequence[tuple[Voi, Calibration]]) -> float:
    """Expanded uncertainty (k = 2) of the mean from image noise in the VOIs alone, in mg/cm³."""
    own = sum((voi.noise_error_hu / calibration.sigma_ct) ** 2 for voi, calibration in measured)
    return COVERAGE_FACTOR * float(np.sqrt(own)) / len(measured)


def converted(value: float, expanded: float, conversion: CrossCalibration) -> Converted:
    """Return a density in K2HPO4 equivalents by the site's cross-calibration."""
    own = conversion.slope * expanded / COVERAGE_FACTOR
    total = COVERAGE_FACTOR * float(np.hypot(own, conversion.standard_error_mg_cm3))
    return Converted(conversion.slope * value + conversion.intercept_mg_cm3, total)


ARTERIAL, VENOUS = (0.964, -2.287), (0.978, -4.517)
"""native = slope · measured + intercept in mg/cm³, T12 to L4 of 112 patients (Toelly 2017, RöFo)."""


def without_contrast(value: float, expanded: float, arterial: bool, uncertainty: UncertaintySettings) -> Converted:
    """Return an estimate of what would have been read without contrast medium."""
    slope, intercept = ARTERIAL if arterial else VENOUS
    native = slope * value + intercept
    own = slope * expanded / COVERAGE_FACTOR
    return Converted(native, COVERAGE_FACTOR * float(np.hypot(own, uncertainty.native_estimate_relative * native)))


def _own_variance(voi: Voi, calibration: Calibration, uncertainty: UncertaintySettings) -> float:
    """Of a VOI's mean: noise, and its place; the VOI states the latter for 1 mm."""
    noise = voi.noise_error_hu**2
    place = max(voi.standard_error_hu**2 - noise, 0.0) * uncertainty.placement_mm**2
    return (noise + place) / calibration.sigma_ct**2


def _shared_variance(value: float, calibration: Calibration, uncertainty: UncertaintySettings) -> float:
    borrowed = calibration.kind == "asynchronous"
    relative = uncertainty.asynchronous_relative if borrowed else uncertainty.relative
    absolute = uncertainty.asynchronous_absolute_mg_cm3 if borrowed else uncertainty.absolute_mg_cm3
    gradient = np.array([-value, -1.0]) / calibration.sigma_ct
    return float(gradient @ calibration.covariance @ gradient + (relative * value) ** 2 + absolute**2)
