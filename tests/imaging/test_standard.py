"""Where a calibration comes from: this scan's phantom, or other scans of the same scanner and of no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from node.domain.instance import InstanceHeader
from node.domain.quality import CrossCalibration, Quality, ScannerKey, StoredCalibration
from node.domain.settings import CalibrationLimits, ConfounderPolicies, MeasurementSettings
from node.domain.spine import Voi
from node.domain.volume import Mask
from node.errors import PhantomNotFound, PhantomOutOfField, PoorCalibration
from node.imaging import calibration, standard
from node.imaging.standard import Circumstances, Lines, Standard
from tests.imaging.test_calibration import gapped, hydroxyapatite

KEY = ScannerKey("70001", 120.0, "standard")
STORED = StoredCalibration(
    KEY,
    "K2HPO4",
    1.41,
    0.5,
    ((1e-4, 0.0), (0.0, 0.25)),
    date(2026, 1, 5),
    date(2026, 7, 5),
    12,
    "QA of phantom mindways-qa",
)
CONVERSION = CrossCalibration(KEY, "CaHA", 0.9, 2.0, 3.0, date(2026, 1, 5), date(2027, 1, 5), "ESP 145")
USUAL: dict[str, object] = {"device_serial_number": "70001", "kvp": 120.0, "study_date": "20260301"}


def scanned(kernel: str = "standard", quality: Quality | None = None, **values: object) -> Circumstances:
    header = InstanceHeader("1.1", "1.2", "1.3", "1.4", "1.5", **(USUAL | values))  # type: ignore[arg-type]
    return Circumstances(header, kernel, quality or Quality())  # type: ignore[arg-type]


def voi(z_mm: float) -> Voi:
    return Voi(Mask((0, 0, 0), np.zeros((0, 0, 0), dtype=bool)), (0.0, 0.0, z_mm), 3000.0, 150.0, 20.0, 2.0, None)


def test_a_stored_calibration_of_this_scanner_may_be_borrowed() -> None:
    assert standard.may_borrow(STORED, scanned())


@pytest.mark.parametrize(
    "values",
    [
        {"device_serial_number": "70002"},
        {"device_serial_number": None, "station_name": "CT01"},
        {"device_serial_number": None},
        {"kvp": 100.0},
        {"kvp": None},
        {"kernel": "sharp"},
        {"kernel": "unknown"},
        {"study_date": "20260706"},
        {"study_date": "20250701"},
        {"study_date": None},
        {"study_date": "yesterday"},
    ],
)
def test_nothing_is_borrowed_across_scanner_voltage_kernel_or_validity(values: dict[str, object]) -> None:
    assert not standard.may_borrow(STORED, scanned(**values))  # type: ignore[arg-type]


def test_the_station_name_stands_in_for_a_scanner_without_a_serial_number() -> None:
    known = replace(STORED, key=replace(KEY, scanner="CT01"))
    assert standard.may_borrow(known, scanned(device_serial_number=None, station_name="CT01"))


@pytest.mark.parametrize(
    ("material", "values", "used"),
    [
        ("CaHA", {}, True),
        ("CaCO3", {}, False),
        ("CaHA", {"kvp": 140.0}, False),
        ("CaHA", {"study_date": "20270106"}, False),
    ],
)
def test_a_cross_calibration_holds_for_its_material_scanner_and_time(
    material: str, values: dict[str, object], used: bool
) -> None:
    found = standard.cross_calibration(material, scanned(quality=Quality(cross_calibration=CONVERSION), **values))  # type: ignore[arg-type]
    assert (found is not None) is used


def both() -> Standard:
    fit = hydroxyapatite(offset=0.0, slope_per_mm=0.02)
    return Standard(fit, calibration.fit(fit, CalibrationLimits()))


def test_each_vertebra_has_the_line_at_its_own_height() -> None:
    found = standard.lines(both(), {"L1": voi(100.0), "L2": voi(-100.0)}, MeasurementSettings(), 120.0)
    assert found.of("L1").beta_ct - found.of("L2").beta_ct == pytest.approx(4.0, abs=0.3)


def test_a_vertebra_that_the_rods_do_not_reach_has_none() -> None:
    found = standard.lines(both(), {"L1": voi(100.0), "T9": voi(200.0)}, MeasurementSettings(), 120.0)
    with pytest.raises(PhantomOutOfField, match="T9"):
        found.of("T9")


def test_a_vertebra_at_which_the_rods_are_bad_says_why() -> None:
    rods = list(hydroxyapatite().rods)
    bad = rods[2].slice_hu_mean + np.where(rods[2].slice_centres_lps_mm[:, 2] > 60.0, 60.0, 0.0)
    rods[2] = replace(rods[2], slice_hu_mean=bad)
    fit = replace(hydroxyapatite(), rods=tuple(rods))
    line = calibration.fit(hydroxyapatite(), CalibrationLimits())
    found = standard.lines(Standard(fit, line), {"L1": voi(100.0), "L2": voi(-100.0)}, MeasurementSettings(), 120.0)
    assert found.of("L2").sigma_ct == pytest.approx(1.35, abs=0.01)
    with pytest.raises(PoorCalibration, match="r²"):
        found.of("L1")


def test_a_borrowed_line_serves_all_vertebrae_alike() -> None:
    found = standard.lines(Standard(None, calibration.stored(STORED)), {"L1": voi(0.0)}, MeasurementSettings(), 120.0)
    assert (found.local, found.of("L1").kind) == (False, "asynchronous")


def slopes(**by_level: float) -> Lines:
    line = calibration.fit(hydroxyapatite(), CalibrationLimits())
    return Lines({level: replace(line, sigma_ct=slope) for level, slope in by_level.items()}, {}, True)


def test_even_slopes_are_stated_without_a_warning() -> None:
    cv, found = standard.slope_variation(slopes(L1=1.350, L2=1.355), ("L1", "L2"), CalibrationLimits())
    assert (cv, found) == (pytest.approx(0.26, abs=0.01), ())


def test_slopes_that_differ_by_more_than_one_percent_are_warned_of() -> None:
    _, (caution,) = standard.slope_variation(slopes(L1=1.33, L2=1.37), ("L1", "L2"), CalibrationLimits())
    assert (caution.code, caution.effect) == ("slope-variation", "warn")


def test_slopes_that_differ_too_much_are_refused() -> None:
    with pytest.raises(PoorCalibration, match="CV"):
        standard.slope_variation(slopes(L1=1.25, L2=1.40), ("L1", "L2"), CalibrationLimits())


def test_slopes_of_far_vertebrae_do_not_count() -> None:
    cv, _ = standard.slope_variation(slopes(T7=1.2, L1=1.35, L2=1.35), ("L1", "L2"), CalibrationLimits())
    assert cv == pytest.approx(0.0)


def test_a_bridged_gap_and_a_borrowed_line_are_said() -> None:
    fit = gapped(hydroxyapatite(), -20.0, 20.0)
    bridged = Standard(fit, calibration.fit(fit, CalibrationLimits()))
    borrowed = Standard(None, calibration.stored(STORED))
    codes = [
        [caution.code for caution in standard.cautions(one, {"L1": voi(0.0)}, ("L1",), ConfounderPolicies())]
        for one in (bridged, borrowed, both())
    ]
    assert codes == [["calibration-bridged"], ["asynchronous"], []]


class _Missing:
    """Stands for a search that finds no phantom, or one that is refused otherwise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def find(self, *_: object) -> None:
        raise self.error


@pytest.mark.parametrize(("error", "borrowed"), [(PhantomNotFound("none"), True), (PhantomOutOfField("cut"), False)])
def test_a_calibration_is_borrowed_only_where_no_phantom_lies(
    monkeypatch: pytest.MonkeyPatch, error: Exception, borrowed: bool
) -> None:
    monkeypatch.setattr(standard, "phantom", _Missing(error))
    known = scanned(quality=Quality(asynchronous=STORED))
    found = standard.establish(None, None, (), MeasurementSettings(), known)  # type: ignore[arg-type]
    assert (found.calibration is not None, found.refusal is None) == (borrowed, borrowed)
