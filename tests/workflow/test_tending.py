"""Trouble of the machine or of the engine's own database is not the study's: its job is done as soon as it can be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dbos import DBOS
from sqlalchemy.exc import OperationalError

from node.domain.settings import WorkSettings
from node.ledger.states import State
from node.workflow import tending
from tests.workflow.house import House, build, wait_until
from tests.workflow.test_engine import send

pytestmark = pytest.mark.peer
FUNCTIONS = "tests.workflow.measurements"
Start = Callable[..., House]


def test_a_full_disk_is_waited_for_and_no_attempt(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:no_room_at_first", work=WorkSettings(attempts=1))
    send(house, tmp_path)
    house.wait_for(State.MEASURED, 120)


def test_a_job_that_the_engines_database_failed_is_handed_over_again(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = started(())
    record, failures = house.engine._record, [OperationalError("INSERT", {}, Exception("database or disk is full"))]

    def failing(job_id: str, ending: dict[str, object]) -> None:
        if failures:
            raise failures.pop()
        record(job_id, ending)

    monkeypatch.setattr(house.engine, "_record", failing)
    send(house, tmp_path)
    house.wait_for(State.MEASURED, 120)
    assert not failures


def test_a_job_whose_workflow_ended_without_an_outcome_is_handed_over_again(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "INTERVAL_S", 0.3)
    house = started((), f"{FUNCTIONS}:slowly")
    for study in (1, 2):
        send(house, tmp_path, study=study)
    wait_until(lambda: len(DBOS.list_workflows(status="ENQUEUED")) == 1)
    DBOS.cancel_workflow(DBOS.list_workflows(status="ENQUEUED")[0].workflow_id)
    wait_until(lambda: [row.state for row in house.ledger.status()] == [State.MEASURED] * 2, 120)


def test_jobs_that_were_cut_off_again_and_again_let_others_go_first_once(tmp_path: Path) -> None:
    house = build(tmp_path / "node")
    house.receiver.start()
    try:
        for study in (1, 2):
            send(house, tmp_path, study=study)
        time.sleep(0.6)
        house.assembly.sweep()
        jobs = house.ledger.unfinished_jobs()
        for job in jobs * 2:
            house.ledger.begin_job(job)
        assert [house.engine._measure(job, 0, 0)["end"] for job in jobs] == ["void", "void"]
        assert [house.ledger.turn(job)[0] for job in jobs] == [1, 1]
        assert [house.engine._measure(job, 1, 0)["end"] for job in jobs] == ["done", "done"]
    finally:
        house.receiver.stop()
        house.ledger.close()
