"""Rod attenuation → calibration: the equation, its limits and its uncertainty."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from node.domain.phantom import Material, PhantomFit, PhantomModel, RodModel, RodReading
from node.domain.quality import ScannerKey, StoredCalibration
from node.domain.settings import CalibrationLimits, UncertaintySettings
from node.errors import PhantomOutOfField, PoorCalibration
from node.imaging import calibration
from node.imaging.line import physical_sigma_ct

MINDWAYS_4541A = (
    (-51.83, 1012.25),
    (-53.40, 1056.95),
    (58.88, 1103.57),
    (157.05, 1119.52),
    (375.83, 923.20),
)
SIGMA_REF = 1.64
"""With this slope of the reference line and -999.6, sigma_ct is 1.4226 and water reads 0 HU."""


def reading(rod: RodModel, hu: float, noise: float = 0.0, slope_per_mm: float = 0.0, seed: int = 0) -> RodReading:
    z = np.arange(-150.0, 151.0, 2.0)
    means = hu + slope_per_mm * z + noise * np.random.default_rng(seed).standard_normal(len(z))
    centres = np.column_stack([np.zeros_like(z), np.zeros_like(z), z])
    return RodReading(rod, float(means.mean()), 10.0, 100 * len(z), (0.0, 0.0, 0.0), 6.0, centres, means)


def fitted(
    rods: list[RodModel],
    hu: list[float],
    material: Material,
    noise: float = 0.0,
    slope_per_mm: float = 0.0,
    seed: int = 0,
) -> PhantomFit:
    model = PhantomModel("p", "P", None, material, tuple(rods))
    readings = [reading(r, h, noise, slope_per_mm, seed + i) for i, (r, h) in enumerate(zip(rods, hu, strict=True))]
    return PhantomFit(model, tuple(readings), 1.0, "")


def mindways(sigma_ref: float = SIGMA_REF, beta_ref: float = -999.6, **kwargs: float) -> PhantomFit:
    rods = [RodModel(f"{n}", k, w) for n, (k, w) in enumerate(MINDWAYS_4541A)]
    hu = [w + sigma_ref * k + beta_ref for k, w in MINDWAYS_4541A]
    return fitted(rods, hu, "K2HPO4", **kwargs)  # type: ignore[arg-type]


def hydroxyapatite(slope: float = 1.35, offset: float = 1.0, **kwargs: float) -> PhantomFit:
    densities = [0.0, 50.0, 100.0, 150.0, 200.0]
    rods = [RodModel(f"{d:g}", d) for d in densities]
    return fitted(rods, [slope * d + offset for d in densities], "CaHA", **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize("density", [80.0, 100.0, 120.0])
def test_the_mindways_equation_recovers_known_densities_exactly(density: float) -> None:
    found = calibration.fit(mindways(), CalibrationLimits())
    hu_of_solution = (SIGMA_REF - 0.2174) * density  # rho_water = 999.6 - 0.2174 rho; HU = rho_water + 1.64 rho - 999.6

    assert found.density_mg_cm3(hu_of_solution) == pytest.approx(density, abs=1e-6)


def test_the_mindways_slope_and_offset_are_those_of_bone_not_of_the_rods() -> None:
    found = calibration.fit(mindways(), CalibrationLimits())

    assert (found.sigma_ct, found.beta_ct) == (pytest.approx(1.4226, abs=1e-9), pytest.approx(0.0, abs=1e-6))


def test_a_plain_line_over_mindways_rods_would_read_40_mg_too_low_with_a_high_r_squared() -> None:
    density = np.array([k for k, _ in MINDWAYS_4541A])
    hu = np.array([w + SIGMA_REF * k - 999.6 for k, w in MINDWAYS_4541A])
    slope, offset = np.polyfit(density, hu, 1)
    r_squared = np.corrcoef(density, hu)[0, 1] ** 2
    read_as = (1.4226 * 100.0 - offset) / slope

    assert r_squared > 0.93
    assert 35 < 100.0 - read_as < 48
    assert calibration.fit(mindways(), CalibrationLimits()).density_mg_cm3(142.26) - read_as > 35


def test_hydroxyapatite_rods_lie_on_a_plain_line() -> None:
    found = calibration.fit(hydroxyapatite(1.35, 1.0), CalibrationLimits())

    assert found.density_mg_cm3(1.35 * 120 + 1.0) == pytest.approx(120.0)
    assert found.r_squared == pytest.approx(1.0)


def test_a_water_density_for_some_rods_only_is_a_programming_error() -> None:
    rods = [RodModel("a", 0.0, 1000.0), RodModel("b", 100.0)]

    with pytest.raises(ValueError, match="water-equivalent"):
        calibration.fit(fitted(rods, [0.0, 150.0], "K2HPO4"), CalibrationLimits())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (hydroxyapatite(offset=11.0), "zero density reads 11.0"),
        (hydroxyapatite(slope=0.8), "slope 0.800"),
        (hydroxyapatite(slope=2.5), "slope 2.500"),
    ],
)
def test_an_unphysical_line_is_refused(bad: PhantomFit, said: str) -> None:
    with pytest.raises(PoorCalibration, match=said):
        calibration.fit(bad, CalibrationLimits())


def spoilt(fit: PhantomFit, rod: int, by_hu: float) -> PhantomFit:
    rods = list(fit.rods)
    worse = rods[rod]
    rods[rod] = replace(worse, hu_mean=worse.hu_mean + by_hu, slice_hu_mean=worse.slice_hu_mean + by_hu)
    return replace(fit, rods=tuple(rods))


def test_a_rod_that_is_off_is_named_in_the_evidence() -> None:
    with pytest.raises(PoorCalibration, match="r²") as caught:
        calibration.fit(spoilt(hydroxyapatite(), 3, 30.0), CalibrationLimits())

    rods = caught.value.evidence["rods"]
    assert isinstance(rods, list)
    assert max(rods, key=lambda rod: abs(rod["residual_hu"]))["name"] == "150"


def test_scatter_is_refused_even_where_r_squared_is_high() -> None:
    densities = [100.0, 400.0, 800.0]
    rods = [RodModel(f"{d:g}", d) for d in densities]
    fit = fitted(rods, [140.0, 560.0 - 20.0, 1120.0], "CaHA")

    with pytest.raises(PoorCalibration, match="scatter"):
        calibration.fit(fit, CalibrationLimits(min_r_squared=0.99))


def test_attenuation_must_rise_with_density() -> None:
    rods = [RodModel(f"{d:g}", d) for d in (0.0, 12.0, 400.0)]
    lax = CalibrationLimits(min_r_squared=0.9, max_rms_residual_hu=50.0)

    with pytest.raises(PoorCalibration, match="rise"):
        calibration.fit(fitted(rods, [15.0, 14.0, 540.0], "CaHA"), lax)


def test_five_hu_in_one_mindways_rod_moves_100_mg_by_less_than_two() -> None:
    found = calibration.fit(spoilt(mindways(), 2, 5.0), CalibrationLimits())

    assert abs(found.density_mg_cm3(142.26) - 100.0) < 2.0


def test_the_covariance_covers_noisy_repeats() -> None:
    """Noise alone: the scatter that is always expected is stated as none."""
    none = UncertaintySettings(rod_scatter_hu=0.0)
    repeats = [
        calibration.fit(mindways(noise=12.0, seed=100 * n), CalibrationLimits(), uncertainty=none) for n in range(120)
    ]
    density = np.array([fit.density_mg_cm3(142.26) for fit in repeats])
    gradient = [np.array([-100.0, -1.0]) / fit.sigma_ct for fit in repeats]
    stated = np.mean([np.sqrt(g @ fit.covariance @ g) for g, fit in zip(gradient, repeats, strict=True)])

    assert 0.8 < stated / density.std() < 1.3


def test_the_covariance_covers_rods_that_scatter_by_what_is_stated() -> None:
    rng = np.random.default_rng(3)
    repeats = []
    for _ in range(200):
        fit = mindways()
        for rod, by in enumerate(rng.normal(0.0, 2.0, len(fit.rods))):
            fit = spoilt(fit, rod, by)
        repeats.append(calibration.fit(fit, CalibrationLimits(max_rms_residual_hu=50.0, min_r_squared=0.9)))
    density = np.array([fit.density_mg_cm3(142.26) for fit in repeats])
    gradient = [np.array([-100.0, -1.0]) / fit.sigma_ct for fit in repeats]
    stated = np.mean([np.sqrt(g @ fit.covariance @ g) for g, fit in zip(gradient, repeats, strict=True)])

    assert 0.85 < stated / density.std() < 1.2


def test_two_rods_still_state_an_uncertainty() -> None:
    rods = [RodModel("0", 0.0), RodModel("200", 200.0)]
    found = calibration.fit(fitted(rods, [0.0, 270.0], "CaHA"), CalibrationLimits())

    assert np.sqrt(found.covariance[0, 0]) > 0.005


def test_a_drift_along_the_rods_is_followed_at_the_height_of_the_vertebra() -> None:
    fit = hydroxyapatite(offset=0.0, slope_per_mm=0.05)
    below = calibration.fit(fit, CalibrationLimits(), z_mm=-100.0)
    above = calibration.fit(fit, CalibrationLimits(), z_mm=100.0)

    assert above.beta_ct - below.beta_ct == pytest.approx(10.0, abs=0.5)


def gapped(fit: PhantomFit, low_mm: float, high_mm: float) -> PhantomFit:
    """Nothing was read between two heights."""
    rods = []
    for rod in fit.rods:
        z = rod.slice_centres_lps_mm[:, 2]
        kept = (z < low_mm) | (z > high_mm)
        rods.append(
            replace(rod, slice_centres_lps_mm=rod.slice_centres_lps_mm[kept], slice_hu_mean=rod.slice_hu_mean[kept])
        )
    return replace(fit, rods=tuple(rods))


def test_a_gap_in_the_rods_is_bridged_along_their_drift() -> None:
    fit = gapped(hydroxyapatite(offset=0.0, slope_per_mm=0.03), -40.0, 20.0)

    assert calibration.fit(fit, CalibrationLimits(), z_mm=0.0).beta_ct == pytest.approx(0.0, abs=0.3)
    assert calibration.farthest_gap_mm(fit, 0.0) == pytest.approx(22.0, abs=2.0)


def test_the_end_of_the_rods_is_read_along_their_drift_and_less_surely() -> None:
    fit = hydroxyapatite(offset=0.0, slope_per_mm=0.03, noise=2.0)
    middle, end = (calibration.fit(fit, CalibrationLimits(), z_mm=z) for z in (0.0, 155.0))

    assert end.beta_ct == pytest.approx(0.03 * 155, abs=2.0)
    assert end.covariance[1, 1] > middle.covariance[1, 1]


def test_the_slope_must_be_possible_at_the_tube_voltage() -> None:
    fit = mindways(sigma_ref=2.1, beta_ref=-999.6)
    calibration.fit(fit, CalibrationLimits(), kvp=80.0)

    with pytest.raises(PoorCalibration, match="at 140 kV"):
        calibration.fit(fit, CalibrationLimits(), kvp=140.0)


@pytest.mark.parametrize("kvp", [80.0, 100.0, 120.0, 140.0])
def test_slopes_between_60_and_75_kev_are_possible_at_120_kv_and_rise_with_softer_beams(kvp: float) -> None:
    low, high = physical_sigma_ct("K2HPO4", kvp)
    at_120 = physical_sigma_ct("K2HPO4", 120.0)
    assert (low <= at_120[0], high <= at_120[1]) == (kvp >= 120.0, kvp >= 120.0)
    assert at_120[0] < 1.29 < 1.67 < at_120[1]


def test_leaving_a_rod_out_names_the_one_that_is_off() -> None:
    lax = CalibrationLimits(min_r_squared=0.9, max_rms_residual_hu=50.0, max_left_out_shift_mg_cm3=50.0)
    found = calibration.fit(spoilt(hydroxyapatite(), 3, 20.0), lax)
    worst = max(found.left_out, key=lambda one: abs(one.residual_hu))

    assert (worst.rod, worst.residual_hu) == ("150", pytest.approx(20.0))


def test_a_line_that_hangs_on_one_rod_is_refused() -> None:
    rods = [RodModel(f"{d:g}", d) for d in (0.0, 20.0, 800.0)]
    lax = CalibrationLimits(min_r_squared=0.9, max_rms_residual_hu=50.0)

    with pytest.raises(PoorCalibration, match="without rod 800"):
        calibration.fit(fitted(rods, [0.0, 38.0, 1080.0], "CaHA"), lax)


def test_two_rods_have_nothing_to_leave_out() -> None:
    rods = [RodModel("0", 0.0), RodModel("200", 200.0)]
    assert calibration.fit(fitted(rods, [0.0, 270.0], "CaHA"), CalibrationLimits()).left_out == ()


def test_levels_beside_the_rods_get_their_own_line_and_others_none() -> None:
    heights = {"T12": 175.0, "L1": 100.0, "L2": 0.0}
    good, bad = calibration.at_levels(hydroxyapatite(), heights, CalibrationLimits())

    assert (list(good), bad) == (["L1", "L2"], {})


def test_the_slopes_variation_is_that_of_their_values() -> None:
    """By hand: 1.34, 1.36: mean 1.35, SD 0.01414, 1.048 %."""
    one, other = (calibration.fit(hydroxyapatite(slope), CalibrationLimits()) for slope in (1.34, 1.36))

    assert calibration.slope_cv_percent([one, other]) == pytest.approx(1.0476, abs=1e-3)
    assert calibration.slope_cv_percent([one]) is None


def test_an_asynchronous_calibration_says_where_it_comes_from() -> None:
    known = StoredCalibration(
        ScannerKey("70001", 120.0, "standard"),
        "K2HPO4",
        1.41,
        0.5,
        ((1e-4, 0.0), (0.0, 0.25)),
        date(2026, 1, 5),
        date(2027, 1, 5),
        12,
        "QA of phantom mindways-qa",
    )
    found = calibration.stored(known)

    assert (found.kind, found.r_squared, found.sigma_ct) == ("asynchronous", None, 1.41)
    assert "valid until 2027-01-05" in str(found.source)


def test_a_vertebra_beyond_the_phantom_is_not_calibrated() -> None:
    with pytest.raises(PhantomOutOfField, match="does not reach"):
        calibration.fit(hydroxyapatite(), CalibrationLimits(), z_mm=175.0)
