"""Taking one object: its bytes on disk, synced, then its row; whatever goes wrong becomes a status (PS3.4 annex B)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from node import log
from node.dicom.header import ObjectUnreadable, read_header
from node.domain.instance import InstanceHeader
from node.domain.settings import Sender
from node.intake import part10
from node.intake.spool import Spool, digest
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


class Storing:
    """Answers C-STORE requests; ``on_change`` is called with a study key after every new object."""

    def __init__(self, spool: Spool, ledger: Ledger, on_change: Callable[[str], None]) -> None:
        self._spool = spool
        self._ledger = ledger
        self._on_change = on_change

    def answer(self, event: evt.Event, tally: Tally) -> int | Dataset:
        """Take one object; every outcome is a status. The outermost loop of receiving."""
        try:
            recorded = self._take(event, tally)
        except ObjectRefused as refused:
            status, comment = refused.status, refused.comment
        except (OSError, LedgerUnavailable, MemoryError) as error:
            status, comment = OUT_OF_RESOURCES, _resource(error)
        except Exception as error:  # noqa: BLE001 - one object must never stop the next
            status, comment = PROCESSING_FAILURE, f"{type(error).__name__} in the receiver"
        else:
            tally.stored += recorded is not Recorded.DUPLICATE
            tally.repeated += recorded is Recorded.DUPLICATE
            return SUCCESS
        tally.failed += 1
        _log.warning("object-not-stored", sender=tally.ae_title, host=tally.host, status=f"{status:04X}", why=comment)
        return _failure(status, comment)

    def _take(self, event: evt.Event, tally: Tally) -> Recorded:
        self._spool.check_space()
        request, context = cast(C_STORE, event.request), event.context
        if request.DataSet is None:
            raise ObjectRefused(CANNOT_UNDERSTAND, "there is no dataset")
        dataset = request.DataSet
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

    def _keep(self, header: InstanceHeader, content: memoryview, tally: Tally) -> Recorded:
        sha = digest(content)
        series = series_key(header.study_instance_uid, header.series_instance_uid)
        meta = part10.prefix(header, tally.ae_title)
        size = len(meta) + len(content)
        if self._spool.holds(series, sha, len(content)) and self._ledger.knows(header.sop_instance_uid, sha):
            return Recorded.DUPLICATE
        path = self._spool.keep(series, sha, meta, content)
        recorded = self._record(Arrival(path, sha, size, header, tally.ae_title, tally.host))
        if recorded is Recorded.VARIANT:
            _log.warning("other-bytes-under-known-uid", series=series, sender=tally.ae_title, host=tally.host)
        return recorded

    def _record(self, arrival: Arrival) -> Recorded:
        try:
            return self._ledger.record_arrival(arrival)
        except LedgerUnavailable:
            # Another receiver may have recorded the same object in the same moment: then it is there.
            if self._ledger.knows(arrival.header.sop_instance_uid, arrival.digest):
                return Recorded.DUPLICATE
            raise


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


def _resource(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"spool: {errno.errorcode.get(error.errno or 0, 'error')}"
    return "out of memory" if isinstance(error, MemoryError) else "the ledger does not answer"


def _failure(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    return answer
