"""Break the node again and again, and count what is lost or doubled.

python -m tests.chaos.run [--studies 200] [--kills 50] [--seed 1] [--out FOLDER]

Real senders (dcmsend, storescu) send tiny CT studies to ``serve``, which delivers to a real Orthanc. Meanwhile the node
is killed with SIGKILL at random moments, also while it starts; the archive is stopped and made to refuse; the disk that
holds the spool, the ledger and the results is filled, and the database locked. The measurement is a cheap one
(``tests.chaos.cheap``: it reads every slice and leaves an image and a report); everything around it is the node itself.
Exit status 0: every acknowledged object is there, and the archive holds exactly one current report of each study.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from node.ledger import Ledger, LedgerUnavailable
from node.ledger.states import State
from tests.chaos.count import Counts, count
from tests.chaos.scanner import SLICES, Scanner, study
from tests.chaos.site import Archive, SmallDisk, Victim, configuration, lock_database

PROGRAMS = ("dcmsend", "storescu")
SENDERS = 2
_STARTING_S = 2.0
_AT_WORK_S = 4.0
"""Latest moment of a kill, counted from the start or from when the node listens."""
_OPEN_S = 30.0
_LOCKED_S = 11.0
"""Longer than the node waits for a database."""


class Chaos:
    """One run in one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self.counts = Counts(seed=seed)
        self._disk = SmallDisk(folder / "disk")
        self._archive = Archive(folder / "pacs")
        self._config = configuration(folder / "node", self._archive.port, state=self._disk.folder / "state")
        self._victim = Victim(self._config)
        self._scanners = [Scanner(self._config) for _ in range(SENDERS)]

    def run(self, studies: int, kills: int, say: Callable[[str], None]) -> Counts:
        """Send, break, wait until it is quiet, and count."""
        begun = time.monotonic()
        self.counts.studies = studies
        self._victim.start()
        shares = [range(1 + index, studies + 1, SENDERS) for index in range(SENDERS)]
        sending = [
            threading.Thread(target=self._send, args=(scanner, share), daemon=True)
            for scanner, share in zip(self._scanners, shares, strict=True)
        ]
        try:
            for thread in sending:
                thread.start()
            self._break(kills, say)
            for thread in sending:
                thread.join(timeout=900)
            self._settle(studies, say)
            self._count()
        finally:
            self._victim.stop()
            self._archive.stop()
            self._keep_ledger()
            self._disk.close()
        self.counts.seconds = round(time.monotonic() - begun, 1)
        return self.counts

    def _send(self, scanner: Scanner, numbers: range) -> None:
        """One study after the other; pauses among them, at random."""
        chance = random.Random(numbers.start)
        for number in numbers:
            scanner.send(study(self._folder / "studies", number), PROGRAMS[number % len(PROGRAMS)])
            time.sleep(chance.random())

    def _break(self, kills: int, say: Callable[[str], None]) -> None:
        """Kill so often; now and then something else goes wrong, and the kill comes while it does."""
        others = (self._fill_disk, self._stop_archive, self._lock, self._refuse)
        every = max(1, min(3, kills // len(others)))
        for number in range(kills):
            self._wait_for(number / kills)
            if number % every == every - 1:
                others[number // every % len(others)]()
            else:
                self._kill()
            if number % 10 == 9:
                say(f"{number + 1} kills, {self._acknowledged()} objects acknowledged")

    def _wait_for(self, part: float) -> None:
        """Wait until so much has been sent, so that the kills are spread over the studies; not for ever."""
        deadline = time.monotonic() + _OPEN_S
        while self._acknowledged() < part * self.counts.studies * SLICES and time.monotonic() < deadline:
            time.sleep(0.1)

    def _acknowledged(self) -> int:
        return sum(len(one.acknowledged) for one in self._scanners)

    def _kill(self) -> None:
        """At a random moment: one time in four while it starts, else while it is at work."""
        starting = self._chance.random() < 0.25
        moment_s = self._chance.random()
        if starting or not self._victim.wait_until_open(_OPEN_S):
            self.counts.kills_while_starting += 1
            time.sleep(moment_s * _STARTING_S)
        else:
            time.sleep(moment_s * _AT_WORK_S)
        self._victim.kill()
        self.counts.kills += 1

    def _stop_archive(self) -> None:
        self.counts.archive_stopped += 1
        self._archive.stop()
        self._kill()
        self._archive.start()

    def _refuse(self) -> None:
        self.counts.archive_refusing += 1
        self._archive.start(refusing=True)
        self._kill()
        self._archive.start()

    def _fill_disk(self) -> None:
        """Where nothing can be mounted the disk is not filled: it would be that of others."""
        if self._disk.real:
            self._victim.wait_until_open(_OPEN_S)
            self.counts.disk_filled += 1
            self._disk.fill()
            time.sleep(2.0 + self._chance.random() * 3)
        self._kill()
        time.sleep(self._chance.random() * 3)
        self._disk.empty()

    def _lock(self) -> None:
        """Longer than anybody waits for it; the kill comes early or late in it."""
        self._victim.wait_until_open(_OPEN_S)
        locking = threading.Thread(target=lock_database, args=(self._config.database, _LOCKED_S))
        self.counts.database_locked += 1
        locking.start()
        if self._chance.random() < 0.5:
            self._kill()
            locking.join()
        else:
            locking.join()
            self._kill()

    def _settle(self, studies: int, say: Callable[[str], None], limit_s: float = 120.0) -> None:
        """Wait until every series is delivered, as long as there is progress; what is not is counted."""
        ledger = Ledger(self._config.database)
        deadline, done = time.monotonic() + limit_s, 0
        try:
            while time.monotonic() < deadline:
                counts = ledger.counts()
                if counts[State.DELIVERED] == studies == sum(counts.values()):
                    return
                if counts[State.DELIVERED] > done:
                    deadline, done = time.monotonic() + limit_s, counts[State.DELIVERED]
                time.sleep(0.5)
            say(f"not settled: { {state.value: number for state, number in ledger.counts().items() if number} }")
        except LedgerUnavailable as error:
            say(f"not settled: {error}")
        finally:
            ledger.close()

    def _count(self) -> None:
        assert self._archive.running is not None
        self.counts.associations = sum(scanner.attempts for scanner in self._scanners)
        self.counts.answers = dict(sum((scanner.answers for scanner in self._scanners), Counter()))
        self.counts.ended_by_itself = self._victim.gave_up
        acknowledged = {uid: file for scanner in self._scanners for uid, file in scanner.acknowledged.items()}
        ledger = Ledger(self._config.database)
        try:
            count(self.counts, acknowledged, ledger, self._archive.running.tags())
        finally:
            ledger.close()

    def _keep_ledger(self) -> None:
        """For who wants to know what happened."""
        for file in self._disk.folder.rglob("*.sqlite*"):
            shutil.copy(file, self._folder)


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
