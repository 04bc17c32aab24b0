"""One control chart for each quantity of each scanner, kVp and kernel class, under one pair of phantoms.

QA scans alone make limits: the slope under a patient varies with his size, so patients' slopes and intercepts stand
beside those of the QA phantom, and are never judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from node.domain.phantom import Material
from node.domain.quality import InsertReading, QualityRecord, RecordedScan, ScannerKey
from node.domain.settings import QualitySettings
from node.quality.control import Control, Limits, Point, Reset, control

ALONE = "the phantom alone"
"""In place of a QA phantom: a calibration phantom scanned by itself. Charted, never borrowed from."""
SLOPE, INTERCEPT = "slope", "intercept"
SLOPE_UNIT, INTERCEPT_UNIT, DENSITY_UNIT = "HU per mg/cm³", "HU", "mg/cm³"


@dataclass(frozen=True, slots=True)
class Setup:
    """Scans that may be compared with each other."""

    key: ScannerKey
    qa_phantom: str
    calibration_phantom: str | None


@dataclass(frozen=True, slots=True)
class Chart:
    """One quantity over time."""

    setup: Setup
    quantity: str
    """Name of the insert, ``slope`` or ``intercept``."""
    unit: str
    nominal: float | None
    """By the certificate, where there is one in this unit."""
    nominal_material: Material | None
    measured_material: Material | None
    control: Control
    patients: tuple[Point, ...] = ()
    """The same quantity under patients; for slope and intercept alone."""


def named(key: ScannerKey) -> str:
    """A scanner key in a few words."""
    return f"{key.scanner}, {key.kvp:g} kV, {key.kernel_class} kernel"


def setups(record: QualityRecord) -> dict[Setup, list[RecordedScan]]:
    """QA scans that count, by what they may be compared with."""
    found: dict[Setup, list[RecordedScan]] = defaultdict(list)
    for scan in record.scans:
        one = scan.record
        if scan.excluded is None and one.kind == "qa":
            found[Setup(one.key, one.qa_phantom or ALONE, one.calibration_phantom)].append(scan)
    return dict(sorted(found.items(), key=lambda item: (*_order(item[0].key), item[0].qa_phantom)))


def charts(record: QualityRecord, settings: QualitySettings) -> tuple[Chart, ...]:
    """Every chart of a record: inserts in the order of their phantom, then slope and intercept."""
    made: list[Chart] = []
    for setup, scans in setups(record).items():
        resets = resets_of(record, setup.key.scanner)
        names = dict.fromkeys(insert.name for scan in scans for insert in scan.record.inserts)
        made += [chart for name in names if (chart := _insert_chart(setup, name, scans, resets, settings))]
        made += _calibration_charts(setup, scans, _patients(record, setup), resets, settings)
    return tuple(made)


def resets_of(record: QualityRecord, scanner: str) -> tuple[Reset, ...]:
    """Resolutions of a scanner's alarms, as its charts use them."""
    return tuple(
        Reset(one.resolved_on, one.after_scan, one.new_baseline) for one in record.resolutions if one.scanner == scanner
    )


def _insert_chart(
    setup: Setup, name: str, scans: Sequence[RecordedScan], resets: Sequence[Reset], settings: QualitySettings
) -> Chart | None:
    """Density under a calibration phantom, else attenuation."""
    read = [(scan, insert) for scan in scans for insert in scan.record.inserts if insert.name == name]
    if not read:
        return None
    dense = setup.calibration_phantom is not None
    points = [
        Point(scan.record.scan_date, scan.id, value)
        for scan, insert in read
        if (value := insert.measured_mg_cm3 if dense else insert.hu_mean) is not None
    ]
    if not points:
        return None
    last_scan, last = read[-1]
    min_sd = settings.min_sd_density_mg_cm3 if dense else settings.min_sd_intercept_hu
    return Chart(
        setup,
        name,
        DENSITY_UNIT if dense else INTERCEPT_UNIT,
        last.nominal_mg_cm3 if dense else None,
        last.material,
        last_scan.record.material,
        control(points, _limits(settings, min_sd), resets),
    )


def _calibration_charts(
    setup: Setup,
    scans: Sequence[RecordedScan],
    patients: Sequence[RecordedScan],
    resets: Sequence[Reset],
    settings: QualitySettings,
) -> list[Chart]:
    slopes, intercepts = _points(scans, SLOPE), _points(scans, INTERCEPT)
    if not slopes:
        return []
    mean = sum(point.value for point in slopes) / len(slopes)
    material = scans[-1].record.material
    return [
        Chart(setup, name, unit, None, None, material, control(points, _limits(settings, min_sd), resets), under)
        for name, unit, points, min_sd, under in (
            (SLOPE, SLOPE_UNIT, slopes, settings.min_sd_slope_percent / 100 * mean, _points(patients, SLOPE)),
            (INTERCEPT, INTERCEPT_UNIT, intercepts, settings.min_sd_intercept_hu, _points(patients, INTERCEPT)),
        )
    ]


def _points(scans: Iterable[RecordedScan], quantity: str) -> tuple[Point, ...]:
    found = []
    for scan in scans:
        value = scan.record.sigma_ct if quantity == SLOPE else scan.record.beta_ct
        if value is not None:
            found.append(Point(scan.record.scan_date, scan.id, value))
    return tuple(found)


def _patients(record: QualityRecord, setup: Setup) -> list[RecordedScan]:
    return [
        scan
        for scan in record.scans
        if scan.record.kind == "patient"
        and scan.excluded is None
        and scan.record.key == setup.key
        and scan.record.calibration_phantom == setup.calibration_phantom
    ]


def _limits(settings: QualitySettings, min_sd: float) -> Limits:
    return Limits(settings.baseline_scans, settings.sd_limit, settings.cusum_k, settings.cusum_h, min_sd)


def _order(key: ScannerKey) -> tuple[str, float, str]:
    return key.scanner, key.kvp, key.kernel_class


def measured_inserts(scans: Iterable[RecordedScan]) -> dict[str, list[InsertReading]]:
    """Readings with a density, by name of the insert."""
    found: dict[str, list[InsertReading]] = defaultdict(list)
    for scan in scans:
        for insert in scan.record.inserts:
            if insert.measured_mg_cm3 is not None:
                found[insert.name].append(insert)
    return dict(found)
