"""One node as several processes on a shared PostgreSQL: work of the dead is taken over, and never counts twice."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config import Config
from node.ledger import Ledger
from node.ledger.executors import DEAD_AFTER_S
from node.ledger.states import State
from tests.chaos.cheap import report_uid
from tests.chaos.scanner import Scanner, study
from tests.chaos.site import Victim, configuration
from tests.fake_pacs import FakePacs, fake_pacs
from tests.intake.objects import COMPREHENSIVE_SR
from tests.postgres import Server, postgresql
from tests.workflow.house import wait_until

pytestmark = pytest.mark.peer
STUDIES, KILLS = 8, 6
TAKEN_OVER_S = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def _configured(folder: Path, server: Server, pacs: FakePacs) -> Config:
    config = configuration(folder, pacs.port, database=server.url, quiet_period_s=1.0)
    text = config.file.read_text().replace('ae_title = "DEMO-PACS"', 'ae_title = "PACS"')
    config.file.write_text(text)
    return config


def _delivered(ledger: Ledger, number: int) -> bool:
    rows = ledger.status()
    return len(rows) == number and {row.state for row in rows} == {State.DELIVERED}


def test_three_workers_two_of_them_killed_again_and_again(server: Server, tmp_path: Path) -> None:
    chance = random.Random(7)
    with fake_pacs() as pacs:
        config = _configured(tmp_path / "node", server, pacs)
        door = Victim(config, "receive,deliver")
        workers = [Victim(config, "work", "tests.chaos.cheap:slowly") for _ in range(3)]
        ledger = Ledger(server.url)
        try:
            for process in (door, *workers):
                process.start()
            scanner = Scanner(config)
            for number in range(1, STUDIES + 1):
                scanner.send(study(tmp_path / "studies", number), "storescu")
            for kill in range(KILLS):
                time.sleep(1.0 + chance.random() * 2)
                workers[kill % 2].kill()
            wait_until(lambda: _delivered(ledger, STUDIES), 180, ledger.counts)
            rows = ledger.status()
            finished = [event for event in ledger.events() if event.kind == "job-closed"]
        finally:
            for process in (door, *workers):
                process.stop()
            ledger.close()
    reports = [str(one.SOPInstanceUID) for one in pacs.stored if one.SOPClassUID == COMPREHENSIVE_SR]
    assert sorted(reports) == sorted(report_uid(str(row.job_id)) for row in rows)
    assert len(finished) == STUDIES


def test_the_work_of_a_host_that_died_is_taken_over_within_the_stated_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VBMD_TEST_SLOWLY_S", "25")
    with postgresql() as server, fake_pacs() as pacs:
        config = _configured(tmp_path / "node", server, pacs)
        first = Victim(config, function="tests.chaos.cheap:slowly")
        second = Victim(config, "work,deliver", "tests.chaos.cheap:slowly")
        ledger = Ledger(server.url)
        try:
            first.start()
            Scanner(config).send(study(tmp_path / "studies", 1), "dcmsend")
            wait_until(lambda: ledger.counts()[State.MEASURING] == 1, 60, ledger.counts)
            second.start()
            wait_until(lambda: len(ledger.executors.all()) == 2, 60)
            time.sleep(DEAD_AFTER_S)
            assert ledger.counts()[State.MEASURING] == 1, "the measurement was to be under way"
            first.die()
            begun = time.monotonic()
            starts = lambda: sum(event.kind == "executor-gone" for event in ledger.events())  # noqa: E731
            wait_until(lambda: starts() == 1, TAKEN_OVER_S)
            taken_over_s = time.monotonic() - begun
            wait_until(lambda: _delivered(ledger, 1), 90, ledger.counts)
        finally:
            first.stop()
            second.stop()
            ledger.close()
    assert taken_over_s < TAKEN_OVER_S


def test_many_receivers_record_one_study_together(server: Server, tmp_path: Path) -> None:
    with fake_pacs() as pacs:
        configs = [_configured(tmp_path / f"door-{number}", server, pacs) for number in range(3)]
        doors = [Victim(config, "receive") for config in configs]
        files = study(tmp_path / "studies", 77)
        ledger = Ledger(server.url)
        try:
            for door in doors:
                door.start()
            for config in configs:
                Scanner(config).send(files[:1], "storescu")
            running = [_sending(config, files) for config in configs]
            assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
            (row,) = [row for row in ledger.status() if row.study_instance_uid.endswith(".77")]
        finally:
            for door in doors:
                door.stop()
            ledger.close()
    assert (row.instances, row.variants) == (len(files), 0)


def _sending(config: Config, files: list[tuple[Path, str]]) -> subprocess.Popen[bytes]:
    command = ["storescu", "-aet", "CHAOS_CT", "-aec", config.receiver.ae_title, "127.0.0.1", str(config.receiver.port)]
    return subprocess.Popen([*command, *(str(file) for file, _ in files)])
