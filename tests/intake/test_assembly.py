from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.decision import Decision
from node.domain.instance import Series
from node.domain.settings import AssemblySettings
from node.intake import Assembly, Plan, Routes
from node.ledger import Ledger, sqlite_url
from node.ledger.states import State
from tests.ledger.arrivals import Clock, arrival, decision, job, outcome, receive
from tests.workflow.house import wait_until


class World:
    """An assembly on a ledger, with time that stands still and a record of the jobs started."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.ledger = Ledger(sqlite_url(folder / "ledger.sqlite"), self.clock)
        self.started: list[str] = []
        self.decided: list[set[str]] = []
        self.actions: dict[str, str] = {}
        self.assembly = self.make()

    def make(self, sweep_interval_s: float = 3600.0) -> Assembly:
        settings = AssemblySettings(quiet_period_s=60.0, sweep_interval_s=sweep_interval_s)
        return Assembly(self.ledger, settings, lambda: Routes("config-1", self.decide, self.plan), self.started.append)

    def decide(self, series: Sequence[Series]) -> list[Decision]:
        self.decided.append({one.series_instance_uid for one in series})
        return [decision(one, self.actions.get(one.series_instance_uid, "measure")) for one in series]

    def plan(self, series: Series, _decision: Decision, job_id: str) -> Plan:
        return Plan(job(series, f"/outbox/{job_id}"), ("A",))

    def sweep_after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.assembly.sweep()

    def states(self) -> dict[str, State]:
        return {row.series_instance_uid: row.state for row in self.ledger.status()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.ledger.close()


def test_nothing_is_decided_before_the_study_is_quiet(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(59)
    assert world.states() == {"1.2.3": State.RECEIVING}
    world.sweep_after(1)
    assert world.states() == {"1.2.3": State.READY}


def test_a_slice_that_trickles_in_puts_the_decision_off(world: World) -> None:
    for number in range(5):
        receive(world.ledger, 1, first=number)
        world.sweep_after(30)
    assert world.decided == []


def test_all_series_of_a_study_are_decided_together(world: World) -> None:
    world.actions = {"1.2.4": "ignore", "1.2.5": "refuse"}
    for series in ("1.2.3", "1.2.4", "1.2.5"):
        receive(world.ledger, 1, series=series)
    world.sweep_after(60)
    assert world.decided == [{"1.2.3", "1.2.4", "1.2.5"}]
    assert world.states() == {"1.2.3": State.READY, "1.2.4": State.IGNORED, "1.2.5": State.REFUSED}


def test_sweeping_again_decides_nothing_again(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(60)
    world.sweep_after(60)
    assert len(world.decided) == 1


def test_a_job_that_was_planned_but_not_started_is_started_by_the_next_sweep(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(60)
    world.started.clear()  # the start was lost in a crash
    world.assembly = world.make()
    world.sweep_after(0)
    assert world.started == world.ledger.unfinished_jobs()


def test_the_identity_of_a_job_follows_from_its_instances(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(60)
    receive(world.ledger, 1, first=3)
    world.sweep_after(60)
    assert len(set(world.started)) == 2


def test_repeated_slices_make_no_second_job(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(60)
    receive(world.ledger)
    world.sweep_after(60)
    assert len(set(world.started)) == 1


def test_a_late_series_leaves_a_measured_one_alone(world: World) -> None:
    receive(world.ledger)
    world.sweep_after(60)
    (first,) = world.ledger.unfinished_jobs()
    world.ledger.begin_job(first)
    world.ledger.finish_job(first, outcome(1), {})
    receive(world.ledger, 1, series="1.2.4")
    world.actions = {"1.2.3": "ignore"}
    world.sweep_after(60)
    assert world.states() == {"1.2.3": State.DELIVERING, "1.2.4": State.READY}


def test_rules_that_fail_refuse_the_study_and_not_the_next_one(world: World) -> None:
    receive(world.ledger)
    world.ledger.record_arrival(arrival(1, study="1.9", series="1.9.1"))
    decide = world.decide

    def choosy(series: Sequence[Series]) -> list[Decision]:
        if series[0].study_instance_uid == "1.2":
            raise ZeroDivisionError
        return decide(series)

    world.decide = choosy  # type: ignore[method-assign]
    world.sweep_after(60)
    assert world.states() == {"1.2.3": State.REFUSED, "1.9.1": State.READY}
    assert "routing-failed" in [row.reason for row in world.ledger.status()]


def test_a_series_of_conflicting_objects_only_is_refused(world: World) -> None:
    world.ledger.record_arrival(arrival(1))
    clash = arrival(1, digest="other")
    world.ledger.record_arrival(replace(clash, header=replace(clash.header, series_instance_uid="1.2.77")))
    world.sweep_after(60)
    reasons = {row.series_instance_uid: row.reason for row in world.ledger.status()}
    assert reasons == {"1.2.3": "selected", "1.2.77": "conflicting-instances"}


def test_the_clock_sweeps_by_itself(world: World) -> None:
    receive(world.ledger)
    world.clock.now += 60
    assembly = world.make(sweep_interval_s=0.1)
    assembly.start()
    try:
        wait_until(lambda: bool(world.started))
    finally:
        assembly.stop()
