"""The door in: who is admitted, and what of them is served (PS3.4 annexes A, B and J; PS3.8).

Success (0x0000) is answered only when the bytes as sent are synced to disk and their row is committed. Whatever goes
wrong with one object is answered with a failure status, and the next object is taken as if nothing had happened.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from node import log, tls
from node.domain.settings import ReceiverSettings
from node.errors import ConfigError, Problem
from node.intake import admission, part10, tuning
from node.intake.admission import Knock, Rejection
from node.intake.commitment import STORAGE_COMMITMENT, Commitments
from node.intake.express import StoreRequest, Taking
from node.intake.spool import Spool
from node.intake.storing import NOT_AUTHORISED, Storing, Tally
from node.ledger import Ledger, LedgerUnavailable

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # explicit VR big endian
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
)
VERIFICATION = "1.2.840.10008.1.1"
UNCOMPRESSED = TRANSFER_SYNTAXES[:2]

_NEGOTIATION_S = 30.0
"""Longest wait for an association request after the connection was opened."""

_BACKLOG = 128
"""Connections that wait to be taken; beyond it the system lets a scanner wait for a second and more."""

_log = log.get(__name__)


@contextmanager
def _blamed(key: str, what: str, remedy: str) -> Iterator[None]:
    """Turn an error of the operating system into one of the configuration."""
    try:
        yield
    except OSError as error:
        raise ConfigError((Problem(what, key, f"cannot be used: {error.strerror}.", remedy),)) from error


class Receiver:
    """Listens from ``start`` to ``stop``; ``on_change`` is called with a study key after every new object.

    ``alone``: this process does nothing else, and can do with less memory.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        ledger: Ledger,
        on_change: Callable[[str], None] | None = None,
        *,
        alone: bool = False,
    ) -> None:
        self._settings = settings
        self._alone = alone
        self._ledger = ledger
        self._spool = Spool(settings.spool, settings.disk_reserve_mb)
        self._storing = Storing(self._spool, ledger, on_change or (lambda _study: None))
        self._commitments = Commitments(settings, ledger)
        self._servers: list[ThreadedAssociationServer] = []
        self._tallies: dict[Association, Tally] = {}
        self.totals: Counter[str] = Counter()
        """Since the start: associations, rejected, and objects stored, repeated, failed."""
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The TCP port listened on (useful when the configured one is 0)."""
        return self._port(0)

    @property
    def tls_port(self) -> int:
        """The TCP port of the TLS listener. Raises ``RuntimeError`` where there is none."""
        return self._port(1)

    def _port(self, index: int) -> int:
        if len(self._servers) <= index:
            raise RuntimeError("the receiver is not started, or has no such listener")
        return int(self._servers[index].server_address[1])

    def start(self) -> None:
        """Begin to listen. Raises ``ConfigError`` when a port, the spool or TLS cannot be used."""
        tuning.silence()
        if self._alone:
            tuning.forget_other_services()
        with _blamed("node.spool", str(self._settings.spool), "Check that the folder's disk is there and writable."):
            self._spool.prepare()
        self._warn_if_open()
        entity = self._entity()
        self._listen(entity, self._settings.port, None)
        if self._settings.tls is not None and self._settings.tls.port is not None:
            self._listen(entity, self._settings.tls.port, tls.server_context(self._settings.tls))
        self._commitments.start()

    def stop(self) -> None:
        """Stop listening; associations under way are aborted (their objects are stored or not acknowledged)."""
        servers, self._servers = self._servers, []
        for server in servers:
            associations = server.active_associations
            server.shutdown()
            for association in associations:
                association.abort()
            for association in associations:
                association.join(timeout=5.0)
        if servers:
            self._commitments.stop()

    def configure(self, settings: ReceiverSettings) -> None:
        """Put other senders and limits in force; associations that are open go on as they were admitted."""
        self._settings = settings
        self._spool.reserve_mb = settings.disk_reserve_mb
        self._commitments.configure(settings)
        self._warn_if_open()

    def _warn_if_open(self) -> None:
        if self._settings.open_to_all:
            _log.warning("open-to-all", note="any sender may store here")

    def _listen(self, entity: AE, port: int, context: Any) -> None:
        secure = context is not None
        largest = int(self._settings.max_object_mb * 1e6)
        serving = tuning.Serving(self._settings.network_timeout_s, largest, self._on_store, self._ended)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_requested, [secure]),
            (evt.EVT_N_ACTION, self._on_action),
            (evt.EVT_N_EVENT_REPORT, self._on_report),
            *tuning.handlers(serving),
        ]
        address = (self._settings.bind, port)
        remedy = "Is another node running? Ports below 1024 need special rights."
        with _blamed("tls.port" if secure else "node.port", f"{address[0]}:{port}", remedy):
            server: Any = entity.start_server(
                address,
                block=False,
                evt_handlers=handlers,
                ssl_context=cast(Any, tuning.LazyHandshake(context)) if secure else None,
            )
        server.socket.listen(_BACKLOG)
        self._servers.append(server)
        _log.info("listening", ae_title=self._settings.ae_title, port=self._port(-1), tls=secure)

    def _entity(self) -> AE:
        entity = AE(ae_title=self._settings.ae_title)
        entity.implementation_class_uid = UID(part10.IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
        entity.maximum_associations = tuning.MOST_CONNECTIONS
        entity.maximum_pdu_size = tuning.MAXIMUM_PDU_BYTES
        entity.network_timeout = self._settings.network_timeout_s
        entity.acse_timeout = min(self._settings.network_timeout_s, _NEGOTIATION_S)
        entity.dimse_timeout = self._settings.network_timeout_s
        entity.supported_contexts = [
            build_context(cast(UID, context.abstract_syntax), list(TRANSFER_SYNTAXES))
            for context in AllStoragePresentationContexts
        ]
        entity.add_supported_context(VERIFICATION, list(UNCOMPRESSED))
        entity.add_supported_context(STORAGE_COMMITMENT, list(UNCOMPRESSED), scu_role=True, scp_role=True)
        return entity

    def _on_requested(self, event: evt.Event, secure: bool) -> None:
        """Admit or reject. Only here is an association entered among those that may store."""
        requestor = event.assoc.requestor
        request = cast(A_ASSOCIATE, requestor.primitive)
        knock = Knock(request.calling_ae_title, request.called_ae_title, str(requestor.address), secure)
        answer = admission.judge(self._settings, knock)
        with self._lock:
            if not isinstance(answer, Rejection):
                answer = self._obstacle() or answer
            if not isinstance(answer, Rejection):
                self._tallies[event.assoc] = Tally(answer, knock.calling_ae_title.strip(), knock.host)
                return
        event.assoc.acse.send_reject(answer.result, answer.source, answer.diagnostic)
        event.assoc.kill()
        self._note(knock, answer, request)

    def _obstacle(self) -> Rejection | None:
        """What stands against any further association at the moment."""
        if len(self._tallies) >= self._settings.max_associations:
            return admission.TOO_MANY
        if self._spool.used_part() > self._settings.disk_watermark:
            return admission.DISK_WATERMARK
        return None

    def _note(self, knock: Knock, rejection: Rejection, request: A_ASSOCIATE) -> None:
        """Log a rejection; a permanent one is remembered for the operator."""
        self.totals["rejected"] += 1
        facts = {"ae_title": knock.calling_ae_title.strip(), "called": knock.called_ae_title.strip()}
        _log.warning(rejection.reason, **facts, host=knock.host, tls=knock.tls)
        if rejection.result != admission.UNKNOWN_SENDER.result:
            return
        wanted = [str(context.abstract_syntax) for context in request.presentation_context_definition_list]
        try:
            self._ledger.senders.turned_away(
                facts["ae_title"], facts["called"], knock.host, rejection.reason, wanted, tls=knock.tls
            )
        except LedgerUnavailable as error:
            _log.warning("stranger-not-recorded", why=str(error))

    def _ended(self, association: Association) -> None:
        with self._lock:
            tally = self._tallies.pop(association, None)
        if tally is not None:
            self.totals.update(associations=1, stored=tally.stored, repeated=tally.repeated, failed=tally.failed)
            _log.info(
                "association-ended",
                sender=tally.ae_title,
                host=tally.host,
                stored=tally.stored,
                repeated=tally.repeated,
                failed=tally.failed,
            )

    def _on_store(self, association: Association, request: StoreRequest) -> Taking:
        return self._storing.begin(request, self._sender(association))

    def _sender(self, association: Association) -> Tally | None:
        """Who may store, and ask what is stored: an archive that may only report is none."""
        tally = self._tallies.get(association)
        return None if tally is None or tally.sender in self._settings.reporters else tally

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        tally = self._sender(event.assoc)
        return (NOT_AUTHORISED if tally is None else self._commitments.asked(event, tally)), None

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        """An archive tells what it holds, under a transaction UID that only it was given."""
        admitted = self._tallies.get(event.assoc) is not None
        return (self._commitments.reported(event) if admitted else NOT_AUTHORISED), None
