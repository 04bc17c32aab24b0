"""Control charts of one quantity: mean ± 3 SD, and two cumulative sums for slow drift.

Shewhart's limits find a step at once; the tabular cumulative sums (Page, Biometrika 1954; 41:100; Montgomery,
Introduction to Statistical Quality Control, chapter on CUSUM) find what moves a little with every scan:

    C⁺ = max(0, z − k + C⁺)    C⁻ = max(0, −z − k + C⁻)    z = (x − mean) / SD

and an alarm when one of them exceeds h. With k = 0.5 and h = 5 and a known mean and SD the two sums give a false alarm
every 465 scans, and find a shift of one SD in 10. Mean and SD are taken from a stated baseline period of n scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

Test = Literal["limits", "drift"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How one quantity is judged."""

    baseline_scans: int = 10
    sd_limit: float = 3.0
    cusum_k: float = 0.5
    cusum_h: float = 5.0
    min_sd: float = 0.0
    """In the quantity's own unit."""


@dataclass(frozen=True, slots=True)
class Point:
    """One scan's value."""

    when: date
    order: int
    """Among scans of one day: the id of its line in the record."""
    value: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Alarms up to a moment are dealt with; sums begin at zero again, and with ``new_baseline`` limits too."""

    when: date
    order: int
    new_baseline: bool


@dataclass(frozen=True, slots=True)
class Baseline:
    """The scans that limits come from."""

    first: date
    last: date
    scans: int
    mean: float
    sd: float
    """Not below the stated minimum."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A point that broke a test, first since the last reset."""

    test: Test
    when: date
    order: int
    value: float
    deviation_sd: float
    """Of the point from the mean for ``limits``; the sum, with its sign, for ``drift``."""
    resolved: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """One point as it was judged."""

    point: Point
    baseline: Baseline | None
    """``None`` while its baseline is being built."""
    cusum_high: float
    cusum_low: float
    out_of_limits: bool


@dataclass(frozen=True, slots=True)
class Control:
    """A quantity's whole history."""

    points: tuple[Judged, ...]
    baseline: Baseline | None
    """That in force; ``None`` while it is being built."""
    building: int
    """Scans that the baseline under construction has so far; 0 when there is one."""
    alarms: tuple[Alarm, ...]
    """Oldest first, resolved ones too."""

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        """Those that nobody has resolved."""
        return tuple(alarm for alarm in self.alarms if not alarm.resolved)


class _Run:
    """What is carried from point to point."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.judged: list[Judged] = []
        self.alarms: list[Alarm] = []
        self.open: dict[Test, Alarm] = {}
        self.building: list[Point] = []
        self.baseline: Baseline | None = None
        self.high = self.low = 0.0

    def reset(self, reset: Reset) -> None:
        self.alarms += [_resolved(alarm) for alarm in self.open.values()]
        self.open.clear()
        self.high = self.low = 0.0
        if reset.new_baseline:
            self.baseline, self.building = None, []

    def add(self, point: Point) -> None:
        if self.baseline is None:
            self.building.append(point)
            self.judged.append(Judged(point, None, 0.0, 0.0, False))
            if len(self.building) >= self.limits.baseline_scans:
                self.baseline, self.building = _baseline(self.building, self.limits.min_sd), []
            return
        z = (point.value - self.baseline.mean) / self.baseline.sd
        self.high = max(0.0, self.high + z - self.limits.cusum_k)
        self.low = max(0.0, self.low - z - self.limits.cusum_k)
        out = abs(z) > self.limits.sd_limit
        if out:
            self._alarm("limits", point, z)
        if max(self.high, self.low) > self.limits.cusum_h:
            self._alarm("drift", point, self.high if self.high >= self.low else -self.low)
        self.judged.append(Judged(point, self.baseline, self.high, self.low, out))

    def _alarm(self, test: Test, point: Point, deviation: float) -> None:
        self.open.setdefault(test, Alarm(test, point.when, point.order, point.value, deviation, resolved=False))


def control(points: Sequence[Point], limits: Limits, resets: Sequence[Reset] = ()) -> Control:
    """Judge the values of one quantity in the order of their scans.

    An alarm stays open until a reset; meanwhile further points are charted, and only the first of each test counts.
    """
    run = _Run(limits)
    waiting = sorted(resets, key=lambda reset: (reset.when, reset.order))
    for point in sorted(points, key=lambda point: (point.when, point.order)):
        while waiting and (waiting[0].when, waiting[0].order) < (point.when, point.order):
            run.reset(waiting.pop(0))
        run.add(point)
    for reset in waiting:
        run.reset(reset)
    alarms = sorted([*run.alarms, *run.open.values()], key=lambda alarm: (alarm.when, alarm.order, alarm.test))
    return Control(tuple(run.judged), run.baseline, len(run.building), tuple(alarms))


def slope_per_year(points: Sequence[Point], min_days: int = 60, min_points: int = 5) -> float | None:
    """Change per year by a straight line through all points; ``None`` where they are too few or too close in time."""
    if len(points) < min_points:
        return None
    days = np.array([point.when.toordinal() for point in points], dtype=np.float64)
    if np.ptp(days) < min_days:
        return None
    values = np.array([point.value for point in points])
    return float(np.polyfit(days - days.mean(), values, 1)[0] * 365.25)


def _baseline(points: Sequence[Point], min_sd: float) -> Baseline:
    values = np.array([point.value for point in points])
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Baseline(points[0].when, points[-1].when, len(points), float(values.mean()), max(sd, min_sd, 1e-9))


def _resolved(alarm: Alarm) -> Alarm:
    return Alarm(alarm.test, alarm.when, alarm.order, alarm.value, alarm.deviation_sd, resolved=True)
