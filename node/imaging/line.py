"""The straight line of rod attenuation on density, and what stands against believing it.

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

from node.domain.phantom import LeftOut, Material, RodModel
from node.domain.settings import CalibrationLimits

Floats = NDArray[np.float64]

WATER_DISPLACED = 0.2174
"""mg of water that 1 mg of dissolved K2HPO4 displaces."""
WATER_MG_CM3 = 999.6
SCATTER_HU = 2.0
"""Of rods about their line other than by noise, as expected before any is read."""
SCATTER_WEIGHT = 4.0
"""How many degrees of freedom that expectation is worth beside the few that the rods leave."""
REFERENCE_MG_CM3 = 100.0
"""Between the two limits of the categories: where shifts are stated."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Result of a straight-line fit, before it is judged."""

    sigma_ct: float
    beta_ct: float
    covariance: Floats
    """(2, 2) of (sigma_ct, beta_ct): noise of the rods and their scatter."""
    noise_covariance: Floats
    """(2, 2): the part of it that is noise."""
    r_squared: float
    residuals_hu: Floats

    @property
    def rms_residual_hu(self) -> float:
        """Root mean square of the residuals."""
        return float(np.sqrt(np.mean(self.residuals_hu**2)))


def fit_line(rods: Sequence[RodModel], hu: Floats, noise_hu: Floats, scatter_hu: float = SCATTER_HU) -> Line:
    """Fit rod attenuation against density by weighted least squares; ``noise_hu``: standard error of each rod.

    Weights are 1 / (noise² + scatter²), so rods weigh alike unless their own noise exceeds the scatter that is
    always there. That scatter is estimated from the residuals beyond the noise; two to five rods leave little to
    estimate it from, so ``scatter_hu`` counts as ``SCATTER_WEIGHT`` degrees of freedom beside them.
    """
    density = np.array([rod.density_mg_cm3 for rod in rods])
    given = _water(rods)
    water = given if given is not None else np.zeros_like(density)
    weight = 1.0 / (noise_hu**2 + max(scatter_hu, 0.1) ** 2)
    design = np.column_stack([density, np.ones_like(density)])
    normal = design.T @ (weight[:, None] * design)
    solve = np.linalg.solve(normal, design.T * weight)
    slope, offset = solve @ (hu - water)
    residuals = hu - water - slope * density - offset
    spread = hu - water - np.average(hu - water, weights=weight)
    total = float((weight * spread**2).sum())
    r_squared = 1.0 - float((weight * residuals**2).sum()) / total if total > 0 else 0.0
    free = len(rods) - 2
    beyond = max(0.0, float((residuals**2).sum()) - free * float(np.mean(noise_hu**2)))
    scatter = (SCATTER_WEIGHT * scatter_hu**2 + beyond) / (SCATTER_WEIGHT + free)
    noise = solve @ np.diag(noise_hu**2) @ solve.T
    if given is not None:
        slope, offset = slope - WATER_DISPLACED, offset + WATER_MG_CM3
    return Line(float(slope), float(offset), noise + scatter * (solve @ solve.T), noise, r_squared, residuals)


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


def leave_one_out(rods: Sequence[RodModel], hu: Floats, noise_hu: Floats, line: Line) -> tuple[LeftOut, ...]:
    """Return each rod against the line through the others; empty for fewer than three rods.

    The shift is that of the density read for a tissue that ``line`` calls 100 mg/cm³. A rod whose absence leaves
    only rods of one density is passed over: the others say nothing about it.
    """
    if len(rods) < 3:
        return ()
    at_reference = line.beta_ct + REFERENCE_MG_CM3 * line.sigma_ct
    found = []
    for index, rod in enumerate(rods):
        keep = np.arange(len(rods)) != index
        others = [other for other, kept in zip(rods, keep, strict=True) if kept]
        if np.ptp([other.density_mg_cm3 for other in others]) < 20.0:
            continue
        without = fit_line(others, hu[keep], noise_hu[keep])
        shift = (at_reference - without.beta_ct) / without.sigma_ct - REFERENCE_MG_CM3
        found.append(LeftOut(rod.name, float(hu[index] - _predicted(without, rod)), float(shift)))
    return tuple(found)


def _predicted(line: Line, rod: RodModel) -> float:
    """Attenuation that a line expects of a rod."""
    if rod.water_density_mg_cm3 is None:
        return line.beta_ct + line.sigma_ct * rod.density_mg_cm3
    slope, offset = line.sigma_ct + WATER_DISPLACED, line.beta_ct - WATER_MG_CM3
    return rod.water_density_mg_cm3 + slope * rod.density_mg_cm3 + offset


_ENERGY_KEV = np.array([40.0, 50.0, 60.0, 80.0, 100.0])
_SIGMA_REF = np.array([2.77, 2.34, 1.889, 1.318, 1.068])
"""Mass attenuation of K2HPO4 over that of water: mixture of the elements' coefficients (NIST, Hubbell and Seltzer)."""
_SHARE: dict[Material, tuple[float, float]] = {"K2HPO4": (1.0, 1.0), "CaHA": (0.78, 1.04), "CaCO3": (0.72, 1.02)}
"""sigma_ct of other materials as a part of that of K2HPO4: lower end, as phantoms of that material were found to read
(Goodsitt 1992 for hydroxyapatite: 0.81 to 0.86; 1/1.26 for CaCO3), and upper end, from the elements."""


def physical_sigma_ct(material: Material, kvp: float) -> tuple[float, float]:
    """Return the least and the greatest slope (HU per mg/cm³) that physics allows at a tube voltage.

    The beam that has passed a trunk has an effective energy of 58 to 77 keV at 120 kV; each kV moves the lower end
    by 0.27 keV and the upper end by 0.32 keV. Slim patients and light filters lie at the lower end.
    """
    soft, hard = 26.0 + 0.27 * kvp, 38.0 + 0.32 * kvp
    low, high = (
        float(np.exp(np.interp(np.log(energy), np.log(_ENERGY_KEV), np.log(_SIGMA_REF)))) - WATER_DISPLACED
        for energy in (hard, soft)
    )
    share = _SHARE[material]
    return share[0] * low, share[1] * high
