"""The measurement as a whole on synthetic trunks: calibration, confounders and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from node import pipeline
from node.domain.findings import Findings
from node.domain.instance import InstanceHeader
from node.domain.quality import CrossCalibration, Quality, ScannerKey, StoredCalibration
from node.domain.settings import ConfounderPolicies, MeasurementSettings
from node.domain.volume import Volume
from node.synthetic import phantoms
from node.synthetic.spec import TorsoSpec
from node.synthetic.torso import make
from node.synthetic.truth import SyntheticCase

KEY = ScannerKey("70001", 120.0, "standard")
HEADER = InstanceHeader(
    "2.1",
    "2.2",
    "2.3",
    "2.4",
    "2.5",
    modality="CT",
    kvp=120.0,
    patient_position="HFS",
    manufacturer="Example",
    convolution_kernel="STANDARD",
    device_serial_number="70001",
    study_date="20260301",
    slice_thickness_mm=2.0,
)
VALID = date(2026, 1, 1), date(2026, 12, 31)
CONVERSION = CrossCalibration(KEY, "CaHA", 0.95, 1.0, 2.0, *VALID, "ESP 145")
SMALL = TorsoSpec(seed=71, sex="F", age_years=64, matrix=256, spacing_mm=2.0, thickness_mm=2.0)


def stored(case: SyntheticCase) -> StoredCalibration:
    truth = case.truth
    spread = ((1e-4, 0.0), (0.0, 0.25))
    return StoredCalibration(KEY, "K2HPO4", truth.sigma_ct, truth.beta_ct, spread, *VALID, 9, "QA scans")


@pytest.fixture(scope="module")
def enhanced() -> tuple[SyntheticCase, Volume]:
    """Portal venous phase above an HA slab; no tag says so."""
    case = make(replace(SMALL, phantom=phantoms.HA_4_POINT, contrast="portal"))
    return case, case.volume()


@pytest.fixture(scope="module")
def bare() -> tuple[SyntheticCase, Volume]:
    """No phantom, no contrast medium."""
    case = make(SMALL)
    return case, case.volume()


def measured(
    volume: Volume, quality: Quality | None = None, policies: ConfounderPolicies | None = None, **header: object
) -> Findings:
    settings = MeasurementSettings(confounders=policies or ConfounderPolicies())
    known = replace(HEADER, **header)  # type: ignore[arg-type]
    return pipeline.measure(volume, known, (phantoms.HA_4_POINT,), settings, quality)


@pytest.fixture(scope="module")
def converted(enhanced: tuple[SyntheticCase, Volume]) -> Findings:
    return measured(enhanced[1], Quality(cross_calibration=CONVERSION))


@pytest.fixture(scope="module")
def borrowed(bare: tuple[SyntheticCase, Volume]) -> Findings:
    return measured(bare[1], Quality(asynchronous=stored(bare[0])))


def codes(found: Findings) -> dict[str, str]:
    return {caution.code: caution.effect for caution in found.cautions}


def test_contrast_medium_is_seen_without_a_tag_and_withholds_the_category(converted: Findings) -> None:
    assert (codes(converted).get("contrast"), converted.category) == ("withhold", "not-classified")


def test_each_vertebra_carries_its_own_calibration(converted: Findings) -> None:
    assert {"L1", "L2"} <= set(converted.calibrations)
    assert converted.slope_cv_percent is not None


def test_both_values_are_reported_where_the_site_has_a_cross_calibration(converted: Findings) -> None:
    mean, other = converted.mean_vbmd_mg_cm3, converted.mean_k2hpo4
    assert other is not None
    assert mean is not None
    assert other.vbmd_mg_cm3 == pytest.approx(0.95 * mean + 1.0)
    assert "uncalibrated-unit" not in codes(converted)


def test_the_native_estimate_is_of_one_material_only(converted: Findings) -> None:
    assert converted.mean_native_estimate is None


def test_a_confounder_may_be_refused(enhanced: tuple[SyntheticCase, Volume]) -> None:
    found = measured(enhanced[1], policies=ConfounderPolicies(contrast="refuse"))
    assert found.refusal is not None
    assert (found.refusal.reason, found.densities) == ("confounded", {})


def test_a_borrowed_calibration_measures_a_scan_without_phantom(
    borrowed: Findings, bare: tuple[SyntheticCase, Volume]
) -> None:
    expected = np.mean([bare[0].truth.levels[level].vbmd_mg_cm3 for level in borrowed.mean_levels])
    assert borrowed.mean_vbmd_mg_cm3 == pytest.approx(expected, abs=4.0)
    assert (borrowed.phantom, borrowed.calibration.kind if borrowed.calibration else None) == (None, "asynchronous")


def test_a_borrowed_calibration_is_said_and_less_sure(borrowed: Findings) -> None:
    assert codes(borrowed) == {"asynchronous": "warn"}
    mean, uncertainty = borrowed.mean_vbmd_mg_cm3, borrowed.mean_expanded_uncertainty_mg_cm3
    assert mean is not None
    assert uncertainty is not None
    assert uncertainty > 2 * 0.04 * mean


def test_the_calibration_of_another_scanner_is_not_borrowed(bare: tuple[SyntheticCase, Volume]) -> None:
    found = measured(bare[1], Quality(asynchronous=stored(bare[0])), device_serial_number="70002")
    assert found.refusal is not None
    assert found.refusal.reason == "phantom-not-found"
