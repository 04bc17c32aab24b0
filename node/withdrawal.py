"""Taking a report back: the ledger says where it may lie, a note says there that it is rejected."""

from __future__ import annotations

from node.domain.job import OutgoingObject
from node.ledger import Ledger
from node.report.rejection import Reason, reject


def withdraw(ledger: Ledger, series_key: str, by: str, why: str, reason: Reason = "quality") -> tuple[str, ...]:
    """Withdraw the current report of a series; returns the destinations that are told.

    Raises ``NotPossible`` where there is none, ``ReportInvalid`` where its files are gone.
    """
    sent = ledger.operator.sent(series_key)
    note: OutgoingObject | None = None
    if sent.destinations:
        note = reject(sent.paths, sent.folder / "withdrawal", by, why, reason)
    ledger.operator.withdraw(sent, by, why, note)
    return sent.destinations
