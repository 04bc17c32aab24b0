"""Who asked to store and was turned away: what an operator needs to approve a scanner, or to ask whose it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.database import Database

MOST_ROWS = 1000
"""Port scanners and typing errors must not fill the ledger: beyond this the longest unseen goes."""
_MOST_CLASSES = 64

strangers = sa.Table(
    "strangers",
    schema.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("calling_ae_title", sa.String(16), nullable=False),
    sa.Column("called_ae_title", sa.String(16), nullable=False),
    sa.Column("host", sa.String(64), nullable=False),
    sa.Column("tls", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sop_classes", sa.JSON, nullable=False),
    sa.UniqueConstraint("calling_ae_title", "called_ae_title", "host"),
)


@dataclass(frozen=True, slots=True)
class Stranger:
    """One AE title at one address that was turned away."""

    id: int
    calling_ae_title: str
    called_ae_title: str
    host: str
    tls: bool
    reason: str
    first_at: float
    last_at: float
    attempts: int
    sop_classes: tuple[str, ...]
    """UIDs of what it proposed, at any of its attempts."""


class SenderBook:
    """The part of the ledger about senders."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def turned_away(
        self, calling: str, called: str, host: str, reason: str, sop_classes: Sequence[str], *, tls: bool = False
    ) -> None:
        """Count one rejected association."""
        now, table = self._clock(), strangers
        with self._database.write() as connection:
            row = connection.execute(
                sa.select(table.c.id, table.c.sop_classes).where(
                    table.c.calling_ae_title == calling, table.c.called_ae_title == called, table.c.host == host
                )
            ).first()
            wanted = sorted({*sop_classes, *(row.sop_classes if row else ())})[:_MOST_CLASSES]
            seen = {"last_at": now, "reason": reason, "tls": tls, "sop_classes": wanted}
            if row is not None:
                update = table.update().where(table.c.id == row.id)
                connection.execute(update.values(attempts=table.c.attempts + 1, **seen))
                return
            _make_room(connection)
            new = {"calling_ae_title": calling, "called_ae_title": called, "host": host, "first_at": now}
            connection.execute(table.insert().values(attempts=1, **new, **seen))
            history.note(connection, now, None, "unknown-sender", ae_title=calling, host=host, reason=reason)

    def waiting(self) -> list[Stranger]:
        """Return all that were turned away and neither approved nor forgotten since, the latest first."""
        query = sa.select(strangers).order_by(strangers.c.last_at.desc(), strangers.c.id)
        with self._database.read() as connection:
            return [_stranger(row) for row in connection.execute(query)]

    def find(self, number: int) -> Stranger | None:
        """Return one by its number."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(strangers).where(strangers.c.id == number)).first()
            return _stranger(row) if row else None

    def close(self, number: int, kind: str, **detail: object) -> None:
        """Take one off the list; ``kind`` ("sender-approved", "sender-forgotten") goes into the history."""
        with self._database.write() as connection:
            connection.execute(strangers.delete().where(strangers.c.id == number))
            history.note(connection, self._clock(), None, kind, **detail)


def _make_room(connection: sa.Connection) -> None:
    count = connection.execute(sa.select(sa.func.count()).select_from(strangers)).scalar() or 0
    if count >= MOST_ROWS:
        oldest = sa.select(strangers.c.id).order_by(strangers.c.last_at).limit(count - MOST_ROWS + 1)
        connection.execute(strangers.delete().where(strangers.c.id.in_(oldest)))


def _stranger(row: sa.Row[tuple[object, ...]]) -> Stranger:
    values = dict(row._mapping)
    return Stranger(**{**values, "sop_classes": tuple(values["sop_classes"])})
