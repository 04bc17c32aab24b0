"""What may be borrowed from the record, and what never."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from node.domain.quality import Quality, QualityRecord, ScannerKey
from node.domain.settings import QualitySettings
from node.errors import NodeError
from node.quality.borrowing import cross_calibrate, quality_of
from tests.quality.records import KEY, START, insert, patient, qa_scan, recorded, resolution, series

SETTINGS = QualitySettings()
DAY = timedelta(days=1)


def asked(
    record: QualityRecord,
    key: ScannerKey | None = KEY,
    on: date = START,
    kernel: str | None = "B30f",
    *,
    asynchronous: bool = True,
) -> Quality:
    return quality_of(record, SETTINGS, key, kernel, on, ("mindways",), asynchronous=asynchronous)


def test_the_stored_calibration_is_the_mean_of_the_last_scans() -> None:
    scans = [qa_scan(START + n * DAY, sigma=1.40 + 0.01 * n, beta=float(n)) for n in range(12)]
    stored = asked(recorded(*scans)).asynchronous
    assert stored is not None
    assert (stored.scans, stored.sigma_ct, stored.beta_ct) == (10, pytest.approx(1.465), pytest.approx(6.5))


def test_its_covariance_is_the_spread_of_the_record() -> None:
    scans = [qa_scan(START + n * DAY, sigma=1.40 + 0.02 * (n % 2), beta=2.0 * (n % 2)) for n in range(10)]
    stored = asked(recorded(*scans)).asynchronous
    assert stored is not None
    assert stored.covariance[0][0] ** 0.5 == pytest.approx(0.01 * (10 / 9) ** 0.5)


def test_a_single_scan_is_no_surer_than_scans_usually_are() -> None:
    stored = asked(recorded(qa_scan())).asynchronous
    assert stored is not None
    assert (stored.scans, stored.covariance[1][1] >= 1.0) == (1, True)


def test_not_unless_the_rule_allows_it() -> None:
    assert asked(recorded(qa_scan()), asynchronous=False).asynchronous is None


@pytest.mark.parametrize(
    "key",
    [
        ScannerKey("SN-2002", 120.0, "standard"),
        ScannerKey("SN-1001", 100.0, "standard"),
        ScannerKey("SN-1001", 120.0, "sharp"),
        ScannerKey("SN-1001", 120.0, "unknown"),
        None,
    ],
)
def test_never_across_scanner_kvp_or_kernel(key: ScannerKey | None) -> None:
    assert asked(recorded(qa_scan()), key).asynchronous is None


def test_a_kernel_of_unknown_class_must_be_the_very_same() -> None:
    unknown = replace(KEY, kernel_class="unknown")
    record = recorded(qa_scan(key=unknown))
    assert [asked(record, unknown, kernel=name).asynchronous is not None for name in ("B30f", "X1", None)] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(("days", "lent"), [(-180, True), (-181, False), (180, True), (181, False)])
def test_never_beyond_its_validity(days: int, lent: bool) -> None:
    assert (asked(recorded(qa_scan()), on=START + days * DAY).asynchronous is not None) is lent


def test_never_from_a_scanner_out_of_control() -> None:
    scans = series(12, 1, shift_from=10, shift=9.0)
    lent = asked(recorded(*scans), on=scans[-1].scan_date)
    assert lent.asynchronous is None
    assert lent.out_of_control is not None


def test_never_from_before_a_tube_was_replaced() -> None:
    record = recorded(qa_scan(), resolutions=(resolution(START + DAY, 1, new_baseline=True),))
    assert [asked(record, on=START + n * DAY).asynchronous is not None for n in (0, 5)] == [True, False]


def test_never_from_a_patient() -> None:
    assert asked(recorded(patient())).asynchronous is None


def test_never_from_a_phantom_that_cannot_lie_there() -> None:
    assert asked(recorded(qa_scan(phantom="another"))).asynchronous is None


def test_never_from_a_calibration_that_a_patient_would_be_refused_for() -> None:
    assert asked(recorded(replace(qa_scan(), believed=False))).asynchronous is None


def test_never_from_an_excluded_scan() -> None:
    record = recorded(qa_scan())
    assert asked(QualityRecord((replace(record.scans[0], excluded="misplaced"),))).asynchronous is None


NATIVE = [insert("L1", 50.0, 50.0), insert("L2", 100.0, 100.0), insert("L3", 200.0, 200.0)]


def crossed(reference: dict[str, float], native: list[object] | None = None) -> tuple[float, float]:
    found = cross_calibrate(KEY, native or NATIVE, "CaHA", reference, START, SETTINGS, "esp")  # type: ignore[arg-type]
    return found.slope, found.intercept_mg_cm3


def test_a_cross_calibration_is_the_line_between_both_readings() -> None:
    assert crossed({"L1": 47.0, "L2": 92.0, "L3": 182.0}) == (pytest.approx(0.9), pytest.approx(2.0))


def test_a_cross_calibration_needs_two_inserts() -> None:
    with pytest.raises(NodeError, match="two inserts"):
        crossed({"L1": 47.0})


def test_a_cross_calibration_of_other_inserts_is_refused() -> None:
    with pytest.raises(NodeError, match="slope"):
        crossed({"L1": 47.0, "L2": 60.0, "L3": 70.0})


@pytest.mark.parametrize(("days", "lent"), [(-1, False), (0, True), (365, True), (366, False)])
def test_a_cross_calibration_expires(days: int, lent: bool) -> None:
    found = cross_calibrate(KEY, NATIVE, "CaHA", {"L1": 47.0, "L3": 182.0}, START, SETTINGS, "esp")
    record = QualityRecord(cross_calibrations=(found,))
    assert (asked(record, on=START + days * DAY).cross_calibration is not None) is lent


def test_a_cross_calibration_is_never_used_on_another_kvp() -> None:
    found = cross_calibrate(KEY, NATIVE, "CaHA", {"L1": 47.0, "L3": 182.0}, START, SETTINGS, "esp")
    record = QualityRecord(cross_calibrations=(found,))
    assert asked(record, replace(KEY, kvp=100.0)).cross_calibration is None
