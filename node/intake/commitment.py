"""Storage Commitment Push Model as SCP (PS3.4 annex J): "is what I sent you safe?"

A request is recorded before it is acknowledged, and its answer (N-EVENT-REPORT) is owed until the scanner has taken it:
over a new association where the configuration says where it listens, else over the association that asked.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION

from node import log, tls
from node.dicom.commitment import read_result
from node.domain.settings import ReceiverSettings, Sender
from node.errors import ConfigError
from node.intake import part10
from node.intake.admission import ANYBODY, by_name
from node.intake.storing import Tally
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.commitments import Commitment

STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 table J.3.2-1)."""
ALL_SAFE, SOME_MISSING = 1, 2
"""Event Type IDs (PS3.4 table J.3.3-1)."""

SUCCESS, NO_SUCH_INSTANCE, INVALID_ARGUMENT = 0x0000, 0x0112, 0x0115
CLASS_INSTANCE_CONFLICT, NO_SUCH_ACTION, RESOURCE_LIMITATION = 0x0119, 0x0123, 0x0213

FIRST_DELAY_S, LONGEST_DELAY_S, GIVE_UP_AFTER_S = 15.0, 1800.0, 7 * 86400.0
_IDLE_S = 30.0
_AFTER_ANSWER_S = 0.3
"""The N-ACTION response goes first; who closes the association at once gets a new one."""
_META_DIFFERENCE_BYTES = 16
"""A file sent again by another AE title has file meta information of another length."""

_log = log.get(__name__)


class Commitments:
    """Takes requests at any time; answers from ``start`` to ``stop``."""

    def __init__(self, settings: ReceiverSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._book = ledger.commitments
        self._proofs = ledger.proofs
        self._now = ledger.now
        self._open: queue.Queue[tuple[int, Association] | None] = queue.Queue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="commitment", daemon=True)

    def start(self) -> None:
        """Begin to answer, what was owed before first."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; what is owed stays in the ledger."""
        self._stopping.set()
        self._open.put(None)
        self._thread.join(timeout=10.0)

    def configure(self, settings: ReceiverSettings) -> None:
        """Use other addresses from now on."""
        self._settings = settings

    def asked(self, event: evt.Event, tally: Tally) -> int:
        """Take one N-ACTION request; return its status."""
        if event.action_type != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION
        if cast(N_ACTION, event.request).RequestedSOPInstanceUID != WELL_KNOWN_INSTANCE:
            return NO_SUCH_INSTANCE
        try:
            information = event.action_information
            transaction = str(information.TransactionUID)
            objects = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in information.ReferencedSOPSequence
            ]
        except Exception:  # noqa: BLE001 - whatever was sent: an argument that cannot be read is invalid
            return INVALID_ARGUMENT
        if not transaction or len(transaction) > 64 or not objects:
            return INVALID_ARGUMENT
        try:
            number = self._book.ask(transaction, tally.sender.name, tally.ae_title, tally.host, objects)
        except LedgerUnavailable as error:
            _log.warning("commitment-not-recorded", why=str(error))
            return RESOURCE_LIMITATION
        self._open.put((number, event.assoc))
        return SUCCESS

    def reported(self, event: evt.Event) -> int:
        """Take an archive's N-EVENT-REPORT about what the node asked it; return its status."""
        try:
            result = read_result(event.event_information)
            known = self._proofs.answer(result.transaction_uid, result.held, result.missing)
        except LedgerUnavailable as error:
            _log.warning("commitment-result-not-recorded", why=str(error))
            return RESOURCE_LIMITATION
        except Exception:  # noqa: BLE001 - whatever was sent: an argument that cannot be read is invalid
            return INVALID_ARGUMENT
        return SUCCESS if known else NO_SUCH_INSTANCE

    def _serve(self) -> None:
        """The outermost loop of answering."""
        pause = 0.0
        while not self._stopping.is_set():
            try:
                asked = self._open.get(timeout=pause)
            except queue.Empty:
                asked = None
            if self._stopping.is_set():
                return
            pause = 1.0
            try:
                self._answer_due(asked)
                due = self._book.next_due()
                pause = _IDLE_S if due is None else min(_IDLE_S, max(0.1, due - self._now()))
            except LedgerUnavailable as error:
                _log.error("commitment-postponed", why=str(error))
            except Exception as error:  # noqa: BLE001 - one answer must not stop the others
                _log.error("commitment-error", error=type(error).__name__, exc_info=True)

    def _answer_due(self, asked: tuple[int, Association] | None) -> None:
        if asked is not None:
            for commitment in self._book.due(asked[0]):
                self._attempt(commitment, asked[1])
            return
        for commitment in self._book.due():
            if not self._stopping.is_set():
                self._attempt(commitment, None)

    def _attempt(self, commitment: Commitment, link: Association | None) -> None:
        """Check, report, record how it ended."""
        event_type, information = self._result(commitment)
        error = self._report(commitment, event_type, information, link)
        waited = self._now() - commitment.asked_at
        again_at = None
        if error is not None and waited < GIVE_UP_AFTER_S:
            again_at = self._now() + min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(commitment.attempts, 20))
        self._book.attempted(commitment.id, error, again_at)
        _log.info(
            "commitment-reported" if error is None else "commitment-not-reported",
            sender=commitment.ae_title,
            objects=len(commitment.objects),
            all_safe=event_type == ALL_SAFE,
            why=error,
        )

    def _result(self, commitment: Commitment) -> tuple[int, Dataset]:
        """Event type and event information: which objects lie here, file and row."""
        held = self._book.holdings([instance for _, instance in commitment.objects])
        information = Dataset()
        information.TransactionUID = commitment.transaction_uid
        safe, failed = [], []
        for sop_class, instance in commitment.objects:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
            reason = _missing(sop_class, held.get(instance, []))
            if reason is None:
                safe.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        if safe:
            information.ReferencedSOPSequence = safe
        if failed:
            information.FailedSOPSequence = failed
        return (SOME_MISSING if failed else ALL_SAFE), information

    def _report(
        self, commitment: Commitment, event_type: int, information: Dataset, link: Association | None
    ) -> str | None:
        """Send the report; return why it was not taken, or ``None``."""
        sender = by_name((*self._settings.senders, ANYBODY), commitment.sender)
        if sender is None:
            return "the sender is no longer configured"
        if sender.answer_port is not None:
            return self._over_new(sender, commitment, event_type, information)
        if link is None:
            return "the association is over, and no answer_port is configured for this sender"
        time.sleep(_AFTER_ANSWER_S)
        return _send(link, event_type, information)

    def _over_new(self, sender: Sender, commitment: Commitment, event_type: int, information: Dataset) -> str | None:
        entity = AE(ae_title=sender.called_ae_title or self._settings.ae_title)
        entity.implementation_class_uid = UID(part10.IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = part10.IMPLEMENTATION_VERSION_NAME
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 30.0
        entity.add_requested_context(STORAGE_COMMITMENT)
        host = sender.answer_host or commitment.host
        title = sender.answer_ae_title or sender.ae_title or commitment.ae_title
        try:
            link = entity.associate(
                host,
                int(sender.answer_port or 0),
                ae_title=title,
                ext_neg=[build_role(STORAGE_COMMITMENT, scp_role=True)],
                tls_args=self._tls(sender, host),
            )
        except (OSError, ConfigError) as error:
            return f"no connection ({type(error).__name__})"
        try:
            return _send(link, event_type, information)
        finally:
            if link.is_established:
                link.release()

    def _tls(self, sender: Sender, host: str) -> Any:
        if not sender.answer_tls or self._settings.tls is None:
            return None
        return tls.client_context(self._settings.tls, check_host=False), host


def _missing(sop_class: str, held: list[tuple[str, Any, int]]) -> int | None:
    """Failure Reason (PS3.3 C.14.1.1) of one object, or ``None`` when it is safe."""
    if not held:
        return NO_SUCH_INSTANCE
    fitting = [(path, size) for held_class, path, size in held if held_class == sop_class]
    if not fitting:
        return CLASS_INSTANCE_CONFLICT
    for path, size in fitting:
        try:
            if abs(path.stat().st_size - size) <= _META_DIFFERENCE_BYTES:
                return None
        except OSError:
            continue
    return NO_SUCH_INSTANCE


def _send(link: Association, event_type: int, information: Dataset) -> str | None:
    if not link.is_established:
        return "there is no association"
    try:
        reply, _ = link.send_n_event_report(information, event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    except (RuntimeError, ValueError) as error:
        return f"it could not be sent ({type(error).__name__})"
    if "Status" not in reply:
        return "the association ended before the answer"
    return None if reply.Status == SUCCESS else f"it was answered {int(reply.Status):04X}"
