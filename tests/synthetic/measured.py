"""What an ideal observer reads off a synthetic case, from its voxels and the true places of things."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.spec import TorsoSpec
from node.synthetic.truth import LevelTruth, SyntheticCase

SMALL = TorsoSpec(
    seed=5, matrix=256, spacing_mm=2.0, thickness_mm=2.0, top=("T12", -8.0), bottom=("L3", 8.0), phantom=MINDWAYS_5
)
"""T12 in part, L1 and L2 whole, L3 in part."""


def small(**changes: object) -> TorsoSpec:
    """``SMALL`` with changes."""
    return replace(SMALL, **changes)  # type: ignore[arg-type]


def hu_at(case: SyntheticCase, points_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Attenuation at the voxels nearest to points (n, 3) inside the scan."""
    inverse = np.linalg.inv(case.affine_lps_mm)
    index = np.rint(points_lps @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    inside = np.all((index >= 0) & (index < case.hu.shape), axis=1)
    return case.hu[tuple(index[inside].T)].astype(np.float64)


def rod_means(case: SyntheticCase) -> list[float]:
    """Mean attenuation of each rod within 5 mm of its axis."""
    assert case.truth.phantom is not None
    heights = case.affine_lps_mm[2, 3] + case.affine_lps_mm[2, 0] * np.arange(2, len(case.hu) - 2)
    out = []
    for rod in case.truth.phantom.rods:
        points = []
        for z in heights:
            centre = rod.at_z(float(z))
            if centre is None:
                continue
            for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
                for r in (0.0, 2.5, 5.0):
                    points.append((centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle), z))
        out.append(float(hu_at(case, np.array(points)).mean()))
    return out


def line(case: SyntheticCase) -> tuple[float, float]:
    """(sigma_ct, beta_ct) fitted to the rods, by the equation of their kind."""
    assert case.truth.phantom is not None
    rods, hu = case.truth.phantom.model.rods, np.array(rod_means(case))
    density = np.array([rod.density_mg_cm3 for rod in rods])
    if rods[0].water_density_mg_cm3 is None:
        sigma, beta = np.polyfit(density, hu, 1)
        return float(sigma), float(beta)
    sigma, beta = np.polyfit(density, hu - np.array([rod.water_density_mg_cm3 for rod in rods]), 1)
    return float(sigma) - 0.2174, float(beta) + 999.6


def central_hu(case: SyntheticCase, level: LevelTruth) -> float:
    """Mean attenuation of the elliptic cylinder whose mean density the truth states."""
    side = np.linspace(-1.0, 1.0, 25)
    u, v, w = np.meshgrid(side, side, np.linspace(-4.0, 4.0, 9), indexing="ij")
    inside = u**2 + v**2 <= 1.0
    u, v, w = u[inside] * 0.3 * level.width_mm, v[inside] * 0.25 * level.depth_mm, w[inside]
    left, back, up = (np.array(axis) for axis in (level.left, level.posterior, level.superior))
    centre = np.array(level.centre_lps_mm) - 0.06 * level.depth_mm * back
    points = centre + u[:, None] * left + v[:, None] * back + w[:, None] * up
    return float(hu_at(case, points).mean())


def density(case: SyntheticCase, level: str) -> float:
    """Density of a level by the rods and the voxels alone."""
    sigma, beta = line(case)
    return (central_hu(case, case.truth.levels[level]) - beta) / sigma
