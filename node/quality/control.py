"""Control charts of one quantity: mean ± 3 SD, and two cumulative sums for slow drift.

Mean and SD come from a stated baseline of n scans. SD of few scans is uncertain, and so is their mean: the next value
of a process that has not changed lies within mean ± t·s·√(1 + 1/n), with Student's t at the probability that 3 SD have
in a known normal distribution. One unit of the chart is therefore

    u = s · t(n − 1) / 3 · √(1 + 1/n)        1.43 s for n = 10, 1.18 s for n = 20

and limits are mean ± 3 u. Without it an unchanged scanner with three inserts, slope and intercept would raise an alarm
within 24 scans in 84 of 100 cases.

Shewhart's limits find a step at once. A point beyond them is an alarm; when the next scan (the repeat) is within them
the alarm is lifted as not confirmed, when it is beyond on the same side it stays until somebody resolves it. The
cumulative sums (Page, Biometrika 1954; 41:100; Montgomery, Introduction to Statistical Quality Control) find what moves
a little with every scan:

    C⁺ = max(0, z − k + C⁺)    C⁻ = max(0, −z − k + C⁻)    z = (x − mean) / u, within ± 3

and raise an alarm when one of them exceeds h; holding z within ± 3 keeps one wild point from being taken for a drift
(robust sums; Lucas and Crosier 1982). With k = 0.5, h = 5 and a known mean and SD the two sums give a false alarm in
about 465 scans, and find a shift of one SD in about 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

import numpy as np

Test = Literal["limits", "drift"]
AlarmState = Literal["open", "not confirmed", "resolved"]


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
    """Of these scans."""
    unit: float
    """SD, at least the stated minimum, widened for the small number of scans: limits are multiples of it."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A point that broke a test, first since the last reset."""

    test: Test
    when: date
    order: int
    value: float
    deviation: float
    """In units of the baseline: of the point from the mean for ``limits``; the sum, with its sign, for ``drift``."""
    state: AlarmState = "open"
    confirmed: bool = False
    """By the next scan, for ``limits``; at once for ``drift``, which many scans have shown."""


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
    """Oldest first, closed ones too."""

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        """Those that are neither resolved nor lifted."""
        return tuple(alarm for alarm in self.alarms if alarm.state == "open")


class _Run:
    """What is carried from point to point."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.judged: list[Judged] = []
        self.closed: list[Alarm] = []
        self.open: dict[Test, Alarm] = {}
        self.building: list[Point] = []
        self.baseline: Baseline | None = None
        self.high = self.low = 0.0

    def reset(self, reset: Reset) -> None:
        self.closed += [replace(alarm, state="resolved") for alarm in self.open.values()]
        self.open.clear()
        self.high = self.low = 0.0
        if reset.new_baseline:
            self.baseline, self.building = None, []

    def add(self, point: Point) -> None:
        if self.baseline is None:
            self.building.append(point)
            self.judged.append(Judged(point, None, 0.0, 0.0, False))
            if len(self.building) >= self.limits.baseline_scans:
                self.baseline, self.building = _baseline(self.building, self.limits), []
            return
        z = (point.value - self.baseline.mean) / self.baseline.unit
        held = float(np.clip(z, -self.limits.sd_limit, self.limits.sd_limit))
        self.high = max(0.0, self.high + held - self.limits.cusum_k)
        self.low = max(0.0, self.low - held - self.limits.cusum_k)
        out = abs(z) > self.limits.sd_limit
        self._watch_limits(point, z, out=out)
        if max(self.high, self.low) > self.limits.cusum_h and "drift" not in self.open:
            drift = self.high if self.high >= self.low else -self.low
            self.open["drift"] = Alarm("drift", point.when, point.order, point.value, drift, confirmed=True)
        self.judged.append(Judged(point, self.baseline, self.high, self.low, out))

    def _watch_limits(self, point: Point, z: float, *, out: bool) -> None:
        """Open, confirm or lift the alarm of a point beyond the limits."""
        known = self.open.get("limits")
        if known is None:
            if out:
                self.open["limits"] = Alarm("limits", point.when, point.order, point.value, z)
        elif not known.confirmed:
            if not out:
                self.closed.append(replace(known, state="not confirmed"))
                del self.open["limits"]
            elif z * known.deviation > 0:
                self.open["limits"] = replace(known, confirmed=True)


def control(points: Sequence[Point], limits: Limits, resets: Sequence[Reset] = ()) -> Control:
    """Judge the values of one quantity in the order of their scans.

    A confirmed alarm stays open until a reset; meanwhile further points are charted, and only the first of each test
    counts.
    """
    run = _Run(limits)
    waiting = sorted(resets, key=lambda reset: (reset.when, reset.order))
    for point in sorted(points, key=lambda point: (point.when, point.order)):
        while waiting and (waiting[0].when, waiting[0].order) < (point.when, point.order):
            run.reset(waiting.pop(0))
        run.add(point)
    for reset in waiting:
        run.reset(reset)
    alarms = sorted([*run.closed, *run.open.values()], key=lambda alarm: (alarm.when, alarm.order, alarm.test))
    return Control(tuple(run.judged), run.baseline, len(run.building), tuple(alarms))


def widening(scans: int, sd_limit: float) -> float:
    """By how much the SD of a baseline is widened, so that ``sd_limit`` of it has the probability that it has of a
    known normal distribution."""
    from scipy.special import ndtr, stdtrit  # only here: a process that does not measure has no use for it

    return float(stdtrit(scans - 1, ndtr(sd_limit)) / sd_limit * np.sqrt(1.0 + 1.0 / scans))


def slope_per_year(points: Sequence[Point], min_days: int = 60, min_points: int = 5) -> float | None:
    """Change per year by a straight line through all points; ``None`` where they are too few or too close in time."""
    if len(points) < min_points:
        return None
    days = np.array([point.when.toordinal() for point in points], dtype=np.float64)
    if np.ptp(days) < min_days:
        return None
    values = np.array([point.value for point in points])
    return float(np.polyfit(days - days.mean(), values, 1)[0] * 365.25)


def _baseline(points: Sequence[Point], limits: Limits) -> Baseline:
    values = np.array([point.value for point in points])
    sd = float(values.std(ddof=1))
    unit = max(sd, limits.min_sd, 1e-9) * widening(len(values), limits.sd_limit)
    return Baseline(points[0].when, points[-1].when, len(points), float(values.mean()), sd, unit)
