"""Control charts: what they find, and how often they are wrong."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from node.quality.control import Limits, Point, Reset, control, slope_per_year, widening

START = date(2025, 1, 6)
TEN = [0.3, -0.5, 1.1, -1.2, 0.4, -0.1, 0.9, -0.8, 0.2, -0.3]


def points(values: list[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[Point]:
    return [Point(START + timedelta(days=30 * n), n, float(value)) for n, value in enumerate(values)]


def test_mean_and_sd_come_from_the_first_scans_alone() -> None:
    base = control(points([*TEN, 50.0, 60.0]), Limits()).baseline
    assert base is not None
    assert (base.mean, base.sd, base.scans) == (
        pytest.approx(np.mean(TEN)),
        pytest.approx(np.std(TEN, ddof=1)),
        10,
    )


def test_sd_is_widened_for_a_short_baseline() -> None:
    """By hand: Student's t at 0.99865 with 9 degrees of freedom is 4.09; times sqrt(1.1), by 3: 1.43."""
    assert widening(10, 3.0) == pytest.approx(4.094 / 3.0 * 1.1**0.5, abs=0.002)


def test_of_a_long_baseline_it_is_not() -> None:
    assert widening(1000, 3.0) == pytest.approx(1.0, abs=0.01)


def test_nothing_is_judged_while_the_baseline_is_built() -> None:
    found = control(points([0.0, 0.1, 99.0]), Limits())
    assert (found.baseline, found.building, found.alarms) == (None, 3, ())


def test_a_step_beyond_the_limits_is_an_alarm_at_once() -> None:
    (alarm,) = control(points([*TEN, 0.1, 6.0]), Limits()).open_alarms
    assert (alarm.test, alarm.value, alarm.confirmed) == ("limits", 6.0, False)


def test_a_repeat_within_the_limits_lifts_it() -> None:
    found = control(points([*TEN, 6.0, 0.2]), Limits())
    assert found.open_alarms == ()
    assert [alarm.state for alarm in found.alarms] == ["not confirmed"]


def test_a_repeat_beyond_them_confirms_it_for_good() -> None:
    found = control(points([*TEN, 6.0, 6.1, 0.1, 0.0]), Limits(cusum_h=100.0))
    assert [(alarm.test, alarm.confirmed) for alarm in found.open_alarms] == [("limits", True)]


def test_one_wild_point_is_not_taken_for_a_drift() -> None:
    found = control(points([*TEN, 40.0, 0.0, 0.1]), Limits())
    assert {alarm.test for alarm in found.alarms} == {"limits"}


def test_a_slow_drift_is_found_before_it_leaves_the_limits() -> None:
    values = [*TEN, *(TEN[n % 10] + 0.12 * n for n in range(40))]
    first = control(points(values), Limits()).alarms[0]
    assert (first.test, first.deviation > 0) == ("drift", True)


def test_a_reset_closes_alarms_and_begins_the_sums_again() -> None:
    values = [*TEN, 6.0, 6.0, 6.0, 0.1]
    found = control(points(values), Limits(), [Reset(START + timedelta(days=30 * 12), 12, new_baseline=False)])
    assert {alarm.state for alarm in found.alarms} == {"resolved"}
    assert found.points[-1].cusum_high == 0.0


def test_a_reset_with_a_new_baseline_forgets_the_old_limits() -> None:
    values = [*TEN, 6.0, 6.0, *(5.5 + v for v in TEN), 5.6]
    reset = Reset(START + timedelta(days=30 * 11), 11, new_baseline=True)
    found = control(points(values), Limits(), [reset])
    assert found.open_alarms == ()
    assert found.baseline is not None
    assert found.baseline.mean == pytest.approx(5.5, abs=0.1)


def test_scans_of_one_day_are_judged_in_the_order_of_the_record() -> None:
    day = START + timedelta(days=400)
    late = [Point(day, 12, 0.1), Point(day, 11, 6.0)]
    found = control([*points(TEN), *late], Limits())
    assert [alarm.state for alarm in found.alarms] == ["not confirmed"]


def test_the_stated_minimum_keeps_a_lucky_baseline_from_alarming() -> None:
    assert control(points([5.0] * 10 + [5.4]), Limits(min_sd=0.5)).alarms == ()


def test_known_limits_alarm_falsely_as_often_as_published() -> None:
    """Two-sided CUSUM with k = 0.5, h = 5: average run length 465 (Montgomery); here with z held within ± 3."""
    rng = np.random.default_rng(3)
    lengths = [run_length(rng.standard_normal(6000)) for _ in range(300)]
    assert np.mean(lengths) == pytest.approx(465, rel=0.15)


def test_a_shift_of_one_sd_is_found_in_about_ten_scans() -> None:
    rng = np.random.default_rng(4)
    lengths = [run_length(rng.standard_normal(300) + 1.0) for _ in range(500)]
    assert np.mean(lengths) == pytest.approx(10.4, rel=0.1)


def run_length(z: np.ndarray[tuple[int], np.dtype[np.float64]], k: float = 0.5, h: float = 5.0) -> int:
    """The same recursion as in ``control``, by its points: scans until the first drift alarm."""
    base = [1.0, -1.0] * 200
    unit = np.std(base, ddof=1) * widening(len(base), 3.0)
    for chunk in (200, len(z)):
        found = control(points([*base, *(z[:chunk] * unit)]), Limits(len(base), 3.0, k, h))
        drifts = [n for n, judged in enumerate(found.points) if max(judged.cusum_high, judged.cusum_low) > h]
        if drifts:
            return drifts[0] - len(base) + 1
    return len(z)


def test_the_slope_per_year_of_a_straight_line() -> None:
    line = [Point(START + timedelta(days=n * 73), n, 100.0 - 2.0 * n / 5) for n in range(8)]
    assert slope_per_year(line) == pytest.approx(-2.0, rel=0.01)


def test_no_slope_from_a_few_weeks() -> None:
    assert slope_per_year([Point(START + timedelta(days=n), n, n) for n in range(30)]) is None
