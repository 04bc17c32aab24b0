"""What the record lends to one measurement: a stored calibration, a cross-calibration, or a warning.

Nothing is borrowed across scanner, kVp or kernel class, beyond its validity, or while the scanner is out of control: a
calibration of another day is blind to drift.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from node.domain.phantom import Material
from node.domain.quality import (
    CrossCalibration,
    InsertReading,
    Quality,
    QualityRecord,
    RecordedScan,
    ScannerKey,
    ScanRecord,
    StoredCalibration,
)
from node.domain.settings import QualitySettings
from node.errors import NodeError
from node.quality.charts import resets_of
from node.quality.standing import out_of_control

MIN_SPREAD_SCANS = 5
"""From fewer scans no spread is estimated."""
USUAL_SLOPE_SPREAD, USUAL_INTERCEPT_SPREAD_HU = 0.005, 1.0
"""Standard deviations between scans of one scanner: ESP inserts repeat to 0.5 %, water to about 1 HU."""
MIN_CROSS_SE_MG_CM3 = 1.0
"""Stated least standard error of a cross-calibration: three inserts leave one degree of freedom to estimate it."""
CROSS_SLOPES = (0.7, 1.3)
"""K2HPO4 per HA: published pairs lie between 0.81 and 1.05."""
MIN_CROSS_SPAN_MG_CM3 = 50.0


def quality_of(
    record: QualityRecord,
    settings: QualitySettings,
    key: ScannerKey | None,
    kernel: str | None,
    on: date,
    phantoms: Collection[str],
    *,
    asynchronous: bool,
) -> Quality:
    """What is known for a scan made ``on`` a day. ``phantoms``: ids of those that may be borrowed from."""
    if key is None:
        return Quality()
    broken = out_of_control(record, settings, key.scanner, on)
    return Quality(
        stored(record, settings, key, kernel, on, phantoms) if asynchronous and broken is None else None,
        cross(record, key, on),
        broken,
    )


def stored(
    record: QualityRecord,
    settings: QualitySettings,
    key: ScannerKey,
    kernel: str | None,
    on: date,
    phantoms: Collection[str],
) -> StoredCalibration | None:
    """Mean calibration of the QA scans of the same scanner, kVp and kernel class that are valid on a day.

    The phantom scanned last counts. A kernel of unknown class must be the very same.
    """
    validity = timedelta(days=settings.asynchronous_validity_days)
    usable = [
        scan
        for scan in record.scans
        if scan.excluded is None
        and scan.record.kind == "qa"
        and scan.record.qa_phantom is not None
        and scan.record.believed
        and scan.record.key == key
        and (key.kernel_class != "unknown" or (kernel is not None and scan.record.kernel == kernel))
        and scan.record.calibration_phantom in phantoms
        and scan.record.sigma_ct is not None
        and abs(scan.record.scan_date - on) <= validity
        and _same_era(record, scan, on)
    ]
    if not usable:
        return None
    usable.sort(key=lambda scan: (scan.record.scan_date, scan.id))
    phantom = usable[-1].record.calibration_phantom
    chosen = [scan for scan in usable if scan.record.calibration_phantom == phantom][-settings.asynchronous_scans :]
    return _mean(chosen, key, settings, validity)


def _same_era(record: QualityRecord, scan: RecordedScan, on: date) -> bool:
    """Whether no new baseline (tube, software) lies between a QA scan and a day."""
    for reset in resets_of(record, scan.record.key.scanner):
        after = (scan.record.scan_date, scan.id) > (reset.when, reset.order)
        if reset.new_baseline and after != (on >= reset.when):
            return False
    return True


def _mean(
    scans: Sequence[RecordedScan], key: ScannerKey, settings: QualitySettings, validity: timedelta
) -> StoredCalibration | None:
    last = scans[-1].record
    if last.material is None:
        return None
    lines = np.array([(scan.record.sigma_ct, scan.record.beta_ct) for scan in scans], dtype=np.float64)
    sigma, beta = lines.mean(axis=0)
    c = np.cov(lines.T) if len(lines) >= MIN_SPREAD_SCANS else _expected_spread(last, float(sigma))
    return StoredCalibration(
        key,
        last.material,
        float(sigma),
        float(beta),
        ((float(c[0, 0]), float(c[0, 1])), (float(c[1, 0]), float(c[1, 1]))),
        last.scan_date,
        last.scan_date + validity,
        len(scans),
        f"{last.calibration_phantom} under {last.qa_phantom}",
    )


def _expected_spread(last: ScanRecord, sigma: float) -> NDArray[np.float64]:
    """Covariance where scans are too few to show it: that of the fit, and what repeated scans usually differ by."""
    usual = np.diag([(USUAL_SLOPE_SPREAD * sigma) ** 2, USUAL_INTERCEPT_SPREAD_HU**2])
    return np.asarray(usual + np.asarray(last.covariance or np.zeros((2, 2))), dtype=np.float64)


def cross(record: QualityRecord, key: ScannerKey, on: date) -> CrossCalibration | None:
    """The latest cross-calibration of the same scanner, kVp and kernel class that is valid on a day."""
    valid = [one for one in record.cross_calibrations if one.key == key and one.measured_on <= on <= one.expires_on]
    return valid[-1] if valid else None


def cross_calibrate(
    key: ScannerKey,
    native: Sequence[InsertReading],
    material: Material,
    reference_mg_cm3: Mapping[str, float],
    measured_on: date,
    settings: QualitySettings,
    source: str,
) -> CrossCalibration:
    """Line from densities in a phantom's own material to K2HPO4-equivalent ones, over the inserts of one QA phantom.

    ``native``: inserts read with the phantom to be converted; ``reference_mg_cm3``: K2HPO4-equivalent density of the
    same inserts, by name. Raises ``NodeError`` when the line is not to be believed.
    """
    pairs = [
        (one.measured_mg_cm3, reference_mg_cm3[one.name])
        for one in native
        if one.measured_mg_cm3 is not None and one.name in reference_mg_cm3
    ]
    if material == "K2HPO4":
        raise NodeError("The scan was calibrated in K2HPO4 already: there is nothing to be converted.")
    if len(pairs) < 2:
        raise NodeError(f"At least two inserts are needed under both calibrations; there are {len(pairs)}.")
    x, y = np.array(pairs, dtype=np.float64).T
    if float(np.ptp(x)) < MIN_CROSS_SPAN_MG_CM3:
        raise NodeError(f"The inserts span {np.ptp(x):.0f} mg/cm³; at least {MIN_CROSS_SPAN_MG_CM3:.0f} are needed.")
    slope, intercept = (float(v) for v in np.polyfit(x, y, 1))
    if not CROSS_SLOPES[0] <= slope <= CROSS_SLOPES[1]:
        raise NodeError(
            f"The slope is {slope:.3f} mg K2HPO4 per mg {material}, outside {CROSS_SLOPES[0]} to {CROSS_SLOPES[1]}: "
            "are these readings of the same inserts?"
        )
    residual = y - slope * x - intercept
    error = float(np.sqrt((residual**2).sum() / (len(x) - 2))) if len(x) > 2 else 0.0
    return CrossCalibration(
        key,
        material,
        slope,
        intercept,
        max(error, MIN_CROSS_SE_MG_CM3),
        measured_on,
        measured_on + timedelta(days=settings.cross_calibration_validity_days),
        source,
    )
