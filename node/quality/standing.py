"""Where each scanner stands: in control or not, accuracy and precision on the QA phantom, and when it is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from node.domain.phantom import Material
from node.domain.quality import QualityRecord, RecordedScan, ScannerKey
from node.domain.settings import QualitySettings
from node.quality.charts import Chart, Setup, charts, measured_inserts, named, setups
from node.quality.control import Alarm, slope_per_year


@dataclass(frozen=True, slots=True)
class InsertStanding:
    """Accuracy and precision of one insert over a record."""

    name: str
    nominal_mg_cm3: float
    nominal_material: Material
    measured_material: Material
    scans: int
    mean_mg_cm3: float
    sd_mg_cm3: float | None
    """Between scans; ``None`` for a single one."""

    @property
    def error_mg_cm3(self) -> float:
        """Mean less certificate. Between different materials a bias of some percent is expected."""
        return self.mean_mg_cm3 - self.nominal_mg_cm3

    @property
    def error_percent(self) -> float:
        """The same as a part of the certificate's value."""
        return 100.0 * self.error_mg_cm3 / self.nominal_mg_cm3 if self.nominal_mg_cm3 else float("nan")

    @property
    def cv_percent(self) -> float | None:
        """Coefficient of variation between scans."""
        return None if self.sd_mg_cm3 is None or not self.mean_mg_cm3 else 100.0 * self.sd_mg_cm3 / self.mean_mg_cm3


@dataclass(frozen=True, slots=True)
class Due:
    """When one scanner is to be checked next."""

    key: ScannerKey
    last_scan: date | None
    """``None``: patients were measured, but no QA phantom ever was."""
    due_on: date
    overdue_days: int
    """0 or less: not yet."""

    @property
    def sentence(self) -> str:
        """For log and status."""
        last = f"the last one is of {self.last_scan}" if self.last_scan else "there has been none"
        when = f"since {self.due_on}" if self.overdue_days > 0 else f"on {self.due_on}"
        return f"QA scan of {named(self.key)} due {when}: {last}."


@dataclass(frozen=True, slots=True)
class Standing:
    """One scanner, kVp and kernel class under one pair of phantoms."""

    setup: Setup
    station: str | None
    scans: int
    first_scan: date
    last_scan: date
    charts: tuple[Chart, ...]
    inserts: tuple[InsertStanding, ...]
    patients: int

    @property
    def alarms(self) -> tuple[tuple[Chart, Alarm], ...]:
        """Those not resolved."""
        return tuple((chart, alarm) for chart in self.charts for alarm in chart.control.open_alarms)

    @property
    def state(self) -> str:
        """``out of control``, ``building baseline`` or ``in control``."""
        if self.alarms:
            return "out of control"
        return "in control" if all(chart.control.baseline for chart in self.charts) else "building baseline"


def standings(record: QualityRecord, settings: QualitySettings) -> tuple[Standing, ...]:
    """All of them, by scanner."""
    drawn = charts(record, settings)
    found = []
    for setup, scans in setups(record).items():
        of_setup = tuple(chart for chart in drawn if chart.setup == setup)
        dates = [scan.record.scan_date for scan in scans]
        patients = sum(s.record.kind == "patient" and s.record.key == setup.key for s in record.scans)
        station = scans[-1].record.station
        inserts = insert_standings(scans)
        found.append(Standing(setup, station, len(scans), min(dates), max(dates), of_setup, inserts, patients))
    return tuple(found)


def insert_standings(scans: Sequence[RecordedScan]) -> tuple[InsertStanding, ...]:
    """Accuracy and precision of the inserts of comparable scans."""
    material = next((scan.record.material for scan in scans if scan.record.material is not None), None)
    if material is None:
        return ()
    found = []
    for name, readings in measured_inserts(scans).items():
        values = np.array([one.measured_mg_cm3 for one in readings], dtype=np.float64)
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        last = readings[-1]
        found.append(
            InsertStanding(name, last.nominal_mg_cm3, last.material, material, len(values), float(values.mean()), sd)
        )
    return tuple(found)


def out_of_control(
    record: QualityRecord, settings: QualitySettings, scanner: str, on: date | None = None
) -> str | None:
    """Why a scanner is out of control, in a sentence; ``None`` when it is not. Any kVp and kernel of it counts.

    With ``on``, for scans made on that day: an alarm concerns all that came after the last QA scan before it.
    """
    broken = [
        (one, chart, alarm)
        for one in standings(record, settings)
        if one.setup.key.scanner == scanner
        for chart, alarm in one.alarms
        if on is None or on >= _last_good(chart, alarm)
    ]
    if not broken:
        return None
    standing, chart, alarm = min(broken, key=lambda found: (found[2].when, found[2].order))
    more = f", and {len(broken) - 1} more alarms" if len(broken) > 1 else ""
    return f"{named(standing.setup.key)}, since {alarm.when}: {told(chart, alarm)}{more}. Not resolved."


def _last_good(chart: Chart, alarm: Alarm) -> date:
    """Day of the last QA scan before an alarm."""
    earlier = [
        judged.point.when
        for judged in chart.control.points
        if (judged.point.when, judged.point.order) < (alarm.when, alarm.order)
    ]
    return earlier[-1] if earlier else alarm.when


def told(chart: Chart, alarm: Alarm) -> str:
    """One alarm in words."""
    what = f"{chart.quantity} of {chart.setup.qa_phantom}"
    mean = _mean_at(chart, alarm)
    usual = f" (usually {shown(mean, chart.unit)})" if mean is not None else ""
    if alarm.test == "limits":
        side = "above" if alarm.deviation > 0 else "below"
        more = "" if alarm.confirmed else "; a repeated QA scan within the limits lifts this"
        return (
            f"{what} reads {shown(alarm.value, chart.unit)}{usual}, {abs(alarm.deviation):.1f} SD {side} its mean{more}"
        )
    side = "upward" if alarm.deviation > 0 else "downward"
    return f"{what} drifts {side}, now {shown(alarm.value, chart.unit)}{usual}"


def shown(value: float, unit: str) -> str:
    """A value with as many digits as its unit deserves."""
    return f"{value:.4f} {unit}" if unit.startswith("HU per") else f"{value:.1f} {unit}"


def _mean_at(chart: Chart, alarm: Alarm) -> float | None:
    for judged in chart.control.points:
        if judged.point.order == alarm.order and judged.baseline is not None:
            return judged.baseline.mean
    return None


def drift_per_year(chart: Chart) -> float | None:
    """Change per year of the scans since the baseline in force began."""
    base = chart.control.baseline
    points = [judged.point for judged in chart.control.points if base is None or judged.point.when >= base.first]
    return slope_per_year(points)


def due(record: QualityRecord, settings: QualitySettings, today: date) -> tuple[Due, ...]:
    """Next QA scan of every scanner that was ever seen: of each kVp and kernel class with a QA scan, else of the first
    patient's. Nothing where ``interval_days`` is 0."""
    if settings.interval_days <= 0:
        return ()
    scans = [scan.record for scan in record.scans if scan.excluded is None]
    last: dict[ScannerKey, date] = {}
    for one in scans:
        if one.kind == "qa":
            last[one.key] = max(one.scan_date, last.get(one.key, one.scan_date))
    checked = {key.scanner for key in last}
    never: dict[str, tuple[ScannerKey, date]] = {}
    for one in sorted(scans, key=lambda one: one.scan_date):
        if one.key.scanner not in checked:
            never.setdefault(one.key.scanner, (one.key, one.scan_date))
    interval = timedelta(days=settings.interval_days)
    found = [_due(key, when, when + interval, today) for key, when in last.items()]
    found += [_due(key, None, first + interval, today) for key, first in never.values()]
    return tuple(sorted(found, key=lambda one: (one.due_on, one.key.scanner, one.key.kvp, one.key.kernel_class)))


def _due(key: ScannerKey, last: date | None, due_on: date, today: date) -> Due:
    return Due(key, last, due_on, (today - due_on).days)
