"""What was acknowledged is there: through SIGKILL, a full disk, a read-only or missing spool, a locked database."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from node.intake import spool
from node.ledger import Ledger
from tests import wire
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
from tests.intake.test_door import sample
from tests.intake.test_receiver import encoded

KILLS = int(os.environ.get("VBMD_TEST_KILLS", "6"))


def stored(door: Door, *objects: tuple[str, str, bytes]) -> list[int]:
    """Send objects over one association; return their statuses."""
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "CT1")
        return [wire.store(link, limit, number, *one) for number, one in enumerate(objects)]


class Victim:
    """A receiver in a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.receiver", str(self._folder), str(self.port)]
        self._process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError):
                wire.connect(self.port).close()
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def test_what_was_acknowledged_survives_sigkill_at_any_moment(tmp_path: Path) -> None:
    victim, acknowledged, numbers, chance = Victim(tmp_path), dict[str, str](), iter(range(10**6)), random.Random(5)
    template = encoded(write(ct_slice(1, 1, 0, size=64, SOPInstanceUID=uid(1, 1, 9_000_000)), tmp_path / "t.dcm"))

    def send() -> None:
        with suppress(wire.Closed, OSError), wire.connect(victim.port) as link:
            limit = wire.associate(link, "BENCH", "CT1")
            while True:
                number = next(numbers)
                instance = uid(1, 1, 1_000_000 + number)
                content = template.replace(uid(1, 1, 9_000_000).encode(), instance.encode())
                if wire.store(link, limit, number, CT_IMAGE, instance, content) == 0:
                    acknowledged[instance] = hashlib.sha256(content).hexdigest()

    for _ in range(KILLS):
        victim.start()
        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.1, 0.6))
        victim.kill()
        for thread in threads:
            thread.join(timeout=30)
    assert len(acknowledged) > KILLS
    assert kept(tmp_path) >= acknowledged.items()


def kept(folder: Path) -> set[tuple[str, str]]:
    """(SOP Instance UID, digest) of every row whose file is there whole."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        rows = connection.execute("SELECT sop_instance_uid, digest, path FROM instances").fetchall()
    whole = set()
    for instance, digest, path in rows:
        _, _, dataset = wire.dataset_of(Path(path))
        if hashlib.sha256(dataset).hexdigest() == digest:
            whole.add((instance, digest))
    return whole


def test_success_is_answered_after_file_folder_and_row_are_synced(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_fsync, record = os.fsync, Ledger.record_arrival

    def fsync(descriptor: int) -> None:
        names = os.stat(descriptor).st_nlink if stat.S_ISREG(os.stat(descriptor).st_mode) else 0
        real_fsync(descriptor)
        steps.append(".dcm" if names == 2 else "folder" if not names else "unnamed")

    monkeypatch.setattr(spool.os, "fsync", fsync)
    monkeypatch.setattr(Ledger, "record_arrival", lambda *a: (steps.append("row"), record(*a))[1])
    assert stored(door, sample(tmp_path)) == [0]
    assert {".dcm", "folder"} <= set(steps[:-1])
    assert steps[-1] == "row"


def test_the_ledger_syncs_every_commit(door: Door) -> None:
    with door.ledger._database.read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("synchronous", "journal_mode")]
    assert pragmas == [2, "wal"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT, errno.EMFILE])
def test_a_disk_that_fails_is_out_of_resources_and_the_next_object_is_taken(
    number: int, door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(spool.os, "fsync", fail)
        assert stored(door, sample(tmp_path, 1)) == [0xA700]
    assert (door.files(), door.ledger.status()) == ([], [])
    assert stored(door, sample(tmp_path, 1), sample(tmp_path, 2)) == [0, 0]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here (needs the right to mount)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_fills_up_is_out_of_resources_until_there_is_room(doors: OpenDoors, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        door = doors.open(spool=disk / "spool", disk_reserve_mb=0.0, disk_watermark=1.0)
        objects = [sample(tmp_path, number, size=256) for number in range(12)]
        statuses = stored(door, *objects)
        assert set(statuses) == {0, 0xA700}
        assert door.ledger.status()[0].instances == statuses.count(0)
        assert list((disk / "spool" / "incoming").iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert stored(door, *objects) == [0] * 12
        door.receiver.stop()


def test_a_read_only_disk_is_out_of_resources(doors: OpenDoors, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        door = doors.open(spool=disk / "spool", disk_reserve_mb=0.0)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert stored(door, sample(tmp_path, 1)) == [0xA700]
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert stored(door, sample(tmp_path, 1)) == [0]
        door.receiver.stop()


def test_a_locked_database_is_out_of_resources_and_nothing_is_half_recorded(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with door.ledger._database.write() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=200")
    path = door.spool.parent / "ledger.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert stored(door, sample(tmp_path, 1)) == [0xA700]
        other.execute("ROLLBACK")
    assert stored(door, sample(tmp_path, 1)) == [0]
    assert door.ledger.status()[0].instances == 1


def test_the_same_object_over_twenty_associations_at_once_is_one_object(door: Door, tmp_path: Path) -> None:
    one, statuses = sample(tmp_path, 1), list[int]()
    threads = [threading.Thread(target=lambda: statuses.extend(stored(door, one))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert statuses == [0] * 20
    assert (len(door.files()), door.ledger.status()[0].instances) == (1, 1)


def test_the_same_object_from_another_ae_leaves_the_first_file_alone(door: Door, tmp_path: Path) -> None:
    assert stored(door, sample(tmp_path, 1)) == [0]
    before = door.files()[0].read_bytes()
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "ANOTHER_ARCHIVE")
        assert wire.store(link, limit, 1, *sample(tmp_path, 1)) == 0
    assert [path.read_bytes() for path in door.files()] == [before]
