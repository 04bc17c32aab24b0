"""Rod attenuation against density: the line that turns HU into mg/cm³, or the reason why it is not believed.

Mindways rods are described by a water and a K2HPO4 equivalent density each (QCT PRO User Guide, Mindways 2011):

    HU = rho_water + sigma_ref · rho_K2HPO4 + beta_ref
    sigma_ct = sigma_ref − 0.2174,  beta_ct = beta_ref + 999.6

because an aqueous K2HPO4 solution holds 999.6 − 0.2174 · rho_K2HPO4 mg/cm³ of water. A plain line of HU on
rho_K2HPO4 reads 40 mg/cm³ too low at 100 with a high r². Rods without a water-equivalent density (calcium
hydroxyapatite, CaCO3, aqueous K2HPO4) lie on a plain line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.domain.phantom import Calibration, PhantomFit, RodModel, RodReading
from node.domain.settings import CalibrationLimits
from node.errors import PhantomOutOfField, PoorCalibration

Floats = NDArray[np.float64]

WATER_DISPLACED = 0.2174
"""mg of water that 1 mg of dissolved K2HPO4 displaces."""
WATER_MG_CM3 = 999.6
LOCAL_HALF_WINDOW_MM = 30.0
"""About one vertebra to either side."""
MAX_EXTRAPOLATION_MM = 10.0
"""How far beyond the last slice that was read a vertebra may lie."""
UNTESTED_SCATTER_HU = 2.0
"""Stated scatter of rods about the line where two rods leave nothing to estimate it from."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Result of a straight-line fit, before it is judged."""

    sigma_ct: float
    beta_ct: float
    covariance: Floats
    """(2, 2) of (sigma_ct, beta_ct)."""
    r_squared: float
    residuals_hu: Floats

    @property
    def rms_residual_hu(self) -> float:
        """Root mean square of the residuals."""
        return float(np.sqrt(np.mean(self.residuals_hu**2)))


def fit(phantom_fit: PhantomFit, limits: CalibrationLimits, z_mm: float | None = None) -> Calibration:
    """Return the calibration of a scan, or with ``z_mm`` (patient z) that at the height of one vertebra.

    Raises ``PoorCalibration`` when the rods contradict ``limits``, ``PhantomOutOfField`` when the phantom does
    not reach ``z_mm``.
    """
    readings = phantom_fit.rods
    hu, noise = levels(readings, z_mm)
    line = fit_line([r.rod for r in readings], hu, noise)
    problems = judge(line, [r.rod for r in readings], hu, limits)
    if problems:
        raise PoorCalibration(
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
                    for r, h, e in zip(readings, hu, line.residuals_hu, strict=True)
                ],
            },
        )
    return Calibration(
        phantom_fit.phantom.material,
        line.sigma_ct,
        line.beta_ct,
        line.covariance,
        line.r_squared,
        line.rms_residual_hu,
        tuple(float(e) for e in line.residuals_hu),
    )


def fit_line(rods: Sequence[RodModel], hu: Floats, noise_hu: Floats) -> Line:
    """Fit rod attenuation against density by least squares; ``noise_hu`` is the standard error of each rod.

    Rods weigh alike unless their own noise exceeds the scatter that is always there. The covariance holds both
    the noise of each rod and the scatter about the line.
    """
    density = np.array([rod.density_mg_cm3 for rod in rods])
    given = _water(rods)
    water = given if given is not None else np.zeros_like(density)
    weight = 1.0 / (noise_hu**2 + UNTESTED_SCATTER_HU**2)
    design = np.column_stack([density, np.ones_like(density)])
    normal = design.T @ (weight[:, None] * design)
    solve = np.linalg.solve(normal, design.T * weight)
    slope, offset = solve @ (hu - water)
    residuals = hu - water - slope * density - offset
    spread = hu - water - np.average(hu - water, weights=weight)
    total = float((weight * spread**2).sum())
    r_squared = 1.0 - float((weight * residuals**2).sum()) / total if total > 0 else 0.0
    if len(rods) > 2:
        scatter = max(0.0, float((residuals**2).sum()) / (len(rods) - 2) - float(np.mean(noise_hu**2)))
    else:
        scatter = UNTESTED_SCATTER_HU**2
    covariance = solve @ np.diag(noise_hu**2 + scatter) @ solve.T
    if given is not None:
        slope, offset = slope - WATER_DISPLACED, offset + WATER_MG_CM3
    return Line(float(slope), float(offset), covariance, r_squared, residuals)


def _water(rods: Sequence[RodModel]) -> Floats | None:
    """Water-equivalent density of each rod; ``None`` where the certificate gives none, and a plain line holds.

    Raises ``ValueError`` when only some rods have one: configuration that must not have come this far.
    """
    given = [rod.water_density_mg_cm3 for rod in rods if rod.water_density_mg_cm3 is not None]
    if not given:
        return None
    if len(given) < len(rods):
        raise ValueError("some rods have a water-equivalent density and some have none")
    return np.array(given, dtype=np.float64)


def judge(line: Line, rods: Sequence[RodModel], hu: Floats, limits: CalibrationLimits) -> list[str]:
    """Return every limit that the line breaks, as sentences; empty when it is believed."""
    problems = []
    if not limits.min_sigma_ct <= line.sigma_ct <= limits.max_sigma_ct:
        problems.append(
            f"slope {line.sigma_ct:.3f} HU per mg/cm³ is outside {limits.min_sigma_ct} to {limits.max_sigma_ct}"
        )
    if abs(line.beta_ct) > limits.max_abs_beta_ct_hu:
        problems.append(f"zero density reads {line.beta_ct:.1f} HU, more than ±{limits.max_abs_beta_ct_hu} HU")
    if line.r_squared < limits.min_r_squared:
        problems.append(f"r² {line.r_squared:.5f} is below {limits.min_r_squared}")
    if line.rms_residual_hu > limits.max_rms_residual_hu:
        problems.append(
            f"rods scatter by {line.rms_residual_hu:.1f} HU about the line, more than {limits.max_rms_residual_hu} HU"
        )
    if not _monotonic(rods, hu, line):
        problems.append("attenuation does not rise with density from rod to rod")
    return problems


def _monotonic(rods: Sequence[RodModel], hu: Floats, line: Line) -> bool:
    """Whether attenuation, less the rod's water, rises with density wherever densities clearly differ."""
    water = np.array([rod.water_density_mg_cm3 or 0.0 for rod in rods])
    density = np.array([rod.density_mg_cm3 for rod in rods])
    rise = np.subtract.outer(hu - water, hu - water)
    step = np.subtract.outer(density, density)
    return bool(np.all(rise[step > 10.0] > 0))


def levels(readings: Sequence[RodReading], z_mm: float | None) -> tuple[Floats, Floats]:
    """Return attenuation and its standard error for each rod, over the whole rod or about ``z_mm``."""
    pairs = [_level(reading, z_mm) for reading in readings]
    return np.array([hu for hu, _ in pairs]), np.array([error for _, error in pairs])


def _level(reading: RodReading, z_mm: float | None) -> tuple[float, float]:
    means = reading.slice_hu_mean
    if z_mm is None:
        return float(reading.hu_mean), _standard_error(means, np.ones_like(means))
    z = reading.slice_centres_lps_mm[:, 2]
    if not z.min() - MAX_EXTRAPOLATION_MM <= z_mm <= z.max() + MAX_EXTRAPOLATION_MM:
        raise PhantomOutOfField(
            f"The phantom does not reach the vertebra: rod {reading.rod.name} was read from z {z.min():.0f} to "
            f"{z.max():.0f} mm, the vertebra lies at {z_mm:.0f} mm.",
            {"rod": reading.rod.name, "z_mm": z_mm, "read_from_mm": float(z.min()), "read_to_mm": float(z.max())},
        )
    half = max(LOCAL_HALF_WINDOW_MM, 3 * float(np.ptp(z)) / max(len(z) - 1, 1))
    weight = np.clip(1 - np.abs((z - z_mm) / (half + MAX_EXTRAPOLATION_MM)) ** 3, 0, None) ** 3
    if np.count_nonzero(weight) < 3:
        nearest = np.argsort(np.abs(z - z_mm))[:3]
        weight = np.zeros_like(weight)
        weight[nearest] = 1.0
    return float(np.average(means, weights=weight)), _standard_error(means, weight)


def _standard_error(means: Floats, weight: Floats) -> float:
    """Of a weighted mean of slice means whose noise is correlated from slice to slice.

    Noise is taken from the differences of neighbours at growing distance, so that a slow drift along the rod
    does not count as noise.
    """
    if len(means) < 3:
        return float(np.std(means)) if len(means) > 1 else UNTESTED_SCATTER_HU
    variance = float(np.mean(np.diff(means) ** 2)) / 2
    if len(means) > 6:
        variance = max(variance, float(np.mean((means[3:] - means[:-3]) ** 2)) / 2)
        neighbour = float(np.mean(np.diff(means) ** 2)) / 2
        correlation = float(np.clip(1 - neighbour / max(variance, 1e-12), 0.0, 0.9))
    else:
        correlation = 0.0
    share = weight / weight.sum()
    effective = 1.0 / float((share**2).sum()) * (1 - correlation) / (1 + correlation)
    return float(np.sqrt(variance / max(effective, 1.0)))
