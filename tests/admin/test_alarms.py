"""When an operator is told: each alarm, and when it keeps silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from node.admin.alarms import Alarm, Machine, disks, look, quiet_scanners
from node.domain.findings import Refusal
from node.domain.settings import AlarmSettings
from node.ledger import Ledger
from node.ledger.controls import ALL, Switch
from node.ledger.executors import executors
from node.ledger.figures import DAY_S
from tests.ledger.arrivals import Clock, measure, outcome, plan, receive

HOUR_S = 3600.0
LIMITS = AlarmSettings()
WELL = Machine({"/spool": (0.5, 5e11)}, 0.0)


def kinds(ledger: Ledger, machine: Machine = WELL, limits: AlarmSettings = LIMITS) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in look(ledger, limits, machine)]


def working_days(weeks: int) -> list[float]:
    """A series every half hour from 8 to 18, Monday to Friday; time 0 is the midnight before a Monday."""
    return [
        (7 * week + day) * DAY_S + hour * HOUR_S + half
        for week in range(weeks)
        for day in range(5)
        for hour in range(8, 18)
        for half in (0.0, 1800.0)
    ]


def quiet(now: float, times: list[float], off: frozenset[str] = frozenset()) -> list[Alarm]:
    return list(quiet_scanners({"CT1": times}, now, LIMITS, off))


MONDAY = 28 * DAY_S


def test_all_is_well(ledger: Ledger) -> None:
    receive(ledger)
    assert kinds(ledger) == []


def test_a_scanner_that_is_silent_on_a_working_day_is_told_of() -> None:
    (alarm,) = quiet(MONDAY + 14 * HOUR_S, working_days(4))
    assert (alarm.kind, alarm.subject) == ("scanner-quiet", "CT1")


@pytest.mark.parametrize("hours", [-60.0, -1.0, 7.0])
def test_a_scanner_that_rests_at_its_usual_time_is_not(hours: float) -> None:
    assert quiet(MONDAY + hours * HOUR_S, working_days(4)) == []


def test_a_short_pause_is_no_alarm() -> None:
    assert quiet(MONDAY + 11 * HOUR_S, working_days(4)) == []


def test_a_scanner_without_a_rhythm_yet_is_not_told_of() -> None:
    assert quiet(12 * DAY_S, working_days(1)) == []


def test_a_scanner_that_is_switched_off_may_be_silent() -> None:
    assert quiet(MONDAY + 14 * HOUR_S, working_days(4), frozenset({"CT1"})) == []


def test_a_scanner_that_seldom_sends_may_be_silent_for_a_day() -> None:
    assert quiet(29 * DAY_S, [day * DAY_S for day in range(28)]) == []


def test_the_rhythm_is_read_from_the_ledger(ledger: Ledger, clock: Clock) -> None:
    for number, at in enumerate(working_days(3)):
        clock.now = at
        receive(ledger, 1, series=f"1.{number}", study=f"1.{number}.0")
    clock.now = 21 * DAY_S + 14 * HOUR_S
    assert kinds(ledger) == [("scanner-quiet", "CT1")]


def test_an_object_that_waits_too_long_is_overdue(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    clock.now += 5 * HOUR_S
    assert kinds(ledger) == [("delivery-overdue", "A")]


def test_an_object_that_waits_a_while_is_not(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    clock.now += 3 * HOUR_S
    assert kinds(ledger) == []


def test_what_a_switched_off_destination_waits_for_is_not_overdue(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    ledger.controls.off(Switch.DESTINATION, "A", "ann", "repair")
    clock.now += 5 * HOUR_S
    assert kinds(ledger) == []


def test_what_waits_for_a_destination_that_is_gone_is_told(ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    ledger.operator.strand([])
    assert kinds(ledger) == [("destination-removed", "A")]


def test_a_series_that_is_not_measured_is_overdue(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    plan(ledger)
    clock.now += 3 * HOUR_S
    assert kinds(ledger) == [("measuring-overdue", "")]


def test_while_measuring_is_paused_it_is_not(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    plan(ledger)
    ledger.controls.off(Switch.MEASURING, ALL, "ann", "repair")
    clock.now += 3 * HOUR_S
    assert kinds(ledger) == []


def test_a_disk_that_fills_is_told(ledger: Ledger) -> None:
    assert kinds(ledger, replace(WELL, disks={"/spool": (0.1, 5e10)})) == [("disk", "/spool")]


def test_a_disk_that_is_gone_counts_as_full(tmp_path: Path) -> None:
    assert disks([tmp_path / "gone"]) == {str(tmp_path / "gone"): (0.0, 0.0)}


def _refuse(ledger: Ledger, refused: int, measured: int) -> None:
    for number in range(refused + measured):
        receive(ledger, series=f"1.{number}", study=f"1.{number}.0")
        refusal = Refusal("phantom-not-found", "No phantom.", {}) if number < refused else None
        job_id = plan(ledger, ())
        ledger.begin_job(job_id)
        ledger.finish_job(job_id, replace(outcome(1, refusal=refusal), objects=()), {})


def test_many_refusals_are_told(ledger: Ledger) -> None:
    _refuse(ledger, refused=6, measured=5)
    assert kinds(ledger) == [("refusal-rate", "")]


def test_few_refusals_are_not(ledger: Ledger) -> None:
    _refuse(ledger, refused=4, measured=7)
    assert kinds(ledger) == []


def test_of_few_series_no_rate_is_told(ledger: Ledger) -> None:
    _refuse(ledger, refused=9, measured=0)
    assert kinds(ledger) == []


def test_refusals_of_yesterday_are_not_told(ledger: Ledger, clock: Clock) -> None:
    _refuse(ledger, refused=11, measured=0)
    clock.now += 1.1 * DAY_S
    assert kinds(ledger) == []


@pytest.mark.parametrize(
    ("machine", "subject"),
    [
        (replace(WELL, clock_offset_s=-6.0), "database"),
        (replace(WELL, clock_jump_s=-30.0), "jump"),
    ],
)
def test_clocks_that_disagree_or_jump_are_told(ledger: Ledger, machine: Machine, subject: str) -> None:
    assert kinds(ledger, machine) == [("clock-skew", subject)]


def test_a_process_without_a_sign_of_life_is_told(ledger: Ledger) -> None:
    ledger.executors.beat("host-1", "host", ("work",), 0.0)
    with ledger._database.write() as connection:
        connection.execute(executors.update().values(beat_at=executors.c.beat_at - 60.0))
    assert kinds(ledger) == [("process-silent", "host-1")]


def test_zero_switches_an_alarm_off(ledger: Ledger, clock: Clock) -> None:
    receive(ledger)
    measure(ledger)
    clock.now += 100 * HOUR_S
    assert kinds(ledger, limits=replace(LIMITS, overdue_h=0.0)) == []
