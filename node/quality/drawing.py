"""Control charts as a physicist expects them: values and limits above, cumulative sums below. SVG and PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from node.domain.settings import QualitySettings
from node.quality.charts import DENSITY_UNIT, SLOPE_UNIT, Chart, named
from node.quality.control import Judged
from node.quality.standing import Standing, drift_per_year

_INK, _FAINT, _LIMIT, _ALARM, _BASE, _PATIENT = "#1b2733", "#8a97a3", "#b4552d", "#c1121f", "#e9eef3", "#9db8cf"
_SUM_HIGH, _SUM_LOW = "#2a6f97", "#7b5ea7"
_STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "text.color": _INK,
    "svg.hashsalt": "vbmd-node",
    "svg.fonttype": "none",
}
COLUMNS = 2
PANEL_WIDTH_MM, PANEL_HEIGHT_MM = 92.0, 44.0
SUMS_SHOWN = 1.6
"""Cumulative sums are drawn up to so many times their limit: beyond it their size says nothing more."""


def svg(standing: Standing, settings: QualitySettings, panel_height_mm: float = PANEL_HEIGHT_MM) -> str:
    """All charts of one standing as one SVG; the same record gives the same text."""
    with mpl.rc_context(_STYLE):
        out = io.StringIO()
        FigureCanvasSVG(_figure(standing, settings, panel_height_mm)).print_svg(
            out, metadata={"Date": None, "Creator": None}
        )
    return _renumbered(out.getvalue())


def _renumbered(text: str) -> str:
    """The same drawing with its clip paths numbered in order; their names come from addresses in memory."""
    names = dict.fromkeys(re.findall(r'<clipPath id="(\w+)"', text))
    for number, name in enumerate(names):
        text = text.replace(name, f"clip-{number}")
    return text


def png(standing: Standing, settings: QualitySettings, dpi: int = 200) -> bytes:
    """The same as PNG."""
    with mpl.rc_context(_STYLE):
        figure, out = _figure(standing, settings, PANEL_HEIGHT_MM), io.BytesIO()
        figure.set_dpi(dpi)
        FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def _figure(standing: Standing, settings: QualitySettings, panel_height_mm: float) -> Figure:
    rows = len(standing.charts) // COLUMNS + 1  # the last cell holds the legend
    size = (COLUMNS * PANEL_WIDTH_MM / 25.4, (rows * panel_height_mm + 6.0) / 25.4)
    spacing = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.025, hspace=0.0, wspace=0.03)
    figure = Figure(figsize=size, layout=spacing)
    setup = standing.setup
    under = f" on {setup.calibration_phantom}" if setup.calibration_phantom else ""
    figure.suptitle(f"{named(setup.key)}: {setup.qa_phantom}{under}", fontsize=8, x=0.01, ha="left", weight="bold")
    grid = figure.add_gridspec(max(rows, 1), COLUMNS)
    span = _span(standing.charts)
    for index, chart in enumerate(standing.charts):
        cell = GridSpecFromSubplotSpec(
            2, 1, subplot_spec=grid[index // COLUMNS, index % COLUMNS], height_ratios=(3.0, 1.0), hspace=0.06
        )
        upper = figure.add_subplot(cell[0])
        _values(upper, chart, settings, span)
        _sums(figure.add_subplot(cell[1], sharex=upper), chart, settings, span)
    _legend(figure.add_subplot(grid[len(standing.charts) // COLUMNS, len(standing.charts) % COLUMNS]), settings)
    return figure


def _legend(axes: Axes, settings: QualitySettings) -> None:
    axes.set_axis_off()
    axes.legend(
        handles=[
            Line2D([], [], color=_FAINT, marker="o", markerfacecolor=_INK, markeredgecolor=_INK, markersize=3,
                   linewidth=0.6, label="QA scan"),
            Line2D([], [], color="none", marker="s", markerfacecolor=_ALARM, markeredgecolor=_ALARM, markersize=4,
                   label="QA scan beyond the limits"),
            Line2D([], [], color="none", marker=".", markeredgecolor=_PATIENT, markerfacecolor=_PATIENT,
                   label="patient (not judged: slope varies with size)"),
            Line2D([], [], color=_INK, linewidth=0.7, label="mean of the baseline"),
            Line2D([], [], color=_LIMIT, linewidth=0.7, linestyle=(0, (4, 2)),
                   label=f"limits: ± {settings.sd_limit:g} SD, widened if few scans; sums ± {settings.cusum_h:g}"),
            Line2D([], [], color=_FAINT, linewidth=0.6, linestyle=":", label="certificate, where of the same material"),
            Patch(facecolor=_BASE, label="baseline period"),
            Line2D([], [], color="none", marker="^", markerfacecolor=_ALARM, markeredgecolor=_ALARM, markersize=4,
                   label="alarm, open"),
            Line2D([], [], color="none", marker="^", markerfacecolor="white", markeredgecolor=_ALARM, markersize=4,
                   label="alarm, resolved or not confirmed"),
            Line2D([], [], color=_SUM_HIGH, linewidth=0.8, label="cumulative sum, upward"),
            Line2D([], [], color=_SUM_LOW, linewidth=0.8, label="cumulative sum, downward"),
        ],
        loc="center left", frameon=False, fontsize=6, handlelength=2.2, labelspacing=0.5,
    )  # fmt: skip


def _span(charts: Sequence[Chart]) -> tuple[date, date]:
    days = [judged.point.when for chart in charts for judged in chart.control.points]
    days += [point.when for chart in charts for point in chart.patients]
    first, last = min(days), max(days)
    margin = timedelta(days=max(3, (last - first).days // 25))
    return first - margin, last + margin


def _values(axes: Axes, chart: Chart, settings: QualitySettings, span: tuple[date, date]) -> None:
    points = chart.control.points
    if chart.patients:
        axes.plot(_days([p.when for p in chart.patients]), [p.value for p in chart.patients], ".", color=_PATIENT,
                  markersize=2.5, label="patients", zorder=1)  # fmt: skip
    for first, last in _eras(points):
        _limits(axes, points[first], points[first:last], settings, span, is_last=last == len(points))
    for first, last in _baselines(points):
        days = _days([points[first].point.when, points[last - 1].point.when])
        axes.axvspan(days[0] - 1, days[1] + 1, color=_BASE, zorder=0, linewidth=0, clip_on=False)
    days = _days([judged.point.when for judged in points])
    values = np.array([judged.point.value for judged in points])
    out = np.array([judged.out_of_limits for judged in points])
    axes.plot(days, values, "-", color=_FAINT, linewidth=0.6, zorder=2)
    axes.plot(days[~out], values[~out], "o", color=_INK, markersize=2.4, zorder=3)
    axes.plot(days[out], values[out], "s", color=_ALARM, markersize=3.4, zorder=4)
    for alarm in chart.control.alarms:
        mark = "\u25b2" if alarm.state == "open" else "\u25b3"
        axes.annotate(mark, (float(_days([alarm.when])[0]), 0.0), xycoords=("data", "axes fraction"), color=_ALARM,
                      ha="center", va="bottom", fontsize=6)  # fmt: skip
    _nominal(axes, chart)
    axes.set_title(_title(chart), fontsize=7, loc="left", pad=3)
    axes.set_ylabel(chart.unit, fontsize=6, labelpad=2)
    axes.set_xlim(*_days(span))
    axes.tick_params(axis="x", bottom=False)
    axes.tick_params(labelbottom=False, labelsize=6, length=2)
    axes.margins(y=0.12)


def _limits(
    axes: Axes,
    start: Judged,
    era: Sequence[Judged],
    settings: QualitySettings,
    span: tuple[date, date],
    *,
    is_last: bool,
) -> None:
    """Mean and limits over the scans that were judged by them."""
    base = start.baseline
    if base is None:
        return
    ends = _days([base.first, span[1] if is_last else era[-1].point.when])
    reach = settings.sd_limit * base.unit
    axes.hlines(base.mean, *ends, color=_INK, linewidth=0.7, zorder=1)
    axes.hlines([base.mean - reach, base.mean + reach], *ends, color=_LIMIT, linewidth=0.7, linestyle=(0, (4, 2)))


def _eras(points: Sequence[Judged]) -> list[tuple[int, int]]:
    """Runs of points that share a baseline."""
    starts = [n for n in range(len(points)) if n == 0 or points[n].baseline != points[n - 1].baseline]
    return list(zip(starts, [*starts[1:], len(points)], strict=True))


def _baselines(points: Sequence[Judged]) -> list[tuple[int, int]]:
    return [(first, last) for first, last in _eras(points) if points[first].baseline is None]


def _nominal(axes: Axes, chart: Chart) -> None:
    """The certificate's value, where it lies within the picture's scale and in the same material."""
    if chart.nominal is None or chart.nominal_material != chart.measured_material:
        return
    low, high = axes.get_ylim()
    if low - 0.5 * (high - low) <= chart.nominal <= high + 0.5 * (high - low):
        axes.axhline(chart.nominal, color=_FAINT, linewidth=0.6, linestyle=":")


def _sums(axes: Axes, chart: Chart, settings: QualitySettings, span: tuple[date, date]) -> None:
    judged = [one for one in chart.control.points if one.baseline is not None]
    days = _days([one.point.when for one in judged])
    axes.axhline(0.0, color=_FAINT, linewidth=0.5)
    for sign, colour, values in (
        (1, _SUM_HIGH, [one.cusum_high for one in judged]),
        (-1, _SUM_LOW, [-one.cusum_low for one in judged]),
    ):
        axes.plot(days, values, "-", color=colour, linewidth=0.8, drawstyle="steps-post")
        axes.axhline(sign * settings.cusum_h, color=_LIMIT, linewidth=0.6, linestyle=(0, (4, 2)))
    axes.set_ylim(-SUMS_SHOWN * settings.cusum_h, SUMS_SHOWN * settings.cusum_h)
    axes.set_ylabel("CUSUM", fontsize=5.5, labelpad=2)
    axes.set_yticks([-settings.cusum_h, 0, settings.cusum_h])
    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.tick_params(labelsize=5.5, length=2)


def _title(chart: Chart) -> str:
    base = chart.control.baseline
    if base is None:
        return f"{chart.quantity}: baseline being built, {chart.control.building} scans so far"
    digits = 4 if chart.unit == SLOPE_UNIT else 1
    title = f"{chart.quantity}: mean {base.mean:.{digits}f}, SD {base.sd:.{digits if digits > 1 else 2}f}"
    drift = drift_per_year(chart)
    if drift is not None:
        title += f", {drift:+.{digits}f} a year"
    if chart.nominal is not None and chart.unit == DENSITY_UNIT:
        title += f" (certificate {chart.nominal:g} {chart.nominal_material})"
    return title.replace("-", "\u2212")


def _days(dates: Sequence[date]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Matplotlib's days: since 1970."""
    return np.array([day.toordinal() - date(1970, 1, 1).toordinal() for day in dates], dtype=np.float64)
