"""What a changed set of rules would have done to past series, and what it would change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from node import app
from node.config import Config
from node.domain.decision import Decision
from node.errors import NodeError
from node.ledger import Ledger
from node.ledger.decisions import PastDecision
from node.ledger.records import SeriesRecord

_UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One past series: what happened, and what would have."""

    series_key: str
    series_instance_uid: str
    description: str | None
    before: PastDecision | None
    """``None``: it has not been decided yet."""
    after: Decision

    @property
    def changed(self) -> bool:
        """Whether it would have gone another way (another sentence alone is no change)."""
        if self.before is None:
            return False
        was = (self.before.action, self.before.rule, self.before.reason)
        return was != (self.after.action, self.after.rule, self.after.reason)


def rehearse(ledger: Ledger, config: Config, since: float) -> Iterator[Rehearsed]:
    """Decide every study again that something arrived of since then. Nothing is recorded, nothing is started.

    Each study is read and let go in turn. Series of which no object may be measured are left out.
    """
    routes = app.routes(config)
    for study_key in ledger.decisions.studies_since(since):
        records = [record for record in ledger.study(study_key).series if record.series.instances]
        if not records:
            continue
        past = ledger.decisions.last(record.key for record in records)
        decisions = {one.series_instance_uid: one for one in routes.decide([record.series for record in records])}
        for record in records:
            uid = record.series.series_instance_uid
            yield Rehearsed(record.key, uid, _description(record), past.get(record.key), decisions[uid])


def _description(record: SeriesRecord) -> str | None:
    return record.series.instances[0].header.series_description


def moment(text: str, now: float) -> float:
    """Return the time that "12h", "30d", "6w" ago or an ISO date names. Raises ``NodeError``."""
    ago = re.fullmatch(r"(\d+)\s*([hdw])", text.strip())
    if ago:
        return now - int(ago[1]) * _UNITS_S[ago[2]]
    try:
        named = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise NodeError(f'"{text}" is no time: give 12h, 30d, 6w, or a date as 2026-01-31.') from error
    return (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp()
