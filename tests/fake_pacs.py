"""A storage SCP of the tests' own: a real one on a real socket, whose answers are scripted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.presentation import PresentationContext, build_context

COMMITMENT = "1.2.840.10008.1.20.1"
ABORT = -1
"""Instead of a status: break the association off before answering."""
STORE_AND_ABORT = -2
"""Instead of a status: keep the object, but break the association off before answering."""

Script = Callable[[int, str], int]
"""From the number of the request (0, 1, ...) and its SOP Class UID to a status, ``ABORT`` or ``STORE_AND_ABORT``."""


def accept_all(_number: int, _sop_class_uid: str) -> int:
    return 0x0000


def refuse_first(count: int, status: int = 0xA700) -> Script:
    return lambda number, _sop_class: status if number < count else 0x0000


def refuse_class(sop_class_uid: str, times: int, status: int = 0xA700) -> Script:
    """Refuse the first requests of one SOP class, whatever comes between."""
    seen = iter(range(10**9))

    def script(_number: int, sop_class: str) -> int:
        return status if sop_class == sop_class_uid and next(seen) < times else 0x0000

    return script


@dataclass
class FakePacs:
    """What arrived: every request, and what was accepted, in order."""

    ae_title: str
    script: Script
    delay_s: float = 0.0
    reject: bool = False
    """Reject every association (temporary congestion)."""
    requests: list[str] = field(default_factory=list)
    """SOP Instance UIDs, accepted or not."""
    stored: list[Dataset] = field(default_factory=list)
    associations: int = 0
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def stored_uids(self) -> list[str]:
        return [str(dataset.SOPInstanceUID) for dataset in self.stored]

    forgets: set[str] = field(default_factory=set)
    """SOP Instance UIDs that it accepted and does not hold."""
    reports_to: tuple[str, int] | None = None
    """AE title and port that storage commitment results go to; ``None``: over the association that asked."""
    report_delay_s: float = 0.2

    def _held(self) -> list[Dataset]:
        return [dataset for dataset in self.stored if str(dataset.SOPInstanceUID) not in self.forgets]

    def _on_find(self, event: evt.Event) -> Any:
        for dataset in self._held():
            if dataset.SeriesInstanceUID == event.identifier.SeriesInstanceUID:
                answer = Dataset()
                answer.QueryRetrieveLevel, answer.SOPInstanceUID = "IMAGE", dataset.SOPInstanceUID
                yield 0xFF00, answer

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        threading.Thread(target=self._report, args=(event.assoc, event.action_information), daemon=True).start()
        return 0x0000, None

    def _report(self, association: Any, question: Dataset) -> None:
        held = {str(dataset.SOPInstanceUID) for dataset in self._held()}
        asked = list(question.ReferencedSOPSequence)
        result = Dataset()
        result.TransactionUID = question.TransactionUID
        result.ReferencedSOPSequence = [one for one in asked if str(one.ReferencedSOPInstanceUID) in held]
        failed = [one for one in asked if str(one.ReferencedSOPInstanceUID) not in held]
        for one in failed:
            one.FailureReason = 0x0112
        if failed:
            result.FailedSOPSequence = failed
        time.sleep(self.report_delay_s)
        well_known = UID("1.2.840.10008.1.20.1.1")
        if self.reports_to is None:
            association.send_n_event_report(result, 2 if failed else 1, UID(COMMITMENT), well_known)
            return
        entity = AE(ae_title=self.ae_title)
        entity.add_requested_context(UID(COMMITMENT))
        title, port = self.reports_to
        roles: Any = [build_role(UID(COMMITMENT), scp_role=True)]
        link = entity.associate("127.0.0.1", port, ae_title=title, ext_neg=roles)
        link.send_n_event_report(result, 2 if failed else 1, UID(COMMITMENT), well_known)
        link.release()

    def wait_for(self, count: int, limit_s: float = 20.0) -> None:
        """Wait until so many objects are stored; fail the test when that does not happen."""
        deadline = time.monotonic() + limit_s
        while len(self.stored) < count:
            assert time.monotonic() < deadline, f"{len(self.stored)} of {count} objects arrived within {limit_s} s"
            time.sleep(0.02)

    def _on_requested(self, event: evt.Event) -> None:
        self.associations += 1
        if self.reject:
            event.assoc.acse.send_reject(0x02, 0x03, 0x01)
            event.assoc.kill()

    def _on_store(self, event: evt.Event) -> int:
        request: Any = event.request
        with self._lock:
            number = len(self.requests)
            self.requests.append(str(request.AffectedSOPInstanceUID))
        time.sleep(self.delay_s)
        status = self.script(number, str(request.AffectedSOPClassUID))
        if status in (0x0000, STORE_AND_ABORT) or status & 0xF000 == 0xB000:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            with self._lock:
                self.stored.append(dataset)
        if status < 0:
            event.assoc.abort()
            return 0x0110
        return status


@contextmanager
def fake_pacs(
    script: Script = accept_all,
    *,
    ae_title: str = "PACS",
    port: int = 0,
    delay_s: float = 0.0,
    reject: bool = False,
    forgets: Collection[str] = (),
    report_delay_s: float = 0.2,
    contexts: Sequence[tuple[str, Sequence[str]]] | None = None,
) -> Iterator[FakePacs]:
    """Run a PACS; ``contexts`` (SOP class, transfer syntaxes) restricts what it accepts."""
    pacs = FakePacs(ae_title, script, delay_s, reject, forgets=set(forgets), report_delay_s=report_delay_s)
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.supported_contexts = _contexts(contexts)
    entity.add_supported_context("1.2.840.10008.1.1")
    entity.add_supported_context(UID("1.2.840.10008.5.1.4.1.2.2.1"))
    entity.add_supported_context(UID(COMMITMENT))
    handlers: list[Any] = [
        (evt.EVT_C_STORE, pacs._on_store),
        (evt.EVT_REQUESTED, pacs._on_requested),
        (evt.EVT_C_FIND, pacs._on_find),
        (evt.EVT_N_ACTION, pacs._on_action),
    ]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    pacs.port = int(server.server_address[1])
    try:
        yield pacs
    finally:
        server.shutdown()


def _contexts(chosen: Sequence[tuple[str, Sequence[str]]] | None) -> list[PresentationContext]:
    if chosen is None:
        return list(AllStoragePresentationContexts)
    return [build_context(UID(sop_class), [UID(syntax) for syntax in syntaxes]) for sop_class, syntaxes in chosen]
