"""The audit trail: what the ledger's history says of access, transfer and configuration, told to a syslog server.

The history is the queue: what could not be sent is sent later, also after a restart, and nothing waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from node import log
from node.admin import audit_message as atna
from node.admin.audit_message import Message, Participant, Study
from node.admin.syslog import Syslog
from node.domain.settings import AuditSettings, Destination, TlsSettings
from node.errors import ConfigError
from node.ledger import Ledger, LedgerUnavailable
from node.ledger.auditing import Audited

_INTERVAL_S = 5.0
_STORED = ("object-stored", "object-stored-with-warning")
_REFUSED = ("object-refused", "object-failed")
_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Here:
    """This node, as messages name it."""

    ae_title: str
    host: str
    destinations: Mapping[str, Destination]


class Auditor:
    """Reports from ``start`` to ``stop``; without a host in its settings it does nothing."""

    def __init__(
        self,
        ledger: Ledger,
        settings: AuditSettings,
        here: Callable[[], Here],
        owner: str,
        tls: TlsSettings | None = None,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._here = here
        self._owner = owner
        self._interval_s = interval_s
        self._syslog = Syslog(settings, tls)
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="audit", daemon=True)

    def start(self) -> None:
        """Begin to report, with the start of the node itself."""
        if self._settings.host is None:
            return
        self._ledger.audit.take(self._owner)
        self._ledger.audit.note("node-started", executor=self._owner)
        self._thread.start()

    def stop(self) -> None:
        """Report the end of the node, and end."""
        if not self._thread.is_alive():
            return
        self._stopping.set()
        self._thread.join(timeout=20.0)
        try:
            self._ledger.audit.note("node-stopped", executor=self._owner)
            self.report()
        except (LedgerUnavailable, OSError, ConfigError) as error:
            _log.warning("audit-outstanding", error=type(error).__name__)
        self._syslog.close()

    def report(self) -> int:
        """Send what is outstanding; returns how many messages. Raises ``OSError`` when the server takes none."""
        sent = 0
        while batch := self._ledger.audit.take(self._owner):
            for message in self._messages(batch):
                self._syslog.send(atna.to_xml(message, self._settings.source), datetime.fromtimestamp(message.at, UTC))
                sent += 1
            self._ledger.audit.reported(self._owner, batch[-1].id)
        return sent

    def _serve(self) -> None:
        while True:
            try:
                self.report()
                if self._failing:
                    _log.info("audit-resumed")
                self._failing = False
            except Exception as error:  # noqa: BLE001 - reporting must go on, and hinder nothing
                if not self._failing:
                    _log.error("audit-outstanding", error=type(error).__name__, exc_info=True)
                self._failing = True
            if self._stopping.wait(self._interval_s):
                return

    def _messages(self, batch: list[Audited]) -> Iterator[Message]:
        """One message for each event; one for all objects of a series that went the same way."""
        here = self._here()
        for _, group in groupby(batch, lambda one: (one.series_key, one.kind, one.detail.get("destination"))):
            events = list(group)
            if events[0].kind in (*_STORED, *_REFUSED):
                classes = self._ledger.audit.classes([str(one.detail["sop_instance_uid"]) for one in events])
                yield _sent(events[-1], here, classes)
                continue
            for event in events:
                told = _told(event, here)
                if told is not None:
                    yield told


def _told(event: Audited, here: Here) -> Message | None:
    """An event that is no delivery; ``None`` where an audit trail has no interest in it."""
    node = Participant(here.ae_title, role=atna.APPLICATION, host=here.host)
    by = Participant(str(event.detail.get("by") or "unknown"), requestor=True)
    if event.kind in ("node-started", "node-stopped"):
        kind = atna.APPLICATION_START if event.kind == "node-started" else atna.APPLICATION_STOP
        return Message(event.at, atna.APPLICATION_ACTIVITY, "E", [node], kind)
    if event.kind == "state" and event.detail.get("origin") == "receiving":
        scanner = Participant(event.sender or "unknown", True, atna.SOURCE, event.sender_host)
        archive = Participant(here.ae_title, role=atna.DESTINATION, host=here.host)
        study = _study(event, event.classes or {})
        return Message(event.at, atna.INSTANCES_TRANSFERRED, "C", [scanner, archive], study=study)
    if event.kind == "unknown-sender":
        title, host = str(event.detail.get("ae_title")), str(event.detail.get("host"))
        who = [node, Participant(title, requestor=True, host=host)]
        alert = (atna.SECURITY_ALERT, "E", who, atna.NODE_AUTHENTICATION, atna.MINOR_FAILURE)
        return Message(event.at, *alert, str(event.detail.get("reason")), node=title)
    if event.kind in ("config-in-force", "switched-off", "switched-on", "sender-approved"):
        what = ", ".join(f"{key} {value}" for key, value in event.detail.items() if key != "by")
        who = [node, by] if "by" in event.detail else [node]
        alert = (atna.SECURITY_ALERT, "E", who, atna.SOFTWARE_CONFIGURATION, atna.SUCCESS)
        return Message(event.at, *alert, f"{event.kind}: {what}"[:200], node=here.ae_title)
    if event.kind in ("held", "released", "retried", "withdrawn"):
        description = f"{event.kind}: {event.detail.get('why')}"
        action, study = "D" if event.kind == "withdrawn" else "U", _study(event, {})
        return Message(event.at, atna.INSTANCES_ACCESSED, action, [by, node], description=description, study=study)
    if event.kind in ("inputs-removed", "results-removed"):
        return Message(event.at, atna.STUDY_DELETED, "D", [node], description=event.kind, study=_study(event, {}))
    return None


def _sent(event: Audited, here: Here, classes: Mapping[str, int]) -> Message:
    name = str(event.detail.get("destination"))
    to = here.destinations.get(name)
    source = Participant(here.ae_title, True, atna.SOURCE, here.host)
    host = (to.host or to.url) if to else None
    target = Participant((to.ae_title if to else "") or name, role=atna.DESTINATION, host=host)
    outcome = atna.SUCCESS if event.kind in _STORED else atna.MINOR_FAILURE
    error = event.detail.get("error")
    return Message(
        event.at,
        atna.INSTANCES_TRANSFERRED,
        "R",
        [source, target],
        outcome=outcome,
        description=str(error) if error else None,
        study=_study(event, classes),
    )


def _study(event: Audited, classes: Mapping[str, int]) -> Study | None:
    if event.study_instance_uid is None:
        return None
    return Study(event.study_instance_uid, _patient_id(event.sample), classes)


def _patient_id(sample: Path | None) -> str:
    """Of an object that is here still: the ledger itself keeps no patient's identity."""
    if sample is None:
        return "unknown"
    try:
        header = pydicom.dcmread(sample, specific_tags=["PatientID"], stop_before_pixels=True)
    except (OSError, InvalidDicomError, ValueError):
        return "unknown"
    return str(header.get("PatientID", "") or "unknown")
