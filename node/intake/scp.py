"""The door in: Storage and Verification SCP (PS3.4 annexes A and B).

Success (0x0000) is answered only when the bytes as sent are synced to disk and their row is committed. Whatever goes
wrong with one object is answered with a failure status, and the next object is taken as if nothing had happened.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from node import log
from node.dicom.header import ObjectUnreadable, read_header
from node.domain.instance import InstanceHeader
from node.domain.settings import ReceiverSettings
from node.intake import part10, tuning
from node.intake.admission import admitted
from node.intake.spool import Spool, digest
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.keys import series_key, study_key
from node.ledger.records import Arrival, Recorded

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

_NEGOTIATION_S = 30.0
"""Longest wait for an association request after the connection was opened."""

_LONGEST_UID = 64
"""PS3.5 section 9.1."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000

_log = log.get(__name__)


class ObjectRefused(Exception):
    """An object that is not taken: its C-STORE status and a comment (PS3.7 annex C)."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


@dataclass(slots=True)
class _Tally:
    """What came over one association."""

    sender: str
    host: str
    stored: int = 0
    repeated: int = 0
    failed: int = 0


class Receiver:
    """Listens from ``start`` to ``stop``; ``on_change`` is called with a study key after every new object."""

    def __init__(
        self, settings: ReceiverSettings, ledger: Ledger, on_change: Callable[[str], None] | None = None
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._on_change = on_change or (lambda _study: None)
        self._spool = Spool(settings.spool, settings.disk_reserve_mb)
        self._server: ThreadedAssociationServer | None = None
        self._tallies: dict[Association, _Tally] = {}
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The TCP port listened on (useful when the configured one is 0)."""
        if self._server is None:
            raise RuntimeError("the receiver is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to listen. Raises ``OSError`` when the port or the spool cannot be used."""
        tuning.silence()
        self._spool.prepare()
        if self._settings.open_to_all:
            _log.warning("open-to-all", note="any sender may store here")
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_CONN_CLOSE, self._on_closed),
            (evt.EVT_C_STORE, self._on_store),
            *tuning.handlers(self._settings.network_timeout_s),
        ]
        self._server = cast(
            ThreadedAssociationServer,
            self._entity().start_server((self._settings.bind, self._settings.port), block=False, evt_handlers=handlers),
        )
        _log.info("listening", ae_title=self._settings.ae_title, port=self.port)

    def stop(self) -> None:
        """Stop listening; associations under way are aborted (their objects are stored or not acknowledged)."""
        if self._server is None:
            return
        server, self._server = self._server, None
        associations = server.active_associations
        server.shutdown()
        for association in associations:
            association.abort()
        for association in associations:
            association.join(timeout=5.0)

    def _entity(self) -> AE:
        entity = AE(ae_title=self._settings.ae_title)
        entity.implementation_class_uid = UID(part10.IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
        entity.require_called_aet = True
        entity.maximum_associations = self._settings.max_associations
        entity.maximum_pdu_size = tuning.MAXIMUM_PDU_BYTES
        entity.network_timeout = self._settings.network_timeout_s
        entity.acse_timeout = min(self._settings.network_timeout_s, _NEGOTIATION_S)
        entity.dimse_timeout = self._settings.network_timeout_s
        entity.supported_contexts = [
            build_context(cast(UID, context.abstract_syntax), list(TRANSFER_SYNTAXES))
            for context in AllStoragePresentationContexts
        ]
        entity.add_supported_context(VERIFICATION)
        return entity

    def _on_requested(self, event: evt.Event) -> None:
        """Reject an unknown sender: permanent, service user, calling AE title not recognised (PS3.8 table 9-21).

        Only here is an association entered among those that may store; one that is not is never given success.
        """
        requestor = event.assoc.requestor
        ae_title = cast(A_ASSOCIATE, requestor.primitive).calling_ae_title.strip()
        host = str(requestor.address)
        if self._settings.open_to_all or admitted(self._settings.senders, ae_title, host):
            with self._lock:
                self._tallies[event.assoc] = _Tally(ae_title, host)
            return
        _log.warning("unknown-sender", ae_title=ae_title, host=host)
        event.assoc.acse.send_reject(0x01, 0x01, 0x03)
        event.assoc.kill()

    def _on_closed(self, event: evt.Event) -> None:
        with self._lock:
            tally = self._tallies.pop(event.assoc, None)
        if tally is not None:
            _log.info(
                "association-ended",
                sender=tally.sender,
                host=tally.host,
                stored=tally.stored,
                repeated=tally.repeated,
                failed=tally.failed,
            )

    def _on_store(self, event: evt.Event) -> int | Dataset:
        """Take one object; every outcome is a status. The outermost loop of receiving."""
        tally = self._tallies.get(event.assoc)
        if tally is None:
            return NOT_AUTHORISED
        try:
            recorded = self._take(event, tally)
        except ObjectRefused as refused:
            status, comment = refused.status, refused.comment
        except (OSError, LedgerUnavailable) as error:
            status, comment = OUT_OF_RESOURCES, _resource(error)
        except Exception as error:  # noqa: BLE001 - one object must never stop the next
            status, comment = PROCESSING_FAILURE, f"{type(error).__name__} in the receiver"
        else:
            tally.stored += recorded is not Recorded.DUPLICATE
            tally.repeated += recorded is Recorded.DUPLICATE
            return SUCCESS
        tally.failed += 1
        _log.warning("object-not-stored", sender=tally.sender, host=tally.host, status=f"{status:04X}", why=comment)
        return _answer(status, comment)

    def _take(self, event: evt.Event, tally: _Tally) -> Recorded:
        self._spool.check_space()
        request, context = cast(C_STORE, event.request), event.context
        dataset = cast(BytesIO, request.DataSet)
        sop_class, sop_instance = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        header = _header(dataset, str(context.transfer_syntax), sop_class, sop_instance)
        content = dataset.getbuffer()
        try:
            recorded = self._keep(header, content, tally)
        finally:
            content.release()
        if recorded is not Recorded.DUPLICATE:
            self._on_change(study_key(header.study_instance_uid))
        return recorded

    def _keep(self, header: InstanceHeader, content: memoryview, tally: _Tally) -> Recorded:
        sha = digest(content)
        series = series_key(header.study_instance_uid, header.series_instance_uid)
        if self._spool.path(series, sha).is_file() and self._ledger.knows(header.sop_instance_uid, sha):
            return Recorded.DUPLICATE
        meta = part10.prefix(header, tally.sender)
        path = self._spool.keep(series, sha, meta, content)
        size = len(meta) + len(content)
        recorded = self._ledger.record_arrival(Arrival(path, sha, size, header, tally.sender, tally.host))
        if recorded is Recorded.VARIANT:
            _log.warning("other-bytes-under-known-uid", series=series, sender=tally.sender, host=tally.host)
        return recorded


def _header(dataset: BytesIO, transfer_syntax: str, sop_class: str, sop_instance: str) -> InstanceHeader:
    """Read the header of a dataset as sent. Raises ``ObjectRefused`` where it cannot be filed or contradicts itself."""
    dataset.seek(0)
    try:
        header = read_header(
            dataset, transfer_syntax_uid=transfer_syntax, sop_class_uid=sop_class, sop_instance_uid=sop_instance
        )
    except ObjectUnreadable as error:
        raise ObjectRefused(CANNOT_UNDERSTAND, "the dataset cannot be parsed") from error
    if not header.study_instance_uid or not header.series_instance_uid:
        raise ObjectRefused(CANNOT_UNDERSTAND, "no Study or Series Instance UID")
    if any(len(one) > _LONGEST_UID for one in (header.study_instance_uid, header.series_instance_uid)):
        raise ObjectRefused(CANNOT_UNDERSTAND, "a UID of more than 64 characters")
    if header.sop_instance_uid != sop_instance:
        raise ObjectRefused(CANNOT_UNDERSTAND, "SOP Instance UID of command and dataset differ")
    if header.sop_class_uid != sop_class:
        raise ObjectRefused(DOES_NOT_MATCH_SOP_CLASS, "SOP Class UID of command and dataset differ")
    return header


def _resource(error: OSError | LedgerUnavailable) -> str:
    if isinstance(error, OSError):
        return f"spool: {errno.errorcode.get(error.errno or 0, 'error')}"
    return "the ledger does not answer"


def _answer(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    return answer
