"""Change since earlier scans."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from node import pipeline
from node.domain.findings import Caution, Findings
from node.domain.prior import PriorResult
from node.domain.settings import PriorSettings
from node.imaging.change import changes
from tests.report import fixtures

ON = date(2026, 3, 5)
BEFORE = PriorResult(date(2024, 3, 5), "2.25.1", "2.25.2", "K2HPO4", 120.0, ("L1", "L2"), kvp=120.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    stored, volume = fixtures.single_frames(tmp_path_factory.mktemp("source"))
    return replace(fixtures.findings(volume, stored), mean_vbmd_mg_cm3=108.0)


def test_loss_is_told_in_mg_percent_and_percent_a_year(found: Findings) -> None:
    (change,) = changes(found, ON, [BEFORE], PriorSettings())
    assert change.change_mg_cm3 == pytest.approx(-12.0)
    assert change.change_percent == pytest.approx(-10.0)
    assert change.percent_per_year == pytest.approx(-5.0, abs=0.01)


def test_loss_above_277_precision_errors_is_significant(found: Findings) -> None:
    (change,) = changes(found, ON, [BEFORE], PriorSettings(precision_error_percent=2.0))
    assert change.least_significant_change_mg_cm3 == pytest.approx(2.77 * 0.02 * 114.0)
    assert change.significant is True


def test_small_change_is_not(found: Findings) -> None:
    (change,) = changes(found, ON, [replace(BEFORE, mean_vbmd_mg_cm3=111.0)], PriorSettings())
    assert change.significant is False


@pytest.mark.parametrize(
    ("prior", "why"),
    [
        (replace(BEFORE, material="CaHA"), "CaHA"),
        (replace(BEFORE, asynchronous=True), "not both scans hold a phantom"),
        (replace(BEFORE, mean_levels=("L2", "L3")), "L2, L3"),
        (replace(BEFORE, kvp=100.0), "100 kVp"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(found: Findings, prior: PriorResult, why: str) -> None:
    found = replace(found, header=replace(found.header, kvp=120.0))
    (change,) = changes(found, ON, [prior], PriorSettings())
    assert why in " ".join(change.not_comparable)
    assert change.change_mg_cm3 is None


@pytest.mark.parametrize(("prior", "now"), [(True, False), (False, True)])
def test_contrast_medium_in_one_scan_only_is_not_compared(found: Findings, prior: bool, now: bool) -> None:
    cautions = (Caution("contrast", "The image shows contrast medium."),) if now else ()
    (change,) = changes(replace(found, cautions=cautions), ON, [replace(BEFORE, contrast=prior)], PriorSettings())
    assert [one.code for one in change.reasons] == ["contrast"]


def test_another_kernel_phantom_or_scanner_is_named_and_compared(found: Findings) -> None:
    other = replace(BEFORE, kernel="B60f", phantom="Slab 3, serial S-9", scanner="CT7")
    header = replace(found.header, convolution_kernel="B30f", station_name="CT1")
    (change,) = changes(replace(found, header=header), ON, [other], PriorSettings())
    assert change.change_mg_cm3 is not None
    assert [one.what for one in change.differences] == ["kernel", "phantom", "scanner"]
    assert change.differences[0].message == "kernel B60f, now B30f"


def test_within_a_month_there_is_no_rate(found: Findings) -> None:
    (change,) = changes(found, ON, [replace(BEFORE, study_date=date(2026, 2, 20))], PriorSettings())
    assert change.percent_per_year is None
    assert change.change_percent is not None


def test_later_scans_are_no_earlier_results(found: Findings) -> None:
    assert changes(found, ON, [replace(BEFORE, study_date=date(2027, 1, 1))], PriorSettings()) == ()


def test_newest_comes_first(found: Findings) -> None:
    older = replace(BEFORE, study_date=date(2020, 1, 1))
    assert [one.prior for one in changes(found, ON, [older, BEFORE], PriorSettings())] == [BEFORE, older]


def test_priors_that_may_be_missing_are_said(found: Findings) -> None:
    job = fixtures.job((), Path("out"), priors_incomplete=True, priors=(BEFORE,))
    told = pipeline._compared(found, job)
    assert told.cautions[-1].code == "priors-incomplete"
    assert told.cautions[-1].effect == "warn"
    assert pipeline._compared(found, replace(job, priors_incomplete=False)).cautions == found.cautions
