"""Rods → the calibration of a scan or of one vertebra, or the reason why it is not believed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from node.domain.phantom import Calibration, LeftOut, Material, PhantomFit
from node.domain.quality import StoredCalibration
from node.domain.settings import CalibrationLimits, UncertaintySettings
from node.errors import PhantomOutOfField, PoorCalibration
from node.imaging import rod_levels
from node.imaging.line import REFERENCE_MG_CM3, Floats, Line, fit_line, judge, leave_one_out, physical_sigma_ct

__all__ = ["Line", "at_levels", "fit", "fit_line", "judge", "slope_cv_percent", "stored"]


def fit(
    phantom_fit: PhantomFit,
    limits: CalibrationLimits,
    z_mm: float | None = None,
    *,
    kvp: float | None = None,
    uncertainty: UncertaintySettings | None = None,
) -> Calibration:
    """Return the calibration of a scan, or with ``z_mm`` (patient z) that at the height of one vertebra.

    With ``kvp`` the slope must also lie in its physical range for that voltage. Raises ``PoorCalibration`` naming
    every limit that is broken, ``PhantomOutOfField`` when the phantom does not reach ``z_mm``.
    """
    readings = phantom_fit.rods
    rods = [reading.rod for reading in readings]
    levels = [rod_levels.whole(r) if z_mm is None else rod_levels.at(r, z_mm) for r in readings]
    hu, noise = np.array([one.hu for one in levels]), np.array([one.standard_error_hu for one in levels])
    line = fit_line(rods, hu, noise, (uncertainty or UncertaintySettings()).rod_scatter_hu)
    left_out = leave_one_out(rods, hu, noise, line)
    problems = [
        *judge(line, rods, hu, limits),
        *_unphysical(line, phantom_fit.phantom.material, kvp, limits),
        *_dependent_on_one(left_out, limits),
        *_noisy(line, limits),
    ]
    if problems:
        raise _poor(phantom_fit, line, hu, left_out, problems, z_mm)
    return Calibration(
        phantom_fit.phantom.material,
        line.sigma_ct,
        line.beta_ct,
        line.covariance,
        line.r_squared,
        line.rms_residual_hu,
        tuple(float(residual) for residual in line.residuals_hu),
        left_out=left_out,
    )


def _unphysical(line: Line, material: Material, kvp: float | None, limits: CalibrationLimits) -> list[str]:
    if kvp is None:
        return []
    low, high = physical_sigma_ct(material, kvp)
    low, high = low * (1 - limits.sigma_ct_margin), high * (1 + limits.sigma_ct_margin)
    if low <= line.sigma_ct <= high:
        return []
    return [
        f"slope {line.sigma_ct:.3f} HU per mg/cm³ is outside {low:.2f} to {high:.2f}, "
        f"which {material} can have at {kvp:.0f} kV"
    ]


def _dependent_on_one(left_out: tuple[LeftOut, ...], limits: CalibrationLimits) -> list[str]:
    return [
        f"without rod {one.rod} a density of 100 mg/cm³ moves by {one.shift_mg_cm3:+.1f} mg/cm³, "
        f"more than {limits.max_left_out_shift_mg_cm3}"
        for one in left_out
        if abs(one.shift_mg_cm3) > limits.max_left_out_shift_mg_cm3
    ]


def _noisy(line: Line, limits: CalibrationLimits) -> list[str]:
    gradient = -np.array([REFERENCE_MG_CM3, 1.0]) / line.sigma_ct
    noise = float(np.sqrt(gradient @ line.noise_covariance @ gradient))
    if noise <= limits.max_noise_mg_cm3:
        return []
    return [
        f"the noise of the rods makes 100 mg/cm³ uncertain by {noise:.1f} mg/cm³, more than {limits.max_noise_mg_cm3}"
    ]


def _poor(
    phantom_fit: PhantomFit,
    line: Line,
    hu: Floats,
    left_out: tuple[LeftOut, ...],
    problems: list[str],
    z_mm: float | None,
) -> PoorCalibration:
    return PoorCalibration(
        f"The rods of phantom {phantom_fit.phantom.id} do not give a calibration: {'; '.join(problems)}.",
        {
            "phantom": phantom_fit.phantom.id,
            "z_mm": z_mm,
            "problems": problems,
            "sigma_ct": round(line.sigma_ct, 4),
            "beta_ct": round(line.beta_ct, 2),
            "r_squared": round(line.r_squared, 6),
            "rms_residual_hu": round(line.rms_residual_hu, 2),
            "rods": [
                {"name": r.rod.name, "hu": round(float(h), 2), "residual_hu": round(float(e), 2)}
                for r, h, e in zip(phantom_fit.rods, hu, line.residuals_hu, strict=True)
            ],
            "left_out": [
                {
                    "rod": one.rod,
                    "residual_hu": round(one.residual_hu, 2),
                    "shift_mg_cm3": round(one.shift_mg_cm3, 2),
                }
                for one in left_out
            ],
        },
    )


def at_levels(
    phantom_fit: PhantomFit,
    z_mm: dict[str, float],
    limits: CalibrationLimits,
    *,
    kvp: float | None = None,
    uncertainty: UncertaintySettings | None = None,
) -> tuple[dict[str, Calibration], dict[str, PoorCalibration]]:
    """Return the calibration at the height of each vertebra (patient z by level), and those that are not believed.

    Levels that the rods do not reach are in neither.
    """
    good: dict[str, Calibration] = {}
    bad: dict[str, PoorCalibration] = {}
    for level, z in z_mm.items():
        try:
            good[level] = fit(phantom_fit, limits, z, kvp=kvp, uncertainty=uncertainty)
        except PoorCalibration as poor:
            bad[level] = poor
        except PhantomOutOfField:
            continue
    return good, bad


def farthest_gap_mm(phantom_fit: PhantomFit, z_mm: float) -> float:
    """Return how far the nearest slice that was read lies from a height, for the rod where that is farthest."""
    return max(float(np.abs(rod.slice_centres_lps_mm[:, 2] - z_mm).min()) for rod in phantom_fit.rods)


def slope_cv_percent(calibrations: Iterable[Calibration]) -> float | None:
    """Return the coefficient of variation of the slopes of several vertebrae; ``None`` for fewer than two."""
    slopes = [one.sigma_ct for one in calibrations]
    if len(slopes) < 2:
        return None
    return 100.0 * float(np.std(slopes, ddof=1)) / float(np.mean(slopes))


def stored(known: StoredCalibration) -> Calibration:
    """Return a calibration from other scans of the scanner; the caller has checked that it may be used."""
    return Calibration(
        known.material,
        known.sigma_ct,
        known.beta_ct,
        np.array(known.covariance, dtype=np.float64),
        None,
        None,
        (),
        kind="asynchronous",
        source=(
            f"{known.source}, {known.scans} scan{'s' if known.scans != 1 else ''} of scanner {known.key.scanner} at "
            f"{known.key.kvp:.0f} kV, {known.key.kernel_class} kernel, measured {known.measured_on.isoformat()}, "
            f"valid until {known.expires_on.isoformat()}"
        ),
    )
