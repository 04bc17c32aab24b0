"""Density and its uncertainty from attenuation and calibration, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.domain.phantom import Calibration
from node.domain.settings import UncertaintySettings
from node.domain.spine import Voi
from node.domain.volume import Mask
from node.imaging import density


def calibration(covariance: list[list[float]] | None = None) -> Calibration:
    spread = np.array(covariance or [[0.0, 0.0], [0.0, 0.0]])
    return Calibration("K2HPO4", 1.4, 5.0, spread, 0.999, 1.0, (0.0,))


def reading(hu: float, error: float) -> Voi:
    mask = Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool))
    return Voi(mask, (0.0, 0.0, 0.0), 3000.0, hu, 20.0, error, None)


def test_density_follows_the_calibration() -> None:
    found = density.density(reading(145.0, 0.0), "L1", calibration(), UncertaintySettings())
    assert found.vbmd_mg_cm3 == pytest.approx(100.0)


def test_expanded_uncertainty_adds_all_parts() -> None:
    """By hand: own 2.8/1.4 = 2; slope 100·0.014/1.4 = 1; offset 1.4/1.4 = 1; systematic 1.5 and 1.5 mg/cm³."""
    spread = [[0.014**2, 0.0], [0.0, 1.4**2]]
    found = density.density(reading(145.0, 2.8), "L1", calibration(spread), UncertaintySettings())
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(2.0 * np.sqrt(4.0 + 1.0 + 1.0 + 2.25 + 2.25))


def test_covariance_of_slope_and_offset_counts() -> None:
    """Opposite errors of slope and offset cancel in part: (100·0.01 − 0.7)/1.4 instead of the root of squares."""
    tied = [[0.01**2, -0.01 * 0.7], [-0.01 * 0.7, 0.7**2]]
    settings = UncertaintySettings(relative=0.0, absolute_mg_cm3=0.0)
    found = density.density(reading(145.0, 0.0), "L1", calibration(tied), settings)
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(2.0 * 0.3 / 1.4)


def test_levels_average_their_own_errors_but_not_the_shared_ones() -> None:
    settings = UncertaintySettings(relative=0.0, absolute_mg_cm3=1.5)
    value, expanded = density.mean([reading(131.0, 2.8), reading(159.0, 2.8)], calibration(), settings)
    assert value == pytest.approx(100.0)
    assert expanded == pytest.approx(2.0 * np.sqrt(2.0**2 / 2.0 + 1.5**2))


def test_an_excluded_voi_is_marked_in_its_density() -> None:
    excluded = replace(reading(145.0, 1.0), exclusion="fracture")
    found = density.density(excluded, "L1", calibration(), UncertaintySettings())
    assert not found.included_in_mean
    assert found.exclusion_reason == "fracture"


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no levels"):
        density.mean([], calibration(), UncertaintySettings())
