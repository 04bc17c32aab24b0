"""Audit messages as a syslog server of the test's own gets them, over real sockets."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from node.admin.audit import Auditor, Here
from node.demo.pacs import free_port
from node.domain.settings import AuditSettings, Destination, TlsSettings
from node.ledger import Ledger
from node.ledger.records import Attempt
from node.ledger.states import DeliveryState
from node.tls import server_context
from tests.certificates import authority
from tests.intake.objects import ct_slice, write
from tests.ledger.arrivals import Clock, arrival, measure, receive
from tests.workflow.house import wait_until

HERE = Here("NODE", "node.example", {"A": Destination("A", "PACS", "192.0.2.9", 104)})
HEADER = re.compile(rb"<85>1 \S+Z \S+ vbmd-node \d+ DICOM\+RFC3881 - \xef\xbb\xbf(.*)", re.DOTALL)


class Repository:
    """What an audit repository has received, over UDP or over streams."""

    def __init__(self) -> None:
        self.framed: list[bytes] = []
        self.port = 0

    @property
    def messages(self) -> list[ElementTree.Element]:
        found = [HEADER.fullmatch(framed) for framed in self.framed]
        return [ElementTree.fromstring(match.group(1)) for match in found if match]

    def events(self) -> list[str]:
        return [_code(message, "EventIdentification/EventID") for message in self.messages]

    def of(self, code: str) -> ElementTree.Element:
        return next(one for one in self.messages if _code(one, "EventIdentification/EventID") == code)

    def take(self, stream: socket.socket) -> None:
        """Read frames whose octets are counted."""
        with stream, stream.makefile("rb") as reader:
            while count := b"".join(iter(lambda: reader.read(1), b" ")) if _more(reader) else b"":
                self.framed.append(reader.read(int(count)))


def _more(reader: object) -> bool:
    return bool(reader.peek(1))  # type: ignore[attr-defined]


@contextmanager
def udp() -> Iterator[Repository]:
    repository = Repository()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        repository.port = server.getsockname()[1]

        def serve() -> None:
            while (framed := server.recv(65_535)) != b"end":
                repository.framed.append(framed)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield repository
        server.sendto(b"end", ("127.0.0.1", repository.port))
        thread.join(timeout=5)


@contextmanager
def tcp(port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Repository]:
    repository = Repository()
    with socket.create_server(("127.0.0.1", port)) as server:
        repository.port = server.getsockname()[1]
        streams: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    stream, _ = server.accept()
                    streams.append(context.wrap_socket(stream, server_side=True) if context else stream)
                except OSError:
                    return
                threading.Thread(target=repository.take, args=(streams[-1],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield repository
        server.shutdown(socket.SHUT_RDWR)
        for stream in streams:
            with_no_error(lambda stream=stream: stream.shutdown(socket.SHUT_RDWR))  # type: ignore[misc]


def with_no_error(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        return


def auditor(ledger: Ledger, port: int, transport: str = "udp", tls: TlsSettings | None = None) -> Auditor:
    settings = AuditSettings("127.0.0.1", port, transport, "vbmd-test")  # type: ignore[arg-type]
    return Auditor(ledger, settings, lambda: HERE, "node-1", tls, interval_s=0.1)


@pytest.fixture
def told(ledger: Ledger, tmp_path: Path) -> Iterator[Callable[[Callable[[], object]], Repository]]:
    """What is told of something that happens."""
    with udp() as repository:

        def happens(action: Callable[[], object]) -> Repository:
            one = auditor(ledger, repository.port)
            ledger.audit.take("node-1")
            action()
            expected = one.report()
            wait_until(lambda: len(repository.framed) >= expected, 5.0)
            return repository

        yield happens


def _code(message: ElementTree.Element, path: str) -> str:
    found = message.find(path)
    return found.attrib["csd-code"] if found is not None else ""


def _participants(message: ElementTree.Element) -> list[tuple[str, str, str]]:
    return [
        (one.attrib["UserID"], one.attrib.get("NetworkAccessPointID", ""), _code(one, "RoleIDCode"))
        for one in message.findall("ActiveParticipant")
    ]


def _objects(message: ElementTree.Element) -> list[str]:
    return [one.attrib["ParticipantObjectID"] for one in message.findall("ParticipantObjectIdentification")]


Told = Callable[[Callable[[], object]], Repository]


def test_every_message_has_a_header_of_rfc_5424(told: Told, ledger: Ledger) -> None:
    repository = told(lambda: (receive(ledger), measure(ledger)))
    assert len(repository.messages) == len(repository.framed) > 0


def test_what_a_scanner_sent_is_a_transfer_from_it(told: Told, ledger: Ledger) -> None:
    message = told(lambda: (receive(ledger), measure(ledger))).of("110104")
    assert _participants(message) == [("CT1", "192.0.2.7", "110153"), ("NODE", "node.example", "110152")]


def test_a_transfer_names_study_classes_and_patient(told: Told, ledger: Ledger, tmp_path: Path) -> None:
    image = write(ct_slice(1, 1, 0), tmp_path / "image.dcm")

    def happen() -> None:
        ledger.record_arrival(replace(arrival(0), path=image))
        measure(ledger)

    message = told(happen).of("110104")
    assert _objects(message) == ["1.2", "4711"]
    sop_class = message.find("ParticipantObjectIdentification/ParticipantObjectDescription/SOPClass")
    assert sop_class is not None
    assert sop_class.attrib == {"UID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfInstances": "1"}


def test_a_patient_whose_images_are_gone_is_unknown(told: Told, ledger: Ledger) -> None:
    message = told(lambda: (receive(ledger), measure(ledger))).of("110104")
    assert _objects(message) == ["1.2", "unknown"]


def _deliver(ledger: Ledger, state: DeliveryState, error: str | None = None) -> None:
    shipment = ledger.due_shipment("A")
    assert shipment is not None
    for item in shipment.objects:
        ledger.record_attempt(shipment, item.sop_instance_uid, Attempt(state, 0x0000, error, None))


def test_all_objects_of_a_delivery_are_one_transfer_to_the_archive(told: Told, ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    (message,) = told(lambda: _deliver(ledger, DeliveryState.STORED)).messages
    assert _participants(message)[1] == ("PACS", "192.0.2.9", "110152")
    assert len(message.findall("ParticipantObjectIdentification/ParticipantObjectDescription/SOPClass")) == 2


def test_a_refused_delivery_is_a_failure(told: Told, ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    (message,) = told(lambda: _deliver(ledger, DeliveryState.FAILED, "no room")).messages
    outcome = message.find("EventIdentification")
    assert outcome is not None
    assert (outcome.attrib["EventOutcomeIndicator"], outcome.findtext("EventOutcomeDescription")) == ("4", "no room")


def test_who_was_turned_away_is_a_security_alert(told: Told, ledger: Ledger) -> None:
    turned_away = lambda: ledger.senders.turned_away("EVIL", "NODE", "192.0.2.66", "unknown-sender", [], tls=False)  # noqa: E731
    message = told(turned_away).of("110113")
    assert _code(message, "EventIdentification/EventTypeCode") == "110126"
    assert ("EVIL", "192.0.2.66", "") in _participants(message)


def test_who_took_a_report_back_is_named(told: Told, ledger: Ledger) -> None:
    receive(ledger)
    measure(ledger)
    key = ledger.operator.find("1.2.3")
    message = told(lambda: ledger.operator.withdraw(ledger.operator.sent(key), "ann", "wrong", None)).of("110103")
    assert _participants(message)[0][0] == "ann"


def test_start_and_end_of_the_node_are_told(ledger: Ledger) -> None:
    with udp() as repository:
        one = auditor(ledger, repository.port)
        one.start()
        one.stop()
        wait_until(lambda: len(repository.framed) >= 2, 5.0)
    types = [_code(message, "EventIdentification/EventTypeCode") for message in repository.messages]
    assert types == ["110120", "110121"]


def test_without_a_host_nothing_is_done(ledger: Ledger) -> None:
    one = Auditor(ledger, AuditSettings(), lambda: HERE, "node-1")
    one.start()
    one.stop()
    assert ledger.events() == []


def test_over_tcp_octets_are_counted(ledger: Ledger) -> None:
    with tcp() as repository:
        one = auditor(ledger, repository.port, "tcp")
        one.start()
        wait_until(lambda: repository.events() == ["110100"], 5.0)
        one.stop()


@pytest.mark.peer
def test_over_tls_with_the_nodes_certificate(ledger: Ledger, tmp_path: Path) -> None:
    own = authority(tmp_path / "tls")
    with tcp(context=server_context(own.issue("repository"))) as repository:
        one = auditor(ledger, repository.port, "tls", own.issue("node"))
        one.start()
        wait_until(lambda: repository.events() == ["110100"], 5.0)
        one.stop()


def test_what_happens_while_the_server_is_down_is_told_later(ledger: Ledger, clock: Clock) -> None:
    port = free_port()
    one = auditor(ledger, port, "tcp")
    one.start()
    receive(ledger)
    measure(ledger)
    with tcp(port) as repository:
        wait_until(lambda: repository.events() == ["110100", "110104"], 5.0)
        one.stop()


def test_what_one_process_told_another_does_not_repeat(ledger: Ledger) -> None:
    with udp() as repository:
        first = auditor(ledger, repository.port)
        ledger.audit.take("node-1")
        receive(ledger)
        measure(ledger)
        assert (first.report(), first.report()) == (1, 0)


def test_only_one_process_tells_at_a_time(ledger: Ledger, clock: Clock) -> None:
    ledger.audit.take("node-1")
    ledger.audit.note("node-started")
    assert ledger.audit.take("node-2") == []
    clock.now += 61.0
    assert [one.kind for one in ledger.audit.take("node-2")] == ["node-started"]
