"""The scanners' record as tables and JSON. Builds them; printing is the command line's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.domain.quality import QualityRecord, RecordedScan
from node.domain.settings import QualitySettings
from node.quality.charts import DENSITY_UNIT, SLOPE_UNIT, Chart, named
from node.quality.standing import Due, Standing, drift_per_year, told

_COLOURS = {"in control": "green", "out of control": "red", "building baseline": "yellow"}


def standing_table(one: Standing, settings: QualitySettings) -> RenderableType:
    """One scanner, kVp and kernel class: trend, limits, accuracy and alarms."""
    setup = one.setup
    under = f" on {setup.calibration_phantom}" if setup.calibration_phantom else ", without a calibration phantom"
    head = Text(f"{named(setup.key)}: {setup.qa_phantom}{under}: ", "bold")
    head.append(one.state, _COLOURS[one.state])
    count = f"{one.scans} QA scans from {one.first_scan} to {one.last_scan}; {one.patients} patients' calibrations"
    table = Table(box=None, pad_edge=False)
    for name in ("quantity", "certificate", "mean", "SD", "limits", "last", "error %", "CV %", "a year", "state"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("quantity", "state") else "right")
    accuracy = {insert.name: insert for insert in one.inserts}
    for chart in one.charts:
        insert = accuracy.get(chart.quantity) if chart.unit == DENSITY_UNIT else None
        error = f"{insert.error_percent:+.1f}" if insert else ""
        cv = f"{insert.cv_percent:.2f}" if insert and insert.cv_percent is not None else ""
        table.add_row(*_limits(chart, settings), error, cv, _drift(chart), _state(chart, settings))
    alarms = [Text(f"  {told(chart, alarm)} ({alarm.when})", "red") for chart, alarm in one.alarms]
    return Group(head, Text(f"  {count}"), table, *alarms)


def _limits(chart: Chart, settings: QualitySettings) -> tuple[str, ...]:
    base, last = chart.control.baseline, chart.control.points[-1].point.value
    nominal = "" if chart.nominal is None else f"{chart.nominal:g} {chart.nominal_material}"
    name = f"{chart.quantity} {chart.unit}"
    if base is None:
        return name, nominal, "", "", "", _number(last, chart)
    reach = settings.sd_limit * base.unit
    limits = f"{_number(base.mean - reach, chart)} to {_number(base.mean + reach, chart)}"
    return name, nominal, _number(base.mean, chart), f"{base.sd:.2g}", limits, _number(last, chart)


def _state(chart: Chart, settings: QualitySettings) -> Text:
    if chart.control.open_alarms:
        return Text(", ".join(alarm.test for alarm in chart.control.open_alarms), "red")
    if chart.control.baseline is None:
        return Text(f"baseline {chart.control.building} of {settings.baseline_scans}", "yellow")
    return Text("in control", "green")


def _drift(chart: Chart) -> str:
    drift = drift_per_year(chart)
    return "" if drift is None else f"{drift:+.4f}" if chart.unit == SLOPE_UNIT else f"{drift:+.1f}"


def _number(value: float, chart: Chart) -> str:
    return f"{value:.4f}" if chart.unit == SLOPE_UNIT else f"{value:.1f}"


def due_lines(dues: Sequence[Due]) -> list[Text]:
    """When each scanner is due."""
    return [Text(one.sentence, "red" if one.overdue_days > 0 else "") for one in dues]


def scans_table(scans: Sequence[RecordedScan]) -> Table:
    """Every QA scan, with the id by which it is excluded."""
    table = Table("id", "date", "scanner", "QA phantom", "slope", "intercept", "inserts mg/cm³", "counts",
                  box=None, pad_edge=False)  # fmt: skip
    for scan in scans:
        one = scan.record
        inserts = " ".join(
            f"{insert.name} {insert.measured_mg_cm3:.1f}"
            for insert in one.inserts
            if insert.measured_mg_cm3 is not None
        )
        table.add_row(
            str(scan.id),
            str(one.scan_date),
            named(one.key),
            one.qa_phantom or "the phantom alone",
            "" if one.sigma_ct is None else f"{one.sigma_ct:.4f}",
            "" if one.beta_ct is None else f"{one.beta_ct:+.2f}",
            inserts,
            "yes" if scan.excluded is None else f"no: {scan.excluded}",
        )
    return table


def as_json(
    standings: Sequence[Standing], dues: Sequence[Due], record: QualityRecord, settings: QualitySettings
) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "scanners": [_standing_json(one, settings) for one in standings],
        "due": [
            {
                "scanner": one.key.scanner,
                "kvp": one.key.kvp,
                "kernel_class": one.key.kernel_class,
                "last_scan": one.last_scan and one.last_scan.isoformat(),
                "due_on": one.due_on.isoformat(),
                "overdue_days": max(one.overdue_days, 0),
            }
            for one in dues
        ],
        "cross_calibrations": [
            {
                "scanner": one.key.scanner,
                "kvp": one.key.kvp,
                "kernel_class": one.key.kernel_class,
                "from_material": one.from_material,
                "slope": one.slope,
                "intercept_mg_cm3": one.intercept_mg_cm3,
                "standard_error_mg_cm3": one.standard_error_mg_cm3,
                "measured_on": one.measured_on.isoformat(),
                "expires_on": one.expires_on.isoformat(),
            }
            for one in record.cross_calibrations
        ],
    }


def _standing_json(one: Standing, settings: QualitySettings) -> dict[str, Any]:
    key = one.setup.key
    return {
        "scanner": key.scanner,
        "kvp": key.kvp,
        "kernel_class": key.kernel_class,
        "qa_phantom": one.setup.qa_phantom,
        "calibration_phantom": one.setup.calibration_phantom,
        "state": one.state,
        "qa_scans": one.scans,
        "patient_scans": one.patients,
        "quantities": [_chart_json(chart, settings) for chart in one.charts],
        "inserts": [
            {
                "name": insert.name,
                "certificate_mg_cm3": insert.nominal_mg_cm3,
                "certificate_material": insert.nominal_material,
                "mean_mg_cm3": insert.mean_mg_cm3,
                "material": insert.measured_material,
                "error_percent": insert.error_percent,
                "cv_percent": insert.cv_percent,
                "scans": insert.scans,
            }
            for insert in one.inserts
        ],
    }


def _chart_json(chart: Chart, settings: QualitySettings) -> dict[str, Any]:
    base = chart.control.baseline
    reach = 0.0 if base is None else settings.sd_limit * base.unit
    return {
        "name": chart.quantity,
        "unit": chart.unit,
        "baseline": base
        and {
            "first": base.first.isoformat(),
            "last": base.last.isoformat(),
            "scans": base.scans,
            "mean": base.mean,
            "sd": base.sd,
            "lower_limit": base.mean - reach,
            "upper_limit": base.mean + reach,
        },
        "values": [{"date": one.point.when.isoformat(), "value": one.point.value} for one in chart.control.points],
        "alarms": [
            {
                "test": alarm.test,
                "date": alarm.when.isoformat(),
                "value": alarm.value,
                "state": alarm.state,
                "confirmed": alarm.confirmed,
                "message": told(chart, alarm),
            }
            for alarm in chart.control.alarms
        ],
    }
