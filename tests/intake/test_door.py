"""Who is let in, and peers that misbehave on the wire: none holds up another, none costs memory."""

from __future__ import annotations

import resource
import struct
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from node.domain.settings import Sender
from node.errors import ConfigError
from tests import wire
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, ct_series, ct_slice, uid, write
from tests.intake.test_receiver import association, encoded, wait_for_log
from tests.peers import peer
from tests.workflow.house import wait_until


def sample(folder: Path, number: int = 1, size: int = 16) -> tuple[str, str, bytes]:
    return CT_IMAGE, uid(1, 1, number), encoded(write(ct_slice(1, 1, number, size=size), folder / f"{number}.dcm"))


def still_serves(door: Door, folder: Path, number: int = 99) -> bool:
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "GOOD")
        return wire.store(link, limit, 1, *sample(folder, number)) == 0


def test_who_is_unknown_is_recorded_with_what_it_wanted(doors: OpenDoors) -> None:
    door = doors.open(open_to_all=False)
    for _ in range(2):
        with association(door, calling="CT9") as link:
            assert link.is_rejected
    wait_until(lambda: [one.attempts for one in door.ledger.senders.waiting()] == [2], 10)
    (stranger,) = door.ledger.senders.waiting()
    assert (stranger.calling_ae_title, stranger.called_ae_title, stranger.host) == ("CT9", "NODE", "127.0.0.1")
    assert CT_IMAGE in stranger.sop_classes


def test_who_calls_another_title_is_told_so_and_recorded(doors: OpenDoors) -> None:
    door = doors.open(open_to_all=False, senders=(Sender("ct", "CT1"),))
    with association(door, called="OTHER") as link:
        assert link.acceptor.primitive.diagnostic == 0x07
    wait_until(lambda: len(door.ledger.senders.waiting()) == 1, 10)


def test_a_sender_admitted_later_gets_in_without_a_restart(doors: OpenDoors) -> None:
    door = doors.open(open_to_all=False)
    with association(door) as link:
        assert link.is_rejected
    door.receiver.configure(replace(door.receiver._settings, senders=(Sender("ct", "CT1"),)))
    with association(door) as link:
        assert link.is_established


def test_the_list_of_strangers_has_an_end(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.ledger.senders.MOST_ROWS", 5)
    for number in range(9):
        door.ledger.senders.turned_away(f"AE{number}", "NODE", "192.0.2.1", "unknown-sender", [])
    assert [one.calling_ae_title for one in door.ledger.senders.waiting()] == ["AE8", "AE7", "AE6", "AE5", "AE4"]


def test_an_open_node_says_so_in_its_log(door: Door) -> None:
    assert "open-to-all" in door.log.getvalue()


def test_above_the_watermark_associations_are_rejected_for_now(doors: OpenDoors) -> None:
    door = doors.open(disk_watermark=1e-9)
    with association(door) as link:
        assert link.is_rejected
        answer = link.acceptor.primitive
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)
    assert door.ledger.senders.waiting() == []


def test_an_announced_length_costs_no_memory(door: Door, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for length in (0xFFFFFFFF, 0x7FFFFFFF, 63 << 20):
        with wire.connect(door.port) as link:
            wire.associate(link, "NODE", "LIAR")
            link.sendall(struct.pack(">BBL", 4, 0, length) + b"\0" * 100)
    assert still_serves(door, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_an_object_without_end_ends_its_association(doors: OpenDoors, tmp_path: Path) -> None:
    door = doors.open(max_object_mb=2.0)
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "ENDLESS")
        link.sendall(wire.p_data(wire.store_rq(1, CT_IMAGE, uid(1, 1, 1)), limit, command=True)[0])
        endless = struct.pack(">BBLLBB", 4, 0, 100_006, 100_002, 1, 0) + b"\0" * 100_000
        with pytest.raises(ConnectionError):
            link.sendall(endless * 300)
    assert "object-too-large" in door.log.getvalue()
    assert still_serves(door, tmp_path)


def test_connections_that_are_opened_and_closed_take_no_place(doors: OpenDoors, tmp_path: Path) -> None:
    """Load balancers look whether somebody is there; each look must not count as an association for half a minute."""
    door = doors.open(max_associations=2)
    for _ in range(40):
        wire.connect(door.port).close()
    assert still_serves(door, tmp_path)
    wait_until(lambda: not door.receiver._servers[0].active_associations, 5)


def test_a_peer_that_does_not_wait_for_answers_gets_them_all(door: Door, tmp_path: Path) -> None:
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "ASYNC", window=0xFFFF)
        for number in range(20):
            wire.send_store(link, limit, number, *sample(tmp_path, number))
        answers = [wire.answer_of(link) for _ in range(20)]
        wire.release(link)
    assert answers == [(number, 0) for number in range(20)]


def test_an_abort_in_the_middle_of_an_object_leaves_nothing(door: Door, tmp_path: Path) -> None:
    sop_class, instance, content = sample(tmp_path, 1, size=256)
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "ABORTER")
        pdus = [*wire.p_data(wire.store_rq(1, sop_class, instance), 16_384, command=True)]
        pdus += wire.p_data(content, 16_384, command=False)[:3]
        link.sendall(b"".join(pdus) + wire.ABORT)
    wait_for_log(door, "association-ended")
    assert (door.files(), door.ledger.status()) == ([], [])
    assert still_serves(door, tmp_path)


@pytest.mark.parametrize("pdu", [16, 128, 4_096, 16_384, 131_072, 1 << 20])
def test_objects_in_pdus_of_any_size_are_stored(pdu: int, door: Door, tmp_path: Path) -> None:
    with wire.connect(door.port) as link:
        wire.associate(link, "NODE", "PIECES", largest_pdu=pdu)
        assert wire.store(link, pdu, 1, *sample(tmp_path)) == 0
    assert door.ledger.status()[0].instances == 1


@pytest.mark.peer
@pytest.mark.parametrize("pdu", ["4096", "131072"])
def test_dcmtk_senders_of_any_pdu_size_are_served(pdu: str, door: Door, tmp_path: Path) -> None:
    files = ct_series(tmp_path, count=2, size=256)
    command = [peer("storescu"), "-pdu", pdu, "--max-send-pdu", pdu, "-aec", "NODE", "127.0.0.1", str(door.port)]
    subprocess.run([*command, *map(str, files)], check=True)
    assert door.ledger.status()[0].instances == 2


def test_a_slow_peer_does_not_slow_the_others(door: Door, tmp_path: Path) -> None:
    """Twenty peers stand in the middle of an object each; another is served as if it were alone."""
    sop_class, instance, content = sample(tmp_path, 1, size=128)
    slow = []
    for _ in range(20):
        link = wire.connect(door.port)
        limit = wire.associate(link, "NODE", "SLOW")
        link.sendall(wire.p_data(wire.store_rq(1, sop_class, instance), limit, command=True)[0])
        link.sendall(wire.p_data(content, limit, command=False)[0][:5_000])
        slow.append(link)
    begun = time.monotonic()
    for number in range(10):
        assert still_serves(door, tmp_path, 10 + number)
    assert time.monotonic() - begun < 10
    for link in slow:
        link.close()


def test_an_idle_association_is_ended(doors: OpenDoors) -> None:
    door = doors.open(network_timeout_s=1.0)
    with wire.connect(door.port, timeout_s=20) as link:
        wire.associate(link, "NODE", "IDLE")
        assert wire.receive(link)[0] == wire.A_ABORT


def test_an_object_costs_the_receiver_little_time(door: Door, tmp_path: Path) -> None:
    """Bytes are written, not decoded: a slice of half a megabyte, both ends counted (the sender is about a tenth)."""
    objects = [sample(tmp_path, number, size=512) for number in range(30)]
    costs = []
    with wire.connect(door.port) as link:
        limit = wire.associate(link, "NODE", "FAST")
        for some in (objects[0:10], objects[10:20], objects[20:30]):  # the best counts: others use the same caches
            begun = time.process_time()
            assert {wire.store(link, limit, number, *one) for number, one in enumerate(some)} == {0}
            costs.append((time.process_time() - begun) / len(some))
    assert min(costs) < 0.025, costs


def test_a_port_that_is_taken_is_a_configuration_error(doors: OpenDoors, door: Door) -> None:
    with pytest.raises(ConfigError, match=r"node\.port: cannot be used"):
        doors.open(port=door.port)


def test_a_spool_that_cannot_be_made_is_a_configuration_error(doors: OpenDoors, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"node\.spool: cannot be used"):
        doors.open(spool=tmp_path / "file" / "spool")
