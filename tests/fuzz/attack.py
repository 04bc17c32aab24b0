"""Hostile peers against a receiver in a process of its own; what becomes of it is watched from outside."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests import wire
from tests.fuzz.mutate import mutated, noise
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write

_HANG_S = 20.0
_INPUTS_A_ROUND = 5
"""On average: half of the rounds send ten datasets, the others one input of another kind."""
_SYNTAXES = (wire.EXPLICIT, wire.EXPLICIT, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90")
_RSS_PAGES_MB = 4096 / 1e6


@dataclass
class Findings:
    """What was sent, and what went wrong."""

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Digest of the dataset → SOP Instance UID of the request, for every success answered."""
    wrong: list[str] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    """Of the receiver, after each tenth of the inputs."""


class Attack:
    """Sends inputs of every kind from several threads; the same seed sends the same inputs."""

    def __init__(self, port: int, pid: int, folder: Path, seed: int) -> None:
        self._port = port
        self._pid = pid
        self._seed = seed
        self._lock = threading.Lock()
        self.found = Findings()
        self._dataset = wire.dataset_of(write(ct_slice(1, 1, 1, size=32), folder / "seed.dcm"))[2]
        self._kinds: dict[str, Callable[[random.Random, int], None]] = {
            "association request": self._association_request,
            "message": self._message,
            "dataset": self._dataset_input,
            "noise": self._noise,
        }

    def run(self, inputs: int, threads: int = 4) -> Findings:
        """Send so many inputs or a few more; after each tenth, look whether a well-behaved peer is still served."""
        rounds = inputs // _INPUTS_A_ROUND + 10
        for tenth in range(10):
            first = rounds * tenth // 10
            count = rounds * (tenth + 1) // 10 - first
            workers = [
                threading.Thread(target=self._work, args=(range(first + index, first + count, threads),))
                for index in range(threads)
            ]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            self._look(tenth)
        return self.found

    def _work(self, numbers: range) -> None:
        for number in numbers:
            chance = random.Random(f"{self._seed}-{number}")
            kind = chance.choices(list(self._kinds), (2, 3, 5, 1))[0]
            try:
                self._kinds[kind](chance, number)
            except TimeoutError:
                self._note(f"input {number} ({kind}): no end within {_HANG_S} s")
            except (wire.Closed, OSError, ValueError):
                self._count("closed")

    def _association_request(self, chance: random.Random, _number: int) -> None:
        self._sent("association request")
        self._pour(mutated(wire.associate_rq("BENCH", "FUZZ"), chance))

    def _noise(self, chance: random.Random, _number: int) -> None:
        self._sent("noise")
        self._pour(noise(chance))

    def _message(self, chance: random.Random, number: int) -> None:
        """Within an association: a C-STORE whose PDUs are damaged."""
        self._sent("message")
        with self._associated() as link:
            request = wire.store_rq(number, CT_IMAGE, uid(7, number))
            if chance.random() < 0.5:
                request = mutated(request, chance)
            pdus = [*wire.p_data(request, 4_096, command=True), *wire.p_data(self._dataset, 1_024, command=False)]
            place = chance.randrange(len(pdus))
            pdus[place] = mutated(pdus[place], chance)
            with suppress(ConnectionError):
                link.sendall(b"".join(pdus))
            self._drain(link)

    def _dataset_input(self, chance: random.Random, _number: int) -> None:
        """Within an association: ten well-formed C-STOREs of damaged datasets; each is answered for itself."""
        with self._associated(chance.choice(_SYNTAXES)) as link:
            for step in range(10):
                self._sent("dataset")
                content = mutated(self._dataset, chance)
                status = wire.store(link, 16_384, step, CT_IMAGE, uid(1, 1, 1), content)
                self._count(f"{status:04X}")
                if status == 0:
                    with self._lock:
                        self.found.acknowledged[hashlib.sha256(content).hexdigest()] = uid(1, 1, 1)
            wire.release(link)

    def _associated(self, syntax: str = wire.EXPLICIT) -> closing[wire.socket.socket]:
        link = wire.connect(self._port, timeout_s=_HANG_S)
        try:
            wire.associate(link, "BENCH", "FUZZ", syntax=syntax)
        except BaseException:
            link.close()
            raise
        return closing(link)

    def _pour(self, content: bytes) -> None:
        with closing(wire.connect(self._port, timeout_s=_HANG_S)) as link:
            with suppress(ConnectionError):
                link.sendall(content)
            self._drain(link)

    def _drain(self, link: wire.socket.socket) -> None:
        """Say no more, and read until the receiver ends it too."""
        with suppress(ConnectionError):
            link.shutdown(wire.socket.SHUT_WR)
            while link.recv(65_536):
                continue
        self._count("ended")

    def _look(self, tenth: int) -> None:
        """Whether a good peer is served promptly, and how much memory the receiver takes."""
        begun = time.monotonic()
        try:
            with closing(wire.connect(self._port, timeout_s=_HANG_S)) as link:
                limit = wire.associate(link, "BENCH", "GOOD")
                instance = uid(5, tenth)
                content = self._dataset.replace(uid(1, 1, 1).encode(), instance.encode())
                status = wire.store(link, limit, 1, CT_IMAGE, instance, content)
                wire.release(link)
        except (wire.Closed, OSError) as error:
            self._note(f"a good peer was not served after tenth {tenth}: {error!r}")
            return
        if status not in (0x0000, 0xC000):
            self._note(f"a good object was answered {status:04X} after tenth {tenth}")
        if time.monotonic() - begun > 5.0:
            self._note(f"a good peer waited {time.monotonic() - begun:.1f} s after tenth {tenth}")
        self.found.rss_mb.append(rss_mb(self._pid))

    def _sent(self, kind: str) -> None:
        with self._lock:
            self.found.sent[kind] += 1

    def _note(self, what: str) -> None:
        with self._lock:
            self.found.wrong.append(what)

    def _count(self, answer: str) -> None:
        with self._lock:
            self.found.answers[answer] += 1


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _RSS_PAGES_MB


def lost(folder: Path, acknowledged: dict[str, str]) -> Iterator[str]:
    """Yield the digests of acknowledged datasets that no whole file and row holds."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        rows = dict(connection.execute("SELECT digest, path FROM instances").fetchall())
    for digest in acknowledged:
        path = rows.get(digest)
        if path is None or hashlib.sha256(wire.dataset_of(Path(path))[2]).hexdigest() != digest:
            yield digest
