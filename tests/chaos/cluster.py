"""Kill two of three workers that share a PostgreSQL and a spool, again and again, and count.

python -m tests.chaos.cluster [--studies 60] [--kills 40] [--seed 1] [--out FOLDER]

A real PostgreSQL; one process receives and delivers, three measure. Two of them are killed with SIGKILL at random
moments while the third goes on. Exit status 0: every study has been measured once in effect and its one report lies in
the archive.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from node.config import Config
from node.ledger import Ledger
from node.ledger.states import State
from tests.chaos.cheap import report_uid
from tests.chaos.scanner import Scanner, study
from tests.chaos.site import Victim, configuration
from tests.fake_pacs import FakePacs, fake_pacs
from tests.intake.objects import COMPREHENSIVE_SR
from tests.postgres import postgresql

WORKERS = 3
SLOWLY = "tests.chaos.cheap:slowly"
MEASURING_S = 2.0


@dataclass
class Counts:
    """What was done, and what came of it."""

    seed: int = 0
    studies: int = 0
    kills: int = 0
    kills_while_measuring: int = 0
    ended_by_itself: int = 0
    taken_over: int = 0
    closed: int = 0
    void_outcomes: int = 0
    delivered: int = 0
    missing_reports: int = 0
    doubled_reports: int = 0
    seconds: float = 0.0

    def good(self) -> bool:
        """Whether all is done, and nothing twice."""
        done = self.delivered == self.closed == self.studies
        return done and not (self.missing_reports or self.doubled_reports or self.ended_by_itself)


def configured(folder: Path, database: str, pacs: FakePacs) -> Config:
    """A configuration of a node on PostgreSQL that delivers to a fake archive."""
    config = configuration(folder, pacs.port, database=database, quiet_period_s=1.0)
    config.file.write_text(config.file.read_text().replace('ae_title = "DEMO-PACS"', 'ae_title = "PACS"'))
    return config


def run(folder: Path, database: str, studies: int, kills: int, seed: int, limit_s: float = 300.0) -> Counts:
    """Send, kill, wait until all is delivered or for so long after the last kill, and count."""
    os.environ["VBMD_TEST_SLOWLY_S"] = str(MEASURING_S)
    counts, begun = Counts(seed=seed, studies=studies), time.monotonic()
    with fake_pacs() as pacs:
        config = configured(folder / "node", database, pacs)
        door = Victim(config, "receive,deliver")
        workers = [Victim(config, "work", SLOWLY) for _ in range(WORKERS)]
        ledger = Ledger(database)
        try:
            for process in (door, *workers):
                process.start()
            scanner = Scanner(config)
            for number in range(1, studies + 1):
                scanner.send(study(folder / "studies", number), "storescu")
            _kill(workers[:2], ledger, kills, random.Random(seed), counts)
            deadline = time.monotonic() + limit_s
            while ledger.counts()[State.DELIVERED] < studies and time.monotonic() < deadline:
                time.sleep(0.3)
            counts.ended_by_itself = sum(process.gave_up for process in (door, *workers))
        finally:
            for process in (door, *workers):
                process.stop()
            _count(counts, ledger, pacs)
            ledger.close()
    counts.seconds = round(time.monotonic() - begun, 1)
    return counts


def _kill(workers: list[Victim], ledger: Ledger, kills: int, chance: random.Random, counts: Counts) -> None:
    """Kill one and the other; at a random moment after it began to measure, or while it starts."""
    for number in range(kills):
        worker = workers[number % len(workers)]
        measuring = worker.wait_until_logged("measuring", 20.0 if chance.random() < 0.75 else 0.0)
        time.sleep(chance.random() * MEASURING_S)
        worker.kill()
        counts.kills += 1
        counts.kills_while_measuring += measuring


def _count(counts: Counts, ledger: Ledger, pacs: FakePacs) -> None:
    events = Counter(event.kind for event in ledger.events())
    counts.closed, counts.void_outcomes = events["job-closed"], events["late-outcome-void"]
    counts.taken_over = events["work-taken-over"]
    rows = ledger.status()
    counts.delivered = sum(row.state is State.DELIVERED for row in rows)
    reports = Counter(str(one.SOPInstanceUID) for one in pacs.stored if one.SOPClassUID == COMPREHENSIVE_SR)
    current = {report_uid(str(row.job_id)) for row in rows}
    counts.missing_reports = len(current - reports.keys())
    counts.doubled_reports = len(reports.keys() - current)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Folder for logs; otherwise a temporary one.")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="vbmd-cluster-"))
    with postgresql() as server:
        counts = run(folder, server.url, options.studies, options.kills, options.seed)
    print(json.dumps(asdict(counts), indent=2))
    print("good" if counts.good() else f"BAD; see {folder}")
    return 0 if counts.good() else 1


if __name__ == "__main__":
    sys.exit(main())
