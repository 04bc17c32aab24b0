"""Break the node again and again, and count what is lost or doubled.

python -m tests.chaos.run [--studies 200] [--kills 50] [--seed 1] [--out FOLDER]

Real senders (dcmsend, storescu) send tiny CT studies to ``serve``, which delivers to a real Orthanc. Meanwhile the node
is killed with SIGKILL at random moments, the archive is stopped and made to refuse, the disk of the spool is filled and
the database locked. The measurement is a cheap one (``tests.chaos.cheap``: it reads every slice and leaves an image and
a report); everything around it is the node itself. Exit status 0: nothing lost, nothing missing, nothing doubled.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pydicom

from node.ledger import Ledger
from node.ledger.states import State
from tests.chaos.cheap import report_uid
from tests.chaos.scanner import Scanner, study
from tests.chaos.site import Archive, SmallDisk, Victim, configuration, lock_database
from tests.intake.objects import COMPREHENSIVE_SR

PROGRAMS = ("dcmsend", "storescu")
SENDERS = 2
SECONDS_A_KILL = 4.0
"""Between two kills, about."""


@dataclass
class Counts:
    """What was done, and what came of it."""

    studies: int = 0
    kills: int = 0
    archive_stopped: int = 0
    archive_refusing: int = 0
    disk_filled: int = 0
    on_a_small_disk: bool = False
    database_locked: int = 0
    associations: int = 0
    acknowledged: int = 0
    acknowledged_and_lost: int = 0
    eligible_series: int = 0
    current_reports: int = 0
    missing_reports: int = 0
    doubled_reports: int = 0
    replaced_reports: int = 0
    not_delivered: int = 0
    seconds: float = 0.0

    def good(self) -> bool:
        """Whether nothing is lost, missing or doubled."""
        bad = (self.acknowledged_and_lost, self.missing_reports, self.doubled_reports, self.not_delivered)
        return not any(bad) and self.eligible_series == self.studies and self.kills > 0


class Chaos:
    """One run in one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self.counts = Counts()
        self._disk = SmallDisk(folder / "disk")
        self._archive = Archive(folder / "pacs")
        self._config = configuration(folder / "node", self._archive.port, spool=self._disk.folder / "spool")
        self._victim = Victim(self._config)
        self._scanners = [Scanner(self._config) for _ in range(SENDERS)]
        self.counts.on_a_small_disk = self._disk.real

    def run(self, studies: int, kills: int, say: Callable[[str], None]) -> Counts:
        """Send, break, wait until it is quiet, and count."""
        begun = time.monotonic()
        self.counts.studies = studies
        self._victim.start()
        sending = [
            threading.Thread(
                target=self._send, args=(scanner, range(1 + index, studies + 1, SENDERS), kills), daemon=True
            )
            for index, scanner in enumerate(self._scanners)
        ]
        try:
            for thread in sending:
                thread.start()
            self._break(kills, sending, say)
            for thread in sending:
                thread.join(timeout=900)
            self._settle(studies, say)
            self._count()
        finally:
            self._victim.stop()
            self._archive.stop()
            self._disk.close()
        self.counts.seconds = round(time.monotonic() - begun, 1)
        return self.counts

    def _send(self, scanner: Scanner, numbers: range, kills: int) -> None:
        """One study after the other, at a pace that lasts about as long as the breaking does."""
        pause_s = kills * SECONDS_A_KILL / max(1, len(numbers))
        chance = random.Random(numbers.start)
        for number in numbers:
            scanner.send(study(self._folder / "studies", number), PROGRAMS[number % len(PROGRAMS)])
            time.sleep(2 * pause_s * chance.random())

    def _break(self, kills: int, sending: list[threading.Thread], say: Callable[[str], None]) -> None:
        """Kill so often; between two kills now and then something else goes wrong."""
        others, troubles = (self._lock, self._stop_archive, self._fill_disk, self._refuse), 0
        for number in range(kills):
            time.sleep(0.5 + self._chance.random() * 4.0)
            if number % 3 == 0 or kills <= len(others):
                others[troubles % len(others)]()
                troubles += 1
            self._victim.kill()
            self.counts.kills += 1
            self._victim.start()
            if number % 10 == 9:
                say(f"{number + 1} kills, {sum(len(one.acknowledged) for one in self._scanners)} objects acknowledged")
        if not any(thread.is_alive() for thread in sending):
            say("every study had been sent before the last kill")

    def _stop_archive(self) -> None:
        self.counts.archive_stopped += 1
        self._archive.stop()
        time.sleep(1.0 + self._chance.random() * 3)
        self._archive.start()

    def _refuse(self) -> None:
        self.counts.archive_refusing += 1
        self._archive.start(refusing=True)
        time.sleep(1.0 + self._chance.random() * 3)
        self._archive.start()

    def _fill_disk(self) -> None:
        if not self._disk.real:
            return
        self.counts.disk_filled += 1
        self._disk.fill()
        time.sleep(2.0 + self._chance.random() * 3)
        self._disk.empty()

    def _lock(self) -> None:
        if not Path(self._config.database.removeprefix("sqlite:///")).exists():
            return
        self.counts.database_locked += 1
        lock_database(self._config.database, 11.0)

    def _settle(self, studies: int, say: Callable[[str], None], limit_s: float = 900.0) -> None:
        """Wait until every series is delivered; what is not is counted."""
        ledger = Ledger(self._config.database)
        deadline = time.monotonic() + limit_s
        try:
            while time.monotonic() < deadline:
                counts = ledger.counts()
                if counts[State.DELIVERED] == studies == sum(counts.values()):
                    return
                time.sleep(0.5)
            say(f"not settled: { {state.value: number for state, number in ledger.counts().items() if number} }")
        finally:
            ledger.close()

    def _count(self) -> None:
        """Look at the ledger, the spool and the archive from outside."""
        acknowledged = {uid: file for scanner in self._scanners for uid, file in scanner.acknowledged.items()}
        self.counts.acknowledged = len(acknowledged)
        self.counts.associations = sum(scanner.attempts for scanner in self._scanners)
        ledger = Ledger(self._config.database)
        try:
            rows = ledger.status()
            paths = {uid: path for row in rows for uid, path in ledger.stored_at(row.series_key).items()}
        finally:
            ledger.close()
        lost = [uid for uid, file in acknowledged.items() if not _same(file, paths.get(uid))]
        self.counts.acknowledged_and_lost = len(lost)
        held = Counter(uid for sop_class, uid in self._archive.objects() if sop_class == COMPREHENSIVE_SR)
        current = [report_uid(row.job_id) for row in rows if row.job_id]
        self.counts.eligible_series = len(current)
        self.counts.current_reports = sum(held[uid] >= 1 for uid in current)
        self.counts.missing_reports = len(current) - self.counts.current_reports
        self.counts.doubled_reports = sum(number > 1 for number in held.values())
        self.counts.replaced_reports = len(held.keys() - set(current))
        self.counts.not_delivered = sum(row.state is not State.DELIVERED for row in rows)


def _same(file: Path, kept: Path | None) -> bool:
    """Whether what is kept holds what was sent."""
    if kept is None or not kept.is_file():
        return False
    sent, stored = pydicom.dcmread(file), pydicom.dcmread(kept)
    return bool(sent == stored)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="Folder for logs and the ledger; otherwise a temporary one.")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="vbmd-chaos-"))
    counts = Chaos(folder, options.seed).run(options.studies, options.kills, lambda text: print(text, flush=True))
    print(json.dumps(asdict(counts), indent=2))
    print("good" if counts.good() else f"BAD; see {folder}")
    return 0 if counts.good() else 1


if __name__ == "__main__":
    sys.exit(main())
