"""DICOMweb against a real Orthanc with its DICOMweb plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from node.delivery import stow
from node.delivery.scu import Parcel, Unreachable
from node.demo.pacs import Orthanc, free_port
from node.domain.settings import Destination
from node.ledger.states import State
from tests.delivery.test_deliverer import RETRY, Post
from tests.intake.objects import CT_IMAGE, ct_slice, uid, write
from tests.peers import peer, peer_file

pytestmark = pytest.mark.peer
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    plugin = peer_file(PLUGIN, "orthanc-dicomweb")
    (tmp_path / "orthanc").mkdir()
    running = Orthanc(peer("Orthanc"), tmp_path / "orthanc", plugins=(str(plugin),))
    yield running
    running.close()


def _destination(port: int) -> Destination:
    return Destination("web", kind="stow", url=f"http://127.0.0.1:{port}/dicom-web", timeout_s=10.0, retry=RETRY)


def test_a_series_is_delivered_and_found_there(archive: Orthanc, tmp_path: Path) -> None:
    post = Post(tmp_path)
    web = replace(_destination(archive.http_port), proof=("find",), proof_delay_s=0.1)
    try:
        post.measured(web, study=uid(5))
        post.start(web)
        post.wait_for(State.DELIVERED)
        (status,) = post.ledger.status()[0].deliveries
    finally:
        post.close()
    assert (archive.count(), status.proven) == (3, 3)


def test_a_service_that_is_down_is_unreachable(tmp_path: Path) -> None:
    parcel = Parcel(write(ct_slice(1, 1, 1), tmp_path / "1.dcm", ExplicitVRLittleEndian), CT_IMAGE, uid(1, 1, 1))
    with stow.service(_destination(free_port()), None) as carrier, pytest.raises(Unreachable):
        carrier.store(parcel)


def test_a_wrong_address_is_a_refusal_that_is_shown(archive: Orthanc, tmp_path: Path) -> None:
    parcel = Parcel(write(ct_slice(1, 1, 1), tmp_path / "1.dcm", ExplicitVRLittleEndian), CT_IMAGE, uid(1, 1, 1))
    wrong = Destination("web", kind="stow", url=f"http://127.0.0.1:{archive.http_port}/nothing")
    with stow.service(wrong, None) as carrier:
        answer = carrier.store(parcel)
    assert (answer.accepted, "404" in json.dumps(answer.comment)) == (False, True)
