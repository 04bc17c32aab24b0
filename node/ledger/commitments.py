"""Storage commitment requests (PS3.4 annex J): what was asked, and whether the answer got through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from node.ledger import history, schema
from node.ledger.database import Database


class CommitmentState(StrEnum):
    """Where one request stands."""

    OWED = "owed"
    """The answer has not been taken yet."""
    ANSWERED = "answered"
    FAILED = "failed"
    """The answer could not be delivered within the time allowed, or there is nowhere to send it."""


commitments = sa.Table(
    "commitments",
    schema.metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("transaction_uid", sa.String(64), nullable=False),
    sa.Column("sender", sa.String(64), nullable=False),  # its name in the configuration
    sa.Column("ae_title", sa.String(16), nullable=False),  # calling AE title of the request
    sa.Column("host", sa.String(64), nullable=False),
    sa.Column("objects", sa.JSON, nullable=False),  # [[SOP Class UID, SOP Instance UID], ...]
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", sa.Float, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.UniqueConstraint("transaction_uid", "ae_title"),
    sa.Index("commitments_due", "state", "next_attempt_at"),
)


@dataclass(frozen=True, slots=True)
class Commitment:
    """One request whose answer is owed."""

    id: int
    transaction_uid: str
    sender: str
    ae_title: str
    host: str
    objects: tuple[tuple[str, str], ...]
    """(SOP Class UID, SOP Instance UID)."""
    asked_at: float
    attempts: int


class CommitmentBook:
    """The part of the ledger about storage commitment."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def ask(
        self, transaction_uid: str, sender: str, ae_title: str, host: str, objects: Sequence[tuple[str, str]]
    ) -> int:
        """Record a request, or take up one that was asked before; return its number."""
        now, table = self._clock(), commitments
        known = sa.select(table.c.id).where(table.c.transaction_uid == transaction_uid, table.c.ae_title == ae_title)
        due = {
            "objects": [list(one) for one in objects],
            "state": CommitmentState.OWED.value,
            "asked_at": now,
            "attempts": 0,
            "next_attempt_at": now,
        }
        with self._database.write() as connection:
            number = connection.execute(known).scalar()
            if number is not None:
                connection.execute(table.update().where(table.c.id == number).values(**due))
                return int(number)
            who = {"transaction_uid": transaction_uid, "sender": sender, "ae_title": ae_title, "host": host}
            connection.execute(table.insert().values(**who, **due))
            history.note(connection, now, None, "commitment-asked", ae_title=ae_title, host=host, objects=len(objects))
            return int(connection.execute(known).scalar_one())

    def due(self, number: int | None = None) -> list[Commitment]:
        """Return what is owed and due, oldest first; or one request, if it is still owed."""
        table = commitments
        query = sa.select(table).where(table.c.state == CommitmentState.OWED.value).order_by(table.c.id)
        chosen = table.c.id == number if number is not None else table.c.next_attempt_at <= self._clock()
        with self._database.read() as connection:
            return [_commitment(row) for row in connection.execute(query.where(chosen).limit(100))]

    def next_due(self) -> float | None:
        """Return when an answer is due next."""
        table = commitments
        query = sa.select(sa.func.min(table.c.next_attempt_at)).where(table.c.state == CommitmentState.OWED.value)
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def attempted(self, number: int, error: str | None, next_attempt_at: float | None) -> None:
        """Record how an attempt ended: without ``error`` it was taken; without a next time it is given up."""
        state = CommitmentState.OWED if next_attempt_at is not None else CommitmentState.FAILED
        if error is None:
            state = CommitmentState.ANSWERED
        table, now = commitments, self._clock()
        with self._database.write() as connection:
            connection.execute(
                table.update()
                .where(table.c.id == number)
                .values(
                    state=state.value,
                    attempts=table.c.attempts + 1,
                    last_error=error,
                    next_attempt_at=next_attempt_at or now,
                )
            )
            if state is not CommitmentState.OWED:
                history.note(connection, now, None, f"commitment-{state.value}", number=number, error=error)

    def states(self) -> dict[str, CommitmentState]:
        """Return the state of every request by its Transaction UID."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(commitments.c.transaction_uid, commitments.c.state))
            return {row.transaction_uid: CommitmentState(row.state) for row in rows}

    def holdings(self, sop_instance_uids: Sequence[str]) -> dict[str, list[tuple[str, Path, int]]]:
        """Return (SOP Class UID, file, size in bytes) of what was received under these SOP Instance UIDs."""
        table, found = schema.instances, dict[str, list[tuple[str, Path, int]]]()
        with self._database.read() as connection:
            for start in range(0, len(sop_instance_uids), 500):
                chosen = sop_instance_uids[start : start + 500]
                query = sa.select(table.c.sop_instance_uid, table.c.path, table.c.size_bytes, table.c.header)
                for row in connection.execute(query.where(table.c.sop_instance_uid.in_(chosen))):
                    held = (str(row.header["sop_class_uid"]), Path(row.path), int(row.size_bytes))
                    found.setdefault(row.sop_instance_uid, []).append(held)
        return found


def _commitment(row: sa.Row[tuple[object, ...]]) -> Commitment:
    values = row._mapping
    return Commitment(
        id=values["id"],
        transaction_uid=values["transaction_uid"],
        sender=values["sender"],
        ae_title=values["ae_title"],
        host=values["host"],
        objects=tuple((sop_class, instance) for sop_class, instance in values["objects"]),
        asked_at=values["asked_at"],
        attempts=values["attempts"],
    )
