"""The page that a physicist signs: accuracy, precision, limits, history and calibrations in force, one A4 page each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from node.domain.quality import CrossCalibration, QualityRecord, StoredCalibration
from node.domain.settings import QualitySettings
from node.quality import drawing
from node.quality.borrowing import cross, stored
from node.quality.charts import DENSITY_UNIT, SLOPE_UNIT, Chart, named
from node.quality.control import widening
from node.quality.standing import Due, Standing, due

PANEL_HEIGHT_MM = 35.0
MAX_HISTORY = 5
"""Lines of history on the page; the record itself keeps all."""

_STYLE = """
@page { size: A4; margin: 10mm 12mm; }
* { box-sizing: border-box; }
body { margin: 0; background: #dde3e8; color: #1b2733; font: 8.6pt/1.32 "DejaVu Sans", Verdana, Arial, sans-serif; }
section { width: 210mm; min-height: 297mm; margin: 6mm auto; padding: 10mm 12mm; background: white;
  display: flex; flex-direction: column; gap: 2.6mm; }
header { display: flex; justify-content: space-between; align-items: baseline; border-bottom: 0.5mm solid #1b2733;
  padding-bottom: 1.5mm; }
h1 { font-size: 13pt; margin: 0; } h2 { font-size: 9pt; margin: 0 0 1mm; }
p { margin: 0; } .meta { color: #5b6874; font-size: 7.4pt; }
.state { padding: 0.6mm 2.4mm; border-radius: 1mm; font-weight: bold; }
.ok { background: #dcefe1; color: #1d6434; } .bad { background: #fbdcdc; color: #9d1018; }
.wait { background: #fdf0d0; color: #7a5600; }
table { border-collapse: collapse; width: 100%; font-size: 7.8pt; font-variant-numeric: tabular-nums; }
th, td { padding: 0.45mm 1.6mm; text-align: right; border-bottom: 0.2mm solid #d5dbe0; vertical-align: top; }
th { color: #5b6874; font-weight: normal; } th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.text:first-child, table.tight td, table.tight th { white-space: nowrap; }
td.out { color: #9d1018; font-weight: bold; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 5mm; }
.chart svg { width: 100%; height: auto; display: block; }
.sign { display: grid; grid-template-columns: 2fr 2fr 1fr; gap: 6mm; margin-top: auto; padding-top: 7mm; }
.sign div { border-top: 0.25mm solid #1b2733; padding-top: 0.6mm; color: #5b6874; font-size: 7.2pt; }
@media print { body { background: white; } section { margin: 0; padding: 0; width: auto; min-height: 272mm;
  break-after: page; } section:last-child { break-after: auto; } }
"""


@dataclass(frozen=True, slots=True)
class Edition:
    """What made a page."""

    today: date
    software: str
    config_digest: str


def page(
    standings: Sequence[Standing],
    record: QualityRecord,
    settings: QualitySettings,
    phantoms: Iterable[str],
    by: Edition,
) -> str:
    """One HTML document with one A4 page for each standing. ``phantoms``: ids of those that calibrations come from."""
    known, dues = set(phantoms), due(record, settings, by.today)
    pages = "\n".join(_page(one, record, settings, known, dues, by) for one in standings)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Quality assurance of bone density</title>'
        f"<style>{_STYLE}</style></head><body>\n{pages}\n</body></html>\n"
    )


def _page(
    one: Standing,
    record: QualityRecord,
    settings: QualitySettings,
    phantoms: set[str],
    dues: Sequence[Due],
    by: Edition,
) -> str:
    setup = one.setup
    colour = {"in control": "ok", "out of control": "bad"}.get(one.state, "wait")
    under = f" on {setup.calibration_phantom}" if setup.calibration_phantom else ", without a calibration phantom"
    scans = f"{one.scans} QA scans from {one.first_scan} to {one.last_scan}; {one.patients} patients' calibrations"
    return f"""<section>
<header><h1>Quality assurance of bone density</h1><span class="state {colour}">{escape(one.state)}</span></header>
<div><p><b>{escape(named(setup.key))}</b>{_bracketed(one.station)}: {escape(setup.qa_phantom + under)}</p>
<p>{escape(scans)}. {escape(_next(one, dues))}</p></div>
<div><h2>Accuracy and precision</h2>{_accuracy(one)}</div>
<div><h2>Control limits</h2>{_limits(one, settings)}</div>
<div class="chart">{_inline(drawing.svg(one, settings, PANEL_HEIGHT_MM))}</div>
<div class="columns"><div><h2>History</h2>{_history(one, record)}</div>
<div><h2>Calibrations in force</h2>{_calibrations(one, record, settings, phantoms, by.today)}</div></div>
<div class="sign"><div>Medical physicist</div><div>Signature</div><div>Date</div></div>
<p class="meta">{escape(f"Page of {by.today}, vbmd-node {by.software}, configuration {by.config_digest[:12]}. ")}
{escape(_method(settings))}</p>
</section>"""


def _bracketed(text: str | None) -> str:
    return f" ({escape(text)})" if text else ""


def _next(one: Standing, dues: Sequence[Due]) -> str:
    mine = next((found for found in dues if found.key == one.setup.key), None)
    if mine is None:
        return "No interval is configured for QA scans."
    late = f", {mine.overdue_days} days overdue" if mine.overdue_days > 0 else ""
    return f"The next QA scan is due on {mine.due_on}{late}."


def _method(settings: QualitySettings) -> str:
    n = settings.baseline_scans
    return (
        f"Limits: mean ± {settings.sd_limit:g} SD of {n} scans, SD widened by {widening(n, settings.sd_limit):.2f} "
        f"for their number; cumulative sums with k = {settings.cusum_k:g}, h = {settings.cusum_h:g}. An alarm by "
        "limits that the next scan does not confirm is lifted."
    )


def _accuracy(one: Standing) -> str:
    if not one.inserts:
        return "<p>No insert was measured under a calibration phantom.</p>"
    rows = [
        [
            found.name,
            f"{found.nominal_mg_cm3:.1f} {found.nominal_material}",
            f"{found.mean_mg_cm3:.1f} {found.measured_material}",
            f"{found.error_mg_cm3:+.1f}",
            f"{found.error_percent:+.1f}",
            "" if found.sd_mg_cm3 is None else f"{found.sd_mg_cm3:.2f}",
            "" if found.cv_percent is None else f"{found.cv_percent:.2f}",
            str(found.scans),
        ]
        for found in one.inserts
    ]
    heads = ["insert", "certificate mg/cm³", "mean mg/cm³", "error mg/cm³", "error %", "SD mg/cm³", "CV %", "scans"]
    other = any(found.nominal_material != found.measured_material for found in one.inserts)
    note = (
        '<p class="meta">Certificate and measurement are of different materials: the error holds the difference '
        "between them (published: 0.93 to 1.05 between systems on one ESP).</p>"
        if other
        else ""
    )
    return _table(heads, rows) + note


def _limits(one: Standing, settings: QualitySettings) -> str:
    rows, marks = [], []
    for chart in one.charts:
        base, last = chart.control.baseline, chart.control.points[-1]
        state = ", ".join(_alarm_word(alarm.test) for alarm in chart.control.open_alarms)
        if base is None:
            rows.append(
                [_quantity(chart), f"being built: {chart.control.building} of {settings.baseline_scans}"]
                + ["", "", "", _digits(last.point.value, chart), ""]
            )
        else:
            reach = settings.sd_limit * base.unit
            rows.append(
                [
                    _quantity(chart),
                    f"{base.first} to {base.last} ({base.scans})",
                    f"{_digits(base.mean, chart)}",
                    f"{base.sd:.2g}",
                    f"{_digits(base.mean - reach, chart)} to {_digits(base.mean + reach, chart)}",
                    _digits(last.point.value, chart),
                    state or "in control",
                ]
            )
        marks.append(bool(state))
    heads = ["quantity", "baseline (scans)", "mean", "SD", "limits", "last scan", "state"]
    return _table(heads, rows, marks)


def _alarm_word(test: str) -> str:
    return "limits" if test == "limits" else "drift"


def _quantity(chart: Chart) -> str:
    return f"{chart.quantity}, {chart.unit}"


def _digits(value: float, chart: Chart) -> str:
    digits = 4 if chart.unit == SLOPE_UNIT else 1 if chart.unit == DENSITY_UNIT else 2
    return f"{value:.{digits}f}"


def _history(one: Standing, record: QualityRecord) -> str:
    scanner = one.setup.key.scanner
    lines = _alarm_lines(one)
    for resolution in record.resolutions:
        if resolution.scanner == scanner:
            fresh = "; new baseline" if resolution.new_baseline else ""
            lines.append((resolution.resolved_on, f"resolved by {resolution.by}: {resolution.note}{fresh}"))
    for scan in record.scans:
        if scan.excluded and scan.record.key == one.setup.key and scan.record.kind == "qa":
            lines.append((scan.record.scan_date, f"scan {scan.id} does not count: {scan.excluded}"))
    lines.sort(key=lambda line: line[0], reverse=True)
    if not lines:
        return "<p>No alarm, no resolution.</p>"
    shown = [[str(when), what] for when, what in lines[:MAX_HISTORY]]
    if len(lines) > MAX_HISTORY:
        shown.append(["", f"and {len(lines) - MAX_HISTORY} earlier entries in the record"])
    return _table(["date", "what"], shown, text=True)


def _alarm_lines(one: Standing) -> list[tuple[date, str]]:
    """Alarms of one day, test and state in one line each."""
    grouped: dict[tuple[date, str, str], list[str]] = defaultdict(list)
    for chart in one.charts:
        for alarm in chart.control.alarms:
            told = f"{chart.quantity} {_digits(alarm.value, chart)}"
            if alarm.test == "limits":
                told += f" ({alarm.deviation:+.1f} SD)"
            grouped[alarm.when, alarm.test, alarm.state].append(told)
    return [
        (when, f"{'drift' if test == 'drift' else 'beyond limits'}: {', '.join(found)}; {state}")
        for (when, test, state), found in grouped.items()
    ]


def _calibrations(
    one: Standing, record: QualityRecord, settings: QualitySettings, phantoms: set[str], today: date
) -> str:
    key = one.setup.key
    if one.alarms:
        first = "Asynchronous: none while the scanner is out of control."
    else:
        kernels = [scan.record.kernel for scan in record.scans if scan.record.key == key]
        first = _asynchronous(stored(record, settings, key, kernels[-1] if kernels else None, today, phantoms))
    return f"<p>{escape(first)}</p><p>{escape(_crossing(cross(record, key, today)))}</p>"


def _asynchronous(found: StoredCalibration | None) -> str:
    if found is None:
        return "Asynchronous: none valid today."
    (a, _), (_, b) = found.covariance
    return (
        f"Asynchronous: HU = {found.sigma_ct:.4f} (SD {a**0.5:.4f}) · mg/cm³ {found.material} {found.beta_ct:+.2f} "
        f"(SD {b**0.5:.2f}), mean of {found.scans} scans ({found.source}), last {found.measured_on}, valid until "
        f"{found.expires_on}."
    )


def _crossing(found: CrossCalibration | None) -> str:
    if found is None:
        return "Cross-calibration to K2HPO4: none valid today."
    return (
        f"Cross-calibration: K2HPO4 = {found.slope:.4f} · {found.from_material} {found.intercept_mg_cm3:+.2f} mg/cm³, "
        f"standard error {found.standard_error_mg_cm3:.1f}, from {found.source}, {found.measured_on}, valid until "
        f"{found.expires_on}."
    )


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[bool] = (), *, text: bool = False
) -> str:
    """An HTML table; the last cell of a marked row stands out."""
    kind = ' class="text"' if text else ""
    head = "".join(f"<th{kind}>{escape(cell)}</th>" for cell in heads)
    body = []
    for number, row in enumerate(rows):
        marked = number < len(marks) and marks[number]
        cells = [f"<td{kind}>{_minus(cell)}</td>" for cell in row]
        if marked:
            cells[-1] = f'<td class="out">{escape(row[-1])}</td>'
        body.append(f"<tr>{''.join(cells)}</tr>")
    opening = "<table>" if text else '<table class="tight">'
    return f"{opening}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _minus(cell: str) -> str:
    """A cell with a proper minus before a number, dates left alone."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\u2212", escape(cell))


def _inline(svg: str) -> str:
    """An SVG document as an element of a page."""
    return svg[svg.index("<svg") :]
