"""Every kind of output, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from node.domain.findings import BoneDensity, Caution, Converted, Findings, Refusal
from node.domain.phantom import LeftOut
from node.domain.quality import CrossCalibration, ScannerKey
from node.domain.volume import Volume
from tests.report import fixtures
from tests.report.fixtures import Written


def _measured(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.findings(volume, stored), volume


def _warned(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.warned(volume, stored), volume


def _refused_with_levels(written: Written) -> tuple[Findings, Volume | None]:
    stored, volume = written
    return fixtures.refused(volume, stored), volume


def _refused_unread(written: Written) -> tuple[Findings, Volume | None]:
    return fixtures.refused(None, written[0]), None


def _refused_calibration(written: Written) -> tuple[Findings, Volume | None]:
    """The phantom was found but its line is bad: it stays in the report as evidence."""
    stored, volume = written
    refusal = Refusal("poor-calibration", "r² is 0.91; 0.998 is needed.", {"r_squared": 0.91})
    found = fixtures.refused(volume, stored)
    return replace(found, refusal=refusal, phantom=fixtures.phantom(volume)), volume


def _no_l1(written: Written) -> tuple[Findings, Volume | None]:
    """L1 was not found to be measurable and has neither VOI nor density; L2 alone remains."""
    stored, volume = written
    found = fixtures.findings(volume, stored)
    return (
        replace(
            found,
            vertebrae=tuple(v for v in found.vertebrae if v.level != "L1"),
            vois={"L2": found.vois["L2"]},
            densities={"L2": found.densities["L2"]},
            mean_vbmd_mg_cm3=found.densities["L2"].vbmd_mg_cm3,
            mean_levels=("L2",),
        ),
        volume,
    )


def _asynchronous(written: Written) -> tuple[Findings, Volume | None]:
    """No phantom in the scan; calibrated by other scans of the scanner."""
    stored, volume = written
    found = fixtures.findings(volume, stored)
    assert found.calibration is not None
    borrowed = replace(
        found.calibration,
        r_squared=None,
        rms_residual_hu=None,
        residuals_hu=(),
        kind="asynchronous",
        source="QA of phantom mindways-qa, 12 scans, valid until 2026-12-31",
    )
    cautions = (Caution("asynchronous", "No phantom lies in this scan. Asynchronous calibration."),)
    return replace(found, phantom=None, calibration=borrowed, cautions=cautions), volume


def _converted(written: Written) -> tuple[Findings, Volume | None]:
    """Hydroxyapatite phantom, cross-calibrated, calibrated at each vertebra, with an estimate without contrast."""
    stored, volume = written
    found = fixtures.findings(volume, stored)
    assert found.calibration is not None
    line = replace(found.calibration, material="CaHA", left_out=(LeftOut("A", 1.25, -0.5), LeftOut("B", -2.0, 0.25)))
    key = ScannerKey("70001", 120.0, "standard")
    used = CrossCalibration(key, "CaHA", 0.95, 1.5, 2.0, date(2026, 1, 5), date(2027, 1, 5), "ESP 145")
    other = {
        level: replace(one, k2hpo4=Converted(0.95 * one.vbmd_mg_cm3 + 1.5, 5.25))
        for level, one in found.densities.items()
    }
    return (
        replace(
            found,
            phantom=fixtures.phantom(volume, "CaHA"),
            calibration=line,
            calibrations={"L1": line, "L2": replace(line, sigma_ct=1.41)},
            slope_cv_percent=0.5,
            cross_calibration=used,
            densities=other,
            mean_k2hpo4=Converted(104.05, 5.0),
            mean_native_estimate=Converted(97.25, 12.0),
            cautions=(Caution("contrast", "Contrast medium was given. Not classified.", "withhold"),),
            category="not-classified",
        ),
        volume,
    )


def _thoracic_substitute(written: Written) -> tuple[Findings, Volume | None]:
    """L1 is broken; T12 stands in for it."""
    stored, volume = written
    found = fixtures.findings(volume, stored)
    vois = {level: fixtures.voi(level, volume) for level in ("T12", "L2")}
    broken = fixtures.voi("L1", volume, "fracture")
    densities = {
        "T12": BoneDensity("T12", 118.25, 4.3, True, None),
        "L1": replace(found.densities["L1"], included_in_mean=False, exclusion_reason="fracture"),
        "L2": found.densities["L2"],
    }
    cautions = (Caution("substituted", "T12 stands in for L1: L1 has lost 22 % of its height."),)
    return (
        replace(
            found,
            cautions=cautions,
            vois={**vois, "L1": broken},
            densities=densities,
            mean_vbmd_mg_cm3=110.75,
            mean_levels=("L2", "T12"),
        ),
        volume,
    )


def _ambiguous(written: Written) -> tuple[Findings, Volume | None]:
    """Which vertebra is L1 cannot be told: both readings are evidence."""
    stored, volume = written
    values = {"T12": 112.6, "L1": 107.9, "L2": 103.2}
    readings = [
        {
            "probability": chance,
            "levels": {name: {"hu": 150.0, "vbmd_mg_cm3": values[of]} for name, of in given.items()},
            "mean_vbmd_mg_cm3": mean,
        }
        for chance, mean, given in ((0.55, 105.6, {"L1": "L1", "L2": "L2"}), (0.45, 110.3, {"L1": "T12", "L2": "L1"}))
    ]
    message = "Which vertebra is L1 cannot be told: 105.6 mg/cm³ or 110.3 mg/cm³."
    refusal = Refusal("levels-ambiguous", message, {"readings": readings})
    found = fixtures.refused(volume, stored)
    return replace(found, refusal=refusal, phantom=fixtures.phantom(volume)), volume


CASES: dict[str, Callable[[Written], tuple[Findings, Volume | None]]] = {
    "measured": _measured,
    "warned, HA phantom": _warned,
    "without L1": _no_l1,
    "asynchronous": _asynchronous,
    "cross-calibrated, estimate": _converted,
    "T12 stands in": _thoracic_substitute,
    "refused, levels found": _refused_with_levels,
    "refused, poor calibration": _refused_calibration,
    "refused, levels ambiguous": _ambiguous,
    "refused, never read": _refused_unread,
}
