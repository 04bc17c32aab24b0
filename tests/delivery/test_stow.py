"""DICOMweb against a real Orthanc with its DICOMweb plugin."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from node.delivery import stow
from node.delivery.scu import Answer, Parcel, Unreachable
from node.demo.pacs import Orthanc, free_port
from node.domain.settings import Destination, TlsSettings
from node.ledger.states import State
from node.tls import server_context
from tests.certificates import Authority, authority
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


@contextmanager
def _answering(
    status: int, document: object, kind: str = "application/dicom+json", context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A service that gives one answer to everything; yields its address and what it was shown as authorization."""
    shown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}", shown
    server.shutdown()
    server.server_close()


STORED = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid(1, 1, 1)]}}]}}
WARNED = {
    "00081199": {
        "vr": "SQ",
        "Value": [
            {"00081155": {"vr": "UI", "Value": [uid(1, 1, 1)]}, "00081196": {"vr": "US", "Value": [0xB000]}},
        ],
    }
}
FAILED = {
    "00081198": {
        "vr": "SQ",
        "Value": [
            {"00081155": {"vr": "UI", "Value": [uid(1, 1, 1)]}, "00081197": {"vr": "US", "Value": [0xA700]}},
        ],
    }
}
OTHER = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}


def _offered(folder: Path, status: int, document: object, kind: str = "application/dicom+json") -> Answer:
    parcel = Parcel(write(ct_slice(1, 1, 1), folder / "1.dcm", ExplicitVRLittleEndian), CT_IMAGE, uid(1, 1, 1))
    with _answering(status, document, kind) as (url, _):
        destination = Destination("web", kind="stow", url=url, timeout_s=5.0)
        with stow.service(destination, None) as carrier:
            return carrier.store(parcel)


@pytest.mark.parametrize(
    ("status", "document", "accepted", "warning", "code"),
    [
        (200, STORED, True, False, 0x0000),
        (200, {}, True, False, 0x0000),
        (202, WARNED, True, True, 0xB000),
        (202, FAILED, False, False, 0xA700),
        (202, {}, False, False, None),
        (200, OTHER, False, False, None),
        (409, FAILED, False, False, 0xA700),
        (400, {"error": "no"}, False, False, None),
        (401, {}, False, False, None),
    ],
)
def test_an_answer_is_taken_as_it_is_meant(
    status: int, document: object, accepted: bool, warning: bool, code: int | None, tmp_path: Path
) -> None:
    answer = _offered(tmp_path, status, document)
    assert (answer.accepted, answer.warning, answer.status) == (accepted, warning, code)


def test_a_failure_is_seen_whatever_stands_beside_the_content_type(tmp_path: Path) -> None:
    assert not _offered(tmp_path, 202, FAILED, "application/dicom+json; charset=utf-8").accepted


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_in_trouble_is_asked_again(status: int, tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        _offered(tmp_path, status, {})


@pytest.mark.parametrize(
    ("user", "expected"), [("node", "Basic bm9kZTpzZWNyZXQ="), (None, "Bearer secret")], ids=["user", "token"]
)
def test_the_password_comes_from_the_environment(
    user: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_PASSWORD", "secret")
    parcel = Parcel(write(ct_slice(1, 1, 1), tmp_path / "1.dcm", ExplicitVRLittleEndian), CT_IMAGE, uid(1, 1, 1))
    with _answering(200, STORED) as (url, shown):
        destination = Destination("web", kind="stow", url=url, user=user, password_variable="WEB_PASSWORD")
        with stow.service(destination, None) as carrier:
            carrier.store(parcel)
    assert shown == [expected]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("trusted"))


def _securely(trusted: Authority, tmp_path: Path, own: TlsSettings | None, **more: object) -> Answer:
    """Send one object to a service that wants a certificate of the authority, and has one for 127.0.0.1."""
    parcel = Parcel(write(ct_slice(1, 1, 1), tmp_path / "1.dcm", ExplicitVRLittleEndian), CT_IMAGE, uid(1, 1, 1))
    with _answering(200, STORED, context=server_context(trusted.issue("archive"))) as (url, _):
        if more.pop("by_name", False):
            url = url.replace("127.0.0.1", "localhost")
        destination = Destination("web", kind="stow", url=url, timeout_s=5.0, **more)  # type: ignore[arg-type]
        with stow.service(destination, own) as carrier:
            return carrier.store(parcel)


def test_https_with_a_client_certificate(trusted: Authority, tmp_path: Path) -> None:
    assert _securely(trusted, tmp_path, trusted.issue("node")).accepted


def test_a_service_of_another_authority_is_sent_nothing(trusted: Authority, tmp_path: Path) -> None:
    other = authority(tmp_path / "other", "other").issue("node")
    with pytest.raises(Unreachable, match="SSLError"):
        _securely(trusted, tmp_path, other)


def test_a_service_that_wants_a_certificate_is_not_reached_without_one(trusted: Authority, tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        _securely(trusted, tmp_path, None)


def test_a_certificate_for_another_name_is_refused(trusted: Authority, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="SSLError"):
        _securely(trusted, tmp_path, trusted.issue("node"), by_name=True)


def test_a_certificate_for_another_name_is_taken_where_the_site_says_so(trusted: Authority, tmp_path: Path) -> None:
    assert _securely(trusted, tmp_path, trusted.issue("node"), by_name=True, tls_check_host=False).accepted
