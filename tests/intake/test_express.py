"""C-STORE requests read off the connection, in every shape that PS3.8 allows, and what is left to pynetdicom."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ledger import Ledger
from node.ledger.records import Arrival, Recorded
from tests import wire
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
from tests.intake.test_door import sample, still_serves
from tests.intake.test_receiver import association, encoded
from tests.workflow.house import wait_until

_SAMPLE_UID = uid(1, 1, 1)
_VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture
def link(door: Door) -> Iterator[socket.socket]:
    with wire.connect(door.port, timeout_s=20.0) as opened:
        wire.associate(opened, "NODE", "CT1")
        yield opened


@pytest.fixture
def one(tmp_path: Path) -> tuple[str, str, bytes]:
    return sample(tmp_path, 1)


def value(content: bytes, control: int, context: int = wire.CONTEXT) -> bytes:
    """One presentation data value (PS3.8 section 9.3.5.1)."""
    return struct.pack(">LBB", len(content) + 2, context, control) + content


def pdu(*values: bytes) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxL", wire.P_DATA, len(body)) + body


def test_command_and_dataset_may_share_a_pdu(door: Door, link: socket.socket, one: tuple[str, str, bytes]) -> None:
    link.sendall(pdu(value(wire.store_rq(7, *one[:2]), 3), value(one[2], 2)))
    assert wire.answer_of(link) == (7, 0x0000)
    assert len(door.files()) == 1


def test_two_requests_may_share_a_pdu(door: Door, link: socket.socket, tmp_path: Path) -> None:
    values = []
    for number in (1, 2):
        sop_class, instance, dataset = sample(tmp_path, number)
        values += [value(wire.store_rq(number, sop_class, instance), 3), value(dataset, 2)]
    link.sendall(pdu(*values))
    assert [wire.answer_of(link), wire.answer_of(link)] == [(1, 0x0000), (2, 0x0000)]
    assert len(door.files()) == 2


def test_a_command_may_come_in_pieces(link: socket.socket, one: tuple[str, str, bytes]) -> None:
    command = wire.store_rq(7, *one[:2])
    link.sendall(pdu(value(command[:20], 1)) + pdu(value(command[20:50], 1), value(command[50:], 3)))
    link.sendall(pdu(value(one[2][:100], 0)) + pdu(value(b"", 0), value(one[2][100:], 0)) + pdu(value(b"", 2)))
    assert wire.answer_of(link) == (7, 0x0000)


def test_a_request_without_a_dataset_is_not_understood(link: socket.socket, one: tuple[str, str, bytes]) -> None:
    command = wire.store_rq(7, *one[:2])
    dataset_type = wire.element(0x0800, struct.pack("<H", 0x0001))
    none = wire.element(0x0800, struct.pack("<H", 0x0101))
    link.sendall(pdu(value(command.replace(dataset_type, none), 3)))
    assert wire.answer_of(link) == (7, 0xC000)
    assert wire.store(link, 4096, 8, *one) == 0x0000


def test_a_request_that_names_no_instance_is_not_understood(link: socket.socket, one: tuple[str, str, bytes]) -> None:
    assert wire.store(link, 4096, 1, one[0], "", one[2]) == 0xC000
    assert wire.store(link, 4096, 2, *one) == 0x0000


@pytest.mark.parametrize("largest", [7, 32, 100])
def test_an_answer_is_cut_to_what_the_peer_takes(largest: int, door: Door, one: tuple[str, str, bytes]) -> None:
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "CT1", largest_pdu=largest)
        wire.send_store(link, 4096, 7, *one)
        command, last = b"", False
        while not last:
            kind, body = wire.receive(link)
            assert (kind, len(body) <= largest) == (wire.P_DATA, True)
            command, last = command + body[6:], bool(body[5] & 2)
    assert command.endswith(one[1].encode() + b"\0" * (len(one[1]) % 2))


def test_other_requests_come_between_stores(door: Door, tmp_path: Path) -> None:
    with association(door) as link:
        for number in range(4):
            assert link.send_c_echo().Status == 0x0000
            data = ct_slice(1, 1, number)
            assert link.send_c_store(write(data, tmp_path / f"{number}.dcm")).Status == 0x0000
    assert len(door.files()) == 4


def test_another_request_in_pieces_is_left_whole_to_who_serves_it(door: Door, tmp_path: Path) -> None:
    """A C-ECHO whose command comes in three PDUs, and at once behind it a C-STORE."""
    echo = b"".join(
        (
            wire.element(0x0002, _VERIFICATION.encode() + b"\0"),
            wire.element(0x0100, struct.pack("<H", 0x0030)),
            wire.element(0x0110, struct.pack("<H", 5)),
            wire.element(0x0800, struct.pack("<H", 0x0101)),
        )
    )
    echo = wire.element(0x0000, struct.pack("<L", len(echo))) + echo
    with wire.connect(door.port, timeout_s=20.0) as link:
        wire.associate(link, "NODE", "CT1")
        pieces = [pdu(value(echo[:9], 1)), pdu(value(echo[9:30], 1)), pdu(value(echo[30:], 3))]
        link.sendall(b"".join(pieces))
        wire.send_store(link, 4096, 6, *sample(tmp_path, 1))
        answers = {wire.answer_of(link), wire.answer_of(link)}
    assert answers == {(5, 0x0000), (6, 0x0000)}


@pytest.mark.parametrize(
    "broken",
    [
        pdu(value(b"more", 1)),  # a command within a dataset
        pdu(value(b"more", 2, context=3)),  # another presentation context
        pdu(struct.pack(">LBB", 1, 1, 2)),  # a length that leaves no room for its own head
        pdu(struct.pack(">LBB", 4000, 1, 2) + b"short"),  # longer than its PDU
        pdu(b"abc"),  # no head at all
        pdu(),  # nothing
        b"\x09\0\0\0\0\x04abcd",  # no PDU of this kind
    ],
)
def test_a_broken_dataset_ends_the_association_and_leaves_nothing(
    broken: bytes, door: Door, link: socket.socket, one: tuple[str, str, bytes], tmp_path: Path
) -> None:
    link.sendall(pdu(value(wire.store_rq(7, *one[:2]), 3)) + pdu(value(one[2][:200], 0)) + broken)
    kind, _ = wire.receive(link)
    assert kind == wire.A_ABORT
    wait_until(lambda: not list((door.spool / "incoming").iterdir()), 10)
    assert door.ledger.status() == []
    assert still_serves(door, tmp_path)


def test_an_object_on_the_context_of_another_service_is_not_stored(
    door: Door, one: tuple[str, str, bytes], tmp_path: Path
) -> None:
    with wire.connect(door.port, timeout_s=20.0) as link:
        wire.associate(link, "NODE", "CT1", _VERIFICATION)
        wire.send_store(link, 4096, 7, *one)
        assert wire.answer_of(link)[1] != 0x0000
    assert door.files() == []
    assert still_serves(door, tmp_path)


def test_a_slow_disk_is_no_idle_peer(doors: OpenDoors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door, record = doors.open(network_timeout_s=0.5), Ledger.record_arrival

    def slowly(ledger: Ledger, arrival: Arrival) -> Recorded:
        time.sleep(1.5)
        return record(ledger, arrival)

    monkeypatch.setattr(Ledger, "record_arrival", slowly)
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "CT1")
        assert wire.store(link, 4096, 1, *sample(tmp_path, 1)) == 0x0000


def test_an_object_larger_than_any_buffer_arrives_whole(door: Door, tmp_path: Path) -> None:
    dataset = encoded(write(ct_slice(1, 1, 1, size=1024), tmp_path / "large.dcm"))
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "CT1")
        assert wire.store(link, 1_000_003, 1, CT_IMAGE, _SAMPLE_UID, dataset) == 0x0000
    assert wire.dataset_of(door.files()[0])[2] == dataset


def test_the_size_of_an_object_costs_no_memory(door: Door, one: tuple[str, str, bytes]) -> None:
    """64 MB of pixels behind a header, sent from one megabyte again and again."""
    place = one[2].rindex(b"\xe0\x7f\x10\x00")
    pixels, times = bytes(1_000_000), 64
    head = one[2][:place] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", times * len(pixels))
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "CT1")
        tracemalloc.start()
        try:
            link.sendall(pdu(value(wire.store_rq(7, *one[:2]), 3)) + pdu(value(head, 0)))
            for number in range(times):
                link.sendall(pdu(value(pixels, 2 if number == times - 1 else 0)))
            assert wire.answer_of(link) == (7, 0x0000)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 16e6
