"""Does the archive hold what it accepted? A C-FIND (PS3.4 annex C) or a storage commitment (annex J) answers."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import evt

from node.delivery.scu import Unreachable, link_to
from node.dicom.commitment import read_result
from node.domain.settings import Destination, TlsSettings
from node.ledger import Ledger
from node.ledger.proofs import Holding
from node.ledger.records import OutgoingDelivery, Shipment

FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
"""Study Root Query/Retrieve Information Model – FIND."""
COMMITMENT = UID("1.2.840.10008.1.20.1")
WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
_PATIENCE_S = 3.0
"""For an answer over the association that asked; nothing else goes to the archive meanwhile. Later it may call."""


class NotYet(Unreachable):
    """The archive took the question; its answer is still to come."""


def find(destination: Destination, own_ae_title: str, shipment: Shipment, tls: TlsSettings | None) -> Holding:
    """Look for every object of a shipment, series by series. Raises ``Unreachable`` without an answer."""
    by_series: defaultdict[str, set[str]] = defaultdict(set)
    for item in shipment.objects:
        by_series[item.series_instance_uid or ""].add(item.sop_instance_uid)
    held: set[str] = set()
    with link_to(destination, own_ae_title, [(FIND, None)], tls) as link:
        for series, wanted in by_series.items():
            held |= wanted & _search(link, shipment.study_instance_uid, series)
    return _holding(shipment.objects, held)


def _search(link: Any, study: str, series: str) -> set[str]:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID, query.SOPInstanceUID = study, series, ""
    found: set[str] = set()
    try:
        for status, identifier in link.send_c_find(query, FIND):
            if "Status" not in status:
                raise Unreachable("the archive did not answer a C-FIND: does it know this node's AE title?")
            if status.Status in (0xFF00, 0xFF01):
                found.add(str(identifier.get("SOPInstanceUID", "")))
            elif status.Status != 0x0000:
                raise Unreachable(f"the archive answered a C-FIND with {status.Status:04X}")
    except (ValueError, RuntimeError) as error:
        raise Unreachable("the archive takes no C-FIND") from error
    return found


def commitment(
    destination: Destination, own_ae_title: str, shipment: Shipment, tls: TlsSettings | None, ledger: Ledger
) -> Holding:
    """Ask for storage commitment; wait for the answer on this association, and leave it to the receiver after that.

    Raises ``NotYet`` when it is still to come, ``Unreachable`` when the question was not taken.
    """
    answered = ledger.proofs.collect(shipment.job_id, shipment.destination)
    if answered is not None:
        return answered
    transaction = str(generate_uid())
    ledger.proofs.ask(transaction, shipment.job_id, shipment.destination)
    came = threading.Event()

    def on_report(event: evt.Event) -> tuple[int, None]:
        status = _take_report(ledger, event.event_information)
        came.set()
        return status, None

    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report)]
    with link_to(destination, own_ae_title, [(COMMITMENT, None)], tls, handlers) as link:
        try:
            reply, _ = link.send_n_action(_question(transaction, shipment.objects), 1, COMMITMENT, WELL_KNOWN_INSTANCE)
        except (ValueError, RuntimeError) as error:
            raise Unreachable("the archive takes no storage commitment request") from error
        if "Status" not in reply or reply.Status != 0x0000:
            status = f"{int(reply.Status):04X}" if "Status" in reply else "nothing"
            raise Unreachable(f"the archive answered the storage commitment request with {status}")
        came.wait(min(destination.timeout_s, _PATIENCE_S))
    answered = ledger.proofs.collect(shipment.job_id, shipment.destination)
    if answered is None:
        raise NotYet("the archive has not answered the storage commitment request yet")
    return answered


def _question(transaction: str, objects: Sequence[OutgoingDelivery]) -> Dataset:
    question = Dataset()
    question.TransactionUID = transaction
    question.ReferencedSOPSequence = []
    for one in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        question.ReferencedSOPSequence.append(item)
    return question


def _take_report(ledger: Ledger, information: Dataset) -> int:
    """Keep what an archive reports; 0112 (no such instance) when nothing was asked under its transaction."""
    try:
        result = read_result(information)
    except AttributeError:
        return 0x0115
    return 0x0000 if ledger.proofs.answer(result.transaction_uid, result.held, result.missing) else 0x0112


def _holding(objects: Sequence[OutgoingDelivery], held: set[str]) -> Holding:
    wanted = {one.sop_instance_uid for one in objects}
    return Holding(frozenset(wanted & held), frozenset(wanted - held))
