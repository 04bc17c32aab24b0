"""One attack from beginning to end, and its verdict."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests import wire
from tests.fuzz.attack import Attack, Findings, lost

MOST_GROWTH_MB = 25.0
"""Between the third tenth of the inputs and the last: what allocators of a few threads may still claim."""


@dataclass(frozen=True)
class Report:
    """What came of an attack."""

    found: Findings
    lost: tuple[str, ...]
    alive: bool
    threads: tuple[int, int]
    """Of the receiver, before and after."""
    files: tuple[int, int]
    """Open files of the receiver, before and after."""

    @property
    def growth_mb(self) -> float:
        return self.found.rss_mb[-1] - self.found.rss_mb[2] if len(self.found.rss_mb) == 10 else float("inf")

    @property
    def unharmed(self) -> bool:
        leaked = self.threads[1] > self.threads[0] + 2 or self.files[1] > self.files[0] + 4
        return self.alive and not (self.found.wrong or self.lost or leaked) and self.growth_mb < MOST_GROWTH_MB

    @property
    def text(self) -> str:
        found = self.found
        lines = [
            f"inputs     {sum(found.sent.values())}: {dict(found.sent)}",
            f"answers    {dict(found.answers.most_common())}",
            f"success    {len(found.acknowledged)} datasets acknowledged, {len(self.lost)} lost",
            f"memory     {[round(one) for one in found.rss_mb]} MB after each tenth",
            f"before     {self.threads[0]} threads, {self.files[0]} open files",
            f"after      {self.threads[1]} threads, {self.files[1]} open files",
            f"alive      {self.alive}",
            *(f"WRONG      {one}" for one in found.wrong[:20]),
        ]
        return "\n".join(lines)


def run(folder: Path, inputs: int, seed: int) -> Report:
    """Start a receiver, attack it, look at what is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "tests.benchmarks.receiver", str(folder), str(port), "5"]
    with (folder / "receiver.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as receiver:
        try:
            _wait_for(port)
            before = _threads(receiver.pid), _open_files(receiver.pid)
            found = Attack(port, receiver.pid, folder, seed).run(inputs)
            alive = receiver.poll() is None
            after = _settled(receiver.pid, before) if alive else (0, 0)
        finally:
            receiver.terminate()
            receiver.wait(timeout=30)
    return Report(found, tuple(lost(folder, found.acknowledged)), alive, (before[0], after[0]), (before[1], after[1]))


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            wire.connect(port).close()
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the receiver does not listen")
        time.sleep(0.05)


def _settled(pid: int, before: tuple[int, int], limit_s: float = 20.0) -> tuple[int, int]:
    """Return threads and open files once they are as few as before, or after a while."""
    deadline = time.monotonic() + limit_s
    while (_threads(pid) > before[0] or _open_files(pid) > before[1]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return _threads(pid), _open_files(pid)


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
