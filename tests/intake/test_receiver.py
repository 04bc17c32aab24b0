"""The receiver against real senders: DCMTK's programs, and pynetdicom where a sender must misbehave."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from node.domain.settings import Sender
from tests.intake.conftest import Door, OpenDoors
from tests.intake.objects import CT_IMAGE, PATIENT, ct_series, ct_slice, uid, write
from tests.peers import peer

VERIFICATION = "1.2.840.10008.1.1"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


@contextmanager
def association(
    door: Door, called: str = "NODE", calling: str = "CT1", syntax: str = ExplicitVRLittleEndian
) -> Iterator[Association]:
    entity = AE(ae_title=calling)
    for sop_class in (CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT):
        entity.add_requested_context(sop_class, syntax)
    entity.add_requested_context(VERIFICATION)
    link = entity.associate("127.0.0.1", door.port, ae_title=called)
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def send_bytes(link: Association, content: bytes, sop_instance: str, sop_class: str = CT_IMAGE) -> int:
    """Send bytes as they are, whatever they are; return the status."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, sop_instance
    request.DataSet = BytesIO(content)
    context = link._get_valid_context(sop_class, "", "scu")
    link._reactor_checkpoint.clear()
    while not link._is_paused:
        time.sleep(0.001)
    link.dimse.send_msg(request, context.context_id)
    _, answer = link.dimse.get_msg(block=True)
    link._reactor_checkpoint.set()
    return int(answer.Status)


def dataset_bytes(path: Path) -> bytes:
    """What follows the file meta information."""
    content = path.read_bytes()
    return content[144 + int.from_bytes(content[140:144], "little") :]


def encoded(dataset: Path) -> bytes:
    return dataset_bytes(dataset)


def wait_for_log(door: Door, text: str, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while text not in door.log.getvalue():
        assert time.monotonic() < deadline, door.log.getvalue()
        time.sleep(0.02)


@pytest.mark.peer
def test_echo_is_answered(door: Door) -> None:
    subprocess.run([peer("echoscu"), "-aec", "NODE", "127.0.0.1", str(door.port)], check=True)


@pytest.mark.peer
@pytest.mark.parametrize("program", ["dcmsend", "storescu"])
def test_a_series_is_stored_bit_for_bit(program: str, door: Door, tmp_path: Path) -> None:
    files = ct_series(tmp_path / "ct")
    subprocess.run([peer(program), "-aec", "NODE", "127.0.0.1", str(door.port), *files], check=True)
    assert sorted(map(dataset_bytes, door.files())) == sorted(map(dataset_bytes, files))
    assert door.ledger.status()[0].instances == 5


_CONVERTERS = {
    "1.2.840.10008.1.2": (["dcmconv", "+ti"], "-xi"),
    "1.2.840.10008.1.2.1": (["dcmconv", "+te"], "-xe"),
    "1.2.840.10008.1.2.1.99": (["dcmconv", "+td"], "-xd"),
    "1.2.840.10008.1.2.2": (["dcmconv", "+tb"], "-xb"),
    "1.2.840.10008.1.2.5": (["dcmcrle"], "-xr"),
    "1.2.840.10008.1.2.4.70": (["dcmcjpeg", "+e1"], "-xs"),
    "1.2.840.10008.1.2.4.51": (["dcmcjpeg", "+ee"], "-xx"),
    "1.2.840.10008.1.2.4.80": (["dcmcjpls"], "-xt"),
    "1.2.840.10008.1.2.4.81": (["dcmcjpls", "+en"], "-xu"),
}


@pytest.mark.peer
@pytest.mark.parametrize("syntax", _CONVERTERS)
def test_every_transfer_syntax_is_kept_as_sent(syntax: str, door: Door, tmp_path: Path) -> None:
    command, proposal = _CONVERTERS[syntax]
    source = write(ct_slice(1, 1, 1, BitsStored=12, HighBit=11, PixelRepresentation=0), tmp_path / "source.dcm")
    sent = tmp_path / "sent.dcm"
    subprocess.run([peer(command[0]), *command[1:], source, sent], check=True)
    subprocess.run([peer("storescu"), proposal, "-aec", "NODE", "127.0.0.1", str(door.port), sent], check=True)
    (kept,) = door.files()
    assert dcmread(kept, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    original = dataset_bytes(sent)
    assert dataset_bytes(kept) in (original, original + b"\0")  # storescu pads a deflated stream to an even length
    assert door.ledger.status()[0].modality == "CT"


@pytest.mark.parametrize("syntax", [JPEG_2000, "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.57"])
def test_syntaxes_that_need_a_licensed_encoder_are_kept_undecoded(syntax: str, door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door, syntax=syntax) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000
    (kept,) = door.files()
    assert dataset_bytes(kept) == content
    assert dcmread(kept, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("sop_class", [ENHANCED_CT, LEGACY_ENHANCED_CT])
def test_multi_frame_ct_is_accepted(sop_class: str, door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1, SOPClassUID=sop_class, NumberOfFrames=1), tmp_path / "source.dcm"))
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1), sop_class) == 0x0000


def test_success_comes_after_the_row(door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000
        assert door.ledger.status()[0].instances == 1


def test_the_same_bytes_again_are_success_once(door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door) as link:
        assert [send_bytes(link, content, uid(1, 1, 1)) for _ in range(3)] == [0, 0, 0]
    assert len(door.files()) == 1
    assert door.ledger.status()[0].instances == 1


def test_other_bytes_under_the_same_uid_are_kept_beside(door: Door, tmp_path: Path) -> None:
    first = encoded(write(ct_slice(1, 1, 1), tmp_path / "first.dcm"))
    second = encoded(write(ct_slice(1, 1, 1, SeriesDescription="changed"), tmp_path / "second.dcm"))
    with association(door) as link:
        assert [send_bytes(link, content, uid(1, 1, 1)) for content in (first, second)] == [0, 0]
    assert sorted(map(dataset_bytes, door.files())) == sorted((first, second))
    assert "variant-instance" in [event.kind for event in door.ledger.events()]


def test_a_lost_file_is_written_again_when_it_is_sent_again(door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door) as link:
        send_bytes(link, content, uid(1, 1, 1))
        door.files()[0].unlink()
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000
    assert len(door.files()) == 1


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"StudyInstanceUID": None}, 0xC000),
        ({"SeriesInstanceUID": ""}, 0xC000),
        ({"SOPInstanceUID": uid(9, 9, 9)}, 0xC000),
        ({"StudyInstanceUID": "1." * 40 + "1"}, 0xC000),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, 0xA900),
    ],
)
def test_an_object_that_contradicts_itself_is_refused_and_the_next_is_taken(
    attributes: dict[str, str | None], status: int, door: Door, tmp_path: Path
) -> None:
    dataset = ct_slice(1, 1, 1, **attributes)
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    good = encoded(write(ct_slice(1, 1, 2), tmp_path / "good.dcm"))
    with association(door) as link:
        assert send_bytes(link, buffer.getvalue(), uid(1, 1, 1)) == status
        assert send_bytes(link, good, uid(1, 1, 2)) == 0x0000
    assert len(door.files()) == 1


@pytest.mark.parametrize("content", [b"", b"\0", b"GARBAGE!" * 100, b"\x08\x00\x05\x00CS\xff\xff" + b"x" * 50])
def test_bytes_that_are_no_dataset_are_refused_and_the_next_is_taken(
    content: bytes, door: Door, tmp_path: Path
) -> None:
    good = encoded(write(ct_slice(1, 1, 2), tmp_path / "good.dcm"))
    with association(door) as link:
        if content:
            assert send_bytes(link, content, uid(1, 1, 1)) == 0xC000
        assert send_bytes(link, good, uid(1, 1, 2)) == 0x0000


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO 2022 IR 87", "GB18030", "NONSENSE", ""])
def test_odd_character_sets_do_not_matter(charset: str, door: Door) -> None:
    dataset = ct_slice(1, 1, 1, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Wirbelsäule 腰椎")
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    content = buffer.getvalue().replace(b"ISO_IR 192", charset.encode().ljust(10)[:10])
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000


def test_an_unknown_sender_is_rejected(doors: OpenDoors) -> None:
    door = doors.open(open_to_all=False, senders=(Sender("scanner", "CT1"),))
    with association(door, calling="CT2") as link:
        assert link.is_rejected
    wait_for_log(door, "unknown-sender")
    with association(door, calling="CT1") as link:
        assert link.is_established


def test_a_sender_from_another_host_is_rejected(doors: OpenDoors) -> None:
    door = doors.open(open_to_all=False, senders=(Sender("scanner", "CT1", "192.0.2.1"),))
    with association(door) as link:
        assert link.is_rejected


def test_another_called_title_is_rejected(door: Door) -> None:
    with association(door, called="OTHER") as link:
        assert link.is_rejected


def test_below_the_disk_reserve_objects_are_answered_out_of_resources(doors: OpenDoors, tmp_path: Path) -> None:
    door = doors.open(disk_reserve_mb=1e9)
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0xA700
    assert door.files() == []


def test_a_write_that_fails_halfway_is_out_of_resources_and_the_next_is_taken(door: Door, tmp_path: Path) -> None:
    large = encoded(write(ct_slice(1, 1, 1, size=512), tmp_path / "large.dcm"))
    small = encoded(write(ct_slice(1, 1, 2), tmp_path / "small.dcm"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with association(door) as link:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        try:
            assert send_bytes(link, large, uid(1, 1, 1)) == 0xA700
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert send_bytes(link, small, uid(1, 1, 2)) == 0x0000
    assert len(door.files()) == 1
    assert list((door.spool / "incoming").iterdir()) == []


def test_a_spool_that_vanished_is_out_of_resources(door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    shutil.rmtree(door.spool)
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0xA700


def test_a_ledger_that_does_not_answer_is_out_of_resources(door: Door, tmp_path: Path) -> None:
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with door.ledger._database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE instances RENAME TO hidden")
    with association(door) as link:
        assert send_bytes(link, content, uid(1, 1, 1)) == 0xA700
        with door.ledger._database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE hidden RENAME TO instances")
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000
    assert door.ledger.status()[0].instances == 1


def test_a_peer_that_stops_in_the_middle_of_an_object_does_not_hold_up_another(
    doors: OpenDoors, tmp_path: Path
) -> None:
    door = doors.open(network_timeout_s=1.0)
    content = encoded(write(ct_slice(1, 1, 1), tmp_path / "source.dcm"))
    with association(door) as stuck, association(door) as link:
        stuck.dul.socket.socket.send(b"\x04\x00\x00\x00\xff\xff half a PDU")
        assert send_bytes(link, content, uid(1, 1, 1)) == 0x0000
        wait_for_log(door, "association-ended", limit_s=15)


def test_a_connection_that_says_nothing_is_closed(doors: OpenDoors) -> None:
    door = doors.open(network_timeout_s=0.5)
    with socket.create_connection(("127.0.0.1", door.port)) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
        silent.settimeout(10)
        while silent.recv(1024):
            continue
    with association(door) as link:
        assert link.is_established


def test_too_many_associations_are_rejected_for_now(doors: OpenDoors) -> None:
    door = doors.open(max_associations=1)
    with association(door) as first, association(door) as second:
        assert first.is_established
        assert second.is_rejected
        assert second.acceptor.primitive.result == 0x02  # transient


@pytest.mark.peer
def test_twenty_associations_at_once_store_everything(door: Door, tmp_path: Path) -> None:
    groups = [ct_series(tmp_path / f"{study}", study=study, count=3) for study in range(20)]
    command = [peer("storescu"), "-aec", "NODE", "127.0.0.1", str(door.port)]
    clients = [subprocess.Popen([*command, *files]) for files in groups]
    assert [client.wait(timeout=60) for client in clients] == [0] * 20
    assert sum(row.instances for row in door.ledger.status()) == 60


def test_no_log_line_names_the_patient(door: Door, tmp_path: Path) -> None:
    good = encoded(write(ct_slice(1, 1, 1), tmp_path / "good.dcm"))
    with association(door) as link:
        send_bytes(link, good, uid(1, 1, 1))
        send_bytes(link, good, uid(1, 1, 2))
        send_bytes(link, good[:300], uid(1, 1, 3))
        send_bytes(link, PATIENT.encode() * 20, uid(1, 1, 4))
    wait_for_log(door, "association-ended")
    assert "GEHEIM" not in door.log.getvalue()
    assert "4711" not in door.log.getvalue()


def test_no_path_holds_received_text(door: Door) -> None:
    dataset = ct_slice(1, 1, 1, SeriesInstanceUID="../../../etc/passwd")
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    with association(door) as link:
        assert send_bytes(link, buffer.getvalue(), uid(1, 1, 1)) == 0x0000
    (kept,) = door.files()
    assert kept.resolve().is_relative_to(door.spool.resolve())


def test_an_implicit_dataset_is_read_in_its_own_syntax(door: Door, tmp_path: Path) -> None:
    path = write(ct_slice(1, 1, 1), tmp_path / "source.dcm", ImplicitVRLittleEndian)
    with association(door, syntax=ImplicitVRLittleEndian) as link:
        assert send_bytes(link, encoded(path), uid(1, 1, 1)) == 0x0000
    assert door.ledger.status()[0].description == "Abdomen 1.5 mm"
