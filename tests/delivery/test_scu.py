from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.delivery.scu import COMPREHENSIVE, COMPREHENSIVE_3D, Parcel, Unreachable, association, judge
from node.domain.settings import Destination
from tests.fake_pacs import ABORT, fake_pacs
from tests.intake.objects import CT_IMAGE, SECONDARY_CAPTURE, ct_slice, uid, write
from tests.peers import peer

RLE = "1.2.840.10008.1.2.5"


def _destination(port: int, ae_title: str = "PACS", timeout_s: float = 5.0) -> Destination:
    return Destination("pacs", ae_title, "127.0.0.1", port, timeout_s=timeout_s)


def _parcel(folder: Path, number: int = 1, syntax: str = ExplicitVRLittleEndian, sop_class: str = CT_IMAGE) -> Parcel:
    path = write(ct_slice(1, 1, number, SOPClassUID=sop_class), folder / f"{number}.dcm", syntax)
    return Parcel(path, sop_class, uid(1, 1, number))


@pytest.mark.parametrize(
    ("status", "accepted", "warning"),
    [
        (0x0000, True, False),
        (0xB000, True, True),
        (0xB006, True, True),
        (0xB007, True, True),
        (0xA700, False, False),
        (0xA900, False, False),
        (0xC000, False, False),
        (0x0110, False, False),
        (0x0122, False, False),
        (0xFF00, False, False),
        (0xFE00, False, False),
    ],
)
def test_only_success_and_warnings_are_accepted(status: int, accepted: bool, warning: bool) -> None:
    answer = judge(status)
    assert (answer.accepted, answer.warning, answer.status) == (accepted, warning, status)


def test_an_object_arrives_as_it_was_written(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with fake_pacs() as pacs, association(_destination(pacs.port), "NODE", [parcel]) as carrier:
        assert carrier.store(parcel).accepted
    assert pacs.stored[0].to_json_dict() == dcmread(parcel.path).to_json_dict()


def test_a_warning_is_kept_with_its_code(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with fake_pacs(lambda *_: 0xB000) as pacs, association(_destination(pacs.port), "NODE", [parcel]) as carrier:
        answer = carrier.store(parcel)
    assert (answer.accepted, answer.warning, answer.status) == (True, True, 0xB000)


def test_a_refusal_does_not_end_the_association(tmp_path: Path) -> None:
    parcels = [_parcel(tmp_path, number) for number in (1, 2)]
    script = lambda number, _: 0xC001 if number == 0 else 0x0000  # noqa: E731
    with fake_pacs(script) as pacs, association(_destination(pacs.port), "NODE", parcels) as carrier:
        assert [carrier.store(parcel).status for parcel in parcels] == [0xC001, 0x0000]


def test_an_uncompressed_object_is_converted_for_an_implicit_only_pacs(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with (
        fake_pacs(contexts=[(CT_IMAGE, [ImplicitVRLittleEndian])]) as pacs,
        association(_destination(pacs.port), "NODE", [parcel]) as carrier,
    ):
        assert carrier.store(parcel).accepted
    assert pacs.stored[0].file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert pacs.stored[0].PixelData == dcmread(parcel.path).PixelData


@pytest.mark.peer
def test_a_compressed_object_goes_in_its_own_syntax(tmp_path: Path) -> None:
    plain = _parcel(tmp_path)
    packed = tmp_path / "rle.dcm"
    subprocess.run([peer("dcmcrle"), plain.path, packed], check=True)
    parcel = Parcel(packed, CT_IMAGE, plain.sop_instance_uid)
    with (
        fake_pacs(contexts=[(CT_IMAGE, [ExplicitVRLittleEndian, RLE])]) as pacs,
        association(_destination(pacs.port), "NODE", [parcel]) as carrier,
    ):
        assert carrier.store(parcel).accepted
    assert pacs.stored[0].file_meta.TransferSyntaxUID == RLE


def test_a_class_that_is_not_accepted_is_said_so_and_the_others_are_sent(tmp_path: Path) -> None:
    image, capture = _parcel(tmp_path, 1), _parcel(tmp_path, 2, sop_class=SECONDARY_CAPTURE)
    with (
        fake_pacs(contexts=[(CT_IMAGE, [ExplicitVRLittleEndian])]) as pacs,
        association(_destination(pacs.port), "NODE", [capture, image]) as carrier,
    ):
        refused = carrier.store(capture)
        assert (refused.accepted, refused.status) == (False, None)
        assert carrier.store(image).accepted


def test_no_class_accepted_at_all_is_unreachable(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path, sop_class=SECONDARY_CAPTURE)
    with (
        fake_pacs(contexts=[(CT_IMAGE, [ExplicitVRLittleEndian])]) as pacs,
        pytest.raises(Unreachable, match="none of the SOP classes"),
        association(_destination(pacs.port), "NODE", [parcel]),
    ):
        pass


def test_an_abort_in_place_of_an_answer_is_unreachable(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with (
        fake_pacs(lambda *_: ABORT) as pacs,
        association(_destination(pacs.port), "NODE", [parcel]) as carrier,
        pytest.raises(Unreachable),
    ):
        carrier.store(parcel)


def test_an_answer_that_does_not_come_in_time_is_unreachable(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with (
        fake_pacs(delay_s=2.0) as pacs,
        association(_destination(pacs.port, timeout_s=0.5), "NODE", [parcel]) as carrier,
        pytest.raises(Unreachable),
    ):
        carrier.store(parcel)


def test_a_rejection_is_named(tmp_path: Path) -> None:
    parcel = _parcel(tmp_path)
    with (
        fake_pacs(ae_title="OTHER") as pacs,
        pytest.raises(Unreachable, match=r"rejected \(result 1, source 1, reason 7\)"),
        association(_destination(pacs.port), "NODE", [parcel]),
    ):
        pass


def test_a_closed_port_is_unreachable_at_once(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(Unreachable), association(_destination(port), "NODE", [_parcel(tmp_path)]):
        pass
    assert time.monotonic() - begun < 5


def test_a_host_that_does_not_exist_is_unreachable(tmp_path: Path) -> None:
    nowhere = Destination("pacs", "PACS", "does-not-exist.invalid", 104, timeout_s=2.0)
    with pytest.raises(Unreachable), association(nowhere, "NODE", [_parcel(tmp_path)]):
        pass


def test_a_file_that_cannot_be_read_is_an_answer_of_its_own(tmp_path: Path) -> None:
    good, bad = _parcel(tmp_path, 1), _parcel(tmp_path, 2)
    with fake_pacs() as pacs, association(_destination(pacs.port), "NODE", [good, bad]) as carrier:
        bad.path.write_bytes(b"torn")
        answer = carrier.store(bad)
        assert (answer.accepted, answer.status) == (False, None)
        assert carrier.store(good).accepted


@pytest.mark.peer
def test_storescp_receives_what_was_sent(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "pacs"
    folder.mkdir()
    server = subprocess.Popen([peer("storescp"), "-aet", "PACS", "+B", "-od", str(folder), str(port)])
    try:
        parcel = _parcel(tmp_path)
        _wait_for_port(port)
        with association(_destination(port), "NODE", [parcel]) as carrier:
            assert carrier.store(parcel).status == 0x0000
    finally:
        server.terminate()
        server.wait(timeout=10)
    (stored,) = folder.iterdir()
    assert dcmread(stored, force=True).SOPInstanceUID == parcel.sop_instance_uid


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)


def _report(folder: Path, **attributes: object) -> Parcel:
    path = write(ct_slice(1, 1, 9, SOPClassUID=COMPREHENSIVE_3D, **attributes), folder / "sr.dcm")
    return Parcel(path, COMPREHENSIVE_3D, uid(1, 1, 9))


def test_a_3d_report_goes_as_comprehensive_where_only_that_is_taken(tmp_path: Path) -> None:
    parcel = _report(tmp_path)
    with (
        fake_pacs(contexts=[(COMPREHENSIVE, [ExplicitVRLittleEndian])]) as pacs,
        association(_destination(pacs.port), "NODE", [parcel]) as carrier,
    ):
        answer = carrier.store(parcel)
    assert (answer.accepted, answer.comment) == (True, "sent as Comprehensive SR")
    assert pacs.stored[0].SOPClassUID == COMPREHENSIVE


def test_a_3d_report_stays_one_where_it_is_taken(tmp_path: Path) -> None:
    parcel = _report(tmp_path)
    with fake_pacs() as pacs, association(_destination(pacs.port), "NODE", [parcel]) as carrier:
        assert carrier.store(parcel).accepted
    assert pacs.stored[0].SOPClassUID == COMPREHENSIVE_3D


def test_a_report_with_3d_coordinates_is_not_made_another_one(tmp_path: Path) -> None:
    point = Dataset()
    point.ValueType = "SCOORD3D"
    parcel = _report(tmp_path, ContentSequence=[point])
    with (
        fake_pacs(contexts=[(COMPREHENSIVE, [ExplicitVRLittleEndian])]) as pacs,
        association(_destination(pacs.port), "NODE", [parcel]) as carrier,
    ):
        assert not carrier.store(parcel).accepted
