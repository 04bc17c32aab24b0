"""One node as several processes on a shared PostgreSQL: work of the dead is taken over, and never counts twice.

The long form of the first test: ``python -m tests.chaos.cluster``.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config import Config
from node.ledger import Ledger
from node.ledger.executors import DEAD_AFTER_S
from node.ledger.states import State
from tests.chaos import cluster
from tests.chaos.scanner import Scanner, study
from tests.chaos.site import Victim
from tests.fake_pacs import fake_pacs
from tests.postgres import Server, postgresql
from tests.workflow.house import wait_until

pytestmark = pytest.mark.peer
TAKEN_OVER_S = 30.0


@pytest.fixture
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def test_three_workers_two_of_them_killed_again_and_again(server: Server, tmp_path: Path) -> None:
    counts = cluster.run(tmp_path, server.url, studies=6, kills=4, seed=7, limit_s=120)
    print(counts)
    assert counts.good(), counts
    assert counts.kills_while_measuring >= 1


def test_work_of_a_host_that_died_or_was_stopped_is_done_by_another_within_the_stated_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_pacs() as pacs:
        config = cluster.configured(tmp_path / "node", server.url, pacs)
        config.file.write_text(config.file.read_text().replace("concurrency = 3", "concurrency = 1"))  # one for each
        door, heir = Victim(config, "receive,deliver"), Victim(config, "work", cluster.SLOWLY)
        dying, stopping = (Victim(config, "work", cluster.SLOWLY) for _ in range(2))
        ledger = Ledger(server.url)
        try:
            monkeypatch.setenv("VBMD_TEST_SLOWLY_S", "300")
            for process in (door, dying, stopping):
                process.start()
            for number in (1, 2):
                Scanner(config).send(study(tmp_path / "studies", number), "dcmsend")
            wait_until(lambda: ledger.counts()[State.MEASURING] == 2, 60, ledger.counts)
            assert dying.wait_until_logged("measuring", 1)
            assert stopping.wait_until_logged("measuring", 1)
            monkeypatch.setenv("VBMD_TEST_SLOWLY_S", "0.1")
            heir.start()
            wait_until(lambda: len(ledger.executors.all()) == 4, 60)
            time.sleep(DEAD_AFTER_S)
            begun = time.monotonic()
            dying.die()
            stopping.stop()
            wait_until(lambda: ledger.counts()[State.DELIVERED] == 2, TAKEN_OVER_S, ledger.counts)
            taken_over_s = time.monotonic() - begun
        finally:
            for process in (door, heir, dying, stopping):
                process.stop()
            ledger.close()
    print(f"done {taken_over_s:.1f} s after the end of those who had begun it")
    assert taken_over_s < TAKEN_OVER_S


def test_several_receivers_record_one_study_together(server: Server, tmp_path: Path) -> None:
    with fake_pacs() as pacs:
        configs = [cluster.configured(tmp_path / f"door-{number}", server.url, pacs) for number in range(2)]
    doors, files = [Victim(config, "receive") for config in configs], study(tmp_path / "studies", 77)
    ledger = Ledger(server.url)
    try:
        for door in doors:
            door.start()
        for door in doors:
            assert door.wait_until_open(60)
        running = [_sending(config, files) for config in configs for _ in range(2)]
        assert [process.wait(timeout=60) for process in running] == [0, 0, 0, 0]
        (row,) = ledger.status()
    finally:
        for door in doors:
            door.stop()
        ledger.close()
    assert (row.instances, row.variants) == (len(files), 0)


def _sending(config: Config, files: list[tuple[Path, str]]) -> subprocess.Popen[bytes]:
    command = ["storescu", "-aet", "CHAOS_CT", "-aec", config.receiver.ae_title, "127.0.0.1", str(config.receiver.port)]
    return subprocess.Popen([*command, *(str(file) for file, _ in files)])
