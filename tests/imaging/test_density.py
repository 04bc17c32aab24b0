"""Density and its uncertainty from attenuation and calibration, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from node.domain.phantom import Calibration
from node.domain.quality import CrossCalibration, ScannerKey
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
    value, expanded = density.mean(
        [(reading(131.0, 2.8), calibration()), (reading(159.0, 2.8), calibration())], settings
    )
    assert value == pytest.approx(100.0)
    assert expanded == pytest.approx(2.0 * np.sqrt(2.0**2 / 2.0 + 1.5**2))


def test_an_excluded_voi_is_marked_in_its_density() -> None:
    excluded = replace(reading(145.0, 1.0), exclusion="fracture")
    found = density.density(excluded, "L1", calibration(), UncertaintySettings())
    assert not found.included_in_mean
    assert found.exclusion_reason == "fracture"


def test_a_mean_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no levels"):
        density.mean([], UncertaintySettings())


def test_each_level_counts_with_the_calibration_at_its_height() -> None:
    other = replace(calibration(), beta_ct=-9.0)
    settings = UncertaintySettings(relative=0.0, absolute_mg_cm3=0.0)
    value, _ = density.mean([(reading(145.0, 0.0), calibration()), (reading(145.0, 0.0), other)], settings)
    assert value == pytest.approx((100.0 + 110.0) / 2)


def test_the_place_of_the_voi_counts_by_how_surely_it_is_placed() -> None:
    """By hand: noise 1.4 HU is 1 mg/cm³; 2.8 HU for 1 mm is 2, and 1 for half a millimetre."""
    voi = replace(reading(145.0, float(np.hypot(1.4, 2.8))), noise_error_hu=1.4)
    settings = UncertaintySettings(relative=0.0, absolute_mg_cm3=0.0, placement_mm=0.5)
    found = density.density(voi, "L1", calibration(), settings)
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(2.0 * np.sqrt(2.0))


def test_an_asynchronous_calibration_has_its_own_larger_uncertainty() -> None:
    """By hand: 4 % of 100 and 2 mg/cm³."""
    borrowed = replace(calibration(), kind="asynchronous")
    found = density.density(reading(145.0, 0.0), "L1", borrowed, UncertaintySettings())
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(2.0 * np.sqrt(16.0 + 4.0))


def cross_calibration() -> CrossCalibration:
    key = ScannerKey("70001", 120.0, "standard")
    return CrossCalibration(key, "CaHA", 0.9, 2.0, 3.0, date(2026, 1, 1), date(2027, 1, 1), "ESP 145")


def test_a_converted_density_carries_the_uncertainty_of_its_conversion() -> None:
    """By hand: 0.9 · 100 + 2; half widths 0.9 · 4 and 3 mg/cm³."""
    found = density.converted(100.0, 8.0, cross_calibration())
    assert found.vbmd_mg_cm3 == pytest.approx(92.0)
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(2.0 * np.hypot(3.6, 3.0))


@pytest.mark.parametrize(("arterial", "native"), [(True, 94.113), (False, 93.283)])
def test_the_native_estimate_follows_toelly(arterial: bool, native: float) -> None:
    found = density.without_contrast(100.0, 0.0, arterial, UncertaintySettings())
    assert found.vbmd_mg_cm3 == pytest.approx(native)
    assert found.expanded_uncertainty_mg_cm3 == pytest.approx(0.1 * native)
