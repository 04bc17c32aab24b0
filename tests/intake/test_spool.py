from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from node.intake.spool import Spool, digest

KEY = "ab12" * 4


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool", reserve_mb=1)
    made.prepare()
    return made


def test_an_object_lies_whole_under_its_digest(spool: Spool) -> None:
    path = spool.keep(KEY, digest(b"data"), b"meta", memoryview(b"data"))
    assert path.read_bytes() == b"metadata"
    assert path.name == f"{digest(b'data')}.dcm"


def test_nothing_is_left_in_the_incoming_folder(spool: Spool, tmp_path: Path) -> None:
    spool.keep(KEY, digest(b"data"), b"data")
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []


def test_a_file_that_is_there_is_replaced(spool: Spool) -> None:
    path = spool.path(KEY, digest(b"data"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"torn by a power cut")
    assert spool.keep(KEY, digest(b"data"), b"data").read_bytes() == b"data"


def test_too_little_space_is_an_error_before_writing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, reserve_mb=1e12)
    with pytest.raises(OSError) as caught:
        spool.check_space()
    assert caught.value.errno == errno.ENOSPC


def test_a_missing_spool_is_an_error(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "absent", reserve_mb=1)
    with pytest.raises(FileNotFoundError):
        spool.keep(KEY, digest(b"data"), b"data")


def test_abandoned_parts_are_removed_at_start_and_young_ones_kept(spool: Spool, tmp_path: Path) -> None:
    incoming = tmp_path / "spool" / "incoming"
    old, young = incoming / "old.part", incoming / "young.part"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    spool.prepare()
    assert sorted(path.name for path in incoming.iterdir()) == ["young.part"]
