"""The durable engine in one process: attempts, refusals, restarts."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.domain.job import MeasureJob
from node.domain.settings import WorkSettings
from node.errors import ConfigError
from node.ledger.states import State
from node.workflow.engine import Engine
from node.workflow.storage import check_sqlite
from tests.fake_pacs import fake_pacs
from tests.intake.objects import ct_series, uid
from tests.peers import peer
from tests.workflow.house import House, destination, wait_until

pytestmark = pytest.mark.peer
FUNCTIONS = "tests.workflow.measurements"
Start = Callable[..., House]


def send(house: House, folder: Path, study: int = 1, count: int = 3) -> None:
    files = ct_series(folder / f"ct-{study}-{count}", study=study, count=count)
    subprocess.run([peer("storescu"), "-aec", "NODE", "127.0.0.1", str(house.receiver.port), *files], check=True)


def test_a_refusal_reaches_the_pacs(started: Start, tmp_path: Path) -> None:
    with fake_pacs() as pacs:
        house = started([destination(pacs.port)], f"{FUNCTIONS}:refuse")
        send(house, tmp_path)
        row = house.wait_for(State.DELIVERED)
    assert (row.reason, len(pacs.stored)) == ("phantom-not-found", 2)
    assert house.ledger.results()[0]["status"] == "refused"


def test_a_refusal_that_the_rule_keeps_at_home_ends_refused(started: Start, tmp_path: Path) -> None:
    house = started([destination(1)], f"{FUNCTIONS}:refuse", report_refusals=False)
    send(house, tmp_path)
    assert house.wait_for(State.REFUSED).reason == "phantom-not-found"


def test_what_is_looked_up_reaches_the_measurement_and_stays_with_the_job(started: Start, tmp_path: Path) -> None:
    asked = []

    def look_up(job: MeasureJob, turn: int, _stopping: threading.Event) -> MeasureJob:
        asked.append(turn)
        kept = job.out_dir / "priors" / "1.dcm"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("a report")
        return replace(job, prior_reports=(kept,), priors_incomplete=True)

    house = started((), f"{FUNCTIONS}:tell_priors", look_up=look_up)
    with capture_logs() as logged:
        send(house, tmp_path)
        house.wait_for(State.MEASURED)
    assert house.ledger.results() == [{"seen": ["a report"], "incomplete": True}]
    assert asked == [0]
    assert "prior-left-out" in {line["event"] for line in logged}


def test_a_crash_is_tried_again(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:crash_once")
    send(house, tmp_path)
    house.wait_for(State.MEASURED)


def test_a_study_that_always_crashes_is_refused_with_its_input_kept(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:crash", work=WorkSettings(attempts=2))
    send(house, tmp_path)
    row = house.wait_for(State.REFUSED)
    assert row.reason == "measurement-failed"
    assert "Its input is kept" in row.message
    assert list((tmp_path / "node" / "outbox" / str(row.job_id)).glob("*/job.json"))


def test_a_poisoned_study_does_not_stop_the_next(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:crash_at_three", work=WorkSettings(attempts=1))
    send(house, tmp_path, study=1, count=3)
    send(house, tmp_path, study=2, count=4)
    wait_until(lambda: {row.state for row in house.ledger.status()} == {State.REFUSED, State.MEASURED}, 60)


def test_late_slices_make_a_second_report_that_replaces_the_first(started: Start, tmp_path: Path) -> None:
    with fake_pacs() as pacs:
        house = started([destination(pacs.port)])
        send(house, tmp_path, count=3)
        house.wait_for(State.DELIVERED)
        send(house, tmp_path, count=3)  # the same again: nothing happens
        send(house, tmp_path, count=4)
        wait_until(lambda: len(pacs.stored) == 4)
        house.wait_for(State.DELIVERED)
    assert [result["instances"] for result in house.ledger.results()] == [4]


def test_a_stop_in_the_middle_of_a_measurement_is_made_up_for(started: Start, tmp_path: Path) -> None:
    starts = tmp_path / "node" / "outbox" / "starts.log"
    house = started((), f"{FUNCTIONS}:slowly")
    send(house, tmp_path)
    wait_until(starts.exists)
    house = started((), f"{FUNCTIONS}:succeed")  # stops the first one
    house.wait_for(State.MEASURED)
    assert len(starts.read_text().split()) == 1


def test_two_engines_do_not_share_a_folder(started: Start, tmp_path: Path) -> None:
    house = started(())
    second = Engine(WorkSettings(), house.ledger, tmp_path / "node" / "work", f"{FUNCTIONS}:succeed")
    with pytest.raises(ConfigError, match="another node"):
        second.start()


@pytest.mark.parametrize(
    ("python", "sqlite", "fits"),
    [
        ((3, 11), (3, 40, 1), True),
        ((3, 12), (3, 40, 1), False),
        ((3, 12), (3, 42, 0), True),
        ((3, 13), (3, 46, 1), True),
    ],
)
def test_an_sqlite_that_is_too_old_is_said_so(
    python: tuple[int, int], sqlite: tuple[int, int, int], fits: bool
) -> None:
    if fits:
        check_sqlite(python, sqlite)
    else:
        with pytest.raises(ConfigError, match=r"3\.42 is needed"):
            check_sqlite(python, sqlite)


def test_a_result_that_vanished_fails_the_job_and_not_the_queue(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:lose_result")
    send(house, tmp_path)
    assert house.wait_for(State.REFUSED).reason == "measurement-failed"


def test_starting_a_job_twice_measures_once(started: Start, tmp_path: Path) -> None:
    house = started((), f"{FUNCTIONS}:slowly")
    send(house, tmp_path)
    wait_until(lambda: bool(house.ledger.unfinished_jobs()))
    for job_id in house.ledger.unfinished_jobs() * 3:
        house.engine.start_job(job_id)
    house.wait_for(State.MEASURED)
    assert len((tmp_path / "node" / "outbox" / "starts.log").read_text().split()) == 1


def test_series_of_other_modalities_are_ignored_with_a_reason(started: Start, tmp_path: Path) -> None:
    house = started(())
    files = ct_series(tmp_path / "mr", study=7, count=1, Modality="MR")
    subprocess.run([peer("storescu"), "-aec", "NODE", "127.0.0.1", str(house.receiver.port), *files], check=True)
    assert house.wait_for(State.IGNORED).reason == "no-rule-matched"
    assert house.ledger.status()[0].series_instance_uid == uid(7, 1)
