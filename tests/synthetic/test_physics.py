"""Attenuation of rods and bone."""

from __future__ import annotations

import numpy as np
import pytest

from node.synthetic.phantoms import MINDWAYS_5
from node.synthetic.physics import Physics, usual_density
from node.synthetic.spec import TorsoSpec


def test_mindways_rods_at_120_kvp_read_what_their_densities_say() -> None:
    physics = Physics.of(TorsoSpec())
    hu = [physics.rod(rod, "K2HPO4") for rod in MINDWAYS_5.rods]
    assert hu == pytest.approx([-72.35, -30.23, 200.53, 377.48, 539.96], abs=0.01)


@pytest.mark.parametrize("kvp", [80.0, 100.0, 120.0, 140.0])
@pytest.mark.parametrize("offset", [-6.0, 0.0, 9.0])
def test_the_mindways_equation_gives_back_the_density_of_bone(kvp: float, offset: float) -> None:
    physics = Physics.of(TorsoSpec(kvp=kvp, scanner_offset_hu=offset, scanner_slope=1.04))
    k = np.array([rod.density_mg_cm3 for rod in MINDWAYS_5.rods])
    water = np.array([rod.water_density_mg_cm3 for rod in MINDWAYS_5.rods])
    hu = np.array([physics.rod(rod, "K2HPO4") for rod in MINDWAYS_5.rods])
    sigma_ref, beta_ref = np.polyfit(k, hu - water, 1)
    assert (physics.bone(100.0) - (beta_ref + 999.6)) / (sigma_ref - 0.2174) == pytest.approx(100.0, abs=1e-6)


def test_the_plain_line_over_mindways_rods_reads_some_40_mg_too_low() -> None:
    physics = Physics.of(TorsoSpec())
    k = [rod.density_mg_cm3 for rod in MINDWAYS_5.rods]
    slope, intercept = np.polyfit(k, [physics.rod(rod, "K2HPO4") for rod in MINDWAYS_5.rods], 1)
    assert 50.0 < (physics.bone(100.0) - intercept) / slope < 66.0


def test_contrast_medium_brightens_blood_and_not_fat() -> None:
    plain, portal = Physics.of(TorsoSpec()), Physics.of(TorsoSpec(contrast="portal"))
    assert portal.tissue("blood") > plain.tissue("blood") + 80
    assert portal.tissue("fat") == plain.tissue("fat")


def test_density_falls_with_age_faster_in_women() -> None:
    assert usual_density("F", 35) > usual_density("M", 35)
    assert usual_density("F", 78) < usual_density("M", 78)
