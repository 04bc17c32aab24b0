"""Storage commitments that the node has asked archives for (PS3.4 annex J): an answer may come hours later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from node.ledger import schema
from node.ledger.database import Database
from node.ledger.states import ProofState

proofs = sa.Table(
    "proofs",
    schema.metadata,
    sa.Column("transaction_uid", sa.String(64), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("destination", sa.String(64), nullable=False),
    sa.Column("asked_at", sa.Float, nullable=False),
    sa.Column("answered_at", sa.Float),
    sa.Column("held", sa.JSON),  # SOP Instance UIDs
    sa.Column("missing", sa.JSON),
    sa.Index("proofs_by_job", "job_id", "destination"),
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What an archive says of objects: SOP Instance UIDs."""

    held: frozenset[str]
    missing: frozenset[str]


class ProofBook:
    """The part of the ledger about what archives were asked and answered."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def ask(self, transaction_uid: str, job_id: str, destination: str) -> None:
        """Note a question before it is sent."""
        values = {"job_id": job_id, "destination": destination, "asked_at": self._clock()}
        with self._database.write() as connection:
            connection.execute(proofs.insert().values(transaction_uid=transaction_uid, **values))

    def answer(self, transaction_uid: str, held: Sequence[str], missing: Sequence[str]) -> bool:
        """Note an answer, and have it looked at now; False when nothing was asked under this UID."""
        now, deliveries = self._clock(), schema.deliveries
        values = {"held": list(held), "missing": list(missing), "answered_at": now}
        same = proofs.c.transaction_uid == transaction_uid
        with self._database.write() as connection:
            row = connection.execute(sa.select(proofs.c.job_id, proofs.c.destination).where(same)).first()
            if row is None:
                return False
            connection.execute(proofs.update().where(same).values(values))
            waiting = sa.and_(
                deliveries.c.job_id == row.job_id,
                deliveries.c.destination == row.destination,
                deliveries.c.proof == ProofState.WANTED.value,
            )
            connection.execute(deliveries.update().where(waiting).values(next_attempt_at=now))
            return True

    def collect(self, job_id: str, destination: str) -> Holding | None:
        """Take the latest answer about a job, and forget all that was asked about it; ``None`` when there is none."""
        mine = sa.and_(proofs.c.job_id == job_id, proofs.c.destination == destination)
        query = sa.select(proofs).where(mine, proofs.c.answered_at.is_not(None)).order_by(proofs.c.asked_at.desc())
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).first()
        if row is None:
            return None
        with self._database.write() as connection:
            connection.execute(proofs.delete().where(mine))
        return Holding(frozenset(row.held), frozenset(row.missing))
