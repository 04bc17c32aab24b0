"""The diagrams of the summary page: densities against their limits, earlier results, rods on the calibration line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

import numpy as np
from PIL import ImageDraw

from node.domain.phantom import Calibration, PhantomFit
from node.domain.settings import CategoryLimits
from node.report.canvas import FINER
from node.report.typeset import Colour, Type

INK: Colour = (228, 231, 236)
QUIET: Colour = (150, 156, 166)
FAINT: Colour = (64, 69, 78)
PANEL: Colour = (26, 29, 35)
ACCENT: Colour = (120, 200, 255)
BANDS: tuple[Colour, Colour, Colour] = ((66, 38, 38), (62, 53, 30), (30, 54, 42))
"""Below both limits, between them, above."""

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One density with its uncertainty."""

    name: str
    value: float
    uncertainty: float
    counts: bool
    """Whether it is the mean or enters it."""
    strong: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One result in time."""

    on: date
    value: float
    uncertainty: float | None
    comparable: bool
    current: bool = False


def densities(
    draw: ImageDraw.ImageDraw, box: Box, bars: Sequence[Bar], limits: CategoryLimits, valid: bool, kind: Type
) -> None:
    """Each density as a dot with its uncertainty, over the bands of the limits where these are valid."""
    left, top, right, bottom = box
    names = max(kind.length(bar.name) for bar in bars) / FINER + 18
    values = kind.length("188.8 ± 18.8") / FINER + 18
    low, high = left + names, right - values
    most = max(180.0, *(bar.value + bar.uncertainty + 10.0 for bar in bars))
    least = min(0.0, *(bar.value - bar.uncertainty for bar in bars))
    floor = bottom - 1.5 * kind.size

    def x(value: float) -> float:
        return low + (value - least) / (most - least) * (high - low)

    edges = [least, limits.osteoporosis_below_mg_cm3, limits.normal_above_mg_cm3, most]
    for band, (start, end) in enumerate(pairwise(edges)):
        _rectangle(draw, (x(start), top, x(end), floor), BANDS[band] if valid else PANEL)
    small = replace(kind, size=0.82 * kind.size, colour=QUIET)
    for limit in edges[1:3]:
        _line(draw, (x(limit), top), (x(limit), floor), QUIET, 1.0, dashed=True)
        small.draw(draw, (x(limit) * FINER, (floor + 4) * FINER), f"{limit:g}", "mt")
    small.draw(draw, (high * FINER, (floor + 4) * FINER), "mg/cm³", "rt")
    step = (floor - top) / len(bars)
    for row, bar in enumerate(bars):
        reach = x(least + bar.uncertainty) - x(least)
        _bar(draw, bar, (left, x(bar.value), right), top + (row + 0.5) * step, reach, kind)


def _bar(
    draw: ImageDraw.ImageDraw, bar: Bar, at: tuple[float, float, float], y: float, reach: float, kind: Type
) -> None:
    left, middle, right = at
    colour = INK if bar.counts else QUIET
    shown = replace(kind, colour=colour, bold=bar.strong)
    shown.draw(draw, (left * FINER, y * FINER), bar.name, "lm")
    shown.draw(draw, (right * FINER, y * FINER), f"{bar.value:.1f} ± {bar.uncertainty:.1f}", "rm")
    _line(draw, (middle - reach, y), (middle + reach, y), colour, 3.0 if bar.strong else 2.0)
    for end in (middle - reach, middle + reach):
        _line(draw, (end, y - 6), (end, y + 6), colour, 2.0)
    _dot(draw, (middle, y), 8.0 if bar.strong else 6.0, ACCENT if bar.counts else PANEL, colour)
    if bar.remark:
        beside = middle + reach + 12
        small = replace(kind, size=0.8 * kind.size, colour=QUIET)
        room = right - kind.length("188.8 ± 18.8") / FINER - 18 - beside
        text = small.fitted(bar.remark, room * FINER) if room > 40 else ""
        small.draw(draw, (beside * FINER, y * FINER), text, "lm")


def trend(draw: ImageDraw.ImageDraw, box: Box, points: Sequence[Point], limits: CategoryLimits, kind: Type) -> None:
    """Results over the years; those measured differently are hollow and not joined."""
    left, top, right, bottom = box
    small = replace(kind, size=0.82 * kind.size, colour=QUIET)
    low, high = left + small.length("000") / FINER + 8, right - 10
    floor = bottom - 1.5 * kind.size
    _rectangle(draw, (low, top, right, floor), PANEL)
    spread = [p.value + side * (p.uncertainty or 0.0) for p in points for side in (-1, 1)]
    least, most = min(spread) - 8.0, max(spread) + 8.0
    days = [p.on.toordinal() for p in points]
    first, last = min(days), max(max(days), min(days) + 1)

    def x(day: int) -> float:
        return low + 16 + (day - first) / (last - first) * (high - low - 32)

    def y(value: float) -> float:
        return floor - (value - least) / (most - least) * (floor - top)

    for limit in (limits.osteoporosis_below_mg_cm3, limits.normal_above_mg_cm3):
        if least < limit < most:
            _line(draw, (low, y(limit)), (right, y(limit)), QUIET, 1.0, dashed=True)
            small.draw(draw, ((low - 6) * FINER, y(limit) * FINER), f"{limit:g}", "rm")
    joined = [p for p in points if p.comparable]
    for one, other in pairwise(joined):
        _line(draw, (x(one.on.toordinal()), y(one.value)), (x(other.on.toordinal()), y(other.value)), ACCENT, 2.0)
    for point in points:
        at = x(point.on.toordinal()), y(point.value)
        if point.uncertainty is not None:
            ends = y(point.value - point.uncertainty), y(point.value + point.uncertainty)
            _line(draw, (at[0], ends[0]), (at[0], ends[1]), QUIET, 2.0)
        rim = INK if point.current else QUIET
        _dot(draw, at, 8.0 if point.current else 6.0, ACCENT if point.comparable else PANEL, rim)
    small.draw(draw, (low * FINER, (floor + 4) * FINER), points[0].on.isoformat(), "lt")
    small.draw(draw, (right * FINER, (floor + 4) * FINER), points[-1].on.isoformat(), "rt")


def rods(draw: ImageDraw.ImageDraw, box: Box, fit: PhantomFit, calibration: Calibration | None, kind: Type) -> None:
    """Attenuation of the rods against their density, and the line through them.

    With a calibration each rod lies off the line by its residual: rods of Mindways phantoms differ in water as well, so
    that their plain attenuation is no straight line.
    """
    left, top, right, bottom = box
    small = replace(kind, size=0.82 * kind.size, colour=QUIET)
    low, floor = left + small.length("0000") / FINER + 8, bottom - 1.5 * kind.size
    _rectangle(draw, (low, top, right, floor), PANEL)
    density = np.array([reading.rod.density_mg_cm3 for reading in fit.rods])
    hu = np.array([reading.hu_mean for reading in fit.rods])
    if calibration is not None and len(calibration.residuals_hu) == len(density):
        hu = calibration.sigma_ct * density + calibration.beta_ct + np.array(calibration.residuals_hu)
    spare_x, spare_y = 0.08 * float(np.ptp(density)) + 5, 0.1 * float(np.ptp(hu)) + 10
    ends = float(density.min()) - spare_x, float(density.max()) + spare_x
    least, most = float(hu.min()) - spare_y, float(hu.max()) + spare_y

    def place(at: float, value: float) -> tuple[float, float]:
        across = low + (at - ends[0]) / (ends[1] - ends[0]) * (right - low)
        return across, floor - (value - least) / (most - least) * (floor - top)

    if ends[0] < 0 < ends[1]:
        _line(draw, (place(0, least)[0], top), (place(0, least)[0], floor), FAINT, 1.0)
    if least < 0 < most:
        _line(draw, (low, place(ends[0], 0)[1]), (right, place(ends[0], 0)[1]), FAINT, 1.0)
    if calibration is not None:
        shown = [np.clip(calibration.sigma_ct * end + calibration.beta_ct, least, most) for end in ends]
        inner = [(value - calibration.beta_ct) / calibration.sigma_ct for value in shown]
        _line(draw, place(inner[0], float(shown[0])), place(inner[1], float(shown[1])), ACCENT, 2.0)
    for at, value in zip(density, hu, strict=True):
        _dot(draw, place(float(at), float(value)), 5.5, PANEL, INK)
    for value in (float(hu.min()), float(hu.max())):
        small.draw(draw, ((low - 6) * FINER, place(ends[0], value)[1] * FINER), f"{round(value)}", "rm")
    small.draw(draw, (low * FINER, (floor + 4) * FINER), f"{density.min():g}", "lt")
    small.draw(draw, (right * FINER, (floor + 4) * FINER), f"{density.max():g} mg/cm³", "rt")


def _rectangle(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    draw.rectangle([round(value * FINER) for value in box], fill=colour)


def _line(
    draw: ImageDraw.ImageDraw,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: Colour,
    width: float,
    dashed: bool = False,
) -> None:
    a, b = np.array(start) * FINER, np.array(end) * FINER
    thick = max(round(width * FINER), 1)
    if not dashed:
        draw.line([tuple(a), tuple(b)], fill=colour, width=thick)
        return
    length = float(np.linalg.norm(b - a))
    for at in np.arange(0.0, length, 10.0 * FINER):
        one, other = a + (b - a) * at / length, a + (b - a) * min(at + 5.0 * FINER, length) / length
        draw.line([tuple(one), tuple(other)], fill=colour, width=thick)


def _dot(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float, fill: Colour, rim: Colour) -> None:
    x, y = at[0] * FINER, at[1] * FINER
    r = radius * FINER
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=rim, width=round(1.5 * FINER))
