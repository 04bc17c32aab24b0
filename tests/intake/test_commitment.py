"""Storage commitment: asked by a real SCU, answered on the same or on a new association, and owed until taken."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association

from node.domain.settings import Sender
from node.intake import commitment
from node.intake.commitment import ALL_SAFE, SOME_MISSING, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
from node.ledger.commitments import CommitmentState
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
from tests.intake.test_receiver import association, encoded, send_bytes
from tests.workflow.house import wait_until


@dataclass
class Listener:
    """The AE of a scanner that takes commitment results."""

    port: int = 0
    status: int = 0x0000
    reports: queue.Queue[tuple[int, Dataset]] = field(default_factory=queue.Queue)

    def on_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.put((event.event_type, event.event_information))
        return self.status, None


@contextmanager
def listening(status: int = 0x0000, port: int = 0) -> Iterator[Listener]:
    listener = Listener(status=status)
    entity = AE("CT1_SC")
    entity.require_called_aet = True
    entity.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, listener.on_report)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    listener.port = int(server.server_address[1])
    try:
        yield listener
    finally:
        server.shutdown()


@contextmanager
def asking(door: Door, listener: Listener | None = None) -> Iterator[Association]:
    entity = AE(ae_title="CT1")
    entity.add_requested_context(STORAGE_COMMITMENT)
    entity.add_requested_context(CT_IMAGE)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, listener.on_report)] if listener else []
    link = entity.associate("127.0.0.1", door.port, ae_title="NODE", evt_handlers=handlers)
    assert link.is_established
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def ask(link: Association, *instances: str, sop_class: str = CT_IMAGE, action: int = 1) -> tuple[str, int]:
    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        request.ReferencedSOPSequence.append(item)
    status, _ = link.send_n_action(request, action, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    return str(request.TransactionUID), int(status.Status)


def store(door: Door, folder: Path, number: int) -> str:
    content = encoded(write(ct_slice(1, 1, number), folder / f"{number}.dcm"))
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, number)) == 0
    return uid(1, 1, number)


def scanner(port: int | None = None) -> Sender:
    return Sender("ct", "CT1", answer_ae_title="CT1_SC", answer_host="127.0.0.1", answer_port=port)


def test_what_lies_here_is_committed_over_the_same_association(door: Door, tmp_path: Path) -> None:
    stored = store(door, tmp_path, 1)
    listener = Listener()
    with asking(door, listener) as link:
        transaction, status = ask(link, stored)
        assert status == 0
        event_type, information = listener.reports.get(timeout=20)
    assert (event_type, information.TransactionUID) == (ALL_SAFE, transaction)
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == [stored]


def test_what_does_not_lie_here_is_named_as_failed(doors: OpenDoors, tmp_path: Path) -> None:
    with listening() as listener:
        door = doors.open(open_to_all=False, senders=(scanner(listener.port),))
        stored = store(door, tmp_path, 1)
        with asking(door) as link:
            ask(link, stored, "1.2.3.4")
        event_type, information = listener.reports.get(timeout=20)
    assert event_type == SOME_MISSING
    (failed,) = information.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.3.4", 0x0112)
    assert [item.ReferencedSOPInstanceUID for item in information.ReferencedSOPSequence] == [stored]


def test_another_sop_class_is_a_conflict(doors: OpenDoors, tmp_path: Path) -> None:
    with listening() as listener:
        door = doors.open(open_to_all=False, senders=(scanner(listener.port),))
        stored = store(door, tmp_path, 1)
        with asking(door) as link:
            ask(link, stored, sop_class="1.2.840.10008.5.1.4.1.1.4")
        _, information = listener.reports.get(timeout=20)
    assert information.FailedSOPSequence[0].FailureReason == 0x0119


def test_a_file_that_is_gone_is_not_committed(doors: OpenDoors, tmp_path: Path) -> None:
    with listening() as listener:
        door = doors.open(open_to_all=False, senders=(scanner(listener.port),))
        stored = store(door, tmp_path, 1)
        door.files()[0].unlink()
        with asking(door) as link:
            ask(link, stored)
        assert listener.reports.get(timeout=20)[0] == SOME_MISSING


def test_an_answer_that_is_not_taken_is_offered_again_after_a_restart(
    doors: OpenDoors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitment, "FIRST_DELAY_S", 0.2)
    with listening(status=0x0110) as deaf:
        door = doors.open(open_to_all=False, senders=(scanner(deaf.port),))
        stored = store(door, tmp_path, 1)
        with asking(door) as link:
            transaction, _ = ask(link, stored)
        deaf.reports.get(timeout=20)
    door.receiver.stop()
    assert door.ledger.commitments.states() == {transaction: CommitmentState.OWED}
    with listening(port=deaf.port) as listener:
        doors.again(door)
        assert listener.reports.get(timeout=30)[1].TransactionUID == transaction
        wait_until(lambda: door.ledger.commitments.states() == {transaction: CommitmentState.ANSWERED}, 10)


@pytest.mark.parametrize(("action", "status"), [(2, 0x0123)])
def test_another_action_is_refused(action: int, status: int, door: Door) -> None:
    with asking(door) as link:
        assert ask(link, "1.2.3", action=action)[1] == status


def test_a_request_about_nothing_is_refused(door: Door) -> None:
    with asking(door) as link:
        assert ask(link)[1] == 0x0115
