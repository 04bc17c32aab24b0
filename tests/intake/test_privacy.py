"""Marked patient data goes in at every place where it can; it must be in no log, whatever goes wrong meanwhile."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from node import app, log
from node.config import load
from node.domain.settings import AssemblySettings
from node.intake import Assembly
from node.ledger import LedgerUnavailable
from tests import wire
from tests.fuzz.mutate import mutated
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write

MARK = "GEHEIM"
RULES = '[[rules]]\nname = "trunk"\nwhen = { attribute = "modality", equals = "CT" }\n'


def marked(number: int) -> Dataset:
    """A slice with the mark in every attribute that may identify a patient, and in free text."""
    return ct_slice(
        *(1, 1, number),
        PatientName=f"{MARK}^Anna",
        PatientID=f"{MARK}-4711",
        PatientBirthDate="19400101",
        OtherPatientNames=f"{MARK}^A",
        PatientAddress=f"{MARK} Street 1",
        ReferringPhysicianName=f"{MARK}^Doctor",
        AccessionNumber=f"{MARK}1",
        StudyDescription=f"{MARK} Anna",
        SeriesDescription=f"{MARK} Anna",
        ProtocolName=f"{MARK} Anna",
        InstitutionName=f"{MARK} Hospital",
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that is logged while marked objects arrive whole, damaged and twice, and are decided."""
    folder = tmp_path_factory.mktemp("privacy")
    doors = OpenDoors(folder)
    door = doors.open()
    log.setup("DEBUG", as_json=True, stream=door.log)
    objects = [wire.dataset_of(write(marked(number), folder / f"{number}.dcm")) for number in range(10)]
    chance = random.Random(6)
    for _, instance, content in objects:
        _send(door, instance, content)
        _send(door, instance, content + b"\0\0")
        for _ in range(2):
            _send(door, instance, mutated(content, chance))
    _send(door, MARK, objects[0][2])
    _decide(door, folder)
    doors.close()
    return door.log.getvalue()


def _send(door: Door, instance: str, content: bytes) -> None:
    try:
        with wire.connect(door.port) as link:
            limit = wire.associate(link, "NODE", "CT1")
            wire.store(link, limit, 1, CT_IMAGE, instance, content)
            wire.release(link)
    except (wire.Closed, OSError):
        return


def _decide(door: Door, folder: Path) -> None:
    (folder / "node.toml").write_text(RULES)
    routes = app.routes(load(folder / "node.toml", {"VBMD_NODE_STATE": str(folder / "state")}))
    assembly = Assembly(door.ledger, AssemblySettings(0, 1), lambda: routes, lambda _job: None)
    assembly.sweep()
    with door.ledger._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE decisions RENAME TO hidden")
    _send(door, uid(1, 1, 40), wire.dataset_of(write(marked(40), folder / "late.dcm"))[2])
    assembly._guarded_sweep()


def test_much_was_logged(written: str) -> None:
    events = ("association-ended", "object-not-stored", "other-bytes-under-known-uid", "decided", "sweep-postponed")
    assert [event for event in events if event not in written] == []


def test_no_log_holds_what_was_marked(written: str) -> None:
    assert [line for line in written.splitlines() if MARK.casefold() in line.casefold()] == []


def test_no_log_holds_a_birth_date(written: str) -> None:
    assert "19400101" not in written


def test_a_database_error_says_nothing_of_its_row(door: Door, tmp_path: Path) -> None:
    with door.ledger._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE instances RENAME TO hidden")
    _send(door, uid(1, 1, 1), wire.dataset_of(write(marked(1), tmp_path / "1.dcm"))[2])
    with pytest.raises(LedgerUnavailable) as caught:
        door.ledger.knows("1.2", "digest")
    assert MARK not in str(caught.value) + door.log.getvalue()


def test_the_mark_would_be_found(written: str) -> None:
    stream = io.StringIO()
    log.setup("DEBUG", as_json=True, stream=stream)
    log.get(__name__).info("seen", name=f"{MARK}^Anna")
    assert MARK in stream.getvalue()
    assert MARK not in written
