"""Which events have been reported to the audit repository. Each is reported at least once, by one process at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.database import Database

CLAIM_S = 60.0
"""How long one process may be the one that reports without saying so again."""
_SETTLED_S = 5.0
"""With PostgreSQL an event may be committed after one that has a higher number: both are waited for."""
_E, _S, _I, _O = schema.events, schema.series, schema.instances, schema.outputs

reports = sa.Table(
    "audit_reports",
    schema.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("last_event", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(96)),
    sa.Column("until", sa.Float, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Audited:
    """One event, with what an audit message tells of its series."""

    id: int
    at: float
    kind: str
    detail: Mapping[str, Any]
    series_key: str | None
    study_instance_uid: str | None = None
    sender: str | None = None
    sender_host: str | None = None
    classes: Mapping[str, int] | None = None
    """SOP Class UID → number of objects received."""
    sample: Path | None = None
    """An object of the series, if there is one still."""


class AuditBook:
    """The part of the ledger about what has been reported."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def note(self, kind: str, **detail: object) -> None:
        """Append an event of the node as a whole."""
        with self._database.write() as connection:
            history.note(connection, self._clock(), None, kind, **detail)

    def take(self, owner: str, limit: int = 200) -> list[Audited]:
        """Return what is to be reported next, oldest first; nothing while another process is the one that reports.

        When it is asked for the first time, it starts with the present.
        """
        now = self._clock()
        with self._database.write() as connection:
            if (last := _claim(connection, owner, now)) is None:
                return []
            query = sa.select(_E, _S.c.sender, _S.c.sender_host, schema.studies.c.study_instance_uid)
            query = query.outerjoin(_S, _S.c.series_key == _E.c.series_key)
            query = query.outerjoin(schema.studies, schema.studies.c.study_key == _S.c.study_key)
            query = query.where(_E.c.id > last).order_by(_E.c.id).limit(limit)
            if connection.dialect.name == "postgresql":
                query = query.where(_E.c.at < now - _SETTLED_S)
            rows = connection.execute(query).all()
            about = {key: _about(connection, key) for key in {row.series_key for row in rows} - {None}}
            return [_audited(row, *about.get(row.series_key, (None, None))) for row in rows]

    def reported(self, owner: str, last: int) -> None:
        """Note that everything up to an event has been reported."""
        with self._database.write() as connection:
            mine = sa.and_(reports.c.owner == owner, reports.c.last_event < last)
            connection.execute(reports.update().where(mine).values(last_event=last))

    def classes(self, sop_instance_uids: Sequence[str]) -> dict[str, int]:
        """Return how many of these outgoing objects are of which SOP class."""
        query = sa.select(_O.c.sop_instance_uid, _O.c.sop_class_uid).where(_O.c.sop_instance_uid.in_(sop_instance_uids))
        with self._database.read() as connection:
            known = {row.sop_instance_uid: row.sop_class_uid for row in connection.execute(query)}
        return dict(Counter(known.values()))


def _claim(connection: sa.Connection, owner: str, now: float) -> int | None:
    """Become the one that reports; returns the last event that was."""
    row = connection.execute(sa.select(reports).where(reports.c.id == 1).with_for_update()).first()
    if row is None:
        last = int(connection.execute(sa.select(sa.func.max(_E.c.id))).scalar() or 0)
        connection.execute(reports.insert().values(id=1, last_event=last, owner=owner, until=now + CLAIM_S))
        return last
    if row.owner != owner and row.until > now:
        return None
    connection.execute(reports.update().where(reports.c.id == 1).values(owner=owner, until=now + CLAIM_S))
    return int(row.last_event)


def _about(connection: sa.Connection, series_key: str) -> tuple[dict[str, int], Path | None]:
    query = sa.select(_I.c.header, _I.c.path).where(_I.c.series_key == series_key, sa.not_(_I.c.variant))
    rows = connection.execute(query).all()
    there = next((Path(row.path) for row in rows if row.path), None)
    return dict(Counter(str(row.header["sop_class_uid"]) for row in rows)), there


def _audited(row: Any, classes: Mapping[str, int] | None, sample: Path | None) -> Audited:
    return Audited(
        id=row.id,
        at=row.at,
        kind=row.kind,
        detail=row.detail,
        series_key=row.series_key,
        study_instance_uid=row.study_instance_uid,
        sender=row.sender,
        sender_host=row.sender_host,
        classes=classes,
        sample=sample,
    )
