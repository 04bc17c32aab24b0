from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from node.intake import spool as spool_module
from node.intake.spool import Spool

KEY = "ab12" * 4


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool", reserve_mb=1)
    made.prepare()
    return made


def kept(spool: Spool, data: bytes, head: bytes = b"") -> Path:
    incoming = spool.begin(head)
    incoming.add(memoryview(data))
    incoming.claim(KEY)
    return incoming.keep()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_object_lies_whole_under_the_digest_of_its_dataset(spool: Spool) -> None:
    path = kept(spool, b"data", b"meta")
    assert path.read_bytes() == b"metadata"
    assert path.name == f"{sha(b'data')}.dcm"


def test_what_has_been_written_can_be_read_from_the_dataset_on(spool: Spool) -> None:
    incoming = spool.begin(b"meta")
    incoming.add(memoryview(b"data"))
    with incoming.dataset() as dataset:
        assert dataset.read() == b"data"
    incoming.drop()


def test_nothing_is_left_in_the_incoming_folder(spool: Spool, tmp_path: Path) -> None:
    kept(spool, b"data")
    spool.begin(b"").drop()
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []


def test_a_file_that_is_there_is_replaced(spool: Spool) -> None:
    path = spool.path(KEY, sha(b"data"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"torn by a power cut")
    assert kept(spool, b"data").read_bytes() == b"data"


def test_a_file_that_is_there_is_replaced_by_synced_bytes_alone(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another receiver may have acknowledged what is there."""
    path, real, seen = kept(spool, b"data"), os.fsync, list[tuple[str, int]]()
    first = path.stat().st_ino

    def fsync(descriptor: int) -> None:
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink().suffix, path.stat().st_ino))
        real(descriptor)

    monkeypatch.setattr(spool_module.os, "fsync", fsync)
    kept(spool, b"data")
    assert seen[0] == (".part", first)


def test_what_lies_here_whole_is_synced_before_it_counts(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    incoming, synced = spool.begin(b"meta"), list[int]()
    incoming.add(memoryview(b"data"))
    incoming.claim(KEY)
    monkeypatch.setattr(spool_module.os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    assert spool.holds(KEY, sha(b"data"), 4)
    path = spool.path(KEY, sha(b"data"))
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]
    incoming.drop()


@pytest.mark.parametrize("content", [b"metada", b"meta\0\0\0\0", b"da"])
def test_what_is_torn_does_not_count(content: bytes, spool: Spool) -> None:
    path = spool.path(KEY, sha(b"data"))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert not spool.holds(KEY, sha(b"data"), 4)


def test_a_file_system_without_links_will_do(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(spool_module.os, "link", refuse)
    assert kept(spool, b"data").read_bytes() == b"data"


def test_too_little_space_is_an_error_before_writing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, reserve_mb=1e12)
    with pytest.raises(OSError) as caught:
        spool.check_space()
    assert caught.value.errno == errno.ENOSPC


def test_a_missing_spool_is_an_error(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "absent", reserve_mb=1)
    with pytest.raises(FileNotFoundError):
        spool.begin(b"")


def test_abandoned_parts_are_removed_at_start_and_young_ones_kept(spool: Spool, tmp_path: Path) -> None:
    incoming = tmp_path / "spool" / "incoming"
    old, young = incoming / "old.part", incoming / "young.part"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    spool.prepare()
    assert sorted(path.name for path in incoming.iterdir()) == ["young.part"]
