"""Taking one object: its bytes on disk, synced, then its row; whatever goes wrong becomes a status (PS3.4 annex B)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from node import log
from node.dicom.header import ObjectUnreadable, read_header
from node.domain.instance import InstanceHeader
from node.domain.settings import Sender
from node.intake import part10
from node.intake.express import StoreAnswer, StoreRequest
from node.intake.spool import Incoming, Spool
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.keys import series_key, study_key
from node.ledger.records import Arrival, Recorded

_LONGEST_UID = 64
"""PS3.5 section 9.1."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NOT_AUTHORISED = 0x0124
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000
STATUSES = {
    SUCCESS: "the bytes are synced to disk and their row is committed, now or before",
    PROCESSING_FAILURE: "an error of the node itself",
    NOT_AUTHORISED: "the association was not admitted",
    OUT_OF_RESOURCES: "no space, no spool, or a ledger that does not answer; send again later",
    DOES_NOT_MATCH_SOP_CLASS: "SOP Class UIDs of command and dataset differ",
    CANNOT_UNDERSTAND: "the dataset cannot be parsed, or has no usable UIDs",
}
"""Every status of a C-STORE response, and when it is given."""

_log = log.get(__name__)


class ObjectRefused(Exception):
    """An object that is not taken: its C-STORE status and a comment (PS3.7 annex C)."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


@dataclass(slots=True)
class Tally:
    """What came over one association."""

    sender: Sender
    ae_title: str
    host: str
    stored: int = 0
    repeated: int = 0
    failed: int = 0

    def count(self, recorded: Recorded | None) -> None:
        """Count one object; ``None``: it was not stored."""
        self.stored += recorded in (Recorded.NEW, Recorded.VARIANT)
        self.repeated += recorded is Recorded.DUPLICATE
        self.failed += recorded is None


class Storing:
    """Answers C-STORE requests; ``on_change`` is called with a study key after every new object."""

    def __init__(self, spool: Spool, ledger: Ledger, on_change: Callable[[str], None]) -> None:
        self._spool = spool
        self._ledger = ledger
        self._on_change = on_change

    def begin(self, request: StoreRequest, tally: Tally | None) -> Taking:
        """Begin to take an object; without a tally it is refused."""
        return Taking(self, request, tally)

    def open(self, request: StoreRequest, tally: Tally) -> Incoming:
        """Make room for an object. Raises ``ObjectRefused``, ``OSError``."""
        uids = request.sop_class_uid, request.sop_instance_uid
        if not all(0 < len(uid) <= _LONGEST_UID for uid in uids):
            raise ObjectRefused(CANNOT_UNDERSTAND, "a UID of the request is missing or too long")
        self._spool.check_space()
        return self._spool.begin(part10.prefix(*uids, request.transfer_syntax_uid, tally.ae_title))

    def take(self, request: StoreRequest, tally: Tally, incoming: Incoming) -> Recorded:
        """Keep and record an object that has arrived. Raises ``ObjectRefused``, ``OSError``, ``LedgerUnavailable``."""
        if not incoming.size_bytes:
            raise ObjectRefused(CANNOT_UNDERSTAND, "there is no dataset")
        with incoming.dataset() as dataset:
            header = _header(request, dataset)
        recorded = self._keep(header, incoming, tally)
        if recorded is not Recorded.DUPLICATE:
            self._on_change(study_key(header.study_instance_uid))
        return recorded

    def _keep(self, header: InstanceHeader, incoming: Incoming, tally: Tally) -> Recorded:
        sha, size = incoming.digest(), incoming.whole_bytes
        series = series_key(header.study_instance_uid, header.series_instance_uid)
        if not incoming.claim(series) and self._is_here(series, header.sop_instance_uid, sha, incoming.size_bytes):
            return Recorded.DUPLICATE
        path = incoming.keep()
        recorded = self._record(Arrival(path, sha, size, header, tally.ae_title, tally.host))
        if recorded is Recorded.VARIANT:
            _log.warning("other-bytes-under-known-uid", series=series, sender=tally.ae_title, host=tally.host)
        return recorded

    def _is_here(self, series: str, sop_instance_uid: str, sha: str, size_bytes: int) -> bool:
        return self._spool.holds(series, sha, size_bytes) and self._ledger.knows(sop_instance_uid, sha)

    def _record(self, arrival: Arrival) -> Recorded:
        try:
            return self._ledger.record_arrival(arrival)
        except LedgerUnavailable:
            # Another receiver may have recorded the same object in the same moment: then it is there.
            if self._ledger.knows(arrival.header.sop_instance_uid, arrival.digest):
                return Recorded.DUPLICATE
            raise


class Taking:
    """One object, from its request to its answer. The outermost loop of receiving: every outcome is a status."""

    def __init__(self, storing: Storing, request: StoreRequest, tally: Tally | None) -> None:
        self._storing = storing
        self._request = request
        self._tally = tally
        self._incoming: Incoming | None = None
        self._failure: StoreAnswer | None = None if tally else StoreAnswer(NOT_AUTHORISED)
        if tally is not None:
            with self._answering():
                self._incoming = storing.open(request, tally)

    def add(self, piece: memoryview) -> None:
        """Take the next bytes of the dataset; after a failure they are let go."""
        if self._incoming is not None and self._failure is None:
            with self._answering():
                self._incoming.add(piece)

    def answer(self) -> StoreAnswer:
        """Finish the object, of which everything has arrived."""
        tally, incoming, recorded = self._tally, self._incoming, None
        if tally is not None and incoming is not None and self._failure is None:
            with self._answering():
                recorded = self._storing.take(self._request, tally, incoming)
        self.abandon()
        if tally is not None:
            tally.count(recorded)
        return self._failure or StoreAnswer(SUCCESS)

    def abandon(self) -> None:
        """Keep nothing of it that has no place yet."""
        if self._incoming is not None:
            self._incoming.drop()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn whatever goes wrong into an answer."""
        try:
            yield
        except ObjectRefused as refused:
            self._fail(refused.status, refused.comment)
        except (OSError, LedgerUnavailable, MemoryError) as error:
            self._fail(OUT_OF_RESOURCES, _resource(error))
        except Exception as error:  # noqa: BLE001 - one object must never stop the next
            self._fail(PROCESSING_FAILURE, f"{type(error).__name__} in the receiver")

    def _fail(self, status: int, comment: str) -> None:
        self._failure = StoreAnswer(status, comment)
        facts = {"sender": self._tally.ae_title, "host": self._tally.host} if self._tally else {}
        _log.warning("object-not-stored", **facts, status=f"{status:04X}", why=comment)


def _header(request: StoreRequest, dataset: BinaryIO) -> InstanceHeader:
    """Read the header of a dataset as sent. Raises ``ObjectRefused`` where it cannot be filed or contradicts itself."""
    try:
        header = read_header(
            dataset,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
        )
    except ObjectUnreadable as error:
        raise ObjectRefused(CANNOT_UNDERSTAND, "the dataset cannot be parsed") from error
    if not header.study_instance_uid or not header.series_instance_uid:
        raise ObjectRefused(CANNOT_UNDERSTAND, "no Study or Series Instance UID")
    if any(len(one) > _LONGEST_UID for one in (header.study_instance_uid, header.series_instance_uid)):
        raise ObjectRefused(CANNOT_UNDERSTAND, "a UID of more than 64 characters")
    if header.sop_instance_uid != request.sop_instance_uid:
        raise ObjectRefused(CANNOT_UNDERSTAND, "SOP Instance UID of command and dataset differ")
    if header.sop_class_uid != request.sop_class_uid:
        raise ObjectRefused(DOES_NOT_MATCH_SOP_CLASS, "SOP Class UID of command and dataset differ")
    return header


def _resource(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"spool: {errno.errorcode.get(error.errno or 0, 'error')}"
    return "out of memory" if isinstance(error, MemoryError) else "the ledger does not answer"
